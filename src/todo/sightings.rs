//! The watch's part: what a sighting is about, and whether what is watched is still what the paths
//! lead to.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord_platform::file;

use super::lookout::Sighting;
use super::queue::Arrival;
use super::{PATIENCE, Todo};
use crate::queue::is_hidden;
use crate::watcher::DirWatcher;

impl Todo {
    /// Looks whether the trigger, and whatever is watched, are still what their paths lead to.
    pub(super) fn compare_identities(&mut self, now: Instant) {
        (self.compared_at, self.compare) = (now, false);
        let misplaced = self.lookout.misplaced();
        misplaced.iter().for_each(|place| self.lose(*place));
        if !misplaced.is_empty() {
            self.rearm(now);
        }
        self.grow(now);
        self.check_trigger(now);
    }

    /// Relies on a place no more: what is there now is another directory, or may be. It is read,
    /// whether it can be watched or not, and no name is left out on account of the old one's.
    fn lose(&mut self, place: usize) {
        self.lookout.abandon(place);
        if let Some(directory) = self.lookout.about(place).directory {
            if !mutant!(LossForgiven) {
                self.reported.remove(&directory);
            }
            if !mutant!(LossUnread) {
                self.agenda.is_dirty_now(directory);
            }
        }
    }

    /// Watches what is not watched. What happened there meanwhile nobody knows.
    pub(super) fn rearm(&mut self, now: Instant) {
        for place in self.lookout.arm(now, &mut self.troubles) {
            let about = self.lookout.about(place);
            if let Some(directory) = about.directory {
                self.agenda.is_dirty_now(directory);
            }
            if about.parent {
                self.grow(now);
            }
            if about.trigger {
                self.check_trigger(now);
            }
        }
    }

    /// A split queue may have got more parts.
    fn grow(&mut self, now: Instant) {
        let Some(split) = &self.queue.split else { return };
        let mut grown = false;
        loop {
            let next = split.join(self.queue.directories.len().to_string());
            if !file::is_directory(&next) {
                break;
            }
            self.lookout.add_directory(&next);
            self.agenda.grow();
            self.said.push(None);
            self.queue.directories.push(next);
            grown = true;
        }
        if grown {
            self.rearm(now);
        }
    }

    /// Takes in all that has happened until now, before or while directories are read: what the
    /// watch has named by then, the scan does not hand out as well.
    pub(super) fn absorb(&mut self, now: Instant) {
        self.turn.absorbed = true;
        self.changed = false;
        while let Some(sighting) = self.lookout.next_sighting() {
            self.collect(sighting, now);
        }
        let Some(watch) = self.lookout.watch_mut() else { return };
        let mut left = match watch.available() {
            Ok(left) => left,
            Err(error) => return self.watch_failed(error, now),
        };
        while left > 0 {
            let Some(watch) = self.lookout.watch_mut() else { return };
            match watch.read_events() {
                Ok(0) => return,
                Ok(filled) => left = left.saturating_sub(filled),
                Err(error) => return self.watch_failed(error, now),
            }
            while let Some(sighting) = self.lookout.next_sighting() {
                self.collect(sighting, now);
            }
        }
    }

    fn collect(&mut self, sighting: Sighting, now: Instant) {
        if let Some(directory) = self.judge(sighting, now) {
            let name = self.lookout.name().to_owned();
            self.put_aside(directory, name);
        }
    }

    /// Keeps an entry that the watch has named, to be handed out soon, and by the watch alone: a
    /// scan of its directory that is still to come, or under way, leaves it out. Not so where the
    /// watch cannot be relied on to name the next entry of that name.
    fn put_aside(&mut self, directory: usize, name: OsString) {
        if mutant!(ScanFirst) {
            let reported = self.reported.get(&directory);
            if !reported.is_some_and(|names| names.contains(&name)) {
                self.found.push_back((directory, name));
            }
            return;
        }
        let is_read_later = self.agenda.is_dirty(directory)
            || self.scan.as_ref().is_some_and(|scan| scan.directory == directory);
        if is_read_later && self.lookout.relies_on(directory) {
            self.reported.entry(directory).or_default().insert(name.clone());
        }
        self.found.push_back((directory, name));
    }

