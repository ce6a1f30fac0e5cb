//! How soon one scan may follow another.
//!
//! After a scan comes a pause as long as the scan was. When it began is said by `trigger_set`; when
//! it ended is not said, but every turn of the loop begins with `trigger_selprep`, and
//! `trigger_pulled` is not called while a scan is on: so the last turn that began before it is the
//! one that knew no scan any more.

use std::time::{Duration, Instant};

/// At most 500 scans a second, however short they are.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// qmail deals with each message in the middle of its scan, and that cannot be told from reading:
/// so a scan's length says little once it is longer than an empty one's, and a busy queue would be
/// idle for half of the time.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// When the last scan began and ended.
pub(crate) struct ScanPacer {
    began: Option<Instant>,
    ended: Option<Instant>,
    scanning: bool,
}

impl ScanPacer {
    pub(crate) const fn new() -> ScanPacer {
        ScanPacer { began: None, ended: None, scanning: false }
    }

    pub(crate) fn scan_begins(&mut self, now: Instant) {
        *self = ScanPacer { began: Some(now), ended: Some(now), scanning: true };
    }

    pub(crate) fn turn_begins(&mut self, now: Instant) {
        if self.scanning {
            self.ended = Some(now);
        }
    }

    pub(crate) fn scan_is_over(&mut self) {
        self.scanning = false;
    }

    /// What is left of the pause; `None` if the next scan may begin.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let (began, ended) = (self.began?, self.ended?);
        let pause = (ended - began).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let left = (ended + pause).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is left `after` the end of a scan of this length, the last of whose turns was followed
    /// by a long sleep.
    fn left(length: Duration, after: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut pace = ScanPacer::new();
        pace.scan_begins(start);
        pace.turn_begins(start + length / 2);
        pace.turn_begins(start + length);
        pace.scan_is_over();
        pace.turn_begins(start + length + after);
        pace.left(start + length + after)
    }

    #[test]
    fn the_pause_is_as_long_as_the_scan_within_bounds() {
        assert_eq!(left(Duration::ZERO, MS), Some(MS), "the shortest");
        assert_eq!(left(10 * MS, 4 * MS), Some(6 * MS), "as long as the scan");
        assert_eq!(left(10_000 * MS, 5 * MS), Some(15 * MS), "the longest");
    }

    #[test]
    fn after_a_quiet_time_nothing_is_left_of_it() {
        assert_eq!(ScanPacer::new().left(Instant::now()), None, "before the first scan");
        assert_eq!(left(MS, 2 * MS), None);
        assert_eq!(left(10 * MS, 10 * MS), None);
    }
}
