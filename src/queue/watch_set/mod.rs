//! Which directories are watched, and whether they are still those that the paths lead to.

mod aliases;
pub(super) mod events;
mod questions;
mod settings;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use pullcord_platform::file::{self, FileId};

use super::WatchGrade;
use super::options::QueueOptions;
use crate::error::Error;
use crate::watcher::{
    DirWatcher, KNOWS_TYPES, Locality, WatchId, WatchMode, WatchedDir, with_context,
};
use questions::leads_to;
use settings::Settings;

#[derive(Debug)]
pub(super) struct WatchSet {
    settings: Settings,
    watcher: Option<DirWatcher>,
    targets: Vec<Target>,
    index: Index,
    /// How many of the targets have no reliable watch and should have one.
    unreliable: usize,
    /// How often the watch has been read.
    reads: u64,
}

/// A directory of the queue.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    place: Place,
    watched: Option<WatchedDir>,
    /// The directory that the path has led to when it was last watched or opened.
    file: Option<FileId>,
    /// The watch is not tried again before the path leads to another directory.
    is_unwatchable: bool,
    /// It is not watched, and not known to be on a local file system.
    is_shared: bool,
    /// Why it is not watched reliably.
    reason: Option<String>,
}

/// The target of a path of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A directory of its own, as far as is known.
    Own,
    /// The same directory as this other one of the queue.
    AliasOf(usize),
    /// A part of a split queue that was removed.
    Gone,
}

#[derive(Debug, Default)]
struct Index {
    /// In the order of the ids.
    by_id: Vec<(WatchId, usize)>,
    by_file: HashMap<FileId, usize>,
    by_path: HashMap<PathBuf, usize>,
}

/// The result of watching a directory.
#[derive(Debug)]
pub(super) enum Armed {
    /// The watch that it had still lives.
    Same,
    /// It is watched from now on, and must be scanned. `elsewhere`: its path led to another directory before.
    /// `moved`: the watch was that of this other directory, whose path leads elsewhere now.
    Anew { elsewhere: bool, moved: Option<usize> },
    /// It is the same directory as another one: see [`reason`](WatchSet::reason).
    Alias,
    /// It cannot be watched, and it makes no sense to try again.
    Unwatchable(Option<Error>),
    /// It may be watched later.
    Failed(Error),
    /// The path leads nowhere, or to no directory, or to one that must not be read.
    Unreachable(Error),
}

/// Whether a scan has opened the directory that its path has led to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Expected,
    Elsewhere,
    /// It is the same as another directory of the queue: see [`reason`](WatchSet::reason).
    Alias,
}

impl WatchSet {
    /// Returns a set without directories, whose watch is not open.
    pub(super) fn new(options: &QueueOptions) -> WatchSet {
        WatchSet {
            settings: Settings::new(options),
            watcher: None,
            targets: Vec::new(),
            index: Index::default(),
            unreliable: 0,
            reads: 0,
        }
    }

