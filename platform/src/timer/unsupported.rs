//! Where no notifier has a descriptor, nothing needs a timer that is one.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// There is none.
#[derive(Debug)]
pub struct Timer(Infallible);

impl Timer {
    /// # Errors
    ///
    /// Always `Unsupported`.
    pub fn new() -> io::Result<Timer> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn set(&mut self, _: Duration) -> io::Result<()> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn acknowledge(&mut self) {
        match self.0 {}
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
