//! The queue's reports about itself: its warnings, and the state of each directory.

use std::os::unix::ffi::OsStrExt;

use pullcord::{Queue, Warning, WarningKind, WatchGrade};
use pullcord_platform::sim::{Ino, Kernel};

use super::{Failure, Oracle};
use crate::history::{Layout, Trigger};

impl Oracle {
    /// Returns the directory that a path leads to, if the queue can read it.
    pub(super) fn readable(&self, kernel: &Kernel, path: &[u8]) -> Option<Ino> {
        let tree = kernel.tree();
        kernel.find(path).ok().filter(|ino| {
            let may = self.config.privileged || tree.mode(*ino) & 0o500 == 0o500;
            // A bind mount keeps a directory that was removed where it was: it cannot be read.
            tree.is_directory(*ino) && !tree.is_removed(*ino) && may
        })
    }

    /// Checks that a warning of this time has a cause.
    pub(crate) fn check_warning(&self, warning: &Warning, now: u64) -> Result<(), Failure> {
        let is_part = matches!(self.config.layout, Layout::Split(_))
            && !warning.path().ends_with("todo")
            && !warning.path().ends_with("trigger");
        let has_trigger = self.config.trigger != Trigger::None;
        let is_removed = warning.raw_os_error() == Some(libc::ENOENT);
        let is_needless = match warning.kind() {
            // Parts of a split queue come and go.
            WarningKind::Unreadable | WarningKind::Unwatched => is_part && is_removed,
            // Two directories that are exchanged between two looks seem to be one.
            WarningKind::Alias => {
                !self.config.twice && !self.has_bound && !self.are_paths_disturbed(now)
            }
            // A trigger that is missing or fails reports nothing.
            WarningKind::Polled => has_trigger && self.trigger_disturbed + self.faulty_until == 0,
            WarningKind::Trigger => !has_trigger,
            _ => false,
        };
        if is_needless { Err(Failure::NeedlessWarning(warning.to_string())) } else { Ok(()) }
    }

    /// Checks the state of each directory of a queue that has been quiet for long enough. A directory that
    /// can be read has no error then.
    pub(crate) fn check_status(&self, kernel: &Kernel, queue: &Queue) -> Result<(), Failure> {
        for status in queue.status() {
            let is_unexplained = (status.watch == WatchGrade::Names) == status.reason.is_some();
            // Without a privilege, a directory above may forbid it.
            let is_readable = self.config.privileged
                && self.readable(kernel, status.path.as_os_str().as_bytes()).is_some();
            if is_unexplained || is_readable && status.last_error.is_some() {
                return Err(Failure::WrongStatus(format!("{status:?}")));
            }
        }
        Ok(())
    }
}
