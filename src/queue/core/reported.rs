//! The names that the watch has reported of directories that wait for a scan.
//!
//! The scan leaves these names out, because the watch returns them. The scan yields to the watch and
//! never the reverse: qmail names a message after its inode number, and those are used again, so a
//! name that was seen before must never hide an arrival.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::sync::Arc;

/// The most names that are kept. Beyond it the oldest are forgotten, and may be returned twice.
const LIMIT: usize = if cfg!(pullcord_sim) { 256 } else { 65_536 };

#[derive(Debug, Default)]
pub(crate) struct Reported {
    names: HashMap<usize, HashSet<Arc<OsStr>>>,
    /// The same in the order in which they were reported.
    order: VecDeque<(usize, Arc<OsStr>)>,
}

impl Reported {
    /// Adds a name that the watch has reported.
    pub(crate) fn insert(&mut self, directory: usize, name: &OsStr) {
        let names = self.names.entry(directory).or_default();
        if names.contains(name) {
            return;
        }
        let name: Arc<OsStr> = name.into();
        names.insert(Arc::clone(&name));
        self.order.push_back((directory, name));
        if self.order.len() > LIMIT {
            let Some((directory, name)) = self.order.pop_front() else { return };
            self.names.get_mut(&directory).map(|names| names.remove(&name));
        }
    }

    /// Returns whether the watch has reported this name.
    #[inline]
    pub(crate) fn contains(&self, directory: usize, name: &OsStr) -> bool {
        !self.names.is_empty() && self.is_among(directory, name)
    }

    fn is_among(&self, directory: usize, name: &OsStr) -> bool {
        self.names.get(&directory).is_some_and(|names| names.contains(name))
    }

    /// Forgets a name: the watch does not return it after all.
    pub(crate) fn remove(&mut self, directory: usize, name: &OsStr) {
        if let Some(names) = self.names.get_mut(&directory) {
            names.remove(name);
        }
    }

    /// Forgets the names of a directory.
    pub(crate) fn forget(&mut self, directory: usize) {
        // Each scan of a directory that is not watched comes here, and a map without entries hashes too.
        if self.names.is_empty() {
            return;
        }
        if self.names.remove(&directory).is_some_and(|names| !names.is_empty()) {
            self.order.retain(|(other, _)| *other != directory);
        }
    }

    /// Forgets all names.
    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_its_directory_and_is_removed_once() {
        let mut reported = Reported::default();
        let name = OsStr::new("4711");
        reported.insert(0, name);
        reported.insert(0, name);
        assert!(reported.contains(0, name));
        assert!(!reported.contains(1, name));
        assert!(!reported.contains(0, OsStr::new("4712")));
        reported.remove(0, name);
        assert!(!reported.contains(0, name));
    }

    #[test]
    fn a_directory_is_forgotten_without_the_others() {
        let mut reported = Reported::default();
        let name = OsStr::new("4711");
        reported.insert(0, name);
        reported.insert(1, name);
        reported.forget(0);
        assert!(!reported.contains(0, name));
        assert!(reported.contains(1, name));
        assert_eq!(reported.order, [(1, name.into())]);
        reported.clear();
        assert!(!reported.contains(1, name) && reported.order.is_empty());
    }

    #[test]
    fn only_the_latest_names_are_kept() {
        let mut reported = Reported::default();
        for number in 0..LIMIT + 2 {
            reported.insert(0, OsStr::new(&number.to_string()));
        }
        assert!(!reported.contains(0, OsStr::new("1")));
        assert!(reported.contains(0, OsStr::new("2")));
        assert_eq!(reported.order.len(), LIMIT);
        assert_eq!(reported.names[&0].len(), LIMIT);
    }
}
