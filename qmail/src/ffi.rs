//! What lies between C and Rust: panics, and sets of descriptors.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; a panic ends here, and is `otherwise` to the caller. There is none that we know of.
pub(crate) fn catch_panic<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// What a caller of select(2) passes to have descriptors added.
pub(crate) struct FdSetBuilder<'a> {
    nfds: &'a mut c_int,
    set: &'a mut libc::fd_set,
}

impl<'a> FdSetBuilder<'a> {
    /// # Safety
    ///
    /// Each pointer is null or leads to a value that nobody else uses for the length of `'a`.
    pub(crate) unsafe fn new(nfds: *mut c_int, set: *mut libc::fd_set) -> Option<FdSetBuilder<'a>> {
        // SAFETY: as this function's own contract says.
        unsafe { Some(FdSetBuilder { nfds: nfds.as_mut()?, set: set.as_mut()? }) }
    }

    /// Adds a descriptor; false if it does not fit into a set.
    pub(crate) fn add(&mut self, source: impl AsFd) -> bool {
        let fd = source.as_fd().as_raw_fd();
        if !fits(fd) {
            return false;
        }
        // SAFETY: the set is borrowed, and the number is one of those that it has a bit for.
        unsafe { libc::FD_SET(fd, self.set) };
        *self.nfds = (*self.nfds).max(fd + 1);
        true
    }
}

/// What select(2) has found.
pub(crate) struct ReadySet<'a>(&'a libc::fd_set);

impl<'a> ReadySet<'a> {
    /// # Safety
    ///
    /// The pointer is null or leads to a set that nobody changes for the length of `'a`.
    pub(crate) unsafe fn new(set: *const libc::fd_set) -> Option<ReadySet<'a>> {
        // SAFETY: as this function's own contract says.
        unsafe { set.as_ref() }.map(ReadySet)
    }

    pub(crate) fn has(&self, source: impl AsFd) -> bool {
        let fd = source.as_fd().as_raw_fd();
        // SAFETY: the set is borrowed, and the number is one of those that it has a bit for.
        fits(fd) && unsafe { libc::FD_ISSET(fd, self.0) }
    }
}

fn fits(fd: c_int) -> bool {
    usize::try_from(fd).is_ok_and(|fd| fd < libc::FD_SETSIZE)
}
