//! `EVFILT_TIMER` in a kqueue(2) of its own, which is readable once the time has passed.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{null, null_mut};
use std::time::Duration;

pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn open() -> io::Result<Timer> {
        // SAFETY: no arguments.
        let fd = unsafe { libc::kqueue() };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just opened, that nobody else owns.
        let timer = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the descriptor is open.
        match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
            -1 => Err(io::Error::last_os_error()),
            // Where the program has closed descriptors 0 to 2, their numbers stay free: std
            // duplicates to 3 and above.
            _ => Ok(Timer(if fd < 3 { timer.try_clone()? } else { timer })),
        }
    }

    /// Readable in a while, once; until then it is not, even if an earlier time had passed.
    pub(crate) fn start(&mut self, wait: Duration) -> io::Result<()> {
        // What has expired is never fetched: it goes with its timer. There may be none.
        let _ = self.change(None);
        self.change(Some(wait))
    }

    /// Adds the timer, or deletes it.
    #[allow(clippy::unnecessary_cast)] // the widths differ from one system to the next
    fn change(&mut self, wait: Option<Duration>) -> io::Result<()> {
        // SAFETY: a plain C struct, of which zero is a value.
        let mut change: libc::kevent = unsafe { zeroed() };
        change.filter = libc::EVFILT_TIMER as _;
        change.flags = match wait {
            Some(_) => libc::EV_ADD | libc::EV_ONESHOT,
            None => libc::EV_DELETE,
        } as _;
        // The default unit, a millisecond, is the one that all of them know; never early.
        change.data = wait.unwrap_or_default().as_nanos().div_ceil(1_000_000) as _;
        // SAFETY: the descriptor is open, one change lives through the call, and no room for events
        // is said to be there.
        match unsafe { libc::kevent(self.0.as_raw_fd(), &change, 1, null_mut(), 0, null()) } {
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
