//! Descriptors that another program has opened, and passed on through exec(2): known by their numbers
//! only.

use std::io;

use crate::{OwnedFd, fd, libc};

/// Descriptors from this number on are not looked for, where the system has no call for all of them.
const LIMIT: libc::c_long = 65_536;

/// Returns another descriptor of the file that is open as `number`, which exec(2) closes. `number` stays
/// open.
///
/// # Errors
///
/// Fails with `EBADF` if `number` is not open, and with `EMFILE`.
pub fn duplicate_number(number: libc::c_int) -> io::Result<OwnedFd> {
    fd::duplicate_number(number)
}

/// Makes exec(2) close each descriptor from 3 on that is open now: close_range(2) with
/// `CLOSE_RANGE_CLOEXEC`, or fcntl(2) for each number below the limit of this process, and below 65,536.
pub fn close_on_exec() {
    if !close_range_on_exec() {
        // SAFETY: sysconf(3) reads a number.
        let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
        for number in fd::LOWEST..limit.clamp(0, LIMIT) as libc::c_int {
            // SAFETY: it fails for a number that is not open. The file of an open one stays open in this
            // process, and no owner relies on its being passed on.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Returns whether the kernel has such a call: Linux 5.11.
#[cfg(target_os = "linux")]
fn close_range_on_exec() -> bool {
    let (first, last, flags) = (fd::LOWEST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: it changes a flag of descriptors; see above. The C library may be older than the call.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn close_range_on_exec() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, FromRawFd};

    use super::*;

    fn flags(fd: &impl AsRawFd) -> libc::c_int {
        // SAFETY: it is open.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD, 0) }
    }

    /// A descriptor as exec(2) passes it on.
    fn inherited() -> OwnedFd {
        let file = std::fs::File::open("/").unwrap();
        // SAFETY: the file is open; the returned descriptor has no other owner.
        unsafe { OwnedFd::from_raw_fd(libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 3)) }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri isolates the file system")]
    fn a_descriptor_is_duplicated_by_its_number() {
        let passed = inherited();
        let duplicate = duplicate_number(passed.as_raw_fd()).unwrap();
        assert!(duplicate.as_raw_fd() >= 3 && duplicate.as_raw_fd() != passed.as_raw_fd());
        assert_eq!(flags(&duplicate), libc::FD_CLOEXEC);
        assert_eq!(duplicate_number(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri isolates the file system")]
    fn inherited_descriptors_are_not_passed_on() {
        let passed = inherited();
        assert_eq!(flags(&passed), 0);
        close_on_exec();
        assert_eq!(flags(&passed), libc::FD_CLOEXEC);
        assert_eq!(flags(&std::io::stderr()), 0);
    }
}
