//! Ending another thread's wait.
//!
//! A pipe works on every system. eventfd(2) would save one descriptor on Linux, and `EVFILT_USER` two on the
//! BSDs. NetBSD before 10 has no `EVFILT_USER`, and select(2) can use neither. So the pipe is needed anyway,
//! and one mechanism is tested on every backend.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{OwnedFd, libc, pipe};

/// Ends the wait of a [`Notifier`](crate::Notifier) from any thread: the current wait, or else the next one.
/// Many wakes before that wait count as one.
///
/// It may outlive its notifier, and then does nothing. A signal handler must use a pipe of its own, because
/// cloning or dropping a waker there is not safe.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

/// Both ends are kept, so that a waker that outlives its notifier never writes into a pipe without
/// a reader.
#[derive(Debug)]
struct Inner {
    /// Whether a byte is in the pipe, or is being written. The pipe never contains a second one, so that
    /// neither the write nor the read can block.
    pending: AtomicBool,
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Waker {
    /// Creates a waker that belongs to no notifier yet. This, [`acknowledge`](Waker::acknowledge)
    /// and [`reader`](Waker::reader) are for implementations of [`Notifier`](crate::Notifier).
    ///
    /// # Errors
    ///
    /// Fails with the error of pipe(2): `EMFILE` or `ENFILE`.
    pub fn new() -> io::Result<Waker> {
        let (reader, writer) = pipe::pipe()?;
        Ok(Waker(Arc::new(Inner { pending: AtomicBool::new(false), reader, writer })))
    }

    /// Wakes the notifier. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with the error of write(2) on a pipe with room and a reader; in practice never.
    pub fn wake(&self) -> io::Result<()> {
        if self.0.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let writer = self.0.writer.as_raw_fd();
        // SAFETY: the descriptor is open; one byte is read from a constant.
        let written = one_byte(|| unsafe { libc::write(writer, [1u8].as_ptr().cast(), 1) });
        written.inspect_err(|_| self.0.pending.store(false, Ordering::Release))
    }

    /// Reads the byte. Call it when the pipe is readable. Every write before the wake that this
    /// acknowledges is visible afterwards: the two swaps are ordered.
    ///
    /// # Errors
    ///
    /// Fails with the error of read(2) on a pipe with a byte in it; in practice never.
    pub fn acknowledge(&self) -> io::Result<()> {
        let (reader, mut byte) = (self.0.reader.as_raw_fd(), 0u8);
        // SAFETY: the descriptor is open, and there is room for one byte.
        one_byte(|| unsafe { libc::read(reader, (&raw mut byte).cast(), 1) })?;
        self.0.pending.swap(false, Ordering::AcqRel);
        Ok(())
    }

    /// Acknowledges the wake of a notifier that waits, if it has a waker. An error would lose the events of
    /// the wait; the next one reports a byte that is still there.
    #[cold]
    pub(crate) fn acknowledge_if_any(waker: &Option<Waker>) {
        if let Some(waker) = waker {
            let _ = waker.acknowledge();
        }
    }

    /// Returns the end that is readable while a wake is not acknowledged.
    pub fn reader(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

/// Moves one byte by `call`, which returns as read(2) and write(2) do. Repeats an interrupted call.
fn one_byte(mut call: impl FnMut() -> isize) -> io::Result<()> {
    loop {
        match call() {
            1 => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => continue,
                e => return Err(e),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{BACKENDS, Events, Interest, Key, Mode, fd, file};

    /// A directory in place of the pipe is readable, and read(2) fails.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no select(2)")]
    fn a_wake_that_cannot_be_read_loses_no_event() {
        for info in BACKENDS {
            let mut notifier = (info.open)().unwrap();
            let mut events = Events::with_capacity(4);
            let waker = notifier.waker().unwrap();
            let (source, writer) = pipe::pipe().unwrap();
            notifier.register(&source, Key(7), Interest::Read, Mode::Level).unwrap();
            waker.wake().unwrap();
            // epoll reports the pipe as long as it is open under any number.
            let _pipe = fd::duplicate(&waker.0.reader).unwrap();
            let directory = file::open(Path::new("/")).unwrap();
            fd::replace(&waker.0.reader, &directory).unwrap();
            assert!(waker.acknowledge().is_err(), "a directory was read");
            drop(writer);
            notifier.wait(&mut events, None).unwrap();
            let keys: Vec<_> = events.iter().map(|event| event.key).collect();
            assert_eq!(keys, [Key(7)], "{}", info.name);
            notifier.deregister(&source).unwrap();
        }
    }

    #[test]
    fn many_wakes_are_one_byte_and_after_an_answer_the_next_is_another() {
        let waker = Waker::new().unwrap();
        let other = waker.clone();
        for _ in 0..2 {
            waker.wake().unwrap();
            other.wake().unwrap();
            assert!(waker.0.pending.load(Ordering::Acquire));
            waker.acknowledge().unwrap();
            assert!(!waker.0.pending.load(Ordering::Acquire), "a second answer would block");
        }
    }

    #[test]
    fn an_end_of_file_is_an_error_and_an_interruption_is_not() {
        assert_eq!(one_byte(|| 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut calls = 0;
        let interrupted_once = || {
            calls += 1;
            if calls > 1 {
                return 1;
            }
            // SAFETY: the address of this thread's errno is valid for as long as the thread runs.
            unsafe { *libc::errno() = libc::EINTR };
            -1
        };
        one_byte(interrupted_once).unwrap();
        assert_eq!(calls, 2);
    }
}
