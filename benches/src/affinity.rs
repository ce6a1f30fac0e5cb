//! Keeps a thread on one processor, where the system allows it.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

        /// For as long as this lives, the thread that made it stays on one processor, and so does
        /// what it forks.
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
                // Allowed before, allowed again; if not, it is a benchmark that goes on where it is.
                let _ = sched_setaffinity(None, &self.before);
            }
        }
    } else {
        /// Not supported on this system.
        #[derive(Debug)]
        pub(crate) enum Pinned {}

        impl Pinned {
            /// `None`.
            pub(crate) fn here() -> Option<Pinned> {
                None
            }
        }
    }
}
