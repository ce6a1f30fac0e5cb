//! What was done.

/// What a [`Todo`](crate::Todo) has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Events of its descriptors.
    pub wakes: u64,
    /// Reads of the trigger.
    pub drains: u64,
    /// Of those, the ones that found somebody had pulled.
    pub pulls: u64,
    /// Rounds in which directories were read.
    pub scans: u64,
    /// Directories read.
    pub directories: u64,
    /// Entries handed out that were found by reading a directory.
    pub by_scan: u64,
    /// Entries handed out that were found by the directory watch.
    pub by_watch: u64,
    /// Triggers opened in place of one that was replaced.
    pub reopens: u64,
    /// Times the watch had to say that it lost changes.
    pub overflows: u64,
    /// Directories that are not watched, or not on a file system known to be local: those that
    /// every pull reads. A state, not a count.
    pub unwatched: u64,
    /// Errors handed out.
    pub errors: u64,
}
