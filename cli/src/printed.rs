//! What was printed already, so that an entry still there at the next scan is not printed again.
//!
//! This is the onlooker's own affair. A mail-transfer agent must never skip an entry because it
//! knows the name: qmail names a message after its inode number, and both are used again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Of each directory, what its last complete scan returned, and what came since.
#[derive(Debug, Default)]
pub(crate) struct Shown(HashMap<PathBuf, Directory>);

#[derive(Debug, Default)]
struct Directory {
    /// How often it was read to its end.
    reads: u64,
    entries: HashMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    file: File,
    /// It came, or was returned, since the directory was last read to its end.
    fresh: bool,
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

impl Shown {
    /// Remembers an entry. False if it was known, and is the same file still.
    pub(crate) fn remember(&mut self, directory: &Path, name: &OsStr, file: File) -> bool {
        if !self.0.contains_key(directory) {
            self.0.insert(directory.into(), Directory::default());
        }
        let Some(directory) = self.0.get_mut(directory) else { return true };
        match directory.entries.get_mut(name) {
            Some(known) => {
                known.fresh = true;
                std::mem::replace(&mut known.file, file) != file
            }
            None => {
                directory.entries.insert(name.into(), Entry { file, fresh: true });
                true
            }
        }
    }

    /// A directory was read to its end as often as this: what the last reading did not return, and
    /// has not come since the one before, is gone.
    pub(crate) fn was_read(&mut self, directory: &Path, reads: u64) {
        if let Some(directory) = self.0.get_mut(directory)
            && directory.reads != reads
        {
            directory.reads = reads;
            directory.entries.retain(|_, entry| std::mem::take(&mut entry.fresh));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODO: &str = "todo";
    const A: File = File { inode: 1, changed: (10, 0) };
    const B: File = File { inode: 2, changed: (10, 0) };

    fn is_new(shown: &mut Shown, name: &str, file: File) -> bool {
        shown.remember(TODO.as_ref(), name.as_ref(), file)
    }

    #[test]
    fn an_entry_is_new_once_for_as_long_as_it_is_the_same() {
        let mut shown = Shown::default();
        assert!(is_new(&mut shown, "a", A));
        for reads in 1..4 {
            shown.was_read(TODO.as_ref(), reads);
            assert!(!is_new(&mut shown, "a", A));
        }
        assert!(is_new(&mut shown, "a", B), "a name used again");
        assert!(is_new(&mut shown, "a", File { changed: (10, 1), ..B }), "linked again");
    }

    #[test]
    fn what_the_last_complete_scan_did_not_return_is_forgotten() {
        let mut shown = Shown::default();
        assert!(is_new(&mut shown, "a", A));
        shown.was_read(TODO.as_ref(), 1);
        assert!(is_new(&mut shown, "b", B));
        shown.was_read(TODO.as_ref(), 2);
        assert!(is_new(&mut shown, "a", A));
        assert!(!is_new(&mut shown, "b", B));
    }

    #[test]
    fn a_scan_that_failed_forgets_nothing() {
        let mut shown = Shown::default();
        assert!(is_new(&mut shown, "a", A));
        shown.was_read(TODO.as_ref(), 1);
        shown.was_read(TODO.as_ref(), 1); // failed: not one more
        assert!(!is_new(&mut shown, "a", A));
    }
}
