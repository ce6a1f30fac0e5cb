//! timerfd_create(2): a descriptor that is readable once a time has passed.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::time::Duration;

pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn open() -> io::Result<Timer> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: no pointers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just opened, that nobody else owns.
        let timer = unsafe { OwnedFd::from_raw_fd(fd) };
        // Where the program has closed descriptors 0 to 2, their numbers stay free: std duplicates to
        // 3 and above.
        Ok(Timer(if fd < 3 { timer.try_clone()? } else { timer }))
    }

    /// Readable in a while, once; until then it is not, even if an earlier time had passed.
    pub(crate) fn start(&mut self, wait: Duration) -> io::Result<()> {
        // SAFETY: a plain C struct, of which zero is a value: no period, and no time yet.
        let mut when: libc::itimerspec = unsafe { zeroed() };
        when.it_value.tv_sec = wait.as_secs() as _;
        // Zero would mean never.
        when.it_value.tv_nsec = wait.subsec_nanos().max(1) as libc::c_long;
        // SAFETY: the descriptor is open, `when` lives through the call, and what was set before is
        // not asked for.
        match unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &when, null_mut()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
