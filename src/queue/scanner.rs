//! Reads one directory after the other, in batches.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pullcord_platform::clock;
use pullcord_platform::dir::{Batch, Dir, FileType};
use pullcord_platform::file::{self, FileId, FileStatus};

/// The most names that are kept of entries that were returned at their time during a scan. Further
/// ones may be returned twice.
const MAX_RETURNED: usize = if cfg!(pullcord_sim) { 256 } else { 65_536 };

#[derive(Debug)]
pub(super) struct Scanner {
    open: Option<Open>,
    /// The scan has found an entry.
    has_found: bool,
    batch: Batch,
    /// The amount of events that must be read before the entries of the batch may be returned.
    left_to_absorb: usize,
    /// The time of the caller, and how long opening, reading and looking have taken since.
    told: Option<Instant>,
    spent: Duration,
}

/// The directory that is being read.
#[derive(Debug)]
struct Open {
    directory: usize,
    dir: Dir,
    has_unfinished: bool,
    /// Entries that were returned at their time since it was opened. They end with this scan: the next one is
    /// for later entries.
    returned: HashSet<Arc<OsStr>>,
    /// An entry could not be looked at.
    failed: Option<io::Error>,
}

/// A directory that was read to its end.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) directory: usize,
    pub(super) has_found: bool,
    pub(super) has_unfinished: bool,
    /// Why an entry could not be looked at: the scan has failed then.
    pub(super) failed: Option<io::Error>,
}

impl Scanner {
    /// Returns a scanner that reads no directory.
    pub(super) fn new() -> Scanner {
        Scanner {
            open: None,
            has_found: false,
            batch: Batch::new(),
            left_to_absorb: 0,
            told: None,
            spent: Duration::ZERO,
        }
    }

    /// Opens a directory, and returns which one it is. The second value is the time that it took.
    ///
    /// # Errors
    ///
    /// Fails with the errors of open(2) and fstat(2).
    pub(super) fn open(&mut self, directory: usize, path: &Path) -> (io::Result<FileId>, Duration) {
        self.measure(|scanner| {
            let dir = Dir::open(path)?;
            let id = file::fstat(&dir)?.id;
            (scanner.left_to_absorb, scanner.has_found) = (0, false);
            let returned = HashSet::new();
            let open = Open { directory, dir, has_unfinished: false, returned, failed: None };
            scanner.open = Some(open);
            Ok(id)
        })
    }

    /// Reads the next batch. Returns false at the end of the directory. The second value is the time
    /// that it took.
    ///
    /// # Errors
    ///
    /// Fails with the errors of getdents64(2) or readdir(3).
    pub(super) fn read_batch(&mut self) -> (io::Result<bool>, Duration) {
        self.measure(|scanner| match &mut scanner.open {
            Some(open) => open.dir.read_batch(&mut scanner.batch),
            None => Ok(false),
        })
    }

    fn measure<T>(&mut self, work: impl FnOnce(&mut Scanner) -> T) -> (T, Duration) {
        let begun = clock::now();
        let result = work(self);
        let time = clock::now().saturating_duration_since(begun);
        self.spent += time;
        (result, time)
    }

    /// Returns the time, given the caller's: reading may have taken long since the caller has asked
    /// for it.
    pub(super) fn time(&mut self, now: Instant) -> Instant {
        if self.told != Some(now) {
            (self.told, self.spent) = (Some(now), Duration::ZERO);
        }
        now + self.spent
    }

    /// Moves on to the next entry of the batch, whose name is the last one then. Returns its type.
    #[inline(always)]
    pub(super) fn next_in_batch(&mut self) -> Option<FileType> {
        self.batch.next_entry().map(|entry| entry.file_type)
    }

    /// Returns the name of the entry that was returned last.
    #[inline]
    pub(super) fn last_name(&self) -> &OsStr {
        self.batch.last_name()
    }

