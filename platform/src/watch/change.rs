//! What every directory watch reports, whatever it is made of.

use std::ffi::OsStr;

/// A watched directory. Ids are not used again for as long as the watch is open; adding one
/// directory twice may give one id or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub(super) i32);

impl WatchId {
    /// How many ids were given out from `first` until this one, if it was later: systems count them.
    /// A hint at where to look for it.
    #[inline]
    pub fn since(self, first: WatchId) -> usize {
        self.0.wrapping_sub(first.0) as usize
    }
}

/// Something that happened to a watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// An entry of this name appeared: it was linked, made, or renamed into the directory; or its
    /// attributes changed, where that was asked for. By now it may be gone, or be another.
    Appeared(WatchId, &'a OsStr),
    /// Something was added or removed; what, the system does not say.
    Changed(WatchId),
    /// The directory was removed, renamed or unmounted: nothing more will come of this id, or
    /// nothing that can be relied on. Look at the path, add it again, and read the directory.
    Lost(WatchId),
    /// More happened than the system could hold. Read every directory.
    Overflow,
}