    /// Opens the watch, or opens it anew under the same descriptor number. No directory is watched then. Does
    /// nothing if the watch is off.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`DirWatcher::new`].
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.settings.mode == WatchMode::Off {
            return Ok(());
        }
        self.unwatch_all();
        match &mut self.watcher {
            Some(watcher) => watcher.reopen(),
            none => DirWatcher::new().map(|watcher| *none = Some(watcher)),
        }
    }

    /// Adds a directory, which is not watched yet.
    pub(super) fn add(&mut self, path: PathBuf) -> usize {
        let directory = self.targets.len();
        self.index.by_path.entry(path.clone()).or_insert(directory);
        self.targets.push(Target {
            path,
            place: Place::Own,
            watched: None,
            file: None,
            is_unwatchable: false,
            is_shared: false,
            reason: None,
        });
        self.unreliable += 1;
        directory
    }

    /// Watches a directory, or finds that it is watched already.
    pub(super) fn arm(&mut self, directory: usize) -> Armed {
        let target = &mut self.targets[directory];
        let locality = self.settings.locality(&target.path);
        let is_local = matches!(locality, Ok(Locality::Local));
        if self.settings.mode == WatchMode::Off {
            target.is_shared = KNOWS_TYPES && locality.is_ok() && !is_local;
        }
        let Some(watcher) = self.watcher.as_mut().filter(|_| !target.is_unwatchable) else {
            return Armed::Unwatchable(None);
        };
        let doubt = locality.as_ref().ok().and_then(|locality| self.settings.doubt(locality));
        let watched = locality
            .map_err(|error| with_context(&target.path, "watch the directory", error))
            .and_then(|it| watcher.watch_on(&it, &target.path, self.settings.watch_for));
        match watched {
            Ok(watched) => {
                let armed = self.place_watch(directory, watched);
                if self.is_watched(directory) {
                    self.targets[directory].reason = doubt;
                }
                armed
            }
            Err(error) => {
                self.unwatch(directory);
                let target = &mut self.targets[directory];
                target.reason = Some(error.to_string());
                match error.kind() {
                    io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::PermissionDenied => {
                        target.file = None;
                        Armed::Unreachable(error)
                    }
                    _ if error.is_lasting() => {
                        (target.is_unwatchable, target.is_shared) = (true, true);
                        Armed::Unwatchable(Some(error))
                    }
                    _ => {
                        target.is_shared = !is_local;
                        Armed::Failed(error)
                    }
                }
            }
        }
    }

    /// Decides about a watch that the system has returned for a directory.
    fn place_watch(&mut self, directory: usize, watched: WatchedDir) -> Armed {
        let at = self.index.by_id.binary_search_by_key(&watched.id, |(id, _)| *id);
        let owner = at.ok().map(|at| self.index.by_id[at].1);
        if owner == Some(directory) {
            return Armed::Same;
        }
        let twin = owner.or_else(|| self.index.by_file.get(&watched.file_id).copied());
        let mut moved = None;
        let twin = twin.filter(|_| !mutant!(AliasWatched));
        if let Some(twin) = twin.filter(|twin| *twin != directory && self.is_own(*twin)) {
            match leads_to(&self.targets[twin].path, watched.file_id) {
                Ok(false) if owner != Some(twin) => {}
                Ok(false) if watched.local => {
                    // The watch is of the directory that this path leads to now, and that one no longer.
                    self.set_watched(twin, None);
                    self.targets[twin].file = None;
                    moved = Some(twin);
                }
                // The numbers of files may have changed by themselves, so it is not known which of the two
                // paths the watch belongs to. It stays a hint for the first one.
                Ok(false) => {
                    self.unwatch(directory);
                    return self.share_watch(directory, twin);
                }
                is_same => {
                    // A watch of its own is not needed.
                    if owner.is_none() {
                        self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(&watched));
                    }
                    self.unwatch(directory);
                    return self.merge(directory, twin, is_same.err());
                }
            }
        }
        self.unwatch(directory);
        match self.index.by_id.binary_search_by_key(&watched.id, |(id, _)| *id) {
            Ok(at) => self.index.by_id[at].1 = directory,
            Err(at) => self.index.by_id.insert(at, (watched.id, directory)),
        }
        let elsewhere = self.set_file(directory, watched.file_id);
        self.set_watched(directory, Some(watched));
        Armed::Anew { elsewhere, moved }
    }

    /// Stops watching a directory. Its earlier events are ignored from now on.
    pub(super) fn unwatch(&mut self, directory: usize) {
        let Some(watched) = self.targets[directory].watched else { return };
        self.set_watched(directory, None);
        self.index.by_id.retain(|(id, _)| *id != watched.id);
        self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(&watched));
    }

    /// Returns whether the path of a directory leads where it led when the directory was watched, as
    /// far as that can be told: on a file system that is not known to be local, numbers of files
    /// change by themselves. Makes at most two system calls.
    ///
    /// # Errors
    ///
    /// Fails with the error of stat(2), if the path leads nowhere.
    pub(super) fn is_unchanged(&self, directory: usize) -> io::Result<bool> {
        let target = &self.targets[directory];
        match (target.place, &target.watched) {
            (Place::Gone, _) => file::is_directory(&target.path).map(|is_there| !is_there),
            (Place::AliasOf(other), _) if !mutant!(AliasForEver) => {
                // An error of the other path says nothing about this one.
                let id = file::stat_id(&target.path)?;
                Ok(file::stat_id(&self.targets[other].path).is_ok_and(|other| other == id))
            }
            (Place::Own, Some(watched)) if watched.local && !mutant!(DirectoryNotCompared) => {
                Ok(file::stat_id(&target.path)? == watched.file_id)
            }
            _ => Ok(true),
        }
    }

    /// Records which directory a scan has opened. Returns whether it is the expected one.
    pub(super) fn note_opened(&mut self, directory: usize, file: FileId) -> Opened {
        let known = self.targets[directory].file;
        if let Some(watched) = &self.targets[directory].watched {
            if watched.file_id == file || !watched.local {
                return Opened::Expected;
            }
            return Opened::Elsewhere;
        }
        if known != Some(file) {
            match self.twin(directory, file) {
                Ok(None) => {}
                Ok(Some(twin)) => {
                    self.set_alias(directory, twin);
                    return Opened::Alias;
                }
                // The next scan looks again.
                Err(_) => return Opened::Expected,
            }
            self.set_file(directory, file);
            if known.is_some() {
                // It may be watchable now.
                self.targets[directory].is_unwatchable = false;
                if self.trusts_numbers(directory) {
                    return Opened::Elsewhere;
                }
            }
        }
        Opened::Expected
    }

    /// Takes a directory out as a part that is gone.
    pub(super) fn set_gone(&mut self, directory: usize) {
        self.unwatch(directory);
        self.targets[directory].file = None;
        self.set_place(directory, Place::Gone);
    }

    /// Makes a directory one of the queue's own again, of which nothing is known.
    pub(super) fn set_own(&mut self, directory: usize) {
        self.set_place(directory, Place::Own);
        let target = &mut self.targets[directory];
        (target.is_unwatchable, target.reason) = (false, None);
    }

    fn set_place(&mut self, directory: usize, place: Place) {
        let before = self.is_counted(directory);
        self.targets[directory].place = place;
        self.count(directory, before);
    }

    fn set_watched(&mut self, directory: usize, watched: Option<WatchedDir>) {
        let before = self.is_counted(directory);
        self.targets[directory].watched = watched;
        self.count(directory, before);
    }

    fn is_counted(&self, directory: usize) -> bool {
        self.is_own(directory) && self.grade(directory) != WatchGrade::Names
    }

    fn count(&mut self, directory: usize, before: bool) {
        let now = self.is_counted(directory);
        self.unreliable = self.unreliable + usize::from(now) - usize::from(before);
    }

    /// Records which directory a path leads to. Returns whether it led to another one before.
    fn set_file(&mut self, directory: usize, file: FileId) -> bool {
        let before = self.targets[directory].file.replace(file);
        let other = before.filter(|before| *before != file);
        if let Some(other) = other.filter(|id| self.index.by_file.get(id) == Some(&directory)) {
            self.index.by_file.remove(&other);
        }
        self.index.by_file.insert(file, directory);
        before != Some(file)
    }

    /// Watches no directory any more, since the watch itself has failed.
    pub(super) fn unwatch_all(&mut self) {
        for directory in 0..self.targets.len() {
            self.set_watched(directory, None);
        }
        self.index.by_id.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::fs::symlink;

    use super::events::TargetEvent;
    use super::*;
    use crate::watcher::REPORTS_NAMES;

    /// A set whose directories have these names in a temporary directory.
    pub(super) struct Fixture {
        pub(super) set: WatchSet,
        root: tempfile::TempDir,
    }

    impl Fixture {
        /// Creates the directories, which are not watched yet. Returns `None` on a system without a watch.
        pub(super) fn new(
            names: &[&str],
            set: impl FnOnce(QueueOptions) -> QueueOptions,
        ) -> Option<Fixture> {
            let root = tempfile::tempdir().unwrap();
            let options = QueueOptions::directories([root.path()]).assume_local(true);
            let mut fixture = Fixture { set: WatchSet::new(&set(options)), root };
            fixture.set.open().ok()?;
            for name in names {
                fs::create_dir(fixture.path(name)).unwrap();
                fixture.set.add(fixture.path(name));
            }
            Some(fixture)
        }

        /// Creates directories that are all watched.
        pub(super) fn watched(names: &[&str]) -> Option<Fixture> {
            let mut fixture = Fixture::new(names, |options| options)?;
            for directory in 0..names.len() {
                assert!(matches!(fixture.arm(directory), Armed::Anew { moved: None, .. }));
            }
            Some(fixture)
        }

        pub(super) fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        pub(super) fn rename(&self, from: &str, to: &str) {
            fs::rename(self.path(from), self.path(to)).unwrap();
        }

        pub(super) fn link(&self, target: &str, name: &str) {
            symlink(target, self.path(name)).unwrap();
        }

        pub(super) fn id(&self, name: &str) -> FileId {
            file::stat_id(&self.path(name)).unwrap()
        }

        /// Watches a directory, and checks the count.
        pub(super) fn arm(&mut self, directory: usize) -> Armed {
            let armed = self.set.arm(directory);
            self.check();
            armed
        }

        /// Compares the count of the directories without a reliable watch with the directories.
        pub(super) fn check(&self) {
            let counted = |directory: &usize| self.set.is_counted(*directory);
            assert_eq!(self.set.unreliable, (0..self.set.len()).filter(counted).count());
            assert_eq!(self.set.all_reliable(), self.set.unreliable == 0);
        }

        /// Adds an entry to the directory of this name. Returns the directories whose watch reports it.
        pub(super) fn reported(&mut self, name: &str) -> Vec<usize> {
            self.read();
            fs::write(self.path(name).join("entry"), "").unwrap();
            let events = self.read();
            fs::remove_file(self.path(name).join("entry")).unwrap();
            let directories = events.into_iter().filter_map(|event| match event {
                TargetEvent::EntryAdded { directory, .. } | TargetEvent::Changed(directory) => {
                    Some(directory)
                }
                _ => None,
            });
            directories.collect()
        }

        /// Reads all events.
        pub(super) fn read(&mut self) -> Vec<TargetEvent> {
            let mut events = Vec::new();
            while self.set.read_events().unwrap() > 0 {
                events.extend(std::iter::from_fn(|| self.set.next_event()));
            }
            events
        }

        /// Adds an entry to the directory of this name, and returns whether the system reports anything.
        fn is_watched_by_the_system(&mut self, name: &str) -> bool {
            self.read();
            fs::write(self.path(name).join("entry"), "").unwrap();
            let is_reported = self.set.read_events().unwrap() > 0;
            self.read();
            fs::remove_file(self.path(name).join("entry")).unwrap();
            is_reported
        }
    }

    #[test]
    fn a_directory_that_is_armed_again_keeps_its_watch() {
        let Some(mut fixture) = Fixture::new(&["0", "1"], |options| options) else { return };
        assert!(!fixture.set.is_watched(0) && !fixture.set.all_reliable());
        for directory in [0, 1] {
            let armed = fixture.arm(directory);
            assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
            assert!(
                fixture.set.is_watched(directory) && fixture.set.is_unchanged(directory).unwrap()
            );
        }
        assert_eq!(fixture.set.all_reliable(), REPORTS_NAMES);
        match fixture.arm(0) {
            Armed::Same if REPORTS_NAMES => {}
            Armed::Anew { elsewhere: false, moved: None } if !REPORTS_NAMES => {}
            armed => panic!("{armed:?}"),
        }
        assert_eq!(fixture.reported("0"), [0]);
        assert_eq!(fixture.reported("1"), [1]);
    }

    #[test]
    fn a_path_that_leads_to_another_directory_is_watched_there() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.rename("0", "old");
        fs::create_dir(fixture.path("0")).unwrap();
        assert!(!fixture.set.is_unchanged(0).unwrap());
        let armed = fixture.arm(0);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
        assert!(fixture.set.is_unchanged(0).unwrap());
        assert_eq!(fixture.reported("0"), [0]);
        assert!(!fixture.is_watched_by_the_system("old"));
        // Nothing is kept of the directories of the past.
        for _ in 0..3 {
            fs::remove_dir(fixture.path("0")).unwrap();
            fs::create_dir(fixture.path("0")).unwrap();
            fixture.arm(0);
        }
        let known = &fixture.set.index;
        assert_eq!((known.by_id.len(), known.by_file.len()), (2, 2));
    }

    #[test]
    fn of_directories_that_change_places_each_path_is_known_by_its_new_directory() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.rename("0", "old");
        fixture.rename("1", "0");
        fixture.rename("old", "1");
        // On Linux the watch moves with its directory.
        let moved = |other| if REPORTS_NAMES { Some(other) } else { None };
        match fixture.arm(0) {
            Armed::Anew { elsewhere: true, moved: other } => assert_eq!(other, moved(1)),
            armed => panic!("{armed:?}"),
        }
        assert_eq!(fixture.set.is_watched(1), !REPORTS_NAMES);
        let armed = fixture.arm(1);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
        for (directory, name) in ["0", "1"].into_iter().enumerate() {
            assert_eq!(fixture.set.index.by_file.get(&fixture.id(name)), Some(&directory));
            assert_eq!(fixture.reported(name), [directory]);
        }
        assert_eq!(fixture.set.index.by_file.len(), 2);
    }

    #[test]
    fn the_watch_of_a_directory_that_was_renamed_belongs_to_the_new_path() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fs::remove_dir(fixture.path("1")).unwrap();
        fixture.rename("0", "1");
        match fixture.arm(1) {
            Armed::Anew { elsewhere: true, moved: Some(0) } if REPORTS_NAMES => {}
            Armed::Anew { elsewhere: true, moved: None } if !REPORTS_NAMES => {}
            armed => panic!("{armed:?}"),
        }
        assert!(fixture.reported("1").contains(&1));
        if REPORTS_NAMES {
            assert!(!fixture.set.is_watched(0));
            assert_eq!(fixture.set.reason(0), Some("it cannot be watched at present"));
            // The first path leads there again: it is the same directory as the second one.
            fixture.link("1", "0");
            assert_eq!(fixture.set.note_opened(0, fixture.id("1")), Opened::Alias);
        }
    }

    /// The first path has lost its watch before. So it is nothing new that it leads elsewhere.
    #[test]
    fn a_directory_without_a_watch_that_is_renamed_is_watched_by_its_new_path() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.rename("0", "old");
        assert!(matches!(fixture.arm(0), Armed::Unreachable(_)));
        fs::remove_dir(fixture.path("1")).unwrap();
        fixture.rename("old", "1");
        let armed = fixture.arm(1);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_not_watched_and_what_comes_back_is_another_directory() {
        let Some(mut fixture) = Fixture::watched(&["0"]) else { return };
        fixture.rename("0", "old");
        assert!(fixture.set.is_unchanged(0).is_err());
        let Armed::Unreachable(error) = fixture.arm(0) else { panic!("it is not there") };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!fixture.set.is_watched(0) && !fixture.set.all_reliable());
        assert_eq!(fixture.set.reason(0), Some(&*error.to_string()));
        assert!(!fixture.is_watched_by_the_system("old"));
        fs::write(fixture.path("0"), "").unwrap();
        assert!(matches!(fixture.arm(0), Armed::Unreachable(_)), "it is a file");
        fs::remove_file(fixture.path("0")).unwrap();
        // It may have the same numbers, and is another one all the same.
        fixture.rename("old", "0");
        let armed = fixture.arm(0);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
        assert_eq!(fixture.set.reason(0).is_none(), REPORTS_NAMES);
    }

    #[test]
    fn a_directory_that_is_not_watched_any_more_is_not_reported() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fs::write(fixture.path("0").join("earlier"), "").unwrap();
        fixture.set.unwatch(0);
        fixture.check();
        assert_eq!(fixture.read(), []);
        assert!(!fixture.set.is_watched(0) && fixture.set.is_watched(1));
        assert!(!fixture.is_watched_by_the_system("0"));
        assert_eq!(fixture.reported("1"), [1]);
        let armed = fixture.arm(0);
        assert!(matches!(armed, Armed::Anew { elsewhere: false, moved: None }), "{armed:?}");
    }

    #[test]
    fn a_watch_that_is_opened_anew_watches_nothing_under_the_same_number() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        let number = |set: &WatchSet| set.watcher().unwrap().as_fd().as_raw_fd();
        let before = number(&fixture.set);
        fixture.set.open().unwrap();
        fixture.check();
        if REPORTS_NAMES {
            assert_eq!(number(&fixture.set), before, "a kqueue cannot keep it");
        }
        assert!(!fixture.set.is_watched(0) && !fixture.set.is_watched(1));
        assert!(fixture.set.index.by_id.is_empty());
        // The old ids mean nothing any more.
        let armed = fixture.arm(1);
        assert!(matches!(armed, Armed::Anew { elsewhere: false, moved: None }), "{armed:?}");
        assert_eq!(fixture.reported("1"), [1]);
        assert!(matches!(fixture.arm(0), Armed::Anew { elsewhere: false, moved: None }));
        assert_eq!(fixture.reported("0"), [0]);
    }

    #[test]
    fn a_part_that_is_gone_needs_no_watch_until_it_is_there_again() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.rename("0", "old");
        fixture.set.set_gone(0);
        fixture.check();
        assert!(fixture.set.is_gone(0) && !fixture.set.is_own(0) && !fixture.set.is_watched(0));
        assert_eq!((fixture.set.grade(0), fixture.set.reason(0)), (WatchGrade::Names, None));
        assert_eq!(fixture.set.all_reliable(), REPORTS_NAMES);
        assert!(!fixture.is_watched_by_the_system("old"));
        assert!(fixture.set.is_unchanged(0).unwrap(), "it is not there");
        fs::write(fixture.path("0"), "").unwrap();
        assert!(fixture.set.is_unchanged(0).unwrap(), "a file is no part");
        fs::remove_file(fixture.path("0")).unwrap();
        fixture.rename("old", "0");
        assert!(!fixture.set.is_unchanged(0).unwrap(), "it is there again");

        fixture.set.set_own(0);
        fixture.check();
        assert!(fixture.set.is_own(0) && !fixture.set.is_gone(0) && !fixture.set.all_reliable());
        let armed = fixture.arm(0);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
    }

    #[test]
    fn a_scan_of_a_watched_directory_finds_another_one_in_its_place() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        let (first, second) = (fixture.id("0"), fixture.id("1"));
        assert_eq!(fixture.set.note_opened(0, first), Opened::Expected);
        assert_eq!(fixture.set.note_opened(0, second), Opened::Elsewhere);
        assert!(fixture.set.is_own(0) && fixture.set.is_watched(0), "the watch decides");
    }

    /// On a file system that is not local, the numbers of files prove nothing.
    #[test]
    fn a_scan_of_a_directory_without_a_watch_learns_which_one_it_is() {
        for is_local in [true, false] {
            let set = |options: QueueOptions| options.watch(WatchMode::Off).assume_local(is_local);
            let Some(mut fixture) = Fixture::new(&["0", "1", "2"], set) else { return };
            let armed = fixture.arm(0);
            assert!(matches!(armed, Armed::Unwatchable(None)), "{armed:?}");
            assert_eq!(fixture.set.is_shared(0), KNOWS_TYPES && !is_local);
            let trusts_numbers = KNOWS_TYPES && is_local;
            assert_eq!(fixture.set.trusts_numbers(0), trusts_numbers);
            let [first, second, third] = ["0", "1", "2"].map(|name| fixture.id(name));
            assert_eq!(fixture.set.note_opened(0, first), Opened::Expected);
            assert_eq!(fixture.set.note_opened(0, first), Opened::Expected);
            assert_eq!(fixture.set.note_opened(1, second), Opened::Expected);
            let other = if trusts_numbers { Opened::Elsewhere } else { Opened::Expected };
            assert_eq!(fixture.set.note_opened(0, third), other);
            assert_eq!(fixture.set.note_opened(0, third), Opened::Expected);
            assert_eq!(fixture.set.note_opened(0, second), Opened::Alias);
            fixture.check();
        }
    }

    /// As one on a network file system, which is unmounted later.
    #[test]
    fn a_directory_that_cannot_be_watched_is_watchable_once_another_one_is_in_its_place() {
        let Some(mut fixture) = Fixture::new(&["0", "1"], |options| options) else { return };
        let (first, second) = (fixture.id("0"), fixture.id("1"));
        let refuse = |fixture: &mut Fixture| fixture.set.targets[0].is_unwatchable = true;
        refuse(&mut fixture);
        assert!(!fixture.set.is_watchable(0) && fixture.set.is_watchable(1));
        assert!(matches!(fixture.arm(0), Armed::Unwatchable(None)));
        assert_eq!(fixture.set.note_opened(0, first), Opened::Expected);
        assert!(!fixture.set.is_watchable(0), "it is the first that is known");
        assert_eq!(fixture.set.note_opened(0, second), Opened::Elsewhere);
        assert!(fixture.set.is_watchable(0));
        refuse(&mut fixture);
        fixture.set.set_gone(0);
        fixture.set.set_own(0);
        assert!(fixture.set.is_watchable(0), "nothing is known of what is there now");
    }
}
