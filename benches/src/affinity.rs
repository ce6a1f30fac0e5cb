//! Keeps a thread on one processor, where the system allows it.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

        /// Keeps the thread that created it on one processor, until it is dropped. Processes that the
        /// thread forks inherit this.
        #[derive(Debug)]
        pub(crate) struct Pinned {
            before: CpuSet,
        }

        impl Pinned {
            /// Keeps this thread on its processor. Returns `None` if that is not allowed.
            pub(crate) fn here() -> Option<Pinned> {
                let before = sched_getaffinity(None).ok()?;
                let mut here = CpuSet::new();
                here.set(sched_getcpu());
                sched_setaffinity(None, &here).ok()?;
                Some(Pinned { before })
            }
        }

        impl Drop for Pinned {
            fn drop(&mut self) {
                // If the system refuses, the benchmark continues on this processor.
                let _ = sched_setaffinity(None, &self.before);
            }
        }
    } else {
        /// Not supported on this system.
        #[derive(Debug)]
        pub(crate) enum Pinned {}

        impl Pinned {
            /// Returns `None`.
            pub(crate) fn here() -> Option<Pinned> {
                None
            }
        }
    }
}
