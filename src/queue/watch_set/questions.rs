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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::Fixture;
    use super::*;
    use crate::{QueueOptions, WriteMethod};

    #[test]
    fn the_grade_and_its_reason_follow_from_the_watch_and_the_options() {
        type Set = fn(QueueOptions) -> QueueOptions;
        const NO_NAMES: &str = "the watch of this system reports no names";
        const NOT_COMPLETE: &str =
            "the watch of this system does not report that an entry is complete";
        const NOT_LOCAL: &str = "the options say that its file system is not local";
        let by_names = |other| if REPORTS_NAMES { (WatchGrade::Names, None) } else { other };
        let cases: [(Set, _); 4] = [
            (|options| options, by_names((WatchGrade::Changes, Some(NO_NAMES)))),
            (
                |options| options.write_method(WriteMethod::OwnerExecutable),
                by_names((WatchGrade::None, Some(NOT_COMPLETE))),
            ),
            (|options| options.assume_local(false), (WatchGrade::None, Some(NOT_LOCAL))),
            (
                |options| options.watch(WatchMode::Off),
                (WatchGrade::None, Some("the options say not to watch it")),
            ),
        ];
        for (set, wanted) in cases {
            let Some(mut fixture) = Fixture::new(&["0"], set) else { return };
            let is_off = fixture.set.watcher().is_none();
            if !is_off {
                let before = (fixture.set.grade(0), fixture.set.reason(0));
                assert_eq!(before, (WatchGrade::None, Some("it cannot be watched at present")));
                assert!(!fixture.set.is_local(0), "that is not known yet");
            }
            fixture.arm(0);
            let set = &fixture.set;
            assert_eq!((set.grade(0), set.reason(0)), wanted);
            let is_local = wanted.1 != Some(NOT_LOCAL);
            assert_eq!(set.is_local(0), is_local && !is_off);
            assert_eq!(set.is_shared(0), !is_local);
            assert_eq!(set.trusts_numbers(0), is_local && (KNOWS_TYPES || !is_off));
            assert_eq!(set.is_watched(0), !is_off);
        }
    }

    /// The watch may fail to open. Then no file system was looked at.
    #[test]
    fn without_a_watch_that_should_be_there_numbers_prove_nothing() {
        let options = QueueOptions::directories(["/"]);
        let mut set = WatchSet::new(&options);
        set.add("/".into());
        assert!(!set.trusts_numbers(0) && !set.is_watchable(0));
    }

    #[test]
    fn directories_are_found_by_their_paths() {
        let Some(fixture) = Fixture::new(&["0", "1"], |options| options) else { return };
        assert_eq!(fixture.set.len(), 2);
        for directory in [0, 1] {
            assert_eq!(fixture.set.find(fixture.set.path(directory)), Some(directory));
        }
        assert_eq!(fixture.set.find(Path::new("/")), None);
    }

    #[test]
    fn a_path_that_leads_nowhere_leads_to_no_file() {
        let root = tempfile::tempdir().unwrap();
        let id = file::stat_id(root.path()).unwrap();
        assert!(leads_to(root.path(), id).unwrap());
        assert!(!leads_to(Path::new("/"), id).unwrap());
        let file = root.path().join("file");
        assert!(!leads_to(&file, id).unwrap());
        fs::write(&file, "").unwrap();
        assert!(!leads_to(&file.join("below"), id).unwrap());
        let link = root.path().join("link");
        std::os::unix::fs::symlink("link", &link).unwrap();
        assert!(leads_to(&link, id).is_err(), "a loop");
    }
}
