//! Descriptors: their owner, and their numbers.
//!
//! A program may have closed descriptors 0, 1 and 2. The next open(2) then returns one of these
//! numbers, and a message that another part of the program prints on "standard error" is written
//! into a trigger. So every descriptor that this crate keeps is at least 3.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};

use crate::{check_errno, libc};

#[cfg(pullcord_sim)]
pub use crate::sim::OwnedFd;
/// The owner of a descriptor, which closes it.
#[cfg(not(pullcord_sim))]
#[allow(clippy::disallowed_types, reason = "this is the one name for it")]
pub type OwnedFd = std::os::fd::OwnedFd;

/// The lowest number that is kept.
pub(crate) const LOWEST: libc::c_int = 3;

/// Takes the result of a system call that opens a descriptor. Moves a descriptor below 3 to the
/// lowest free number from 3 on; the moved one is closed by exec(2).
///
/// # Errors
///
/// If `raw` is -1, fails with the error in `errno`. Otherwise fails with the error of fcntl(2):
/// `EMFILE` if no number from 3 on is free; `raw` is closed then.
///
/// # Safety
///
/// `raw` must be -1, or an open descriptor that has no other owner.
pub(crate) unsafe fn own(raw: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the caller has just opened it, and it has no other owner.
    let owned = unsafe { OwnedFd::from_raw_fd(check_errno(raw)?) };
    if raw >= LOWEST {
        return Ok(owned);
    }
    // SAFETY: the descriptor is open; the returned one has no other owner.
    unsafe {
        let moved = check_errno(libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, LOWEST))?;
        Ok(OwnedFd::from_raw_fd(moved))
    }
}

/// Returns another descriptor of the same open file, which exec(2) closes: fcntl(2) with
/// `F_DUPFD_CLOEXEC`.
///
/// # Errors
///
/// Fails with `EMFILE` if no number from 3 on is free.
pub(crate) fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    duplicate_number(fd.as_fd().as_raw_fd())
}

/// Does the same for a number, which may not be open.
///
/// # Errors
///
/// Fails with `EBADF` if `number` is not open, and with `EMFILE` as [`duplicate`] does.
pub(crate) fn duplicate_number(number: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) fails for a number that is not open, and only adds a reference to one that is;
    // the returned descriptor has no other owner.
    unsafe { own(libc::fcntl(number, libc::F_DUPFD_CLOEXEC, LOWEST)) }
}

/// `FIONREAD` of [ioctl(2)](https://man7.org/linux/man-pages/man2/ioctl.2.html): returns how many bytes
/// can be read.
///
/// # Errors
///
/// Fails with the error of ioctl(2); none is expected of FIFOs and inotify descriptors.
pub fn available(fd: impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `bytes` is one.
    check_errno(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &mut bytes) })?;
    Ok(bytes as usize)
}

/// Puts `new` in the place of `old`, which keeps its number: [dup3(2)]. The file that was open as `old`
/// is closed, unless a duplicate is open elsewhere, and readiness facilities that live in the kernel
/// forget it.
///
/// [dup3(2)]: https://man7.org/linux/man-pages/man2/dup.2.html
///
/// # Errors
///
/// Fails with the error of dup3(2). `old` stays as it is then.
pub(crate) fn replace(old: &OwnedFd, new: &OwnedFd) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        // macOS has no dup3(2), and the libc crate has none for Android: another thread's
        // exec(2) between the two calls would inherit it.
        #[cfg(any(target_vendor = "apple", target_os = "android"))]
        // SAFETY: both descriptors are open, and the owner of `old` keeps it.
        let done = unsafe {
            check_errno(libc::dup2(new.as_raw_fd(), old.as_raw_fd())).and_then(|_| {
                check_errno(libc::fcntl(old.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC))
            })
        };
        #[cfg(not(any(target_vendor = "apple", target_os = "android")))]
        // SAFETY: as above.
        let done =
            unsafe { check_errno(libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC)) };
        match done {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            // Linux: open(2) in another thread has reserved the number, which is in use here.
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && attempts < 10 => continue,
            done => return done.map(drop),
        }
    }
}
