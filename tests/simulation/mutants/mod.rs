//! Rules of the queue: each is switched off once, and the simulation must find the defect that the
//! rule prevents. With the rule, the same histories pass.
//!
//! | file | contents |
//! |---|---|
//! | `rows` | a few histories for each rule, made for it |
//! | `explored` | the same histories for each rule: the enumeration and random ones |
//! | `in_place` | the situations of files that are written in place, and of an inherited trigger |
//! | `situations` | the same as `rows`, one situation for each rule |
//!
//! Other rules of the trigger are in `strategies/enumeration.rs`.

pub(crate) mod explored;
mod in_place;
mod rows;
mod situations;

use libtest_mimic::Trial;
use pullcord_platform::sim::{Mutant, set_mutant};

use crate::oracle::Failure;

/// A rule that is switched off in this thread, until this is dropped.
pub(crate) struct Without;

impl Without {
    pub(crate) fn rule(mutant: Option<Mutant>) -> Without {
        set_mutant(mutant);
        Without
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        set_mutant(None);
    }
}

/// A defect that a rule prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// An entry is returned too late, or never.
    Lost,
    /// An entry is returned twice.
    Twice,
    /// A requeued entry is returned before its time, or more than once.
    Requeued,
    /// A file that is not an entry is returned.
    NoEntry,
    /// An entry that is written in place is returned within its quiet time.
    Unfinished,
    /// A directory is read without a reason.
    NeedlessScan,
    /// Too many system calls or wake-ups in a second, or in ten quiet seconds.
    Busy,
    /// Too much work in one turn.
    LongTurn,
    /// The queue relies on a watch that the kernel does not have, or never watches a directory.
    Unwatched,
    /// A problem is reported repeatedly.
    Repeated,
    /// A warning has no cause, or a state is reported wrongly.
    Misreported,
}

impl Defect {
    fn of(failure: &Failure) -> Option<Defect> {
        Some(match failure {
            Failure::Late { .. } => Defect::Lost,
            Failure::Twice { .. } => Defect::Twice,
            Failure::RequeuedEarly | Failure::RequeuedTwice => Defect::Requeued,
            Failure::NoEntry => Defect::NoEntry,
            Failure::Unfinished { .. } => Defect::Unfinished,
            Failure::NeedlessScan => Defect::NeedlessScan,
            Failure::Spin { .. } | Failure::Restless { .. } => Defect::Busy,
            Failure::LongTurn { .. } => Defect::LongTurn,
            Failure::DeadWatch | Failure::NeverWatched => Defect::Unwatched,
            Failure::RepeatedError => Defect::Repeated,
            Failure::NeedlessWarning(_) | Failure::WrongStatus(_) => Defect::Misreported,
            _ => return None,
        })
    }
}

/// Two tests of a rule: that its histories pass with it, and that they fail without it.
fn with_and_without<R: Sync>(
    rule: &'static R,
    names: [String; 2],
    passes: fn(&R),
    fails: fn(&R),
) -> [Trial; 2] {
    let [with, without] = names;
    [(with, passes), (without, fails)].map(|(name, check)| {
        Trial::test(name, move || {
            check(rule);
            Ok(())
        })
    })
}

/// Two tests for each rule: with the rule, and without it.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = rows::trials();
    trials.extend(explored::trials());
    trials.extend(situations::trials());
    trials
}
