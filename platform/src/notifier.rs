//! The types that every backend uses, and the contract that it keeps.
//!
//! The trait is in this crate because the backends implement it. Users find it in
//! `pullcord::notifier`, which has the contract as a table.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::Waker;

/// The caller's number for a source. Each event of the source carries it.
///
/// Keys need not be unique: the notifier identifies a source by its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub usize);

impl Key {
    /// The key that cannot be registered: the notifier uses it for its [`Waker`].
    pub const RESERVED: Key = Key(usize::MAX);
}

/// The readiness of a source that the caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Reading does not block.
    Read,
    /// Writing does not block.
    Write,
    /// Either.
    Both,
}

impl Interest {
    /// Returns whether it includes readiness for reading.
    pub const fn is_readable(self) -> bool {
        matches!(self, Interest::Read | Interest::Both)
    }

    /// Returns whether it includes readiness for writing.
    pub const fn is_writable(self) -> bool {
        matches!(self, Interest::Write | Interest::Both)
    }
}

/// How often a source's readiness is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// At each wait, while it lasts: level-triggered.
    Level,
    /// At least once after each arrival into a source that was drained: edge-triggered. The number of
    /// reports for a source that was read in part is not specified. On systems without edges (select),
    /// the source is reported as with `Level`.
    Edge,
    /// Once. Then the source stays registered, and neither direction is reported until the source is
    /// registered again.
    OneShot,
}

/// The readiness of one source, as a wait reports it.
///
/// `readable` and `writable` are promises: the next read or write does not block. It may fail or return
/// end-of-file. `hang_up` and `error` are hints: select never sets them for a source that is open, the
/// other backends may. On an error, `readable` and `writable` are both set if the backend can report
/// both, so that a caller that checks only one of them sees the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Event {
    /// The key that the source was registered with.
    pub key: Key,
    /// Reading does not block.
    pub readable: bool,
    /// Writing does not block.
    pub writable: bool,
    /// Hint: the other end is closed.
    pub hang_up: bool,
    /// Hint: the source failed, or (select) was closed while it was registered.
    pub error: bool,
}

impl Event {
    /// Returns an event of `key` with no readiness set.
    pub const fn new(key: Key) -> Event {
        Event { key, readable: false, writable: false, hang_up: false, error: false }
    }
}

/// The events of one wait: a buffer of fixed capacity. Each [`Notifier::wait`] replaces its contents.
#[derive(Debug)]
pub struct Events {
    /// At most `capacity`.
    pub(crate) list: Vec<Event>,
    capacity: usize,
    woken: bool,
}

impl Events {
    /// Creates a buffer for at most `capacity` events. 0 counts as 1, and more than `i32::MAX` as that. The
    /// next wait reports the events that do not fit.
    pub fn with_capacity(capacity: usize) -> Events {
        let capacity = capacity.clamp(1, i32::MAX as usize);
        Events { list: Vec::with_capacity(capacity), capacity, woken: false }
    }

    /// Returns the largest number of events that one wait can report.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the number of events that the last wait reported.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether the last wait reported no event: it timed out, or a waker or a signal ended it.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether a [`Waker`] ended the last wait.
    pub fn woken(&self) -> bool {
        self.woken
    }

