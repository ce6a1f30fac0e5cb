//! The boundary between C and Rust: panics, and the sets of select(2).

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`. A panic ends here, and the caller receives `otherwise`. No panic is known.
pub(crate) fn catch_panic<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The set that a caller passes before it calls select(2).
pub(crate) struct FdSet<'a> {
    nfds: &'a mut c_int,
    set: &'a mut libc::fd_set,
}

impl<'a> FdSet<'a> {
    /// Returns `None` if a pointer is NULL.
    ///
    /// # Safety
    ///
    /// Each pointer must be NULL, or lead to a value that nothing else uses during `'a`.
    pub(crate) unsafe fn new(nfds: *mut c_int, set: *mut libc::fd_set) -> Option<FdSet<'a>> {
        // SAFETY: as this function's own contract says.
        unsafe { Some(FdSet { nfds: nfds.as_mut()?, set: set.as_mut()? }) }
    }

    /// Adds a descriptor. Returns false if it does not fit into a set.
    pub(crate) fn add(&mut self, source: impl AsFd) -> bool {
        let fd = source.as_fd().as_raw_fd();
        if !fits(fd) {
            return false;
        }
        // SAFETY: the set is borrowed, and it has a bit for this number.
        unsafe { libc::FD_SET(fd, self.set) };
        *self.nfds = (*self.nfds).max(fd + 1);
        true
    }

    /// Removes a descriptor, if it is in the set.
    pub(crate) fn remove(&mut self, source: impl AsFd) {
        let fd = source.as_fd().as_raw_fd();
        if !fits(fd) {
            return;
        }
        // SAFETY: as above.
        unsafe { libc::FD_CLR(fd, self.set) };
        // SAFETY: as above: the bits below are checked.
        let has = |fd| unsafe { libc::FD_ISSET(fd, self.set) };
        if *self.nfds == fd + 1 {
            *self.nfds = (0..fd).rev().find(|fd| has(*fd)).map_or(0, |highest| highest + 1);
        }
    }
}

/// The set that select(2) has returned.
pub(crate) struct ReadySet<'a>(&'a libc::fd_set);

impl<'a> ReadySet<'a> {
    /// Returns `None` if the pointer is NULL.
    ///
    /// # Safety
    ///
    /// The pointer must be NULL, or lead to a set that nothing changes during `'a`.
    pub(crate) unsafe fn new(set: *const libc::fd_set) -> Option<ReadySet<'a>> {
        // SAFETY: as this function's own contract says.
        unsafe { set.as_ref() }.map(ReadySet)
    }

    pub(crate) fn has(&self, source: impl AsFd) -> bool {
        let fd = source.as_fd().as_raw_fd();
        // SAFETY: the set is borrowed, and it has a bit for this number.
        fits(fd) && unsafe { libc::FD_ISSET(fd, self.0) }
    }
}

fn fits(fd: c_int) -> bool {
    usize::try_from(fd).is_ok_and(|fd| fd < libc::FD_SETSIZE)
}

/// Returns whether a read would not block: poll(2) with a timeout of zero.
pub(crate) fn is_readable(source: impl AsFd) -> bool {
    let fd = source.as_fd().as_raw_fd();
    let mut readable = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives through the call.
    let found = unsafe { libc::poll(&mut readable, 1, 0) };
    found == 1
}

/// The sets of a turn in a test.
#[cfg(test)]
pub(crate) struct TestSets {
    nfds: c_int,
    set: libc::fd_set,
}

#[cfg(test)]
impl TestSets {
    pub(crate) fn new() -> TestSets {
        // SAFETY: a plain C structure, for which zero is a value: an empty set.
        TestSets { nfds: 0, set: unsafe { std::mem::zeroed() } }
    }

    pub(crate) fn waiting(&mut self) -> FdSet<'_> {
        FdSet { nfds: &mut self.nfds, set: &mut self.set }
    }

    /// select(2) that does not wait. Returns the descriptors that are ready.
    pub(crate) fn select(&mut self) -> ReadySet<'_> {
        let (none, mut zero) = (std::ptr::null_mut(), libc::timeval { tv_sec: 0, tv_usec: 0 });
        // SAFETY: the set and the timeout live through the call.
        unsafe { libc::select(self.nfds, &mut self.set, none, none, &mut zero) };
        ReadySet(&self.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_the_descriptors_restores_the_set() {
        let (low, high) = std::io::pipe().unwrap();
        let (low_fd, high_fd) = (low.as_raw_fd(), high.as_raw_fd());
        assert!(low_fd < high_fd);
        // SAFETY: a plain C structure, for which zero is a value: an empty set.
        let (mut nfds, mut set) = (0, unsafe { std::mem::zeroed::<libc::fd_set>() });
        // SAFETY: both pointers are valid.
        let mut both = unsafe { FdSet::new(&mut nfds, &mut set) }.unwrap();
        assert!(both.add(&low) && both.add(&high));
        both.remove(&high);
        assert_eq!(*both.nfds, low_fd + 1);
        both.remove(&low);
        both.remove(&low);
        assert_eq!(*both.nfds, 0);
    }
}
