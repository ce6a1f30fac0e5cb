//! The state of a queue manager, as its calls show it: whether it asks for pulls at all, and whether its scan
//! has begun.
//!
//! `trigger_selprep` begins each turn of its loop. A manager asks `trigger_pulled` in each turn in which
//! it does not scan. It calls `trigger_set` just before it opens `todo`. If it asks in the very next turn,
//! it does not scan: `todo` could not be opened, and qmail-send has forgotten the pull. Its select(2) of
//! that turn would wait for the next pull, so a timer must end it.
//!
//! A manager that scans within one turn (indimail's todo-proc) cannot be told from one whose scans fail,
//! except that none of its scans ever takes a second turn. It gets a few scans too many, and then no more.

use std::time::Duration;

/// After so many turns without a question, the manager may be one that does not ask for a while. Or it is
/// within a scan of as many messages: then it may sleep for up to 20 ms when the scan has ended.
const PATIENCE: u32 = 64;

const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How often a scan is repeated for a manager none of whose scans was ever seen to begin.
const MAX_BLIND_RETRIES: u32 = 6;

/// The turns of a loop.
pub(crate) struct Turns {
    unasked: u32,
    scan: Scan,
    is_for_pull: bool,
    failures: u32,
    /// Whether a scan of this manager was ever seen to begin.
    has_seen_scan: bool,
}

/// The last scan.
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
        Turns {
            unasked: 0,
            scan: Scan::None,
            is_for_pull: false,
            failures: 0,
            has_seen_scan: false,
        }
    }

    /// Begins a turn. Returns true if the scan is seen to have begun in the last turn.
    pub(crate) fn begin(&mut self) -> bool {
        self.unasked = self.unasked.saturating_add(1);
        let (scan, has_begun) = match self.scan {
            Scan::ThisTurn => (Scan::LastTurn, false),
            Scan::LastTurn => (Scan::None, true),
            Scan::None => (Scan::None, false),
        };
        if has_begun {
            self.failures = 0;
            self.has_seen_scan = true;
        }
        self.scan = scan;
        has_begun
    }

    /// Notes that the manager asks.
    pub(crate) fn asked(&mut self) {
        self.unasked = 0;
        if self.scan == Scan::LastTurn {
            self.scan = Scan::None;
            self.failures = self.failures.saturating_add(self.is_for_pull.into());
        }
    }

    /// Returns how long after `trigger_set` the manager should scan again, unless its scan is seen to
    /// have begun: twice as long after each failure. Returns `None` if it seems to scan within one turn.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        let can_be_seen = self.has_seen_scan || self.failures < MAX_BLIND_RETRIES;
        let delay = MIN_RETRY_DELAY * (1 << self.failures.min(6));
        can_be_seen.then_some(delay.min(MAX_RETRY_DELAY))
    }

    /// Notes that the manager is going to open `todo`, for a pull or by its own clock.
    pub(crate) fn scan_begins(&mut self, for_pull: bool) {
        self.scan = Scan::ThisTurn;
        self.is_for_pull = for_pull;
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

    const SECOND: Duration = Duration::from_secs(1);

    /// A scan that is seen to begin: the next turn has no question.
    fn scan_over_two_turns(turns: &mut Turns, for_pull: bool) {
        turns.scan_begins(for_pull);
        assert!(!turns.begin());
        assert!(turns.begin());
        assert!(!turns.begin(), "it is reported once");
    }

    /// A scan that fails, or that ends in its turn.
    fn scan_within_one_turn(turns: &mut Turns, for_pull: bool) {
        turns.scan_begins(for_pull);
        turns.asked(); // a second time in this turn, which means nothing
        assert!(!turns.begin());
        turns.asked();
        turns.asked();
    }

    #[test]
    fn a_question_in_the_turn_after_a_pulls_scan_means_that_it_failed() {
        let mut turns = Turns::new();
        turns.begin();
        turns.asked();
        scan_over_two_turns(&mut turns, false);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(turns.retry_delay(), Some(seconds * SECOND));
            scan_within_one_turn(&mut turns, true);
        }
        scan_over_two_turns(&mut turns, true);
        assert_eq!(turns.retry_delay(), Some(SECOND), "it starts anew");
    }

    #[test]
    fn a_manager_that_scans_within_one_turn_gets_six_scans_too_many() {
        let mut turns = Turns::new();
        turns.begin();
        turns.asked();
        scan_within_one_turn(&mut turns, false);
        for seconds in [1, 2, 4, 8, 16, 32] {
            assert_eq!(turns.retry_delay(), Some(seconds * SECOND));
            scan_within_one_turn(&mut turns, true);
        }
        for _ in 0..3 {
            assert_eq!(turns.retry_delay(), None, "also for later pulls");
            scan_within_one_turn(&mut turns, true);
        }
        scan_over_two_turns(&mut turns, false);
        assert_eq!(turns.retry_delay(), Some(SECOND), "it is one whose scans can be seen");
    }

    #[test]
    fn a_scan_by_the_managers_own_clock_is_repeated_by_the_manager() {
        let mut turns = Turns::new();
        turns.begin();
        turns.asked();
        scan_within_one_turn(&mut turns, false);
        assert_eq!(turns.retry_delay(), Some(SECOND));
    }

    #[test]
    fn a_manager_is_silent_after_some_turns_until_it_asks() {
        let mut turns = Turns::new();
        let checks = (0..6 * PATIENCE + 1).filter(|_| {
            turns.begin();
            turns.should_check()
        });
        assert_eq!(checks.count(), 6);
        assert!(turns.is_silent());
        turns.asked();
        assert!(!turns.is_silent());
    }
}
