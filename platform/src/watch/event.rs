//! What every directory watch reports, whatever it is made of.

use std::ffi::OsStr;

/// A watched directory. Ids are not used again for as long as the watch is open; adding one
/// directory twice may give one id or two.
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
    /// An entry of this name was added: it was linked, created, or renamed into the directory. With
    /// attributes watched, also: its attributes changed. By now it may be gone, or be another.
    EntryAdded(WatchId, &'a OsStr),
    /// An entry was added or removed. The system does not report which.
    DirectoryChanged(WatchId),
    /// The directory was removed, renamed or unmounted: no more events of this id follow, or none
    /// that can be relied on. Check the path, watch it again, and read the directory.
    WatchLost(WatchId),
    /// The system lost events. Read every directory.
    Overflow,
}
