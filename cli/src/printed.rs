//! The entries that were printed, so that an entry that is still there at the next scan is not
//! printed again.
//!
//! This is for an observer only. A mail-transfer agent must never skip an entry because it knows the
//! name: qmail names a message after its inode number, and both are used again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// For each directory, the entries that its last complete scan returned, and those added since.
#[derive(Debug, Default)]
pub(crate) struct Printed(HashMap<PathBuf, Directory>);

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
pub(crate) struct File {
    inode: u64,
    changed: (i64, i64),
}

impl From<Metadata> for File {
    fn from(metadata: Metadata) -> File {
        File { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

impl Printed {
    /// Adds an entry. Returns false if it was known, and is still the same file.
    pub(crate) fn add(&mut self, directory: &Path, name: &OsStr, file: File) -> bool {
        if !self.0.contains_key(directory) {
            self.0.insert(directory.into(), Directory::default());
        }
        let Some(directory) = self.0.get_mut(directory) else { return true };
        match directory.entries.get_mut(name) {
            Some(known) => {
                known.is_recent = true;
                std::mem::replace(&mut known.file, file) != file
            }
            None => {
                directory.entries.insert(name.into(), Entry { file, is_recent: true });
                true
            }
        }
    }

    /// Records how often a directory was read to its end. Forgets the entries that the last scan did
    /// not return, and that were not added since the scan before: they are gone.
    pub(crate) fn on_scanned(&mut self, directory: &Path, scans: u64) {
        let known = self.0.get_mut(directory);
        if let Some(directory) = known.filter(|directory| directory.scans != scans) {
            directory.scans = scans;
            directory.entries.retain(|_, entry| std::mem::take(&mut entry.is_recent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODO: &str = "todo";
    const A: File = File { inode: 1, changed: (10, 0) };
    const B: File = File { inode: 2, changed: (10, 0) };

    fn is_new(printed: &mut Printed, name: &str, file: File) -> bool {
        printed.add(TODO.as_ref(), name.as_ref(), file)
    }

    #[test]
    fn an_entry_is_new_once_for_as_long_as_it_is_the_same_file() {
        let mut printed = Printed::default();
        assert!(is_new(&mut printed, "a", A));
        for scans in 1..4 {
            printed.on_scanned(TODO.as_ref(), scans);
            assert!(!is_new(&mut printed, "a", A));
        }
        assert!(is_new(&mut printed, "a", B), "the name was used again");
        assert!(is_new(&mut printed, "a", File { changed: (10, 1), ..B }), "linked again");
    }

    #[test]
    fn an_entry_that_the_last_complete_scan_did_not_return_is_forgotten() {
        let mut printed = Printed::default();
        assert!(is_new(&mut printed, "a", A));
        printed.on_scanned(TODO.as_ref(), 1);
        assert!(is_new(&mut printed, "b", B));
        printed.on_scanned(TODO.as_ref(), 2);
        assert!(is_new(&mut printed, "a", A));
        assert!(!is_new(&mut printed, "b", B));
    }

    #[test]
    fn a_failed_scan_forgets_nothing() {
        let mut printed = Printed::default();
        assert!(is_new(&mut printed, "a", A));
        printed.on_scanned(TODO.as_ref(), 1);
        printed.on_scanned(TODO.as_ref(), 1); // failed: not one more
        assert!(!is_new(&mut printed, "a", A));
    }
}
