//! What of a queue is watched, and how far that can be relied on.
//!
//! Watched are the queue's directories; the directory that each of them is in, so that one that is
//! removed and made again is noticed, and a split queue that grows; and the directory that the
//! trigger is in, so that a replaced one is noticed at once. Whatever cannot be watched now is tried
//! again, ever more slowly.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::agenda::Backoff;
use super::queue::{Arrival, Queue};
use crate::error::{Error, Result};
use crate::watcher::{
    DirWatcher, REPORTS_NAMES, WatchEvent, WatchId, WatchMode, WatchedDir, with_context,
};

#[derive(Debug)]
pub(super) struct Lookout {
    mode: WatchMode,
    arrival: Arrival,
    watch: Option<DirWatcher>,
    places: Vec<Place>,
    /// The place of each of the queue's directories.
    directories: Vec<usize>,
    /// The place of each id, in the order of the ids.
    by_id: Vec<(WatchId, usize)>,
    /// When to try again what could not be watched.
    retry: Option<(Instant, Backoff)>,
    /// What kept the watch itself from being opened was said.
    said: bool,
}

/// A directory to be watched, and why.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    about: About,
    watched: Option<WatchedDir>,
    /// What kept it from being watched was said.
    said: bool,
}

/// What a change at a place is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Entries of this one of the queue's directories.
    pub(super) directory: Option<usize>,
    /// The queue's directories themselves.
    pub(super) parent: bool,
    /// The trigger.
    pub(super) trigger: bool,
}

/// What was seen, and at which place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// An entry appeared, whose [name](Lookout::name) is told.
    Named(usize),
    /// Something changed.
    Changed(usize),
    /// The place cannot be relied on any more.
    Lost(usize),
    /// Anything may have happened, anywhere.
    Overflow,
}

impl Lookout {
    /// Watches what can be watched of the queue, and collects why the rest cannot be.
    ///
    /// # Errors
    ///
    /// With [`WatchMode::Required`], one of those reasons.
    pub(super) fn open(
        queue: &Queue,
        now: Instant,
        troubles: &mut VecDeque<Error>,
    ) -> Result<Lookout> {
        let mut lookout = Lookout {
            mode: queue.watch,
            arrival: queue.arrival,
            watch: None,
            places: Vec::new(),
            directories: Vec::new(),
            by_id: Vec::new(),
            retry: None,
            said: false,
        };
        for directory in &queue.directories {
            lookout.add_directory(directory);
        }
        if let Some(home) = queue.trigger.as_deref().and_then(Path::parent) {
            let place = lookout.add(home);
            lookout.places[place].about.trigger = true;
        }
        if !mutant!(WatchedLate) {
            lookout.arm(now, troubles);
        }
        match troubles.pop_front() {
            Some(trouble) if queue.watch == WatchMode::Required => Err(trouble),
            Some(trouble) => {
                troubles.push_front(trouble);
                Ok(lookout)
            }
            None => Ok(lookout),
        }
    }

    /// There is one more directory to watch; [`arm`](Lookout::arm) does it.
    pub(super) fn add_directory(&mut self, directory: &Path) {
        let place = self.add(directory);
        self.places[place].about.directory = Some(self.directories.len());
        self.directories.push(place);
        if let Some(parent) = directory.parent() {
            let place = self.add(parent);
            self.places[place].about.parent = true;
        }
    }

    /// The place that a path is, or is from now on.
    fn add(&mut self, path: &Path) -> usize {
        // What has one component is in the current directory.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let known = self.places.iter().position(|place| place.path == path);
        known.unwrap_or_else(|| {
            let (path, about) = (path.to_owned(), About::default());
            self.places.push(Place { path, about, watched: None, said: false });
            self.places.len() - 1
        })
    }

    /// Watches every place that is not watched. Returns the places that now are.
    pub(super) fn arm(&mut self, now: Instant, troubles: &mut VecDeque<Error>) -> Vec<usize> {
        let mut armed = Vec::new();
        if self.mode == WatchMode::Off {
            return armed;
        }
        if self.watch_is_open(troubles) {
            for place in 0..self.places.len() {
                if self.places[place].watched.is_none() && self.arm_place(place, troubles) {
                    armed.push(place);
                }
            }
        }
        let all = self.places.iter().all(|place| place.watched.is_some());
        let backoff = self.retry.take().map(|(_, backoff)| backoff);
        self.retry = (!all).then(|| {
            let mut backoff = backoff.unwrap_or_else(Backoff::new);
            (now + backoff.fail(), backoff)
        });
        armed
    }

    fn watch_is_open(&mut self, troubles: &mut VecDeque<Error>) -> bool {
        if self.watch.is_none() {
            match DirWatcher::new() {
                Ok(watch) => (self.watch, self.said) = (Some(watch), false),
                Err(e) => {
                    if let (false, Some(place)) = (self.said, self.places.first()) {
                        troubles.push_back(with_context(&place.path, "watch the directory", e));
                    }
                    self.said = true;
                }
            }
        }
        self.watch.is_some()
    }

