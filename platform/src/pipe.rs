//! pipe2(2), or pipe(2) on macOS, which has no other.

use std::io;
#[cfg(target_vendor = "apple")]
use std::os::fd::AsRawFd;

use crate::{OwnedFd, check_errno, fd, libc};

/// Makes a pipe. Returns its reading end and its writing end, both blocking and closed by exec(2).
///
/// On macOS, a child that another thread forks and executes at this moment inherits both ends.
///
/// # Errors
///
/// Fails with `EMFILE` if the process has no two free descriptors from 3 on. Fails with `ENFILE` if
/// the system is out of descriptors.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: there is room for two descriptors.
    check_errno(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    #[cfg(target_vendor = "apple")]
    // SAFETY: as above.
    check_errno(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: both were just opened and have no other owner. Each has its own before either error
    // is returned.
    let (reader, writer) = unsafe { (fd::own(ends[0]), fd::own(ends[1])) };
    let (reader, writer) = (reader?, writer?);
    #[cfg(target_vendor = "apple")]
    for end in [&reader, &writer] {
        // SAFETY: the descriptor is open.
        check_errno(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    Ok((reader, writer))
}
