//! timerfd(2), Linux and Android: a descriptor that becomes readable at a time.
//!
//! Its limitations, and how this module handles them:
//! - A time of zero disarms it. "Immediately" is one nanosecond here.
//! - An expired timer stays readable until it is read or set again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use crate::{OwnedFd, check_errno, fd, libc};

/// The longest time: more than any kernel keeps running, and within the range of every `time_t`.
const MAX: Duration = Duration::from_secs(i32::MAX as u64);

/// A descriptor that becomes readable at a time.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// [timerfd_create(2)](https://man7.org/linux/man-pages/man2/timerfd_create.2.html): opens a timer
    /// that is not set.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, `ENFILE` or `ENOMEM`.
    pub fn new() -> io::Result<Timer> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: no pointers; the returned descriptor has no other owner.
        unsafe { fd::own(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags)) }.map(Timer)
    }

    /// timerfd_settime(2): makes the descriptor readable once `after` is over, in place of any other
    /// time, and silent until then. Zero makes it readable immediately, with a new edge.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn set(&mut self, after: Duration) -> io::Result<()> {
        let after = after.clamp(Duration::from_nanos(1), MAX);
        let value =
            libc::timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos() as _ };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let time = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: the descriptor is open, `time` lives through the call, and no old time is asked for.
        check_errno(unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), 0, &time, ptr::null_mut())
        })?;
        Ok(())
    }

    /// read(2): makes the descriptor silent after it became readable. Never blocks.
    pub fn acknowledge(&mut self) {
        let mut expirations = [0u8; 8];
        let (to, room) = (expirations.as_mut_ptr().cast(), expirations.len());
        // SAFETY: the descriptor is open, and there is room for as many bytes as it says. That it has
        // not expired is no error here.
        unsafe { libc::read(self.0.as_raw_fd(), to, room) };
    }
}

/// Readable when the time is over.
impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
