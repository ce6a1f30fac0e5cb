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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Events};

    const HOUR: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(20);
    const SOON: Duration = Duration::from_nanos(1);

    /// An alarm, and the notifier that it is registered with.
    struct Bell {
        notifier: Box<dyn Notifier>,
        events: Events,
        alarm: Alarm,
    }

    impl Bell {
        fn new() -> Option<Bell> {
            let mut notifier = Backend::best().open().unwrap();
            let alarm = Alarm::open(&mut *notifier).unwrap()?;
            Some(Bell { notifier, events: Events::with_capacity(4), alarm })
        }

        fn ring_after(&mut self, now: Instant, timeout: Duration) {
            self.alarm.ring_after(&mut *self.notifier, now, timeout).unwrap();
        }

        /// Returns the keys of the events within this time.
        fn wait(&mut self, time: Duration) -> Vec<Key> {
            self.notifier.wait(&mut self.events, Some(time)).unwrap();
            self.events.iter().map(|event| event.key).collect()
        }

        /// Returns whether the timer rings. A timer that is not set rings never.
        fn rings(&mut self, time: Duration) -> bool {
            self.wait(time).contains(&TIMER)
        }
    }

    #[test]
    fn the_timer_is_set_again_only_if_it_rings_too_late_or_has_rung() {
        let Some(mut bell) = Bell::new() else { return };
        // The program's time is ahead, so that the timer rings before the time that it is set for.
        let now = Instant::now() + HOUR;
        bell.ring_after(now, HOUR);
        assert_eq!(bell.alarm.set_for(), Some(now + HOUR));
        bell.ring_after(now, SOON);
        assert_eq!(bell.alarm.set_for(), Some(now + SOON));
        assert!(bell.rings(PATIENCE), "an earlier time replaces a later one");

        bell.alarm.timer.acknowledge();
        bell.ring_after(now, SOON);
        bell.ring_after(now, 2 * SOON);
        assert!(!bell.rings(Duration::from_millis(20)), "it is set for this time already");
        bell.ring_after(now + SOON, SOON);
        assert!(bell.rings(PATIENCE), "that time is over");
        bell.alarm.timer.acknowledge();
        bell.ring_after(now + SOON, Duration::MAX);
        assert!(!bell.rings(Duration::from_millis(20)), "there is no such time");
    }

    #[test]
    fn an_event_of_the_alarm_is_taken_once_and_others_are_left() {
        let Some(mut bell) = Bell::new() else { return };
        let now = Instant::now();
        bell.ring_after(now, SOON);
        assert_eq!(bell.wait(PATIENCE), [TIMER]);
        assert!(!bell.alarm.take(Key(0)) && bell.alarm.set_for().is_some());
        assert!(bell.alarm.take(TIMER) && bell.alarm.set_for().is_none());
        assert_eq!(bell.wait(Duration::ZERO), []);

        bell.ring_after(now, HOUR);
        bell.ring_after(now, Duration::ZERO);
        assert_eq!(bell.wait(PATIENCE), [NOW]);
        assert!(bell.alarm.take(NOW));
        assert_eq!(bell.alarm.set_for(), Some(now + HOUR), "it stays set");
        assert_eq!(bell.wait(Duration::ZERO), []);
    }
}
