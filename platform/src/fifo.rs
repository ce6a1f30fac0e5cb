//! Named pipes: mkfifo(2), open(2), read(2) and write(2).
//!
//! Their faults, and the remedies:
//! - Bytes stay in a FIFO while *any* process has it open. A reader that closes and re-opens it does not
//!   remove them. Only read(2) does.
//! - A reader without a writer is at end-of-file: on Linux and FreeBSD without an end, on NetBSD until
//!   the next read. On old systems select(2) reports it as readable (qmail has `HASNAMEDPIPEBUG1` for
//!   these). A reader that also has a writing end open sees none of this on any system.
//! - A read from an empty FIFO returns 0 on some systems and fails with `EAGAIN` on others. Both count
//!   as empty.
//! - A writer gets `ENXIO` if no process reads the FIFO. It gets `EPIPE` and a signal that ends the
//!   program if the last reader closes it.
//! - The capacity is 64 KiB (Linux), 32 to 64 KiB (FreeBSD), 4 KiB (NetBSD 7).
//! - A process that may write may also fill the FIFO, hold it open, or (Linux) make a packet of each
//!   write. After a packet, a short read does not prove that the FIFO is empty.
//! - open(2) follows symbolic links and opens any file. So `O_NOFOLLOW` is used, and the type of the
//!   opened file is checked.

mod inherited;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

pub use crate::fd::available;
pub use inherited::{Inherited, drain_available, inherit};

use crate::{OwnedFd, check_errno, fd, file, libc, with_c_string};

/// Creates a FIFO with exactly these permission bits, with mkfifo(2). Ignores the umask. Never blocks.
///
/// Man pages: [Linux](https://man7.org/linux/man-pages/man3/mkfifo.3.html),
/// [FreeBSD](https://man.freebsd.org/cgi/man.cgi?mkfifo(2)),
/// [NetBSD](https://man.netbsd.org/mkfifo.2), [OpenBSD](https://man.openbsd.org/mkfifo.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=mkfifo&section=2),
/// [illumos](https://illumos.org/man/3C/mkfifo),
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/mkfifo.html).
///
/// # Errors
///
/// Fails with the error of mkfifo(2), such as `AlreadyExists`. Fails with the error of fchmod(2) if the
/// mode cannot be set; then the FIFO exists with fewer permission bits.
pub fn create(path: &Path, mode: u32) -> io::Result<()> {
    let mode = mode as libc::mode_t;
    // SAFETY: the C string lives through the call.
    with_c_string(path, |name| check_errno(unsafe { libc::mkfifo(name.as_ptr(), mode) }))?;
    // The umask may have cleared bits. Only a FIFO is opened, so that another file that has the name by
    // now is not changed.
    if let Ok(fifo) = open_read(path) {
        // SAFETY: the descriptor is open.
        check_errno(unsafe { libc::fchmod(fifo.as_raw_fd(), mode) })?;
        return Ok(());
    }
    // The umask also cleared the owner's right to read.
    with_c_string(path, |name| {
        // SAFETY: as above.
        check_errno(unsafe {
            libc::fchmodat(libc::AT_FDCWD, name.as_ptr(), mode, libc::AT_SYMLINK_NOFOLLOW)
        })
    })?;
    Ok(())
}

/// Opens the reading end, with `O_RDONLY | O_NONBLOCK | O_NOFOLLOW` of open(2). Never blocks.
///
/// Man pages: [Linux](https://man7.org/linux/man-pages/man7/fifo.7.html),
/// [FreeBSD](https://man.freebsd.org/cgi/man.cgi?open(2)),
/// [NetBSD](https://man.netbsd.org/open.2), [OpenBSD](https://man.openbsd.org/open.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=open&section=2),
/// [illumos](https://illumos.org/man/2/open),
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/open.html).
///
/// # Errors
///
/// Fails with `InvalidInput` if the path leads to another file than a FIFO; the message names its type.
/// Otherwise fails with the error of open(2).
pub fn open_read(path: &Path) -> io::Result<OwnedFd> {
    open(path, libc::O_RDONLY)
}

/// Opens a writing end, with `O_WRONLY | O_NONBLOCK | O_NOFOLLOW` of open(2). Returns `None` if no
/// process reads the FIFO (`ENXIO`). Never blocks. Man pages as for [`open_read`].
///
/// # Errors
///
/// Fails as [`open_read`] does.
pub fn open_write(path: &Path) -> io::Result<Option<OwnedFd>> {
    let opened = match open(path, libc::O_WRONLY) {
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
        opened => opened?,
    };
    // On a system that sends SIGPIPE to the whole process, it is not enough to block it in one thread.
    #[cfg(any(target_os = "netbsd", target_vendor = "apple"))]
    // SAFETY: the descriptor is open.
    check_errno(unsafe { libc::fcntl(opened.as_raw_fd(), libc::F_SETNOSIGPIPE, 1) })?;
    Ok(Some(opened))
}

