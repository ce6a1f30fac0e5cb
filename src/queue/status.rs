//! The counters of a queue, and the state of each directory.

use std::path::Path;
use std::time::Instant;

/// The counters of a queue, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Events of the trigger and of the watch that the caller has passed on.
    pub wakeups: u64,
    /// Calls of read(2) on the trigger.
    pub trigger_reads: u64,
    /// Reads of the trigger that found bytes.
    pub pulls: u64,
    /// How often another FIFO was opened in place of the trigger.
    pub trigger_reopens: u64,
    /// Rounds of scans: each reads all directories that may have new entries.
    pub scans: u64,
    /// Directories that a scan has opened.
    pub directories_read: u64,
    /// Entries that a scan has found.
    pub scan_entries: u64,
    /// Entries that the watch has reported.
    pub watch_entries: u64,
    /// Entries that were requeued, and returned again.
    pub requeued_entries: u64,
    /// How often the watch has lost events.
    pub watch_overflows: u64,
    /// How often the paths of the queue were verified.
    pub verifications: u64,
    /// Warnings that were reported.
    pub warnings: u64,
    /// Warnings that were dropped, since the caller did not take them.
    pub dropped_warnings: u64,
}

/// How a directory of a queue is watched and read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryStatus<'a> {
    /// Its absolute path.
    pub path: &'a Path,
    /// How it is watched.
    pub watch: WatchGrade,
    /// Why it is not watched reliably, or not read at all; `None` if it is watched by names.
    pub reason: Option<&'a str>,
    /// How often it was read to its end.
    pub scans: u64,
    /// When it was last read to its end.
    pub last_scan: Option<Instant>,
    /// Why it cannot be read at present.
    pub last_error: Option<&'a str>,
}

/// How well the watch of a directory reports new entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WatchGrade {
    /// Not at all, or not reliably: the directory is scanned at each pull, or at the poll interval.
    None,
    /// Every change of the directory is reported, without a name: the directory is scanned then.
    Changes,
    /// Every new entry is reported by its name. The directory is scanned only when it is opened, at
    /// the rescan interval, and after something went wrong. This is a reliable watch.
    Names,
}
