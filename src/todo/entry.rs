//! What is handed out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Something that appeared in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The directory it is in, as the [`Queue`](crate::todo::Queue) names it.
    pub directory: &'a Path,
    /// Its name there: bytes, in no encoding, and perhaps a hostile user's.
    pub name: &'a OsStr,
    /// How it was found.
    pub via: Via,
}

impl Entry<'_> {
    /// Where it is. By the time it is looked at it may be gone, which is no error.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }
}

/// How an entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// By reading the directory.
    Scan,
    /// By the directory watch.
    Watch,
    /// Not at all: [`Todo::requeue`](crate::Todo::requeue) was asked for it.
    Requeue,
}

impl Via {
    /// In one word: `scan`, `watch` or `requeue`.
    pub const fn name(self) -> &'static str {
        match self {
            Via::Scan => "scan",
            Via::Watch => "watch",
            Via::Requeue => "requeue",
        }
    }
}
