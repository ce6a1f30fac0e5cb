//! Makes the descriptor of a receiver readable: at a time, or immediately.

use std::io;
use std::time::{Duration, Instant};

use pullcord_platform::always_writable::AlwaysWritable;
use pullcord_platform::timer::Timer;

use crate::{Interest, Key, Mode, Notifier};

const TIMER: Key = Key(2);
const NOW: Key = Key(3);

/// Two sources of the receiver's notifier, which report no mail.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Timer,
    /// The time for which the timer is set.
    set_for: Option<Instant>,
    /// Registered for one report, it makes the descriptor readable immediately.
    now: AlwaysWritable,
}

impl Alarm {
    /// Opens the sources, and registers the timer. Returns `None` if the notifier has no descriptor: another
    /// loop cannot wait for it.
    pub(super) fn open(notifier: &mut dyn Notifier) -> io::Result<Option<Alarm>> {
        if notifier.pollable_fd().is_none() {
            return Ok(None);
        }
        let (timer, now) = (Timer::new()?, AlwaysWritable::new()?);
        notifier.register(&timer, TIMER, Interest::Read, Mode::Level)?;
        Ok(Some(Alarm { timer, set_for: None, now }))
    }

    /// Makes the descriptor readable, with a new edge, once `timeout` is over at the latest.
    ///
    /// # Errors
    ///
    /// Fails with `ENOMEM`, on NetBSD and DragonFly only. The loop sleeps until its next event then, and the
    /// end of that turn sets the timer.
    pub(super) fn ring_after(
        &mut self,
        notifier: &mut dyn Notifier,
        now: Instant,
        timeout: Duration,
    ) -> io::Result<()> {
        let is_now = timeout.is_zero();
        if is_now && notifier.register(&self.now, NOW, Interest::Write, Mode::OneShot).is_ok() {
            return Ok(());
        }
        let Some(at) = now.checked_add(timeout) else { return Ok(()) };
        let is_set =
            self.set_for.is_some_and(|then| now < then && (then <= at || mutant!(TimerKept)));
        if is_set && !is_now {
            return Ok(());
        }
        let set = self.timer.set(timeout);
        self.set_for = set.is_ok().then_some(at);
        set
    }

    /// Takes in an event of its own. Returns false if the key is that of another source.
    pub(super) fn take(&mut self, key: Key) -> bool {
        if key == TIMER {
            self.set_for = None;
            self.timer.acknowledge();
        }
        key == TIMER || key == NOW
    }

    #[cfg(test)]
    pub(super) fn set_for(&self) -> Option<Instant> {
        self.set_for
    }
}
