//! The clocks: one that only goes on, one that an administrator sets, and the time stamps of files.

/// The time, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// `CLOCK_MONOTONIC`.
    pub(super) now: u64,
    /// The difference between `CLOCK_REALTIME` and this clock.
    ahead: i64,
    /// How often the time of the stamps goes on.
    tick: u64,
    /// The unit of the time stamps of a file system.
    grain: u64,
}

impl Clock {
    pub(super) fn new(tick: u64, grain: u64) -> Clock {
        // Not 0, so that a time before the start exists.
        let (now, ahead) = (1_000_000_000_000, 1_700_000_000_123_456_789);
        Clock { now, ahead, tick: tick.max(1), grain: grain.max(1) }
    }

    /// `CLOCK_REALTIME`.
    pub(super) fn real(&self) -> u64 {
        self.now.saturating_add_signed(self.ahead)
    }

    /// Sets `CLOCK_REALTIME` forward or back.
    pub(super) fn jump(&mut self, nanoseconds: i64) {
        self.ahead = self.ahead.saturating_add(nanoseconds);
    }

    /// The time stamp of a file that is changed now: `CLOCK_REALTIME` at the last tick.
    pub(super) fn stamp(&self) -> u64 {
        let at_tick = self.now - self.now % self.tick;
        let real = at_tick.saturating_add_signed(self.ahead);
        real - real % self.grain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_go_on_with_each_tick_and_are_multiples_of_the_grain() {
        let mut clock = Clock::new(4_000_000, 1);
        let first = clock.stamp();
        clock.now += 3_999_999;
        assert_eq!(clock.stamp(), first);
        clock.now += 1;
        assert_eq!(clock.stamp(), first + 4_000_000);
        clock.jump(-5_000_000_000);
        assert_eq!(clock.stamp(), first + 4_000_000 - 5_000_000_000);
        let coarse = Clock::new(4_000_000, 2_000_000_000);
        assert_eq!(coarse.stamp() % 2_000_000_000, 0);
    }
}
