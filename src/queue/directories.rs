//! The directories of a queue: which belong to it, and which must be read.

use std::io;
use std::path::PathBuf;

use super::core::retry::Thing;
use super::core::warnings::Problem;
use super::{Queue, WarningKind};
use crate::error::Error;

impl Queue {
    /// Reports a directory that the watch set has found to be the same as another one.
    pub(super) fn on_alias(&mut self, directory: usize) {
        let why = self.watches.reason(directory).unwrap_or_default();
        let why = io::Error::new(io::ErrorKind::AlreadyExists, why);
        let path = self.watches.path(directory);
        let error = Error::new(path, "use the directory", why)
            .with_hint("its entries are returned with the other path");
        self.warn(Problem::Alias(directory), WarningKind::Alias, error);
        self.drop_directory(directory);
    }

    /// Adds a directory to the queue.
    pub(super) fn add_directory(&mut self, path: PathBuf) -> usize {
        self.schedule.add_directory();
        self.watches.add(path)
    }

    /// Adds a part of a split queue, or uses it again after it was removed.
    pub(super) fn add_part(&mut self, path: PathBuf) {
        match self.watches.find(&path) {
            None => drop(self.add_directory(path)),
            Some(directory) if self.watches.is_gone(directory) => self.use_again(directory),
            Some(_) => {}
        }
    }

    /// Reads a directory that is one of the queue's own again, which watches it first.
    pub(super) fn use_again(&mut self, directory: usize) {
        self.watches.set_own(directory);
        self.warnings.mended(Problem::Alias(directory));
        self.schedule.mark_dirty(directory);
    }

    /// Returns whether an error says that a part of a split queue was removed.
    pub(super) fn is_lost_part(&self, directory: usize, kind: io::ErrorKind) -> bool {
        self.options.has_parts && directory != 0 && kind == io::ErrorKind::NotFound
    }

    /// Takes a part out that was removed. Its name in `todo` brings it back.
    pub(super) fn lose_part(&mut self, directory: usize) {
        self.watches.set_gone(directory);
        self.drop_directory(directory);
    }

    /// Forgets everything about a directory that is not read any more.
    fn drop_directory(&mut self, directory: usize) {
        self.forget_entries(directory);
        self.forget_reports(directory);
        self.retry.succeeded(Thing::Directory(directory));
        self.retry.succeeded(Thing::Watch(directory));
        for problem in [Problem::Read, Problem::Watch, Problem::Polled] {
            self.warnings.mended(problem(directory));
        }
    }

    /// Forgets the entries of a directory whose path leads to another one now.
    pub(super) fn forget_entries(&mut self, directory: usize) {
        self.appointments.forget(directory);
        self.arrivals.recent.forget(directory);
        self.schedule.clear_unfinished(directory);
    }

    /// Forgets the reports of the watch about a directory, and a scan that relies on them.
    pub(super) fn forget_reports(&mut self, directory: usize) {
        if !mutant!(LossForgiven) {
            self.arrivals.forget(directory);
        }
        if self.scanner.directory() == Some(directory) {
            self.scanner.close();
        }
    }

    /// Returns whether it makes sense to mark a directory to be read. One that could not be read is tried
    /// again at the time of its retry. While it is being read again, a change may come too late for that.
    pub(super) fn may_be_read(&self, directory: usize) -> bool {
        self.watches.is_own(directory) && !self.retry.is_waiting(Thing::Directory(directory))
    }

    /// Marks a directory to be read in the next round.
    pub(super) fn mark_dirty(&mut self, directory: usize) {
        if self.may_be_read(directory) {
            self.schedule.mark_dirty(directory);
        }
    }

    #[inline(never)]
    pub(super) fn mark_all_dirty(&mut self) {
        (0..self.watches.len()).for_each(|directory| self.mark_dirty(directory));
    }
}
