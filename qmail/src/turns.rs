//! What the calls of a queue manager tell about it: whether it asks for pulls at all, and whether its
//! scan has begun.
//!
//! `trigger_selprep` begins each turn of its loop. A manager asks `trigger_pulled` in each turn in which
//! it does not scan. It calls `trigger_set` just before it opens `todo`. If it asks in the very next turn,
//! it does not scan: `todo` could not be opened, and qmail-send has forgotten the pull.

use std::time::Duration;

/// After so many turns without a question, the manager may be one that does not ask for a while.
const PATIENCE: u32 = 16;

const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The turns of a loop.
pub(crate) struct Turns {
    unasked: u32,
    scan: Scan,
    failures: u32,
}

/// The scan for a pull.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// There is none, or it is known to have begun.
    None,
    /// `trigger_set` was called in this turn.
    ThisTurn,
    /// `trigger_set` was called in the last turn.
    LastTurn,
}

impl Turns {
    pub(crate) const fn new() -> Turns {
        Turns { unasked: 0, scan: Scan::None, failures: 0 }
    }

    /// Begins a turn.
    pub(crate) fn begin(&mut self) {
        self.unasked = self.unasked.saturating_add(1);
        self.scan = match self.scan {
            Scan::ThisTurn => Scan::LastTurn,
            Scan::LastTurn => {
                self.failures = 0;
                Scan::None
            }
            Scan::None => Scan::None,
        };
    }

    /// Notes that the manager asks. Returns a delay if it should scan again after it, since its last
    /// scan cannot be seen to have begun: the delay doubles with each failure.
    pub(crate) fn asked(&mut self) -> Option<Duration> {
        self.unasked = 0;
        if self.scan != Scan::LastTurn {
            return None;
        }
        self.scan = Scan::None;
        let delay = MIN_RETRY_DELAY * (1 << self.failures.min(6));
        self.failures += 1;
        Some(delay.min(MAX_RETRY_DELAY))
    }

    /// Notes that the manager is going to open `todo`, for a pull or by its own clock.
    pub(crate) fn scan_begins(&mut self, for_pull: bool) {
        self.scan = if for_pull { Scan::ThisTurn } else { Scan::None };
    }

    /// Whether the manager does not ask for pulls, or is within a long scan.
    pub(crate) fn is_silent(&self) -> bool {
        self.unasked > PATIENCE
    }

    /// As [`is_silent`](Turns::is_silent), but only now and then: for a check that costs a system call.
    pub(crate) fn should_check(&self) -> bool {
        self.is_silent() && self.unasked % PATIENCE == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_in_the_turn_after_a_pulls_scan_means_that_it_failed() {
        let mut turns = Turns::new();
        turns.begin();
        assert_eq!(turns.asked(), None);
        turns.scan_begins(true);
        assert_eq!(turns.asked(), None, "twice in one turn");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            turns.begin();
            assert_eq!(turns.asked(), Some(Duration::from_secs(seconds)));
            assert_eq!(turns.asked(), None, "once");
            turns.scan_begins(true);
        }
        // A turn without a question: it scans.
        turns.begin();
        turns.begin();
        assert_eq!(turns.asked(), None);
        turns.scan_begins(true);
        turns.begin();
        assert_eq!(turns.asked(), Some(Duration::from_secs(1)), "it starts anew");
    }

    #[test]
    fn a_scan_by_the_managers_own_clock_is_repeated_by_the_manager() {
        let mut turns = Turns::new();
        turns.begin();
        assert_eq!(turns.asked(), None);
        turns.scan_begins(false);
        turns.begin();
        assert_eq!(turns.asked(), None);
    }

    #[test]
    fn a_manager_is_silent_after_some_turns_until_it_asks() {
        let mut turns = Turns::new();
        let checks = (0..100).filter(|_| {
            turns.begin();
            turns.should_check()
        });
        assert_eq!(checks.count(), 6);
        assert!(turns.is_silent());
        let _ = turns.asked();
        assert!(!turns.is_silent());
    }
}
