//! How much time the queue may spend on scanning, however many pulls there are.
//!
//! The rule is a leaky bucket on time (GCRA). Each round of scans has a price, which is the time
//! that it took and at least as much again, and at least 2 ms if it found nothing. A round may begin
//! while at most 10 ms of the price of earlier rounds are unpaid. So a pull after a quiet time is
//! served immediately, a storm of pulls takes at most half of the time, and a flood of pulls that
//! bring nothing causes at most 500 rounds a second.

use std::time::{Duration, Instant};

/// The time that the clock does not see: the wake-up, the open and the close of a directory.
const OVERHEAD: Duration = Duration::from_micros(15);
/// A round costs this many times the time of its reading, as long as that is below [`EMPTY_PRICE`].
const FACTOR: u32 = 8;
/// The least price of a round that found nothing.
const EMPTY_PRICE: Duration = Duration::from_millis(2);
/// A round may begin this long before everything is paid: five empty rounds.
const CREDIT: Duration = Duration::from_millis(10);
/// The most that one batch is charged: a frozen file system is not followed by an equal pause.
const MAX_BATCH: Duration = Duration::from_millis(100);
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
    /// The time spent in drains since the last round.
    draining: Duration,
    /// The round has returned an entry.
    has_found: bool,
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

    /// Adds the time that a drain of the trigger took.
    pub(crate) fn add_drain(&mut self, time: Duration) {
        self.draining += time.min(MAX_BATCH);
    }

    /// Begins a round.
    pub(crate) fn begin_round(&mut self, now: Instant) {
        self.round = Some(Round { begun: now, reading: Duration::ZERO });
        self.has_found = false;
    }

    /// Adds the time that an open or the reading of a batch took, failed or not.
    pub(crate) fn add_reading(&mut self, time: Duration) {
        if let Some(round) = &mut self.round {
            round.reading += time.min(MAX_BATCH);
        }
    }

    /// Records that the round has returned an entry.
    pub(crate) fn found(&mut self) {
        self.has_found = true;
    }

    /// Ends the round, and charges it. The debt counts from the round's begin: from its end, the
    /// reading would pay for itself.
    pub(crate) fn end_round(&mut self, now: Instant) {
        let Some(Round { begun, reading }) = self.round.take() else { return };
        let spent = std::mem::take(&mut self.draining) + reading + OVERHEAD;
        let price = reading.max((FACTOR * spent).min(EMPTY_PRICE));
        let price = if self.has_found { price } else { price.max(EMPTY_PRICE) };
        self.charge(begun, reading + price, now);
    }

    /// Charges work that brought no entry, as much as an empty round.
    pub(crate) fn charge_empty(&mut self, now: Instant) {
        self.charge(now, EMPTY_PRICE, now);
    }

    fn charge(&mut self, begun: Instant, amount: Duration, now: Instant) {
        let paid = self.paid.map_or(begun, |paid| paid.max(begun)) + amount;
        self.set_paid(Some(paid.min(now + MAX_DEBT)));
    }

    fn set_paid(&mut self, paid: Option<Instant>) {
        self.paid = paid;
        self.next_at = paid.and_then(|paid| paid.checked_sub(CREDIT));
    }
}
