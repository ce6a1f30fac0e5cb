//! The entries that a queue returns.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// An entry that appeared in the queue. It borrows from the queue: see
/// [`into_owned`](Entry::into_owned).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Returns the path of the entry. The entry may be gone by the time it is opened, which is no
    /// error.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    /// Returns a copy that does not borrow.
    pub fn into_owned(self) -> OwnedEntry {
        OwnedEntry {
            directory: self.directory.to_owned(),
            name: self.name.to_owned(),
            origin: self.origin,
        }
    }
}

/// An [`Entry`] that can be kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Returns the entry at a path: for a program that has kept only the path. Returns `None` if the
    /// path has no file name or no directory. Its origin is [`Origin::Requeue`].
    pub fn from_path(path: impl AsRef<Path>) -> Option<OwnedEntry> {
        let path = path.as_ref();
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(OwnedEntry { directory, name, origin: Origin::Requeue })
    }

    /// Returns the path of the entry.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

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