    /// Returns the events of the last wait. Their order is not specified.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.list.iter()
    }

    /// Removes the events of the last wait. For implementations of [`Notifier`].
    pub fn clear(&mut self) {
        self.list.clear();
        self.woken = false;
    }

    /// Adds an event. An implementation of [`Notifier`] must add at most [`Events::capacity`].
    pub fn push(&mut self, event: Event) {
        debug_assert!(self.list.len() < self.capacity, "more events than there is room for");
        self.list.push(event);
    }

    /// Records that a waker ended this wait. For implementations of [`Notifier`].
    pub fn set_woken(&mut self) {
        self.woken = true;
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Waits until one of many descriptors is ready.
///
/// Sources are borrowed for the call only. The caller keeps each of them open while it is
/// registered and deregisters it before it is closed. Closing it first is a bug, but it does not
/// cause undefined behaviour or a busy loop.
///
/// # After a fork
///
/// A child must not use a notifier of its parent. The two processes share an epoll instance, so that
/// the child's changes would be the parent's; a kqueue is not inherited at all. The child drops the
/// notifier, which leaves the parent's unchanged, and opens one of its own. No descriptor is inherited
/// across exec(2).
pub trait Notifier: Send {
    /// Registers `source`. If it is registered already, replaces its key, interest and mode, and arms a
    /// one-shot source again. The next wait also reports readiness that exists already. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if `source` is a regular file or a directory, if `key` is
    /// [`Key::RESERVED`], or if the descriptor is too high for select(2) on a system that limits it.
    /// Otherwise fails with the error of epoll_ctl(2) or kevent(2): `ENOMEM`, or `ENOSPC` on Linux if
    /// `/proc/sys/fs/epoll/max_user_watches` is reached. After an error, `source` may be deregistered;
    /// other sources are not affected.
    ///
    /// For devices and rare combinations, the result depends on the system: epoll and kqueue refuse
    /// `/dev/null`, select accepts it; OpenBSD's kqueue refuses [`Interest::Both`] on one end of a FIFO.
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()>;

    /// Deregisters `source`. No later wait reports it. Does nothing if `source` is not registered. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// Fails with the error of epoll_ctl(2) or kevent(2) if `source` stays registered.
    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()>;

    /// Blocks until a source is ready, a [`Waker`] is used, a signal handler has run, or `timeout` has
    /// passed; never returns before the timeout for another reason. `None` waits without a limit; zero
    /// never blocks. Then `events` contains the sources that are ready; it is empty in the other three
    /// cases. Allocates only if `events` has a larger capacity than in each earlier wait.
    ///
    /// # Errors
    ///
    /// Fails with the error of epoll_wait(2), kevent(2) or select(2); in practice only with `ENOMEM`.
    /// Never fails with `EINTR`.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns the waker of this notifier. The first call creates it; each later call returns the same
    /// one. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE` or `ENFILE` if two descriptors cannot be opened.
    fn waker(&mut self) -> io::Result<Waker>;

    /// Returns a descriptor that is readable while this notifier has events, so that another event
    /// loop can wait for it. Returns `None` on select. When it is readable, the caller must call `wait`
    /// with a zero timeout until no event is left: a kqueue stays readable until then, and an
    /// edge-triggered outer registration does not report it again before that. On FreeBSD, the outer loop
    /// may see the readiness a few milliseconds late.
    fn pollable_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// Implements [`Notifier`] for a pointer to a notifier.
macro_rules! impl_for_pointer {
    ($pointer:ty) => {
        impl<N: Notifier + ?Sized> Notifier for $pointer {
            fn register(
                &mut self,
                source: &dyn AsFd,
                key: Key,
                interest: Interest,
                mode: Mode,
            ) -> io::Result<()> {
                (**self).register(source, key, interest, mode)
            }

            fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
                (**self).deregister(source)
            }

            fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
                (**self).wait(events, timeout)
            }

            fn waker(&mut self) -> io::Result<Waker> {
                (**self).waker()
            }

            fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
                (**self).pollable_fd()
            }
        }
    };
}

impl_for_pointer!(Box<N>);
impl_for_pointer!(&mut N);

/// The error for a file that no backend can wait for, the same on each of them.
pub(crate) fn always_ready() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a regular file or a directory is always ready and cannot be waited for",
    )
}

/// Grows a list to `len` elements, if it is shorter. Fails with `OutOfMemory`; never aborts.
#[inline]
pub(crate) fn grow<T>(list: &mut Vec<T>, len: usize, value: fn() -> T) -> io::Result<()> {
    #[cold]
    fn resize<T>(list: &mut Vec<T>, len: usize, value: fn() -> T) -> io::Result<()> {
        list.try_reserve(len - list.len())?;
        list.resize_with(len, value);
        Ok(())
    }
    if len <= list.len() { Ok(()) } else { resize(list, len, value) }
}

/// Refuses [`Key::RESERVED`].
pub(crate) fn check_key(key: Key) -> io::Result<()> {
    if key == Key::RESERVED {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this key is the notifier's own: any other can be registered",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Select, pipe};

    /// Makes each call of the trait once.
    fn calls_all_methods(mut notifier: impl Notifier) {
        let (reader, writer) = pipe::pipe().unwrap();
        let mut events = Events::with_capacity(4);
        notifier.register(&writer, Key(7), Interest::Write, Mode::Level).unwrap();
        notifier.wait(&mut events, None).unwrap();
        assert!(events.iter().any(|event| event.key == Key(7) && event.writable), "{events:?}");
        notifier.deregister(&writer).unwrap();
        notifier.waker().unwrap().wake().unwrap();
        notifier.wait(&mut events, None).unwrap();
        assert!(events.is_empty() && events.woken());
        assert!(notifier.pollable_fd().is_none());
        drop(reader);
    }

    #[test]
    fn a_list_that_memory_does_not_suffice_for_is_an_error_and_stays_as_it_is() {
        let mut list = vec![1u64];
        for len in [usize::MAX, usize::MAX / 8] {
            let failed = grow(&mut list, len, || 2).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::OutOfMemory);
            assert_eq!(list, [1]);
        }
        grow(&mut list, 3, || 2).unwrap();
        grow(&mut list, 2, || 3).unwrap();
        assert_eq!(list, [1, 2, 2]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no select(2)")]
    fn a_pointer_to_a_notifier_is_a_notifier() {
        let mut select = Select::new().unwrap();
        calls_all_methods(&mut select);
        calls_all_methods(&mut select as &mut dyn Notifier);
        calls_all_methods(Box::new(select) as Box<dyn Notifier>);
    }
}
