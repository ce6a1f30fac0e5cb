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
