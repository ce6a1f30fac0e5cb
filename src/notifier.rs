//! Waiting for readiness: one contract, which every backend keeps.
//!
//! | question | answer, the same on every backend |
//! |---|---|
//! | register | takes any [`AsFd`](std::os::fd::AsFd), a [`Key`], an [`Interest`] and a [`Mode`]. Registering a source again changes its registration. A source that was closed and re-opened under the same number is registered again |
//! | level | reports a source at every wait while it is ready |
//! | edge | reports at least one event after every arrival into a source that was drained. select reports such a source as level: a caller that drains sees no difference |
//! | one-shot | reports a source once, and then not again before it is registered again. This includes a FIFO that has hung up, and both directions |
//! | event | has the key, and whether the source is readable and writable: these are promises. Hang-up and error are hints. A FIFO whose writers have gone is readable, and its bytes come first. A writing end whose readers have gone is writable. Readable and writable may come in one event or in two |
//! | deregister | no later wait reports the source. Does nothing if the source is not registered |
//! | wait | never ends early. A signal ends it with no events and no error. It allocates nothing after `Events` has its size |
//! | wake | [`Waker::wake`] ends a wait from any thread. Many wakes before a wait count as one |
//! | a regular file, a directory | `register` fails with `InvalidInput` |
//! | fork | the child must drop an inherited notifier, and open its own |
//! | exec | every descriptor is closed |
//! | use inside another event loop | [`Notifier::pollable_fd`], except on select |
//!
//! # A source that is not drained
//!
//! A level-triggered source, and on select an edge-triggered one too, is reported while it is ready. A
//! FIFO that has hung up is ready for ever. So is a descriptor that is registered for writing while
//! there is nothing to write. Every wait then ends at once. Deregister a source that has hung up, and
//! register for writing only while there is something to write.
//!
//! # The special problem of half a drain
//!
//! A source that was read in part may or may not be reported again under [`Mode::Edge`]: epoll does not
//! report it, kqueue does when it is registered again, and select always does. Read until it would
//! block, or use [`Mode::Level`].
//!
//! # The special problem of closed descriptors
//!
//! Deregister a source before it is closed. Otherwise the result is bounded, but differs:
//!
//! | | a registered source is closed | its number is used again |
//! |---|---|---|
//! | epoll | the kernel forgets it, unless a duplicate is open, for example in a forked child: then it is still reported | it is a new source |
//! | kqueue | the kernel forgets it | it is a new source |
//! | select | the next wait reports an error to its key, and forgets it | a source that is reported often is compared with the file that was registered: another file is reported once as an error, and forgotten. Files without a name (eventfd, timerfd) cannot be compared |
//!
//! # The special problem of high descriptors
//!
//! Linux, FreeBSD, NetBSD, OpenBSD, DragonFly and macOS take longer sets than `fd_set` in select(2).
//! Elsewhere `register` fails with `InvalidInput` for a descriptor from `FD_SETSIZE` on.

pub use pullcord_platform::{Event, Events, Interest, Key, Mode, Notifier, Waker};

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::Duration;

    use super::*;

    /// A call of a notifier that may fail.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Call {
        Register,
        Deregister,
        Wait,
    }

    /// A notifier whose calls fail while `fails` says so.
    pub(crate) struct Failing<F> {
        pub(crate) inner: Box<dyn Notifier>,
        pub(crate) fails: F,
    }

    impl<F: FnMut(Call) -> bool> Failing<F> {
        fn before(&mut self, call: Call) -> io::Result<()> {
            if (self.fails)(call) { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
        }
    }

    impl<F: FnMut(Call) -> bool + Send> Notifier for Failing<F> {
        fn register(
            &mut self,
            source: &dyn AsFd,
            key: Key,
            interest: Interest,
            mode: Mode,
        ) -> io::Result<()> {
            self.before(Call::Register)?;
            self.inner.register(source, key, interest, mode)
        }

        fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
            self.before(Call::Deregister)?;
            self.inner.deregister(source)
        }

        fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
            self.before(Call::Wait)?;
            self.inner.wait(events, timeout)
        }

        fn waker(&mut self) -> io::Result<Waker> {
            self.inner.waker()
        }

        fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
            self.inner.pollable_fd()
        }
    }
}
