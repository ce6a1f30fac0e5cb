//! How much time the queue may spend on scanning, however many pulls there are.
//!
//! The rule is a leaky bucket on time (GCRA). Each round of scans has a price, which is the time
//! that it took and at least as much again, and at least 2 ms if it found nothing, or too little for
//! its pulls. A round may begin while at most 10 ms of the price of earlier rounds are unpaid. So a pull
//! after a quiet time is served immediately, a storm of pulls takes at most half of the time, and a
//! flood of pulls that bring nothing causes at most 500 rounds a second, also where an entry stays in
//! the queue, which each round finds again.

use std::time::{Duration, Instant};

/// The time that the clock does not see: the wake-up, the open and the close of a directory.
const OVERHEAD: Duration = Duration::from_micros(15);
/// A round costs this many times the time of its reading, as long as that is below [`EMPTY_PRICE`].
const FACTOR: u32 = 8;
/// The least price of a round that found nothing.
const EMPTY_PRICE: Duration = Duration::from_millis(2);
/// A round with so many pulls for each of its entries is one of a flood: a message has one pull.
const PULLS_OF_AN_ENTRY: usize = 16;
/// A round may begin this long before everything is paid: five empty rounds.
const CREDIT: Duration = Duration::from_millis(10);
/// The most that one call is charged: a frozen file system is not followed by an equal pause.
const MAX_CALL: Duration = Duration::from_millis(100);
/// The longest debt.
const MAX_DEBT: Duration = Duration::from_secs(1);

/// A round in progress.
#[derive(Clone, Copy, Debug)]
struct Round {
    begun: Instant,
    reading: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Everything is paid at this time.
    paid: Option<Instant>,
    /// The earliest time of the next round: [`CREDIT`] before that.
    next_at: Option<Instant>,
    /// The time spent in drains since the last round, and the number of their pulls.
    draining: Duration,
    pulls: usize,
    /// The number of entries that the round has returned.
    found: usize,
    round: Option<Round>,
}

