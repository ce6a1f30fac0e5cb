//! How well a directory is watched, which decides when it is scanned.

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
