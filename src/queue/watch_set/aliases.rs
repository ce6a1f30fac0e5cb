//! Several paths of a queue that lead, or may lead, to one directory.

use std::io;

use pullcord_platform::file::FileId;

use super::questions::leads_to;
use super::{Armed, Place, WatchSet};
use crate::error::Error;

impl WatchSet {
    /// Takes a directory for one that cannot be watched, because another path has its watch.
    pub(super) fn share_watch(&mut self, directory: usize, other: usize) -> Armed {
        let other = self.targets[other].path.display();
        let why = format!("the numbers of its files change, and {other} has the same watch");
        let target = &mut self.targets[directory];
        (target.is_unwatchable, target.is_shared) = (true, true);
        target.reason = Some(why.clone());
        let why = io::Error::new(io::ErrorKind::Unsupported, why);
        Armed::Unwatchable(Some(Error::new(&target.path, "watch the directory", why)))
    }

    /// Takes a directory for the same one as another directory of the queue, unless it is not known whether it
    /// is: then it may be watched later. It must not be read for both paths.
    pub(super) fn merge(
        &mut self,
        directory: usize,
        other: usize,
        doubt: Option<io::Error>,
    ) -> Armed {
        let Some(error) = doubt else {
            self.set_alias(directory, other);
            return Armed::Alias;
        };
        let other = self.targets[other].path.display();
        let why = io::Error::new(error.kind(), format!("{other}: {error}"));
        Armed::Failed(Error::new(&self.targets[directory].path, "watch the directory", why))
    }

    /// Returns the directory of the queue, another than this one, whose path leads to the same file.
    pub(super) fn twin(&self, directory: usize, file: FileId) -> io::Result<Option<usize>> {
        let twin = self.index.by_file.get(&file).copied();
        match twin.filter(|twin| *twin != directory && self.is_own(*twin)) {
            Some(twin) => Ok(leads_to(&self.targets[twin].path, file)?.then_some(twin)),
            None => Ok(None),
        }
    }

    /// Records that a directory is the same one as another directory of the queue.
    pub(super) fn set_alias(&mut self, directory: usize, other: usize) {
        self.set_place(directory, Place::AliasOf(other));
        let reason = format!("it is the same directory as {}", self.targets[other].path.display());
        let target = &mut self.targets[directory];
        (target.file, target.reason) = (None, Some(reason));
    }
}
