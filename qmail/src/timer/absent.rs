//! No descriptor for a time here: scans are not paced.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

pub(crate) struct Timer(Infallible);

impl Timer {
    pub(crate) fn open() -> io::Result<Timer> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn start(&mut self, _wait: Duration) -> io::Result<()> {
        match self.0 {}
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
