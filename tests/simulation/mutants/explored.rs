//! Rules whose defects the general histories find. These are the enumeration and the random histories, in
//! the order of `ci/simulate`. The test of a rule passes as soon as one of its defects is found.

use libtest_mimic::Trial;
use pullcord_platform::sim::Mutant;

use super::Defect::{
    self, Busy, LongTurn, Lost, NeedlessScan, NoEntry, Repeated, Requeued, Twice, Unfinished,
    Unwatched,
};
use super::Without;
use crate::explore::Source;
use crate::run::run;

/// The seed of the histories, and their number. `explored_histories_pass` runs the same histories with
/// every rule.
pub(crate) const SEED: u64 = 1;
pub(crate) const HISTORIES: u64 = 10_000;

/// A rule, and the defects that count if it is switched off.
type Row = (Mutant, &'static [Defect]);

const ROWS: &[Row] = &[
    // The end of a wait.
    (Mutant::AppointmentNotAwaited, &[Lost]),
    (Mutant::DelayNotAwaited, &[Lost]),
    (Mutant::DirtyNotAwaited, &[Lost, NeedlessScan]),
    (Mutant::EventsNotAwaited, &[Lost]),
    (Mutant::PullsNotAwaited, &[Lost]),
    (Mutant::RescanNotAwaited, &[Lost]),
    (Mutant::RetryNotAwaited, &[Lost, NeedlessScan]),
    (Mutant::RoundNotAwaited, &[Lost, Busy]),
    (Mutant::VerificationNotAwaited, &[Lost]),
    (Mutant::TimerKept, &[Lost]),
    (Mutant::ReplacedKept, &[Lost]),
    // The reads, and their times.
    (Mutant::PullIgnored, &[Lost]),
    (Mutant::EmptyIsPull, &[NeedlessScan]),
    (Mutant::NotPolled, &[Lost]),
    (Mutant::ReopenedUnread, &[Lost]),
    (Mutant::OverflowIgnored, &[Lost]),
    (Mutant::OverflowUnread, &[Lost]),
    (Mutant::PartNotReported, &[Lost, Unwatched]),
    (Mutant::PartNotScanned, &[Lost, Unwatched]),
    // The entries of a scan.
    (Mutant::PartialScanComplete, &[Lost]),
    (Mutant::FailedLookForgotten, &[Lost]),
    (Mutant::FailedLookIgnored, &[Lost]),
    (Mutant::ReportNotNoted, &[Twice]),
    (Mutant::RequeuedScanned, &[Requeued]),
    (Mutant::VersionNotCompared, &[Lost]),
    (Mutant::TriggerReturned, &[NoEntry]),
    (Mutant::QuietNotCompared, &[Unfinished]),
    (Mutant::YoungScanned, &[Unfinished]),
    // The target of a path.
    (Mutant::AliasWatched, &[NeedlessScan, Requeued]),
    (Mutant::DeviceNotCompared, &[Lost, Unwatched]),
    (Mutant::InodeNotCompared, &[Lost, Unwatched]),
    (Mutant::DirectoryNotCompared, &[Lost, Unwatched]),
    (Mutant::SameNumbersTrusted, &[Lost, Unwatched]),
    (Mutant::WatchLossIgnored, &[Lost, Unwatched]),
    (Mutant::TriggerNotCompared, &[Lost]),
    // Failures.
    (Mutant::RegistrationForgotten, &[Lost]),
    (Mutant::ReopenedUnarmed, &[Lost, Unwatched]),
    (Mutant::WatchFailureForgotten, &[Lost, Unwatched]),
    (Mutant::JumpIgnored, &[Lost]),
    // The amount of work and of warnings.
    (Mutant::BudgetIgnored, &[LongTurn]),
    (Mutant::NotPaced, &[Busy]),
    (Mutant::WarningRepeated, &[Repeated]),
];

/// A test for each rule. The rules are those of a queue with a watch that reports names.
pub(crate) fn trials() -> Vec<Trial> {
    let is_here = !cfg!(any(pullcord_sim = "bsd", pullcord_sim = "none"));
    let rows = ROWS.iter().filter(|_| is_here);
    rows.map(|row| {
        Trial::test(format!("mutants::{:?}", row.0), move || {
            check(row);
            Ok(())
        })
    })
    .collect()
}

fn check((mutant, defects): &Row) {
    let _off = Without::rule(Some(*mutant));
    for turn in 0..HISTORIES {
        let history = Source::nth(SEED, turn).history();
        let Some(failure) = run(&history, false).failure else { continue };
        if Defect::of(&failure).is_some_and(|defect| defects.contains(&defect)) {
            println!("{mutant:?}: {failure}, in history {turn}: {history}");
            return;
        }
    }
    panic!("{mutant:?}: none of {HISTORIES} histories has one of {defects:?}");
}