fn open(path: &Path, direction: libc::c_int) -> io::Result<OwnedFd> {
    let opened = file::open_with(path, direction | libc::O_NONBLOCK | libc::O_NOFOLLOW);
    // A socket fails with ENXIO too, a symbolic link with ELOOP, EMLINK or EFTYPE: name the type.
    let no_fifo = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is {}, not a FIFO", file::describe_file_type(path)),
        )
    };
    let opened = match opened {
        Err(_) if file::lstat(path).is_ok_and(|status| !status.is_fifo()) => return Err(no_fifo()),
        opened => opened?,
    };
    if file::fstat(&opened)?.is_fifo() { Ok(opened) } else { Err(no_fifo()) }
}

/// Puts the open FIFO `new` in the place of `old`, which keeps its descriptor number, with dup3(2).
///
/// # Errors
///
/// Fails with the error of dup3(2). `old` stays open then.
pub fn replace(old: &OwnedFd, new: &OwnedFd) -> io::Result<()> {
    fd::replace(old, new)
}

/// The result of a [`drain`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainOutcome {
    /// The FIFO was empty.
    Empty,
    /// Bytes were read, and the FIFO is empty now.
    Drained,
    /// The limit of one drain was reached, or a signal interrupted it: the FIFO may hold more bytes.
    Partial,
}

/// The largest number of bytes that one [`drain`] reads: the capacity of a FIFO on Linux.
pub const DRAIN_LIMIT: usize = 64 * 1024;

/// A buffer for drained bytes. It is on the heap and is used again: on the stack, each drain would touch
/// all its pages. The bytes have no meaning, so they are not initialised: that would touch all pages, too.
#[derive(Debug)]
pub struct DrainBuffer {
    bytes: Box<[MaybeUninit<u8>; DRAIN_LIMIT]>,
    /// The number of bytes that the last drain has read.
    filled: usize,
}

impl DrainBuffer {
    /// Allocates the buffer.
    pub fn new() -> DrainBuffer {
        DrainBuffer { bytes: Box::new([MaybeUninit::uninit(); DRAIN_LIMIT]), filled: 0 }
    }

    /// Returns how many bytes the last drain has read: one for each pull.
    pub fn count(&self) -> usize {
        self.filled
    }

    /// Reads up to `limit` bytes.
    #[inline(always)]
    fn read(&mut self, fifo: impl AsFd, limit: usize) -> io::Result<usize> {
        let count = read(fifo, &mut self.bytes[..limit]);
        self.filled = *count.as_ref().unwrap_or(&0);
        count
    }
}

impl Default for DrainBuffer {
    fn default() -> DrainBuffer {
        DrainBuffer::new()
    }
}

/// Reads up to [`DRAIN_LIMIT`] bytes from a non-blocking FIFO, with one read(2). A short count proves
/// that the FIFO is empty (epoll(7)), unless a writer uses packets. Never blocks.
///
/// Man pages: [Linux](https://man7.org/linux/man-pages/man2/read.2.html),
/// [FreeBSD](https://man.freebsd.org/cgi/man.cgi?read(2)),
/// [NetBSD](https://man.netbsd.org/read.2), [OpenBSD](https://man.openbsd.org/read.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=read&section=2),
/// [illumos](https://illumos.org/man/2/read),
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/read.html).
///
/// # Errors
///
/// Fails with the error of read(2), such as `EIO`. Never fails with `EAGAIN` or `EINTR`.
#[inline]
pub fn drain(fifo: impl AsFd, buffer: &mut DrainBuffer) -> io::Result<DrainOutcome> {
    drained(buffer.read(fifo, DRAIN_LIMIT))
}

/// Returns the outcome of a drain, from the result of its read(2).
#[inline(always)]
fn drained(count: io::Result<usize>) -> io::Result<DrainOutcome> {
    #[cold]
    fn nothing_read(error: io::Error) -> io::Result<DrainOutcome> {
        match error.kind() {
            io::ErrorKind::WouldBlock => Ok(DrainOutcome::Empty),
            io::ErrorKind::Interrupted => Ok(DrainOutcome::Partial),
            _ => Err(error),
        }
    }
    match count {
        Ok(0) => Ok(DrainOutcome::Empty),
        Ok(DRAIN_LIMIT) => Ok(DrainOutcome::Partial),
        Ok(_) => Ok(DrainOutcome::Drained),
        Err(error) => nothing_read(error),
    }
}

