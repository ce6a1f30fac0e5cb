//! The owner of a simulated descriptor, in place of `std::os::fd::OwnedFd`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// Owns a descriptor of the simulated kernel. Dropped, it closes it.
#[derive(Debug)]
pub struct OwnedFd(RawFd);

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is not -1, and only the simulated kernel uses it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(fd: RawFd) -> OwnedFd {
        OwnedFd(fd)
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        let fd = self.0;
        std::mem::forget(self);
        fd
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // After a panic the kernel may be gone, or in the middle of a call.
        if !std::thread::panicking() {
            // SAFETY: it is open and owned here.
            unsafe { super::libc::close(self.0) };
        }
    }
}