    /// Looks at the entry that was returned last.
    ///
    /// # Errors
    ///
    /// Fails with the errors of fstatat(2).
    pub(super) fn look(&self) -> io::Result<FileStatus> {
        match &self.open {
            Some(open) => file::fstatat(&open.dir, self.last_name()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Does the same as [`look`](Scanner::look). The second value is the time that it took.
    pub(super) fn measure_look(&mut self) -> (io::Result<FileStatus>, Duration) {
        self.measure(|scanner| scanner.look())
    }

    /// Returns the directory that is being read.
    pub(super) fn directory(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.directory)
    }

    /// Records that the scan has found an entry.
    pub(super) fn found(&mut self) {
        self.has_found = true;
    }

    /// Records that the scan has met an entry that is not finished.
    pub(super) fn unfinished(&mut self) {
        self.open.iter_mut().for_each(|open| open.has_unfinished = true);
    }

    /// Records that an entry was returned at its time. A batch that was read before may hold it, too.
    pub(super) fn note_returned(&mut self, directory: usize, name: &Arc<OsStr>) {
        let open = self.open.as_mut().filter(|open| open.directory == directory);
        if let Some(open) = open.filter(|open| open.returned.len() < MAX_RETURNED) {
            open.returned.insert(Arc::clone(name));
        }
    }

    /// Returns whether an entry was returned at its time since the directory was opened.
    #[inline]
    pub(super) fn was_returned(&self, name: &OsStr) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| !open.returned.is_empty() && open.returned.contains(name))
    }

    /// Records that an entry could not be looked at.
    pub(super) fn failed(&mut self, error: io::Error) {
        if let Some(open) = &mut self.open {
            open.failed.get_or_insert(error);
        }
    }

    /// Records the amount of events that must be read before the batch.
    pub(super) fn set_left_to_absorb(&mut self, amount: usize) {
        self.left_to_absorb = amount;
    }

    /// Returns the amount of events that must be read before the batch.
    pub(super) fn left_to_absorb(&self) -> usize {
        self.left_to_absorb
    }

    /// Closes the directory, and discards the rest of its batch. Returns the result of the scan.
    pub(super) fn close(&mut self) -> Option<Scanned> {
        self.batch.clear();
        let Open { directory, has_unfinished, failed, .. } = self.open.take()?;
        Some(Scanned { directory, has_found: self.has_found, has_unfinished, failed })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_is_that_of_the_caller_and_the_reading_since() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("1"), "").unwrap();
        let (mut scanner, now) = (Scanner::new(), Instant::now());
        assert_eq!(scanner.time(now), now);
        let mut reading = scanner.open(0, directory.path()).1;
        reading += scanner.read_batch().1;
        assert_eq!(scanner.time(now), now + reading);
        assert_eq!(scanner.time(now), now + reading);
        // The next time of the caller contains it.
        assert_eq!(scanner.time(now + SECOND), now + SECOND);
        reading = scanner.read_batch().1;
        assert_eq!(scanner.time(now + SECOND), now + SECOND + reading);
    }

    #[test]
    fn a_scan_remembers_until_its_end_which_of_its_entries_were_returned_and_are_unfinished() {
        let directory = tempfile::tempdir().unwrap();
        let (mut scanner, name) = (Scanner::new(), OsStr::new("1").into());
        // Nothing is being read.
        scanner.note_returned(0, &name);
        scanner.unfinished();
        assert!(scanner.close().is_none());
        for directory_number in [3, 4] {
            scanner.open(directory_number, directory.path()).0.unwrap();
            assert!(!scanner.was_returned(&name));
            scanner.note_returned(0, &name);
            assert!(!scanner.was_returned(&name), "it is of another directory");
            scanner.note_returned(directory_number, &name);
            assert!(scanner.was_returned(&name) && !scanner.was_returned("2".as_ref()));
            if directory_number == 3 {
                scanner.unfinished();
            }
            let scanned = scanner.close().unwrap();
            assert_eq!(
                (scanned.directory, scanned.has_unfinished),
                (directory_number, directory_number == 3)
            );
            assert!(!scanned.has_found && scanned.failed.is_none());
        }
    }
}
