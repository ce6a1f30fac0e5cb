//! Handles: a pointer that C holds is a number that is only compared. A closed queue is not in the table
//! any more, and its number is not used again; so no pointer that C can pass does harm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Table<T> {
    last: usize,
    open: BTreeMap<usize, Arc<T>>,
}

/// The open ones, by number. None has the number 0, which is C's NULL.
pub(crate) struct Handles<T>(Mutex<Table<T>>);

impl<T> Handles<T> {
    pub(crate) const fn new() -> Handles<T> {
        Handles(Mutex::new(Table { last: 0, open: BTreeMap::new() }))
    }

    pub(crate) fn add(&self, value: T) -> usize {
        let mut table = lock(&self.0);
        table.last += 1;
        let number = table.last;
        table.open.insert(number, Arc::new(value));
        number
    }

    /// Returns the one with this number; `None` if it is not open.
    pub(crate) fn get(&self, number: usize) -> Option<Arc<T>> {
        lock(&self.0).open.get(&number).cloned()
    }

    /// Removes and returns the one with this number; `None` if it is not open. A call that runs on it
    /// still has it.
    pub(crate) fn remove(&self, number: usize) -> Option<Arc<T>> {
        let mut table = lock(&self.0);
        let removed = table.open.remove(&number);
        if table.open.is_empty() {
            // An empty map keeps some memory, which a search for leaks would report.
            table.open = BTreeMap::new();
        }
        removed
    }
}

/// Locks, also after a panic in another thread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_valid_until_it_is_removed_and_never_again() {
        let handles = Handles::new();
        let (a, b) = (handles.add('a'), handles.add('b'));
        assert!(a != 0 && b != 0 && a != b);
        assert_eq!(handles.get(a).as_deref(), Some(&'a'));
        assert_eq!(handles.remove(a).as_deref(), Some(&'a'));
        assert_eq!(handles.remove(a), None, "twice");
        assert_ne!(handles.add('c'), a);
        assert_eq!(handles.get(a), None);
        assert_eq!(handles.get(0), None);
        assert_eq!(handles.get(b).as_deref(), Some(&'b'));
    }
}
