//! What C holds of an open queue: a pointer that leads nowhere and is only compared. A queue that is
//! closed is no longer in the table, and its number is not used again; so nothing that C can pass
//! does any harm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Table<T> {
    last: usize,
    open: BTreeMap<usize, Arc<Mutex<T>>>,
}

/// The open ones, by number; none has the number 0, which is C's null.
pub(crate) struct Handles<T>(Mutex<Table<T>>);

impl<T> Handles<T> {
    pub(crate) const fn new() -> Handles<T> {
        Handles(Mutex::new(Table { last: 0, open: BTreeMap::new() }))
    }

    pub(crate) fn add(&self, value: T) -> usize {
        let mut table = lock(&self.0);
        table.last += 1;
        let number = table.last;
        table.open.insert(number, Arc::new(Mutex::new(value)));
        number
    }

    /// Runs `body` on one of them, while nobody else does; `None` if it is not open. The others are
    /// not held up.
    pub(crate) fn with<R>(&self, number: usize, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        let value = lock(&self.0).open.get(&number).cloned()?;
        let mut value = lock(&value);
        Some(body(&mut value))
    }

    /// Closes it; false if it is not open. A call that is running on it ends first.
    pub(crate) fn remove(&self, number: usize) -> bool {
        let mut table = lock(&self.0);
        let removed = table.open.remove(&number);
        if table.open.is_empty() {
            // One that has become empty keeps some memory; who looks for leaks would find it.
            table.open = BTreeMap::new();
        }
        drop(table);
        removed.is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_good_until_it_is_removed_and_never_again() {
        let handles = Handles::new();
        let (a, b) = (handles.add('a'), handles.add('b'));
        assert!(a != 0 && b != 0 && a != b);
        assert_eq!(handles.with(a, |value| *value), Some('a'));
        assert!(handles.remove(a));
        assert!(!handles.remove(a), "twice");
        assert_ne!(handles.add('c'), a);
        assert_eq!(handles.with(a, |value| *value), None);
        assert_eq!(handles.with(0, |value| *value), None);
        assert_eq!(handles.with(b, |value| *value), Some('b'));
    }
}
