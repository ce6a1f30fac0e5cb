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
            is_unwatchable: self.settings.mode == WatchMode::Off,
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
                    // A system call that fails so may succeed later.
                    io::ErrorKind::Unsupported if error.raw_os_error().is_none() => {
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
        if owner == Some(directory) && self.is_own(directory) {
            self.set_watched(directory, Some(watched));
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
        self.set_place(directory, Place::Own);
        self.set_watched(directory, Some(watched));
        Armed::Anew { elsewhere, moved }
    }

    /// Stops watching a directory. Its earlier events are ignored from now on.
    pub(super) fn unwatch(&mut self, directory: usize) {
        let Some(watched) = self.targets[directory].watched else { return };
        self.set_watched(directory, None);
        let known = self.index.by_id.binary_search_by_key(&watched.id, |(id, _)| *id);
        if let Some(at) = known.ok().filter(|at| self.index.by_id[*at].1 == directory) {
            self.index.by_id.remove(at);
            self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(&watched));
        }
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
                self.targets[directory].is_unwatchable = self.settings.mode == WatchMode::Off;
                if self.trusts_numbers(directory) {
                    return Opened::Elsewhere;
                }
            }
        }
        Opened::Expected
    }

    /// Makes a directory one of the queue's own again, or takes it out as a part that is gone.
    pub(super) fn set_gone(&mut self, directory: usize, is_gone: bool) {
        if is_gone {
            self.unwatch(directory);
            self.targets[directory].file = None;
        }
        self.set_place(directory, if is_gone { Place::Gone } else { Place::Own });
    }

    fn set_place(&mut self, directory: usize, place: Place) {
        let before = self.is_counted(directory);
        self.targets[directory].place = place;
        self.count(directory, before);
    }

    fn set_watched(&mut self, directory: usize, watched: Option<WatchedDir>) {
        let before = self.is_counted(directory);
        let target = &mut self.targets[directory];
        target.watched = watched;
        if watched.is_some() {
            target.reason = None;
        }
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
