//! The events that every directory watch reports.

use std::ffi::OsStr;

/// A watched directory. An id is not used again while the watch is open. A directory that is added twice may
/// have one id or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub(super) i32);

impl WatchId {
    /// Returns the number of ids between `first` and this one, if `first` is older: systems count
    /// them. Use it as a hint for where to find this id.
    #[inline]
    pub fn offset_from(self, first: WatchId) -> usize {
        self.0.wrapping_sub(first.0) as usize
    }
}

/// An event of a watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchEvent<'a> {
    /// An entry was added, or was changed in a way that the caller waits for. The entry may be removed or
    /// replaced by now.
    #[non_exhaustive]
    EntryAdded {
        /// The directory.
        id: WatchId,
        /// The name of the entry.
        name: &'a OsStr,
        /// The change that is reported.
        cause: EntryCause,
        /// Whether the entry is a directory.
        is_directory: bool,
    },
    /// An entry was added or removed. The system does not report which.
    DirectoryChanged(WatchId),
    /// The directory was removed, renamed or unmounted: no more events of this id follow, or none
    /// that can be relied on. Check the path, watch it again, and read the directory.
    WatchLost(WatchId),
    /// The system lost events. Read every directory.
    Overflow,
}

/// Which changes of a directory's entries a watch reports. A watch that reports no names reports no
/// other changes than those of [`Entries`](WatchFor::Entries).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchFor {
    /// Entries that are added.
    #[default]
    Entries,
    /// Entries that are added, and entries whose attributes change, such as their mode.
    EntriesAndAttributes,
    /// Entries that are added, and files that a process closes after it had them open for writing.
    EntriesAndCloses,
}

/// The change of an entry that a watch reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryCause {
    /// It was created or linked.
    Created,
    /// It was renamed into the directory.
    MovedIn,
    /// Its attributes changed.
    AttributesChanged,
    /// A process that had it open for writing has closed it.
    Closed,
}
