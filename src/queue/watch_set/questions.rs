//! The state of a directory and its watch. Nothing here changes anything.

use std::io;
use std::path::Path;

use pullcord_platform::file::{self, FileId};

use super::{Place, WatchSet};
use crate::queue::WatchGrade;
use crate::watcher::{DirWatcher, KNOWS_TYPES, REPORTS_NAMES, WatchMode};

impl WatchSet {
    /// Returns how well the watch reports the entries of a directory. A directory that is not scanned needs
    /// no watch.
    pub(in crate::queue) fn grade(&self, directory: usize) -> WatchGrade {
        let target = &self.targets[directory];
        match &target.watched {
            _ if target.place != Place::Own => WatchGrade::Names,
            Some(watched) if watched.local && REPORTS_NAMES => WatchGrade::Names,
            Some(watched) if watched.local && self.settings.is_atomic => WatchGrade::Changes,
            _ => WatchGrade::None,
        }
    }

    /// Returns whether every directory has a reliable watch.
    pub(in crate::queue) fn all_reliable(&self) -> bool {
        self.unreliable == 0
    }

    /// Returns whether a directory is scanned: it is neither an alias nor gone.
    pub(in crate::queue) fn is_own(&self, directory: usize) -> bool {
        self.targets[directory].place == Place::Own
    }

    /// Returns whether a directory is a part that was removed.
    pub(in crate::queue) fn is_gone(&self, directory: usize) -> bool {
        self.targets[directory].place == Place::Gone
    }

    /// Returns whether a directory is watched, reliably or not.
    pub(in crate::queue) fn is_watched(&self, directory: usize) -> bool {
        self.targets[directory].watched.is_some()
    }

    /// Returns whether a directory is on a file system known to be local; false if it is not watched.
    pub(in crate::queue) fn is_local(&self, directory: usize) -> bool {
        self.targets[directory].watched.is_some_and(|watched| watched.local)
    }

    /// Returns whether a directory is on a file system that is not known to be local.
    pub(in crate::queue) fn is_shared(&self, directory: usize) -> bool {
        let target = &self.targets[directory];
        target.watched.map_or(target.is_shared, |watched| !watched.local)
    }

    /// Returns whether the numbers of files prove anything in a directory: not where they may change by
    /// themselves, and not on a system where nothing tells which file systems those are.
    pub(in crate::queue) fn trusts_numbers(&self, directory: usize) -> bool {
        let is_off = self.settings.mode == WatchMode::Off;
        let is_known = self.watcher.is_some() || is_off && KNOWS_TYPES;
        is_known && !self.is_shared(directory)
    }

    /// Returns whether it makes sense to call [`arm`](WatchSet::arm) for a directory.
    pub(in crate::queue) fn is_watchable(&self, directory: usize) -> bool {
        self.watcher.is_some() && !self.targets[directory].is_unwatchable
    }

    /// Returns the path of a directory.
    pub(in crate::queue) fn path(&self, directory: usize) -> &Path {
        &self.targets[directory].path
    }

    /// Returns why a directory is not watched reliably, or not read at all.
    pub(in crate::queue) fn reason(&self, directory: usize) -> Option<&str> {
        let target = &self.targets[directory];
        target.reason.as_deref().or(match self.grade(directory) {
            WatchGrade::Names => None,
            _ if self.settings.mode == WatchMode::Off => Some("the options say not to watch it"),
            WatchGrade::Changes => Some("the watch of this system reports no names"),
            WatchGrade::None if target.watched.is_some() => {
                Some("the watch of this system does not report that an entry is complete")
            }
            WatchGrade::None => Some("it cannot be watched at present"),
        })
    }

    /// Returns the directory that has this path.
    pub(in crate::queue) fn find(&self, path: &Path) -> Option<usize> {
        self.index.by_path.get(path).copied()
    }

    /// Returns how many directories there are, aliases and removed parts among them.
    pub(in crate::queue) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns the watch, if it is open.
    pub(in crate::queue) fn watcher(&self) -> Option<&DirWatcher> {
        self.watcher.as_ref()
    }
}

/// Returns whether a path leads to a file. A path that leads nowhere does not.
///
/// # Errors
///
/// Fails with the error of stat(2) if that is not known.
pub(super) fn leads_to(path: &Path, file: FileId) -> io::Result<bool> {
    match file::stat_id(path) {
        Ok(id) => Ok(id == file),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
