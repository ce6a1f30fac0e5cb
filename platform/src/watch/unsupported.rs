//! Where there is neither inotify(7) nor `EVFILT_VNODE`: a directory watch that cannot be opened.

mod event;

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub use event::{EntryCause, WatchEvent, WatchFor, WatchId};

use crate::file::FileId;

/// Whether a watch reports [`WatchEvent::EntryAdded`], and not [`WatchEvent::DirectoryChanged`].
pub const REPORTS_NAMES: bool = false;

/// There is none.
#[derive(Debug)]
pub struct DirWatcher(Infallible);

impl DirWatcher {
    /// # Errors
    ///
    /// Always `Unsupported`.
    pub fn new() -> io::Result<DirWatcher> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{} has no directory watch that pullcord knows", std::env::consts::OS),
        ))
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn watch(&mut self, _: &Path, _: WatchFor, _: bool) -> io::Result<(WatchId, FileId)> {
        match self.0 {}
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn reopen(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn may_have_more(&self, _: usize) -> bool {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn unwatch(&mut self, _: WatchId) {
        match self.0 {}
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn read_events(&mut self) -> io::Result<usize> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn next_event(&mut self) -> Option<WatchEvent<'_>> {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn last_name(&self) -> &OsStr {
        match self.0 {}
    }

    /// It cannot be called.
    pub fn has_buffered_events(&self) -> bool {
        match self.0 {}
    }

    /// # Errors
    ///
    /// It cannot be called.
    pub fn available(&self) -> io::Result<usize> {
        match self.0 {}
    }
}

impl AsFd for DirWatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

/// Returns `None`.
pub fn hint(_: &io::Error) -> Option<String> {
    None
}