    fn arm_place(&mut self, number: usize, troubles: &mut VecDeque<Error>) -> bool {
        let (Some(watch), place) = (&mut self.watch, &mut self.places[number]) else {
            return false;
        };
        let added = if place.about.directory.is_some() && self.arrival == Arrival::Unfinished {
            watch.watch_for(&place.path, crate::watcher::WatchFor::EntriesAndAttributes)
        } else {
            watch.watch(&place.path)
        };
        match added {
            Ok(watched) => match self.by_id.binary_search_by_key(&watched.id, |(id, _)| *id) {
                // The same directory by another path: one of the two is enough to be told, and what
                // is not watched is scanned.
                Ok(_) => false,
                Err(at) => {
                    (place.watched, place.said) = (Some(watched), false);
                    self.by_id.insert(at, (watched.id, number));
                    true
                }
            },
            Err(error) => {
                // That a directory is gone is said by the scan.
                if !place.said && error.kind() != io::ErrorKind::NotFound {
                    place.said = true;
                    troubles.push_back(error);
                }
                false
            }
        }
    }

    /// When to [`arm`](Lookout::arm) again, if there is a need to.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.as_ref().map(|(at, _)| *at)
    }

    /// Whether whatever appears in a directory is sure to be reported: by name, or, where the
    /// entries arrive complete, as a change.
    pub(super) fn relies_on(&self, directory: usize) -> bool {
        (REPORTS_NAMES || self.arrival == Arrival::Complete)
            && self.watched(directory).is_some_and(|watched| watched.local)
    }

    /// What is watched at one of the queue's directories.
    pub(super) fn watched(&self, directory: usize) -> Option<&WatchedDir> {
        self.places[self.directories[directory]].watched.as_ref()
    }

    /// Where a place is.
    pub(super) fn path(&self, place: usize) -> &Path {
        &self.places[place].path
    }

    /// Why a place is watched.
    pub(super) fn about(&self, place: usize) -> About {
        self.places[place].about
    }

    /// The watched places whose path leads elsewhere by now.
    pub(super) fn misplaced(&self) -> Vec<usize> {
        let places = self.places.iter().enumerate().filter(|(_, place)| {
            place.watched.as_ref().is_some_and(|watched| !watched.matches_path(&place.path))
        });
        places.map(|(number, _)| number).collect()
    }

    /// Stops watching a place.
    pub(super) fn abandon(&mut self, place: usize) {
        if let (Some(watched), Some(watch)) = (self.places[place].watched.take(), &mut self.watch) {
            watch.unwatch(&watched);
            self.by_id.retain(|(id, _)| *id != watched.id);
        }
    }

    /// Watches nothing any more, after the watch itself failed. Hands that over.
    pub(super) fn close(&mut self, now: Instant) -> Option<DirWatcher> {
        self.by_id.clear();
        self.places.iter_mut().for_each(|place| place.watched = None);
        let mut backoff = Backoff::new();
        self.retry = Some((now + backoff.fail(), backoff));
        self.watch.take()
    }

    /// The watch, to be waited for.
    pub(super) fn watch(&self) -> Option<&DirWatcher> {
        self.watch.as_ref()
    }

    /// The watch, to be filled.
    pub(super) fn watch_mut(&mut self) -> Option<&mut DirWatcher> {
        self.watch.as_mut()
    }

    /// The name that was sighted last.
    #[inline]
    pub(super) fn name(&self) -> &OsStr {
        self.watch.as_ref().map_or(OsStr::new(""), DirWatcher::last_name)
    }

    #[inline]
    fn place_watched_as(&self, id: WatchId) -> Option<usize> {
        // While nothing had to be watched anew, they are as the system has counted them.
        let (first, _) = self.by_id.first()?;
        match self.by_id.get(id.offset_from(*first)) {
            Some((known, place)) if *known == id => Some(*place),
            _ => {
                let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                Some(self.by_id[at].1)
            }
        }
    }

    /// The next of what was taken in.
    #[inline]
    pub(super) fn next_sighting(&mut self) -> Option<Sighting> {
        loop {
            let (id, sighting): (_, fn(usize) -> Sighting) =
                match self.watch.as_mut()?.next_event()? {
                    WatchEvent::DirectoryChanged(id) => (id, Sighting::Changed),
                    WatchEvent::WatchLost(id) => (id, Sighting::Lost),
                    WatchEvent::EntryAdded { id, .. } => (id, Sighting::Named),
                    // `Overflow`, and every event that this code does not know.
                    _ => return Some(Sighting::Overflow),
                };
            // What still comes of a place that was abandoned is of no use.
            if let Some(place) = self.place_watched_as(id) {
                return Some(sighting(place));
            }
        }
    }
}
