//! The last entries that were returned, where one arrival can cause two events.
//!
//! An unfinished file is reported when it is created and again when it is made ready. A file that is written
//! in place is reported again when its consumer closes it. Such a report is not an arrival if the file is
//! still the one that was returned.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::sync::Arc;

use pullcord_platform::file::FileVersion;

/// How many entries are kept.
const LIMIT: usize = if cfg!(pullcord_sim) { 64 } else { 4096 };

#[derive(Clone, Copy, Debug)]
struct Returned {
    version: FileVersion,
    /// A later change of the file would have shown: its ctime was not of the same clock tick.
    is_settled: bool,
    /// How often the watch had been read when it was returned.
    reads: u64,
    /// Tells it from an older one of the same name.
    number: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Recent {
    returned: HashMap<(usize, Arc<OsStr>), Returned>,
    order: VecDeque<(u64, usize, Arc<OsStr>)>,
    number: u64,
}

impl Recent {
    /// Records that an entry is returned. `reads` counts the reads of the watch until now.
    pub(crate) fn record(
        &mut self,
        directory: usize,
        name: &OsStr,
        version: FileVersion,
        is_settled: bool,
        reads: u64,
    ) {
        self.number += 1;
        let name: Arc<OsStr> = name.into();
        let returned = Returned { version, is_settled, reads, number: self.number };
        self.returned.insert((directory, Arc::clone(&name)), returned);
        self.order.push_back((self.number, directory, name));
        if self.order.len() > LIMIT {
            let Some((number, directory, name)) = self.order.pop_front() else { return };
            let key = (directory, name);
            if self.returned.get(&key).is_some_and(|returned| returned.number == number) {
                self.returned.remove(&key);
            }
        }
    }

    /// Returns whether a report of this entry is not an arrival: the file that has the name now is the one
    /// that was returned, as far as `is_same` tells. In doubt it is an arrival. A report that was read before
    /// the file was checked is certain.
    pub(crate) fn is_repeat(
        &self,
        directory: usize,
        name: &Arc<OsStr>,
        is_same: impl Fn(&FileVersion) -> bool,
        reads: u64,
    ) -> bool {
        let returned = self.returned.get(&(directory, Arc::clone(name)));
        returned.is_some_and(|returned| {
            is_same(&returned.version) && (returned.is_settled || returned.reads == reads)
        })
    }

    /// Returns whether an entry of this name was returned.
    pub(crate) fn contains(&self, directory: usize, name: &Arc<OsStr>) -> bool {
        self.returned.contains_key(&(directory, Arc::clone(name)))
    }

    /// Forgets the entries of a directory: its path leads to another directory now.
    pub(crate) fn forget(&mut self, directory: usize) {
        self.returned.retain(|(other, _), _| *other != directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn version() -> FileVersion {
        pullcord_platform::file::lstat(Path::new("/")).unwrap().version
    }

    #[test]
    fn a_report_of_the_same_file_is_a_repeat() {
        let mut recent = Recent::default();
        let name: Arc<OsStr> = OsStr::new("4711").into();
        recent.record(0, &name, version(), true, 1);
        assert!(recent.contains(0, &name));
        assert!(recent.is_repeat(0, &name, |_| true, 9));
        assert!(!recent.is_repeat(0, &name, |_| false, 1));
        assert!(!recent.is_repeat(1, &name, |_| true, 1));
        recent.forget(0);
        assert!(!recent.contains(0, &name));
    }

    #[test]
    fn a_file_that_may_have_changed_unseen_is_a_repeat_only_in_the_same_read_of_the_watch() {
        let mut recent = Recent::default();
        let name: Arc<OsStr> = OsStr::new("4711").into();
        recent.record(0, &name, version(), false, 1);
        assert!(recent.is_repeat(0, &name, |_| true, 1));
        assert!(!recent.is_repeat(0, &name, |_| true, 2));
    }

    #[test]
    fn only_the_latest_entries_are_kept() {
        let mut recent = Recent::default();
        let first: Arc<OsStr> = OsStr::new("first").into();
        let twice: Arc<OsStr> = OsStr::new("twice").into();
        recent.record(0, &first, version(), true, 0);
        recent.record(0, &twice, version(), true, 0);
        for number in 0..LIMIT - 1 {
            recent.record(0, OsStr::new(&number.to_string()), version(), true, 0);
        }
        assert!(!recent.contains(0, &first));
        recent.record(0, &twice, version(), true, 0);
        assert!(recent.contains(0, &twice), "its older record was removed, and not the new one");
        assert_eq!(recent.order.len(), LIMIT);
    }
}
