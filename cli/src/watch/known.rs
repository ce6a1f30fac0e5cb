//! The entries that are known, so that an entry that is still there at the next scan is not taken for
//! a new one, and the state of the queue: how many entries wait, and since when.
//!
//! This is for an observer only. A mail-transfer agent must never skip an entry because it knows the
//! name: qmail names a message after its inode number, and both are used again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For each directory, the entries that its last complete scan returned, and those added since.
#[derive(Debug, Default)]
pub(super) struct KnownEntries(HashMap<PathBuf, Directory>);

#[derive(Debug, Default)]
struct Directory {
    /// How often it was read to its end.
    scans: u64,
    entries: HashMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    file: File,
    /// It was added, or returned, since the directory was last read to its end.
    is_recent: bool,
}

/// Which file an entry is. Linking a file anywhere changes its change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) inode: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) changed: (i64, i64),
}

impl From<&Metadata> for File {
    fn from(metadata: &Metadata) -> File {
        File { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

impl File {
    /// Returns the time since the last change, at this time since 1970.
    pub(super) fn age(&self, now: Duration) -> Duration {
        let (seconds, nanoseconds) = self.changed;
        let changed =
            Duration::new(seconds.max(0) as u64, nanoseconds.clamp(0, 999_999_999) as u32);
        now.saturating_sub(changed)
    }
}

/// The clock that gives a file its change time moves in ticks, of this length at most. It may be so much
/// behind the clock of [`since_1970`](super::format::since_1970).
pub(super) const CLOCK_TICK: Duration = Duration::from_millis(10);

/// The earlier state of an entry that the queue has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: it is a new entry.
    Unknown,
    /// The same file was returned before.
    Returned,
}

/// The state of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) waiting: u64,
    /// The age of the oldest entry, by its change time.
    pub(super) oldest: Option<Duration>,
}

impl KnownEntries {
    /// Adds an entry. Returns the earlier state of this file.
    pub(super) fn add(&mut self, directory: &Path, name: &OsStr, file: File) -> Before {
        let entries = &mut self.directory(directory).entries;
        match entries.get_mut(name) {
            Some(known) if known.file == file => {
                known.is_recent = true;
                Before::Returned
            }
            _ => {
                entries.insert(name.into(), Entry { file, is_recent: true });
                Before::Unknown
            }
        }
    }

    /// Returns whether this file was added before. It is not forgotten by the scan that has returned it.
    pub(super) fn is_known(&mut self, directory: &Path, name: &OsStr, file: File) -> bool {
        let known = self.0.get_mut(directory).and_then(|it| it.entries.get_mut(name));
        let Some(known) = known.filter(|known| known.file == file) else { return false };
        known.is_recent = true;
        true
    }

    /// Forgets an entry.
    pub(super) fn forget(&mut self, directory: &Path, name: &OsStr) {
        if let Some(directory) = self.0.get_mut(directory) {
            directory.entries.remove(name);
        }
    }

    /// Returns whether the directory was read to its end before.
    pub(super) fn is_scanned(&self, directory: &Path) -> bool {
        self.0.get(directory).is_some_and(|directory| directory.scans > 0)
    }

    /// Records how often a directory was read to its end. Forgets the entries that the last scan did
    /// not return, and that were not added since the scan before: they are gone.
    pub(super) fn on_scanned(&mut self, directory: &Path, scans: u64) {
        let directory = self.directory(directory);
        if directory.scans != scans {
            directory.scans = scans;
            directory.entries.retain(|_, entry| std::mem::take(&mut entry.is_recent));
        }
    }

