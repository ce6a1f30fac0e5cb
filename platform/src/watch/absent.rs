//! Where there is neither inotify(7) nor `EVFILT_VNODE`: a directory watch that cannot be opened.

mod change;

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub use change::{Change, WatchId};

use crate::file::Identity;

/// Whether [`Change::Appeared`] is what comes, and not [`Change::Changed`].
pub const NAMES_ENTRIES: bool = false;

/// There is none.
#[derive(Debug)]
pub struct DirWatch(Infallible);

impl DirWatch {
    /// # Errors
    ///
    /// Always `Unsupported`.
    pub fn open() -> io::Result<DirWatch> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{} has no directory watch that pullcord knows", std::env::consts::OS),
        ))
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn add(&mut self, _: &Path, _: bool) -> io::Result<(WatchId, Identity)> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn remove(&mut self, _: WatchId) {
        match self.0 {}
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn fill(&mut self) -> io::Result<usize> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn next_change(&mut self) -> Option<Change<'_>> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn last_name(&self) -> &OsStr {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn has_more(&self) -> bool {
        match self.0 {}
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn backlog(&self) -> io::Result<usize> {
        match self.0 {}
    }
}

impl AsFd for DirWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

/// None is needed.
pub fn advice(_: &io::Error) -> Option<String> {
    None
}
