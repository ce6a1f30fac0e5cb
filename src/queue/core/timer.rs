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
        if at > now && at - now > interval {
            self.at = Some(now);
        }
    }

    /// Returns the time at which the timer is due, or `None` for never.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }
}
