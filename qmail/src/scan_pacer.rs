//! How soon one scan may follow another.
//!
//! The rule is that of a queue of the library: a leaky bucket on time (GCRA). A scan costs the time that it took
//! and a price. It may begin while at most 10 ms of earlier scans are unpaid. So a pull after a quiet time is
//! served immediately, and short scans take at most a ninth of the time, however many pulls there are.
//!
//! Two parts differ. The archive does not know whether a scan has found a message, so that one that found nothing
//! costs no more. And qmail processes each message within its scan, so that a long scan is not one that reads
//! much: its price has a limit, or a busy queue would be idle for half of the time.
//!
//! `trigger_set` begins a scan. No call ends it. Every turn of the loop begins with `trigger_selprep`, and
//! `trigger_pulled` is not called during a scan: so the scan ended in the last turn that began before
//! `trigger_pulled` was called.

use std::time::{Duration, Instant};

/// The time that the clock does not see: the timer, the wake-up and the end of the last turn.
const OVERHEAD: Duration = Duration::from_micros(50);
/// A short scan costs this many times its time.
const FACTOR: u32 = 8;
/// The highest price of a short scan.
const SHORT_PRICE: Duration = Duration::from_millis(2);
/// The highest price of a long one, which is as long as the scan.
const MAX_PRICE: Duration = Duration::from_millis(20);
/// A scan may begin this long before everything is paid.
const CREDIT: Duration = Duration::from_millis(10);

/// When the last scan began and ended, when everything before it is paid, and the answer before the next one.
pub(crate) struct ScanPacer {
    scan: Option<(Instant, Instant)>,
    paid: Option<Instant>,
    scanning: bool,
    answered_at: Option<Instant>,
}

impl ScanPacer {
    pub(crate) const fn new() -> ScanPacer {
        ScanPacer { scan: None, paid: None, scanning: false, answered_at: None }
    }

    /// Notes that the manager has the answer "pulled": the drain of the trigger is part of the scan.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered_at = Some(now);
    }

    pub(crate) fn scan_begins(&mut self, now: Instant) {
        self.paid = self.all_paid();
        self.scan = Some((self.answered_at.take().unwrap_or(now), now));
        self.scanning = true;
    }

    pub(crate) fn turn_begins(&mut self, now: Instant) {
        if let (true, Some((_, ended))) = (self.scanning, &mut self.scan) {
            *ended = now;
        }
    }

    pub(crate) fn scan_ended(&mut self) {
        self.scanning = false;
    }

    /// Returns the rest of the pause; `None` if the next scan may begin.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let left = self.all_paid()?.checked_sub(CREDIT)?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Returns when the last scan is paid, too. The debt counts from the scan's begin.
    fn all_paid(&self) -> Option<Instant> {
        let (began, ended) = self.scan?;
        let time = ended - began;
        let price = time.min(MAX_PRICE).max((FACTOR * (time + OVERHEAD)).min(SHORT_PRICE));
        Some(self.paid.map_or(began, |paid| paid.max(began)) + time + price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const US: Duration = Duration::from_micros(1);

    /// Scans of this length for this time, each as early as it may begin. Returns the begins.
    fn scans(
        pacer: &mut ScanPacer,
        start: Instant,
        length: Duration,
        time: Duration,
    ) -> Vec<Duration> {
        let (mut now, mut begins) = (start, Vec::new());
        while now < start + time {
            begins.push(now - start);
            pacer.scan_begins(now);
            pacer.turn_begins(now + length / 2);
            now += length;
            pacer.turn_begins(now);
            pacer.scan_ended();
            // A long sleep follows in the last turn.
            now += pacer.remaining(now).unwrap_or_default();
        }
        begins
    }

    #[test]
    fn short_scans_take_a_ninth_of_the_time_after_the_credit() {
        for length in [US, 20 * US, 85 * US, 200 * US] {
            let begins = scans(&mut ScanPacer::new(), Instant::now(), length, 1000 * MS);
            let cost = length + FACTOR * (length + OVERHEAD);
            let most = (1000 * MS + CREDIT).div_duration_f64(cost) + 1.0;
            assert!(begins.len() as f64 <= most, "{length:?}: {}", begins.len());
            assert!(begins.len() as f64 >= 0.9 * most, "{length:?}: {}", begins.len());
            assert!(begins[1] == length, "the second one begins at once");
        }
    }

    #[test]
    fn a_long_scan_is_followed_by_a_short_pause() {
        for (length, pause) in [(MS, Duration::ZERO), (15 * MS, 5 * MS), (10_000 * MS, 10 * MS)] {
            let begins = scans(&mut ScanPacer::new(), Instant::now(), length, 2 * length);
            assert_eq!(begins[1], length + pause, "{length:?}");
        }
    }

    #[test]
    fn no_pause_is_longer_than_twenty_milliseconds() {
        for length in [US, 100 * US, MS, 5 * MS, 30 * MS, 1000 * MS] {
            let begins = scans(&mut ScanPacer::new(), Instant::now(), length, 100 * (length + MS));
            for pair in begins.windows(2) {
                assert!(pair[1] - pair[0] <= length + MAX_PRICE, "{length:?}: {pair:?}");
            }
        }
    }

    #[test]
    fn after_a_quiet_time_nothing_is_left_of_the_debt() {
        let mut pacer = ScanPacer::new();
        assert_eq!(pacer.remaining(Instant::now()), None, "before the first scan");
        let start = Instant::now();
        let first = scans(&mut pacer, start, 100 * US, 100 * MS);
        let later = start + 200 * MS;
        assert_eq!(pacer.remaining(later), None);
        assert_eq!(scans(&mut pacer, later, 100 * US, 100 * MS), first);
    }
}
