//! A FIFO that another program has opened, and passed on as a descriptor: a supervisor, a shell.
//!
//! Such a descriptor has faults that a path has not:
//! - Its flags belong to the open file, which other processes share. It may be blocking, and another
//!   process can make it blocking at any time (`O_NONBLOCK`).
//! - It is open in one direction only, if the other program opened it so. Without a writing end of our
//!   own, the FIFO is at end-of-file whenever the last writer has gone.
//!
//! Linux opens the FIFO anew through /proc/self/fd, which gives ends with flags of their own. Where that
//! is not possible, the descriptor itself is duplicated, and no read is made without a look whether
//! there are bytes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{DRAIN_LIMIT, DrainBuffer, DrainOutcome, drained};
use crate::{OwnedFd, check_errno, fd, file, libc};

/// Both ends of a FIFO that was open already.
#[derive(Debug)]
pub struct Inherited {
    /// The end to read from.
    pub reader: OwnedFd,
    /// An end that keeps the FIFO from being at end-of-file; `None` if `reader` does that.
    pub writer: Option<OwnedFd>,
    /// Another process may make `reader` blocking: only [`drain_available`] must read it.
    pub shares_flags: bool,
}

/// Opens both ends of the FIFO that is open as `fifo`: anew where the system can do that, as duplicates
/// otherwise. Does not block.
///
/// # Errors
///
/// Fails with `InvalidInput` if it is not a FIFO, or if one of the ends cannot be had. Fails with the
/// errors of fcntl(2): `EMFILE`.
pub fn inherit(fifo: BorrowedFd<'_>) -> io::Result<Inherited> {
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !file::fstat(fifo)?.is_fifo() {
        return invalid("it is not a FIFO");
    }
    let access = access(fifo)?;
    let (reader, shares_flags) = match open_again(fifo, libc::O_RDONLY) {
        Ok(reader) => (reader, false),
        Err(_) if access == libc::O_WRONLY => return invalid("it is not open for reading"),
        Err(_) => (fd::duplicate(fifo)?, true),
    };
    let writer = match open_again(fifo, libc::O_WRONLY) {
        Ok(writer) => Some(writer),
        Err(_) if access == libc::O_RDONLY => {
            return invalid("it is open for reading only, and it cannot be opened for writing");
        }
        Err(_) if shares_flags => None,
        Err(_) => Some(fd::duplicate(fifo)?),
    };
    Ok(Inherited { reader, writer, shares_flags })
}

/// The direction in which a descriptor is open: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
fn access(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open for the length of the borrow.
    let flags = check_errno(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL, 0) })?;
    Ok(flags & libc::O_ACCMODE)
}

/// Opens the file that is open as `fifo` once more. Fails without the right to do so, and where no path
/// leads to an open file.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_again(fifo: BorrowedFd<'_>, direction: libc::c_int) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fifo.as_raw_fd());
    let opened = file::open_with(path.as_ref(), direction | libc::O_NONBLOCK)?;
    // Something else than proc(5) may be mounted there.
    if file::fstat(&opened)?.id != file::fstat(fifo)?.id {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(opened)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_again(_: BorrowedFd<'_>, _: libc::c_int) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Drains a FIFO that may be blocking, as [`drain`](super::drain) does: `FIONREAD` of ioctl(2), and then
/// read(2) of as many bytes. Blocks if another process takes the bytes out in between.
///
/// # Errors
///
/// Fails with the errors of ioctl(2) and read(2).
#[cold]
pub fn drain_available(fifo: impl AsFd, buffer: &mut DrainBuffer) -> io::Result<DrainOutcome> {
    let fifo = fifo.as_fd();
    buffer.filled = 0;
    match fd::available(fifo)?.min(DRAIN_LIMIT) {
        0 => Ok(DrainOutcome::Empty),
        bytes => drained(buffer.read(fifo, bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fifo::{WriteOutcome, create, open_read, open_write, write_byte};
    use std::fs::File;

    /// A FIFO that is open for reading and writing, and blocking, as a supervisor opens it.
    fn passed(directory: &tempfile::TempDir) -> File {
        let path = directory.path().join("trigger");
        create(&path, 0o600).unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn a_blocking_descriptor_is_drained_without_blocking() {
        let directory = tempfile::tempdir().unwrap();
        let passed = passed(&directory);
        let mut buffer = DrainBuffer::new();
        assert_eq!(drain_available(&passed, &mut buffer).unwrap(), DrainOutcome::Empty);
        for _ in 0..3 {
            assert_eq!(write_byte(&passed).unwrap(), WriteOutcome::Delivered);
        }
        assert_eq!(drain_available(&passed, &mut buffer).unwrap(), DrainOutcome::Drained);
        assert_eq!(drain_available(&passed, &mut buffer).unwrap(), DrainOutcome::Empty);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn the_ends_outlive_the_descriptor_and_keep_the_fifo_from_end_of_file() {
        let directory = tempfile::tempdir().unwrap();
        let passed = passed(&directory);
        let Inherited { reader, writer, shares_flags } = inherit(passed.as_fd()).unwrap();
        drop(passed);
        let path = directory.path().join("trigger");
        let end = open_write(&path).unwrap().expect("it has a reader");
        assert_eq!(write_byte(&end).unwrap(), WriteOutcome::Delivered);
        drop(end);
        let mut buffer = DrainBuffer::new();
        assert_eq!(drain_available(&reader, &mut buffer).unwrap(), DrainOutcome::Drained);
        // At end-of-file, read(2) returns 0; with a writer it would block.
        assert_eq!(fd::available(&reader).unwrap(), 0);
        assert!(writer.is_some() || access(reader.as_fd()).unwrap() == libc::O_RDWR);
        assert_eq!(shares_flags, writer.is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn anything_but_a_fifo_is_invalid() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("file")).unwrap();
        let error = inherit(file.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("not a FIFO"), "{error}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no mkfifo(2)")]
    fn an_end_for_reading_is_enough_where_it_can_be_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trigger");
        create(&path, 0o600).unwrap();
        let reader = open_read(&path).unwrap();
        match inherit(reader.as_fd()) {
            Ok(inherited) => assert!(!inherited.shares_flags && inherited.writer.is_some()),
            Err(e) => {
                assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
                assert_ne!(std::env::consts::OS, "linux", "/proc is there: {e}");
            }
        }
    }
}