    /// The next entry that the watch names, straight out of its buffer.
    pub(super) fn next_arrival(&mut self, now: Instant) -> Option<usize> {
        self.turn.looked_at += 1;
        if !self.lookout.watch().is_some_and(DirWatcher::has_buffered_events) {
            self.changed = false;
            if let Err(error) = self.lookout.watch_mut()?.read_events() {
                self.watch_failed(error, now);
            }
        }
        let sighting = self.lookout.next_sighting()?;
        self.judge(sighting, now)
    }

    /// What a sighting is about: an entry of this directory, of the name that was sighted; or
    /// something else, which is seen to.
    fn judge(&mut self, sighting: Sighting, now: Instant) -> Option<usize> {
        let (place, named) = match sighting {
            Sighting::Overflow => {
                self.counters.overflows += 1;
                if !mutant!(OverflowForgiven) {
                    self.reported.clear();
                }
                self.agenda.everything_is_dirty();
                self.compare_identities(now);
                return None;
            }
            Sighting::Lost(place) => {
                self.lose(place);
                self.compare_identities(now);
                self.rearm(now);
                return None;
            }
            Sighting::Named(place) => (place, true),
            Sighting::Changed(place) => (place, false),
        };
        let about = self.lookout.about(place);
        if about.parent {
            self.look_at_children(place, named, now);
        }
        if about.trigger {
            let path = self.queue.trigger.as_deref();
            if !named || path.and_then(Path::file_name) == Some(self.lookout.name()) {
                self.check_trigger(now);
            }
        }
        let directory = about.directory?;
        if !named {
            self.agenda.changed(directory, now + self.pull_may_follow());
            return None;
        }
        if is_hidden(self.lookout.name()) {
            return None;
        }
        if self.queue.arrival == Arrival::Complete {
            return Some(directory);
        }
        self.held.insert((directory, self.lookout.name().to_owned()));
        let unless_pulled = now + self.pull_may_follow();
        self.look_at_held.get_or_insert(unless_pulled);
        None
    }

    /// How long to leave a change alone: where somebody may pull for it, until then or for so long.
    fn pull_may_follow(&self) -> Duration {
        if self.trigger.is_some() { PATIENCE } else { Duration::ZERO }
    }

    /// Something appeared beside the queue's directories, or they changed: one of them, perhaps.
    fn look_at_children(&mut self, place: usize, named: bool, now: Instant) {
        if named {
            let child = self.lookout.path(place).join(self.lookout.name());
            let is_ours = self.queue.directories.contains(&child);
            let is_part = self.queue.split.as_deref() == Some(self.lookout.path(place));
            if !is_ours && !is_part {
                return;
            }
        }
        self.compare_identities(now);
        self.rearm(now);
    }

    /// Hands over to [`found`](Todo::found) what is ready by now, and forgets what is gone.
    pub(super) fn look_at_held(&mut self) {
        self.look_at_held = None;
        for (directory, name) in std::mem::take(&mut self.held) {
            let path = self.queue.directories[directory].join(&name);
            match file::lstat(&path) {
                Ok(status) if status.is_executable_file() => self.put_aside(directory, name),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                _ => drop(self.held.insert((directory, name))),
            }
        }
    }

    /// Without a watch, everything is scanned, and it is tried again later.
    fn watch_failed(&mut self, error: io::Error, now: Instant) {
        let trouble = self.watch_error("read the directory watch", error);
        self.troubles.push_back(trouble);
        self.failed.extend(self.lookout.close(now));
        self.watch_is_armed = false;
        self.reported.clear();
        self.agenda.everything_is_dirty();
    }
}
