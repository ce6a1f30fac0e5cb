//! How soon one scan may follow another.
//!
//! After a scan comes a pause as long as the scan was. `trigger_set` begins a scan. No call ends it. Every
//! turn of the loop begins with `trigger_selprep`, and `trigger_pulled` is not called during a scan: so the
//! scan ended in the last turn that began before `trigger_pulled` was called.

use std::time::{Duration, Instant};

/// At most 500 scans a second, however short they are.
pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(2);

/// qmail processes each message within its scan, so that a long scan is not one that reads much: with a
/// longer pause, a busy queue would be idle for half of the time.
pub(crate) const MAX_PAUSE: Duration = Duration::from_millis(20);

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

    pub(crate) fn scan_ended(&mut self) {
        self.scanning = false;
    }

    /// Returns the rest of the pause; `None` if the next scan may begin.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let (began, ended) = (self.began?, self.ended?);
        let pause = (ended - began).clamp(MIN_PAUSE, MAX_PAUSE);
        let left = (ended + pause).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns the rest of the pause `after` the end of a scan of this length, the last of whose turns was
    /// followed by a long sleep.
    fn left(length: Duration, after: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut pacer = ScanPacer::new();
        pacer.scan_begins(start);
        pacer.turn_begins(start + length / 2);
        pacer.turn_begins(start + length);
        pacer.scan_ended();
        pacer.turn_begins(start + length + after);
        pacer.remaining(start + length + after)
    }

    #[test]
    fn the_pause_is_as_long_as_the_scan_within_bounds() {
        assert_eq!(left(Duration::ZERO, MS), Some(MS), "the shortest");
        assert_eq!(left(10 * MS, 4 * MS), Some(6 * MS), "as long as the scan");
        assert_eq!(left(10_000 * MS, 5 * MS), Some(15 * MS), "the longest");
    }

    #[test]
    fn after_a_quiet_time_nothing_is_left_of_it() {
        assert_eq!(ScanPacer::new().remaining(Instant::now()), None, "before the first scan");
        assert_eq!(left(MS, 2 * MS), None);
        assert_eq!(left(10 * MS, 10 * MS), None);
    }
}
