//! The events of the watch, by directory of the queue.

use std::ffi::OsStr;
use std::io;

use super::{Index, WatchSet};
use crate::watcher::{DirWatcher, EntryCause, WatchEvent, WatchId};

/// An event of the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum TargetEvent {
    /// An entry with the [last name](WatchSet::last_name) appeared.
    EntryAdded { directory: usize, cause: EntryCause, is_directory: bool },
    /// Entries may have been added.
    Changed(usize),
    /// The directory was moved, removed or unmounted.
    Lost(usize),
    /// Events were dropped, of any directory.
    Overflow,
}

impl WatchSet {
    /// Returns how often the watch has been read.
    pub(in crate::queue) fn reads(&self) -> u64 {
        self.reads
    }

    /// Returns whether events were read that [`next_event`](WatchSet::next_event) has not returned.
    pub(in crate::queue) fn has_buffered_events(&self) -> bool {
        self.watcher.as_ref().is_some_and(DirWatcher::has_buffered_events)
    }

    /// Reads pending events with one system call. Returns the amount.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`DirWatcher::read_events`].
    #[inline]
    pub(in crate::queue) fn read_events(&mut self) -> io::Result<usize> {
        self.reads += 1;
        self.watcher.as_mut().map_or(Ok(0), DirWatcher::read_events)
    }

    /// Returns whether a read that has returned this amount may have left events behind.
    pub(in crate::queue) fn may_have_more(&self, read: usize) -> bool {
        self.watcher.as_ref().is_some_and(|watcher| watcher.may_have_more(read))
    }

    /// Returns the next of the events that were read, of directories that are watched.
    #[inline(always)]
    pub(in crate::queue) fn next_event(&mut self) -> Option<TargetEvent> {
        loop {
            let event = self.watcher.as_mut()?.next_event()?;
            let (id, event): (_, fn(usize) -> TargetEvent) = match event {
                WatchEvent::EntryAdded { id, cause, is_directory, .. } => {
                    if let Some(directory) = self.index.target(id) {
                        return Some(TargetEvent::EntryAdded { directory, cause, is_directory });
                    }
                    continue;
                }
                WatchEvent::DirectoryChanged(id) => (id, TargetEvent::Changed),
                WatchEvent::WatchLost(id) => (id, TargetEvent::Lost),
                WatchEvent::Overflow => return Some(TargetEvent::Overflow),
                _ => continue,
            };
            if let Some(directory) = self.index.target(id) {
                return Some(event(directory));
            }
        }
    }

    /// Returns the name of the entry that was reported last.
    #[inline]
    pub(in crate::queue) fn last_name(&self) -> &OsStr {
        self.watcher.as_ref().map_or(OsStr::new(""), DirWatcher::last_name)
    }
}

impl Index {
    #[inline]
    fn target(&self, id: WatchId) -> Option<usize> {
        // As long as no directory was watched anew, the ids are consecutive numbers.
        let (first, _) = self.by_id.first()?;
        match self.by_id.get(id.offset_from(*first)) {
            Some((known, directory)) if *known == id => Some(*directory),
            _ => {
                let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                Some(self.by_id[at].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Armed;
    use super::super::tests::Fixture;
    use super::TargetEvent;
    use crate::watcher::REPORTS_NAMES;

    /// The ids are consecutive numbers only until a watch ends.
    #[test]
    fn each_event_belongs_to_the_directory_of_its_watch() {
        let names = ["0", "1", "2", "3", "4"];
        let Some(mut fixture) = Fixture::watched(&names) else { return };
        let each = |fixture: &mut Fixture, unwatched: &[usize]| {
            for (directory, name) in names.iter().enumerate() {
                let is_watched = !unwatched.contains(&directory);
                let wanted = if is_watched { vec![directory] } else { vec![] };
                assert_eq!(fixture.reported(name), wanted, "without {unwatched:?}");
            }
        };
        each(&mut fixture, &[]);
        fixture.set.unwatch(1);
        each(&mut fixture, &[1]);
        fixture.set.unwatch(0);
        each(&mut fixture, &[0, 1]);
        for directory in [0, 1] {
            assert!(matches!(fixture.arm(directory), Armed::Anew { .. }));
        }
        each(&mut fixture, &[]);
    }

    #[test]
    fn a_directory_that_is_removed_is_reported_as_lost() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fs::remove_dir(fixture.path("1")).unwrap();
        let events = fixture.read();
        assert!(events.contains(&TargetEvent::Lost(1)), "{events:?}");
        assert!(!events.contains(&TargetEvent::Lost(0)), "{events:?}");
    }

    #[test]
    fn reads_are_counted_and_events_wait_until_they_are_taken() {
        let Some(mut fixture) = Fixture::watched(&["0"]) else { return };
        let set = &mut fixture.set;
        let before = set.reads();
        assert_eq!(set.read_events().unwrap(), 0);
        assert_eq!(set.reads(), before + 1);
        assert!(!set.has_buffered_events());
        fs::write(set.path(0).join("entry"), "").unwrap();
        let read = set.read_events().unwrap();
        assert!(read > 0 && set.has_buffered_events() && !set.may_have_more(read));
        assert_eq!(set.reads(), before + 2);
        assert!(set.next_event().is_some());
        assert_eq!(set.last_name(), if REPORTS_NAMES { "entry" } else { "" });
        while set.next_event().is_some() {}
        assert!(!set.has_buffered_events());
    }
}
