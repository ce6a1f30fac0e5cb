//! A thing that happens at an interval, or never.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    /// `None` means never.
    interval: Option<Duration>,
    at: Option<Instant>,
}

impl Timer {
    /// Returns a timer that is due one interval from now. An interval that no `Instant` can hold
    /// means never.
    pub(crate) fn new(interval: Option<Duration>, now: Instant) -> Timer {
        let mut timer = Timer { interval, at: None };
        timer.restart(now);
        timer
    }

    /// Makes the timer due one interval from now.
    #[inline(never)]
    pub(crate) fn restart(&mut self, now: Instant) {
        self.at = self.interval.and_then(|interval| now.checked_add(interval));
    }

    /// Returns whether the time has come.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// Makes the timer due if its time is more than an interval ahead: the clock jumped back.
    pub(crate) fn on_jump(&mut self, now: Instant) {
        let (Some(at), Some(interval)) = (self.at, self.interval) else { return };
        if at.saturating_duration_since(now) > interval {
            self.at = Some(now);
        }
    }

    /// Returns the time at which the timer is due, or `None` for never.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_timer_is_due_once_in_an_interval() {
        let begin = Instant::now();
        let mut timer = Timer::new(Some(INTERVAL), begin);
        assert!(!timer.is_due(begin + INTERVAL - Duration::from_nanos(1)));
        assert!(timer.is_due(begin + INTERVAL));
        timer.restart(begin + INTERVAL);
        assert_eq!(timer.at(), Some(begin + 2 * INTERVAL));
        assert!(!timer.is_due(begin + INTERVAL));
    }

    #[test]
    fn no_interval_and_the_longest_one_are_never_due() {
        let begin = Instant::now();
        for interval in [None, Some(Duration::MAX)] {
            let mut timer = Timer::new(interval, begin);
            timer.on_jump(begin);
            assert_eq!(timer.at(), None);
            assert!(!timer.is_due(begin + INTERVAL));
        }
    }

    #[test]
    fn a_timer_is_due_after_the_clock_jumped_back_by_more_than_its_interval() {
        let begin = Instant::now() + 2 * INTERVAL;
        let mut timer = Timer::new(Some(INTERVAL), begin);
        timer.on_jump(begin);
        assert!(!timer.is_due(begin));
        let back = begin - Duration::from_nanos(1);
        timer.on_jump(back);
        assert!(timer.is_due(back));
    }
}
