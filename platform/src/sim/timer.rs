//! One timerfd(2) of `CLOCK_MONOTONIC`. The kernel has the time.

/// A timer. Times are nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer {
    /// When it expires next. A periodic one that has expired goes on once it is read.
    due: Option<u64>,
    /// When it last expired, if it is periodic and was not read since.
    fired: Option<u64>,
    interval: u64,
    expirations: u64,
}

impl Timer {
    /// timerfd_settime(2): `due` is `None` to stop it. Returns how long it still had to run, or 0, and
    /// its interval.
    pub(super) fn set(&mut self, now: u64, due: Option<u64>, interval: u64) -> (u64, u64) {
        let next = match self.fired {
            Some(fired) => Some(self.next_after(fired, now)),
            None => self.due,
        };
        let before = (next.map_or(0, |next| next.saturating_sub(now)), self.interval);
        *self = Timer { due, fired: None, interval, expirations: 0 };
        before
    }

    /// The first time after `now` at which it expires, if it is not read before.
    fn next_after(&self, fired: u64, now: u64) -> u64 {
        fired + ((now - fired) / self.interval + 1) * self.interval
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.due
    }

    pub(super) fn expire(&mut self) {
        self.expirations += 1;
        let due = self.due.take();
        self.fired = due.filter(|_| self.interval > 0);
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expirations > 0
    }

    /// read(2): how often it has expired, if it has.
    pub(super) fn read(&mut self, now: u64) -> Option<u64> {
        if self.expirations == 0 {
            return None;
        }
        let mut expirations = std::mem::take(&mut self.expirations);
        if let Some(fired) = self.fired.take() {
            expirations += (now - fired) / self.interval;
            self.due = Some(self.next_after(fired, now));
        }
        Some(expirations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_periodic_timer_counts_what_it_missed_when_it_is_read() {
        let mut timer = Timer::default();
        assert_eq!(timer.set(100, Some(150), 20), (0, 0));
        assert_eq!(timer.read(149), None);
        timer.expire();
        assert_eq!(timer.due(), None, "it waits for a read");
        assert_eq!(timer.read(195), Some(3), "at 150, 170 and 190");
        assert_eq!(timer.due(), Some(210));
        assert_eq!(timer.set(200, None, 0), (10, 20));
        assert_eq!(timer.due(), None);
    }
}