impl Pacer {
    /// Returns the earliest time of the next round; `None` means immediately.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Returns whether a round may begin now.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.next_at().is_none_or(|at| at <= now)
    }

    /// Forgives a debt that is longer than any debt can be: the clock jumped back.
    pub(crate) fn on_jump(&mut self, now: Instant) {
        self.set_paid(self.paid.filter(|paid| *paid <= now + MAX_DEBT));
    }

    /// Adds a drain of the trigger: the number of its pulls, and the time that it took.
    pub(crate) fn add_drain(&mut self, pulls: usize, time: Duration) {
        self.pulls = self.pulls.saturating_add(pulls);
        self.draining += time;
    }

    /// Begins a round.
    pub(crate) fn begin_round(&mut self, now: Instant) {
        self.round = Some(Round { begun: now, reading: Duration::ZERO });
        self.found = 0;
    }

    /// Adds the time that an open, the reading of a batch or a look at an entry took, failed or not.
    pub(crate) fn add_reading(&mut self, time: Duration) {
        if let Some(round) = &mut self.round {
            round.reading += if mutant!(FreezeCharged) { time } else { time.min(MAX_CALL) };
        }
    }

    /// Records that the round has returned an entry.
    pub(crate) fn found(&mut self) {
        self.found += 1;
    }

    /// Ends the round, and charges it. The debt counts from the round's begin: from its end, the
    /// reading would pay for itself.
    pub(crate) fn end_round(&mut self, now: Instant) {
        let Some(Round { begun, reading }) = self.round.take() else { return };
        let spent = std::mem::take(&mut self.draining) + reading + OVERHEAD;
        let price = reading.max((FACTOR * spent).min(EMPTY_PRICE));
        let pulls = std::mem::take(&mut self.pulls);
        let is_empty = self.found == 0
            || pulls >= PULLS_OF_AN_ENTRY * self.found && !mutant!(PullsNotCompared);
        let price =
            if is_empty && !mutant!(EmptyRoundCheap) { price.max(EMPTY_PRICE) } else { price };
        self.charge(begun, reading + price, now);
    }

    /// Charges work that brought no entry, as much as an empty round.
    pub(crate) fn charge_empty(&mut self, now: Instant) {
        self.charge(now, EMPTY_PRICE, now);
    }

    fn charge(&mut self, begun: Instant, amount: Duration, now: Instant) {
        if mutant!(NotPaced) {
            return;
        }
        let paid = self.paid.map_or(begun, |paid| paid.max(begun)) + amount;
        let is_bounded = !mutant!(FreezeCharged);
        self.set_paid(Some(if is_bounded { paid.min(now + MAX_DEBT) } else { paid }));
    }

    fn set_paid(&mut self, paid: Option<Instant>) {
        self.paid = paid;
        self.next_at = paid.and_then(|paid| paid.checked_sub(CREDIT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Makes rounds as early as they are allowed, each with so long a reading. Returns their begins.
    fn rounds(
        pacer: &mut Pacer,
        begin: Instant,
        time: Duration,
        reading: Duration,
        found: bool,
    ) -> Vec<Duration> {
        let (mut now, mut begins) = (begin, Vec::new());
        while now - begin < time {
            assert!(pacer.may_begin(now));
            pacer.begin_round(now);
            begins.push(now - begin);
            pacer.add_reading(reading);
            if found {
                pacer.found();
            }
            now += reading;
            pacer.end_round(now);
            now = pacer.next_at().map_or(now, |at| at.max(now));
        }
        begins
    }

    #[test]
    fn spaced_pulls_never_wait() {
        let begin = Instant::now();
        let mut pacer = Pacer::default();
        for turn in 0..1000 {
            let now = begin + turn * 10 * MS;
            assert!(pacer.may_begin(now), "pull {turn}");
            pacer.begin_round(now);
            pacer.add_reading(MS);
            pacer.end_round(now + MS);
        }
    }

    #[test]
    fn empty_rounds_are_at_most_five_at_once_and_500_in_each_second() {
        let mut pacer = Pacer::default();
        let begins = rounds(&mut pacer, Instant::now(), 3000 * MS, Duration::ZERO, false);
        assert!(begins.iter().filter(|at| at.is_zero()).count() <= 6);
        for window in begins.windows(507) {
            assert!(window[506] - window[0] >= 1000 * MS, "507 rounds within a second");
        }
        assert!(begins.len() > 1400, "{} rounds", begins.len());
    }

    #[test]
    fn reading_takes_at_most_half_of_the_time_and_the_burst() {
        for micros in [1, 10, 100, 1_000, 10_000, 90_000] {
            let reading = Duration::from_micros(micros);
            let mut pacer = Pacer::default();
            let time = 3000 * MS;
            let begins = rounds(&mut pacer, Instant::now(), time, reading, true);
            let spent = reading * begins.len() as u32;
            assert!(spent <= time / 2 + CREDIT + reading, "{spent:?} of {time:?} by {reading:?}");
        }
    }

    #[test]
    fn a_round_that_found_something_costs_less_than_an_empty_one() {
        let begin = Instant::now();
        let (mut full, mut empty) = (Pacer::default(), Pacer::default());
        let of_full = rounds(&mut full, begin, 1000 * MS, 10 * MS / 1000, true).len();
        let of_empty = rounds(&mut empty, begin, 1000 * MS, 10 * MS / 1000, false).len();
        assert!(of_full > 5 * of_empty, "{of_full} and {of_empty}");
    }

    /// Makes a round without reading, and returns how much later it allows the next one.
    fn price(pacer: &mut Pacer, begin: Instant, found: bool) -> Duration {
        let before = pacer.paid.map_or(begin, |paid| paid.max(begin));
        pacer.begin_round(begin);
        if found {
            pacer.found();
        }
        pacer.end_round(begin);
        pacer.paid.unwrap() - before
    }

    #[test]
    fn a_drain_is_charged_to_the_next_round_only() {
        let (mut pacer, begin) = (Pacer::default(), Instant::now());
        pacer.add_drain(1, 50 * MS / 1000);
        pacer.add_drain(1, 50 * MS / 1000);
        assert_eq!(price(&mut pacer, begin, true), FACTOR * (100 * MS / 1000 + OVERHEAD));
        assert_eq!(price(&mut pacer, begin, true), FACTOR * OVERHEAD);
        pacer.add_drain(1, Duration::from_secs(3600));
        assert_eq!(price(&mut pacer, begin, true), EMPTY_PRICE, "a frozen drain");
    }

    #[test]
    fn a_round_that_found_little_for_its_pulls_costs_as_much_as_an_empty_one() {
        let (mut pacer, begin) = (Pacer::default(), Instant::now());
        pacer.add_drain(PULLS_OF_AN_ENTRY - 1, Duration::ZERO);
        assert_eq!(price(&mut pacer, begin, true), FACTOR * OVERHEAD);
        pacer.add_drain(PULLS_OF_AN_ENTRY - 1, Duration::ZERO);
        pacer.add_drain(1, Duration::ZERO);
        assert_eq!(price(&mut pacer, begin, true), EMPTY_PRICE);
        assert_eq!(price(&mut pacer, begin, true), FACTOR * OVERHEAD, "the pulls count once");
    }

    #[test]
    fn a_round_is_empty_also_after_one_that_found_something() {
        let (mut pacer, begin) = (Pacer::default(), Instant::now());
        price(&mut pacer, begin, true);
        assert_eq!(price(&mut pacer, begin, false), EMPTY_PRICE);
    }

    #[test]
    fn after_10_ms_of_quiet_five_empty_rounds_begin_at_once_and_the_next_is_paced() {
        let begin = Instant::now();
        let mut pacer = Pacer::default();
        rounds(&mut pacer, begin, 1000 * MS, Duration::ZERO, false);
        // The debt is paid by then: it does not outlive the quiet.
        let begin = begin + 1000 * MS + CREDIT + EMPTY_PRICE;
        let begins = rounds(&mut pacer, begin, 100 * MS, Duration::ZERO, false);
        let at_once = begins.iter().filter(|at| at.is_zero()).count();
        assert!((5..=6).contains(&at_once), "{at_once} rounds at once");
        assert_eq!(begins[at_once], EMPTY_PRICE);
    }

    #[test]
    fn no_pause_is_longer_than_the_reading_or_than_the_price_of_an_empty_round() {
        for micros in [0, 1, 30, 500, 5_000, 90_000] {
            for found in [false, true] {
                let reading = Duration::from_micros(micros);
                let mut pacer = Pacer::default();
                let begins = rounds(&mut pacer, Instant::now(), 2000 * MS, reading, found);
                for pair in begins.windows(2) {
                    let pause = pair[1] - pair[0] - reading;
                    assert!(pause <= reading.max(EMPTY_PRICE), "{pause:?} after {reading:?}");
                }
            }
        }
    }

    #[test]
    fn while_the_clock_stands_still_the_rounds_are_limited_all_the_same() {
        let now = Instant::now();
        let mut pacer = Pacer::default();
        let mut count = 0;
        while pacer.may_begin(now) {
            count += 1;
            assert!(count < 1000, "the rounds cost nothing");
            pacer.begin_round(now);
            pacer.found();
            pacer.end_round(now);
        }
        // Without a reading that can be seen, 8 * 15 us each.
        assert_eq!(count, CREDIT.as_nanos().div_euclid((FACTOR * OVERHEAD).as_nanos()) + 1);
    }

    #[test]
    fn a_failed_read_and_a_round_without_a_directory_are_charged() {
        let begin = Instant::now();
        let (mut failed, mut none) = (Pacer::default(), Pacer::default());
        for _ in 0..5 {
            failed.begin_round(begin);
            failed.add_reading(3 * MS);
            failed.end_round(begin);
            none.charge_empty(begin);
        }
        assert_eq!(failed.next_at(), Some(begin + 5 * 2 * 3 * MS - CREDIT));
        assert_eq!(none.next_at(), Some(begin + 5 * EMPTY_PRICE - CREDIT));
    }

    #[test]
    fn no_debt_is_longer_than_a_second_even_after_a_frozen_call() {
        let begin = Instant::now();
        let mut pacer = Pacer::default();
        for _ in 0..100 {
            pacer.begin_round(begin);
            pacer.add_reading(Duration::from_secs(3600));
            pacer.end_round(begin);
        }
        let longest = Some(begin + MAX_DEBT - CREDIT);
        assert_eq!(pacer.next_at(), longest);
        pacer.on_jump(begin);
        assert_eq!(pacer.next_at(), longest, "the clock did not jump back");
    }

    #[test]
    fn a_debt_from_before_a_jump_of_the_clock_is_forgiven() {
        let begin = Instant::now() + Duration::from_secs(3600);
        let mut pacer = Pacer::default();
        for _ in 0..10 {
            pacer.charge_empty(begin);
        }
        let back = begin - Duration::from_secs(1800);
        assert!(!pacer.may_begin(back));
        pacer.on_jump(back);
        assert!(pacer.may_begin(back));
    }
}
