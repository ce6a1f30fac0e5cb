//! The words that every backend speaks, and the contract it keeps.
//!
//! The trait stands here rather than above, because the backends implement it and arrows point
//! down; `pullcord::notifier` is where its users find it, with the contract as a table.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::Waker;

/// What an embedder calls a source; every event of that source carries it.
///
/// Keys need not be unique: sources are told apart by their descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub usize);

impl Key {
    /// The one key that cannot be registered: the notifier's own, for its [`Waker`].
    pub const RESERVED: Key = Key(usize::MAX);
}

/// Which readiness of a source is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// A read would not block.
    Read,
    /// A write would not block.
    Write,
    /// Either.
    Both,
}

impl Interest {
    /// Whether it includes readiness to be read.
    pub const fn is_readable(self) -> bool {
        matches!(self, Interest::Read | Interest::Both)
    }

    /// Whether it includes readiness to be written.
    pub const fn is_writable(self) -> bool {
        matches!(self, Interest::Write | Interest::Both)
    }
}

/// How often a source's readiness is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// At every wait, for as long as it lasts.
    Level,
    /// At least once after every arrival into a source that was drained. How often a source that
    /// was left partly read is reported is not promised; where the system has no edges (select),
    /// level is what is reported.
    Edge,
    /// Once; then the source stays registered but silent, both directions of it, until it is
    /// registered again.
    OneShot,
}

/// What a wait says of one source.
///
/// `readable` and `writable` are promises: the next read or write will not block (it may fail, or
/// say end-of-file). `hang_up` and `error` are hints: select never sets them for a source that is
/// alive, the others may. An error sets both directions that the backend can report, so that
/// whoever looks only at `readable` or only at `writable` still hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Event {
    /// The key the source was registered with.
    pub key: Key,
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// Hint: the other side is gone.
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

/// The events of one wait: a buffer of fixed capacity, allocated once and filled anew by each
/// [`Notifier::wait`].
#[derive(Debug)]
pub struct Events {
    list: Vec<Event>,
    capacity: usize,
    woken: bool,
}

impl Events {
    /// Room for `capacity` events a wait; 0 is taken as 1. What does not fit is reported by the
    /// next wait.
    pub fn with_capacity(capacity: usize) -> Events {
        let capacity = capacity.max(1);
        Events { list: Vec::with_capacity(capacity), capacity, woken: false }
    }

    /// How many events one wait can report.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many the last wait reported.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the last wait reported none: it timed out, was woken or was ended by a signal.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the last wait was ended by a [`Waker`].
    pub fn woken(&self) -> bool {
        self.woken
    }

    /// The events of the last wait, in no promised order.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.list.iter()
    }

    /// Forgets the last wait. For those who implement [`Notifier`].
    pub fn clear(&mut self) {
        self.list.clear();
        self.woken = false;
    }

    /// Adds one; whoever implements [`Notifier`] adds at most [`Events::capacity`].
    pub fn push(&mut self, event: Event) {
        debug_assert!(self.list.len() < self.capacity, "more events than there is room for");
        self.list.push(event);
    }

    /// Says that a waker ended this wait. For those who implement [`Notifier`].
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
/// A child must not use a notifier that it inherited: an epoll instance is shared with the parent,
/// so that the child's changes would be the parent's, and a kqueue is not inherited at all. It
/// drops the notifier, which leaves the parent's alone, and opens one of its own. Nothing leaks
/// across exec(2).
pub trait Notifier: Send {
    /// Registers `source`, or changes how it is registered: its key, interest and mode all become
    /// those given, a one-shot source is armed again, and readiness there is already is reported.
    /// Never blocks.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a regular file and a directory, for [`Key::RESERVED`], and for a descriptor
    /// too high for select(2) on a system that limits it. Devices and odd combinations are as the
    /// system has them: `/dev/null` is refused by epoll and kqueue and not by select, and OpenBSD's
    /// kqueue refuses [`Interest::Both`] on one end of a FIFO. And those of epoll_ctl(2) or kevent(2), such as `ENOMEM`, and `ENOSPC` (Linux, when
    /// `/proc/sys/fs/epoll/max_user_watches` is reached). After an error the source may not be
    /// registered any more; no other source is affected.
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()>;

    /// Deregisters `source`: no later wait reports an event of it. Does nothing if `source` is not
    /// registered. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with the error of epoll_ctl(2) or kevent(2) if `source` stays registered.
    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()>;

    /// Waits until a source is ready, a [`Waker`] wakes, a signal is handled, or `timeout` has
    /// passed (never earlier; `None` is for ever, zero only looks). `events` then holds what is
    /// ready, and is empty in the other three cases. Allocates only when `events` has more room
    /// than at any wait before.
    ///
    /// # Errors
    ///
    /// Those of epoll_wait(2), kevent(2) and select(2), `EINTR` excepted; none of them is expected
    /// of a healthy system but `ENOMEM`.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()>;

    /// The waker of this notifier: the same one at every call, made at the first.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE`: it takes two descriptors.
    fn waker(&mut self) -> io::Result<Waker>;

    /// Returns a descriptor that is readable while this notifier has events, so that another event
    /// loop can wait for it. Returns `None` on select. When it is readable, call `wait` with a zero
    /// timeout until no event is left: a kqueue stays readable until then, and an edge-triggered
    /// outer registration reports it no more before that. On FreeBSD, the outer loop may see it readable a
    /// few milliseconds late.
    fn pollable_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// Implements [`Notifier`] for a pointer to one: each call is passed on.
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

/// Grows a list to `len` elements, if it is shorter. Without memory this is an error, and not the end of
/// the program.
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

/// Refuses the key that is the notifiers' own.
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
