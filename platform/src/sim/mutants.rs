//! Rules of the library that a test can switch off in its thread: without the rule, the simulation
//! must find the defect that the rule prevents.

use std::cell::Cell;

/// A rule that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The trigger's reader holds no write end.
    WithoutWriteEnd,
    /// A directory that could not be read does not stay dirty.
    Forgetful,
    /// The trigger is drained after the scan, not before it.
    DrainedLate,
    /// A directory is clean after the scan has read it, not before the scan opens it.
    CleanedLate,
    /// An event is skipped if the scan has returned its name, instead of the reverse.
    ScanFirst,
    /// A directory is watched after the first scan has opened it.
    WatchedLate,
    /// The watch is not read after each batch of directory entries.
    NotAbsorbed,
    /// After an overflow, the scan still skips the names that the watch had reported.
    OverflowForgiven,
    /// The same after something else was found in the place of a directory.
    LossForgiven,
    /// A directory that is found in the place of another is not read if it cannot be watched.
    LossUnread,
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Switches one rule off in this thread, or all on again.
pub fn set_mutant(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Returns whether this rule is switched off in this thread.
#[inline]
pub fn mutant(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}
