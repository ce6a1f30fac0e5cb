//! The output while histories run: it must be empty, since the library reports problems as warnings.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Runs something, and returns its result and all that was written to standard output and standard
/// error meanwhile. No other thread may print then.
pub(crate) fn printed<R>(run: impl FnOnce() -> R) -> io::Result<(R, String)> {
    io::stdout().flush()?;
    let mut file = tempfile::tempfile()?;
    let [output, error] = [1, 2].map(|fd| redirect(fd, &file));
    let result = run();
    io::stdout().flush()?;
    for (fd, before) in [(1, output?), (2, error?)] {
        duplicate(before.as_raw_fd(), fd)?;
    }
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok((result, text))
}

/// Lets a descriptor lead to a file. Returns a duplicate of the earlier descriptor.
fn redirect(fd: i32, file: &File) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a descriptor that is not open is an error.
    let before = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if before < 0 {
        return Err(io::Error::last_os_error());
    }
    duplicate(file.as_raw_fd(), fd)?;
    // SAFETY: it was opened above, and belongs to nothing else.
    Ok(unsafe { OwnedFd::from_raw_fd(before) })
}

fn duplicate(from: i32, to: i32) -> io::Result<()> {
    // SAFETY: no pointers. The standard descriptors belong to the whole process.
    match unsafe { libc::dup2(from, to) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