/// Reads up to `buffer.len()` bytes from a non-blocking FIFO, with one read(2). Only their number has a
/// meaning. If the FIFO is empty, returns 0 or fails with `EAGAIN`, depending on the system. Never blocks.
///
/// # Errors
///
/// Fails with the error of read(2).
#[inline]
pub fn read(fifo: impl AsFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (to, room) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the descriptor is open for the length of the borrow, and the buffer has room for as
    // many bytes.
    let count = unsafe { libc::read(fifo.as_fd().as_raw_fd(), to, room) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The result of [`write_byte`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The byte is in the FIFO.
    Delivered,
    /// The FIFO is full, so a wake-up is already pending.
    Full,
    /// The last reader has gone (`EPIPE`).
    NoReader,
}

/// Writes one byte into a non-blocking FIFO, with write(2). Never blocks and never raises SIGPIPE: this
/// thread blocks that signal during the call, and removes it if the call has raised it.
///
/// Man pages: [Linux](https://man7.org/linux/man-pages/man2/write.2.html),
/// [FreeBSD](https://man.freebsd.org/cgi/man.cgi?write(2)),
/// [NetBSD](https://man.netbsd.org/write.2), [OpenBSD](https://man.openbsd.org/write.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=write&section=2),
/// [illumos](https://illumos.org/man/2/write),
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html).
///
/// # Errors
///
/// Fails with the error of write(2), such as `EIO`. Never fails with `EAGAIN` or `EPIPE`.
pub fn write_byte(fifo: impl AsFd) -> io::Result<WriteOutcome> {
    let fifo = fifo.as_fd().as_raw_fd();
    without_sigpipe(|| {
        loop {
            // SAFETY: the descriptor is open for the length of the borrow; one byte is read from a
            // constant.
            if unsafe { libc::write(fifo, [1u8].as_ptr().cast(), 1) } == 1 {
                return Ok(WriteOutcome::Delivered);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => return Ok(WriteOutcome::Full),
                io::ErrorKind::BrokenPipe => return Ok(WriteOutcome::NoReader),
                _ => return Err(error),
            }
        }
    })
}

/// Runs `write` with SIGPIPE blocked in this thread. The kernel sends that signal to the writing thread
/// (NetBSD, and perhaps macOS, to the process: see [`open_write`]). So a signal that is pending
/// afterwards, and was not before, is removed.
fn without_sigpipe(write: impl FnOnce() -> io::Result<WriteOutcome>) -> io::Result<WriteOutcome> {
    /// Returns whether SIGPIPE is pending for this thread.
    fn pending() -> bool {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigpending fills the set, which is then only read.
        unsafe {
            libc::sigpending(set.as_mut_ptr());
            libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1
        }
    }
    let mut pipe = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are filled by these calls before anything reads them, and only this
    // thread's mask changes.
    unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, pipe.as_ptr(), before.as_mut_ptr());
    }
    let was_pending = pending();
    let written = write();
    if matches!(written, Ok(WriteOutcome::NoReader)) && !was_pending && pending() {
        let mut signal = 0;
        // SAFETY: the set was filled above; as the signal is pending, this does not wait.
        unsafe { libc::sigwait(pipe.as_ptr(), &mut signal) };
    }
    // SAFETY: `before` was filled by the first pthread_sigmask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A FIFO in a directory of its own, both ends open.
    fn fifo() -> (tempfile::TempDir, OwnedFd, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trigger");
        create(&path, 0o622).unwrap();
        let reader = open_read(&path).unwrap();
        let writer = open_write(&path).unwrap().expect("there is a reader");
        (directory, reader, writer)
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn one_drain_empties_the_fifo_and_proves_it() {
        let (_directory, reader, writer) = fifo();
        assert_eq!(drain(&reader, &mut DrainBuffer::new()).unwrap(), DrainOutcome::Empty);
        for _ in 0..3 {
            assert_eq!(write_byte(&writer).unwrap(), WriteOutcome::Delivered);
        }
        assert_eq!(drain(&reader, &mut DrainBuffer::new()).unwrap(), DrainOutcome::Drained);
        assert_eq!(drain(&reader, &mut DrainBuffer::new()).unwrap(), DrainOutcome::Empty);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn a_full_fifo_is_reported_and_drained_in_bounded_steps() {
        let (_directory, reader, writer) = fifo();
        while write_byte(&writer).unwrap() == WriteOutcome::Delivered {}
        assert_eq!(write_byte(&writer).unwrap(), WriteOutcome::Full);
        let mut drains = 0;
        while drain(&reader, &mut DrainBuffer::new()).unwrap() != DrainOutcome::Empty {
            drains += 1;
        }
        assert!((1..=2).contains(&drains), "{drains} drains on {}", std::env::consts::OS);
        assert_eq!(write_byte(&writer).unwrap(), WriteOutcome::Delivered);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn without_a_reader_writing_reports_no_reader() {
        let (directory, reader, writer) = fifo();
        drop(reader);
        assert_eq!(write_byte(&writer).unwrap(), WriteOutcome::NoReader);
        drop(writer);
        assert!(open_write(&directory.path().join("trigger")).unwrap().is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn nothing_but_a_fifo_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        create(&path("fifo"), 0o600).unwrap();
        std::fs::write(path("file"), "kept").unwrap();
        std::os::unix::fs::symlink("fifo", path("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for (name, is) in [
            ("file", "a regular file"),
            ("link", "a symbolic link"),
            ("socket", "a socket"),
            (".", "a directory"),
        ] {
            for error in [
                open_read(&path(name)).map(drop).unwrap_err(),
                open_write(&path(name)).map(drop).unwrap_err(),
            ] {
                assert!(error.to_string().contains(is), "{name}: {error}");
            }
        }
        assert_eq!(std::fs::read(path("file")).unwrap(), b"kept");
    }
}