    /// Reads the directories. Counts the entries, and forgets those that are gone. An entry that is
    /// known costs no system call.
    pub(super) fn survey<'a>(
        &mut self,
        directories: impl Iterator<Item = &'a Path>,
        trigger: Option<&Path>,
        now: Duration,
    ) -> Survey {
        let mut survey = Survey::default();
        for path in directories {
            // A directory that cannot be read is reported by the queue.
            let Ok(read) = fs::read_dir(path) else { continue };
            let known = &mut self.directory(path).entries;
            let mut found = HashMap::with_capacity(known.len());
            for entry in read.flatten() {
                let name = entry.file_name();
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let is_hidden = name.as_encoded_bytes().starts_with(b".");
                if is_directory || is_hidden || trigger.is_some_and(|it| *it == entry.path()) {
                    continue;
                }
                let file = match known.remove_entry(&name) {
                    Some((name, known)) => {
                        let file = known.file;
                        found.insert(name, known);
                        Some(file)
                    }
                    None => entry.metadata().ok().map(|metadata| File::from(&metadata)),
                };
                survey.waiting += 1;
                survey.oldest = survey.oldest.max(file.map(|file| file.age(now)));
            }
            *known = found;
        }
        survey
    }

    fn directory(&mut self, path: &Path) -> &mut Directory {
        if !self.0.contains_key(path) {
            self.0.insert(path.into(), Directory::default());
        }
        self.0.get_mut(path).expect("it was inserted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODO: &str = "todo";
    const A: File = File { inode: 1, changed: (10, 0) };
    const B: File = File { inode: 2, changed: (10, 0) };

    fn add(known: &mut KnownEntries, name: &str, file: File) -> Before {
        known.add(TODO.as_ref(), name.as_ref(), file)
    }

    #[test]
    fn an_entry_is_new_once_for_as_long_as_it_is_the_same_file() {
        let mut known = KnownEntries::default();
        assert_eq!(add(&mut known, "a", A), Before::Unknown);
        for scans in 1..4 {
            known.on_scanned(TODO.as_ref(), scans);
            assert_eq!(add(&mut known, "a", A), Before::Returned);
        }
        assert_eq!(add(&mut known, "a", B), Before::Unknown, "the name was used again");
        let linked_again = File { changed: (10, 1), ..B };
        assert_eq!(add(&mut known, "a", linked_again), Before::Unknown);
    }

    #[test]
    fn an_entry_that_the_last_complete_scan_did_not_return_is_forgotten() {
        let mut known = KnownEntries::default();
        assert_eq!(add(&mut known, "a", A), Before::Unknown);
        known.on_scanned(TODO.as_ref(), 1);
        assert_eq!(add(&mut known, "b", B), Before::Unknown);
        known.on_scanned(TODO.as_ref(), 2);
        assert_eq!(add(&mut known, "a", A), Before::Unknown);
        assert_eq!(add(&mut known, "b", B), Before::Returned);
    }

    #[test]
    fn a_failed_scan_forgets_nothing() {
        let mut known = KnownEntries::default();
        assert_eq!(add(&mut known, "a", A), Before::Unknown);
        known.on_scanned(TODO.as_ref(), 1);
        known.on_scanned(TODO.as_ref(), 1); // failed: not one more
        assert_eq!(add(&mut known, "a", A), Before::Returned);
    }

    #[test]
    fn a_survey_counts_the_entries_and_forgets_those_that_are_gone() {
        let queue = tempfile::tempdir().unwrap();
        let path = queue.path();
        for name in ["a", "b", ".hidden", "trigger"] {
            fs::write(path.join(name), "").unwrap();
        }
        fs::create_dir(path.join("0")).unwrap();
        let mut known = KnownEntries::default();
        known.add(path, "a".as_ref(), File { inode: 1, changed: (10, 0) });
        known.add(path, "gone".as_ref(), A);
        let now = Duration::from_secs(30);
        let survey = known.survey([path].into_iter(), Some(&path.join("trigger")), now);
        let oldest = Some(Duration::from_secs(20));
        assert_eq!(survey, Survey { waiting: 2, oldest }, "the age of b is not known to be more");
        assert_eq!(known.add(path, "gone".as_ref(), A), Before::Unknown);
        assert_eq!(known.add(path, "a".as_ref(), A), Before::Returned);
    }
}
