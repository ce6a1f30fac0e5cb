//! The entries that a queue returns.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// An entry that appeared in the queue. It borrows from the queue: see
/// [`into_owned`](Entry::into_owned). Entries are equal if their paths are, however they were found.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// The absolute path of the directory that the entry is in.
    pub directory: &'a Path,
    /// Its name there. It may hold any bytes except `/` and NUL, in no particular encoding, and may
    /// have been chosen by a hostile user.
    pub name: &'a OsStr,
    /// How the entry was found.
    pub origin: Origin,
}

impl Entry<'_> {
    /// Returns the path of the entry. The entry may be removed before it is opened; this is not an error.
    pub fn path(&self) -> PathBuf {
        join(self.directory, self.name)
    }

    /// Returns a copy that does not borrow from the queue. Allocates its directory and its name.
    pub fn into_owned(self) -> OwnedEntry {
        OwnedEntry {
            directory: self.directory.to_owned(),
            name: self.name.to_owned(),
            origin: self.origin,
        }
    }
}

/// An [`Entry`] that can be kept.
///
/// Entries are equal if their paths are, however they were found: a set of the entries that are being
/// processed contains an entry that is returned again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnedEntry {
    /// The absolute path of the directory that the entry is in.
    pub directory: PathBuf,
    /// Its name there.
    pub name: OsString,
    /// How the entry was found.
    pub origin: Origin,
}

impl OwnedEntry {
    /// Returns the entry at a path, which is made absolute: for a program that has kept only the path.
    /// Returns `None` if the path has no file name. Its origin is [`Origin::Requeue`].
    pub fn from_path(path: impl AsRef<Path>) -> Option<OwnedEntry> {
        let path = pullcord_platform::absolute(path.as_ref()).ok()?;
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(OwnedEntry { directory, name, origin: Origin::Requeue })
    }

    /// Returns the path of the entry.
    pub fn path(&self) -> PathBuf {
        join(&self.directory, &self.name)
    }
}

/// Returns the path of a name in a directory, with one allocation. `Path::join` makes two.
fn join(directory: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(directory.as_os_str().len() + 1 + name.len());
    path.push(directory);
    path.push(name);
    path
}

/// Compares by the path: the directory, and then the name.
macro_rules! impl_by_path {
    ($entry:ty) => {
        impl PartialEq for $entry {
            fn eq(&self, other: &Self) -> bool {
                // Names differ more often than directories.
                self.name == other.name && self.directory == other.directory
            }
        }

        impl Eq for $entry {}

        impl Hash for $entry {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.directory.hash(state);
                self.name.hash(state);
            }
        }

        impl PartialOrd for $entry {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $entry {
            fn cmp(&self, other: &Self) -> Ordering {
                self.directory.cmp(&other.directory).then_with(|| self.name.cmp(&other.name))
            }
        }
    };
}

impl_by_path!(Entry<'_>);
impl_by_path!(OwnedEntry);

impl From<Entry<'_>> for OwnedEntry {
    fn from(entry: Entry<'_>) -> OwnedEntry {
        entry.into_owned()
    }
}

/// How an entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// A scan of the directory has returned it.
    Scan,
    /// The directory watch has reported it.
    Watch,
    /// [`Queue::requeue`](crate::Queue::requeue) has asked for it.
    Requeue,
}

impl Origin {
    /// Returns the name: `scan`, `watch` or `requeue`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Scan => "scan",
            Origin::Watch => "watch",
            Origin::Requeue => "requeue",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    fn entry(directory: &'static str, name: &'static str, origin: Origin) -> Entry<'static> {
        Entry { directory: Path::new(directory), name: OsStr::new(name), origin }
    }

    #[test]
    fn an_entry_that_is_returned_again_is_in_the_set_of_those_that_are_processed() {
        let first = entry("/queue/todo", "17", Origin::Watch);
        let (mut hashed, mut sorted) = (HashSet::new(), BTreeSet::new());
        assert!(hashed.insert(first.into_owned()) && sorted.insert(first));
        let again = entry("/queue/todo", "17", Origin::Requeue);
        assert!(!hashed.insert(again.into_owned()) && !sorted.insert(again));
        for other in [("/queue/todo", "18"), ("/queue/todo/1", "17")] {
            let other = entry(other.0, other.1, Origin::Watch);
            assert!(hashed.insert(other.into_owned()) && sorted.insert(other));
        }
        assert_eq!(
            entry("/a", "2", Origin::Scan).cmp(&entry("/b", "1", Origin::Scan)),
            Ordering::Less
        );
    }
}
