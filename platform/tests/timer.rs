//! The timer that is a descriptor, on the kernel of this system and on each of its backends. A timer of 20 ms is
//! the clock: one that had not been silenced would have expired before.
#![cfg(not(any(target_os = "illumos", target_os = "solaris")))]

use std::env::consts::OS;
use std::time::Duration;

use pullcord_platform::timer::Timer;
use pullcord_platform::{BACKENDS, Events, Interest, Key, Mode, Notifier};

const SOON: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(20);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The end of a wait for an event that must come.
const LIMIT: Duration = Duration::from_secs(60);

/// Timers that a notifier waits for.
struct Timers<const N: usize> {
    backend: String,
    notifier: Box<dyn Notifier>,
    timers: [Timer; N],
}

impl<const N: usize> Timers<N> {
    /// Returns such timers for each backend.
    fn on_each_backend() -> impl Iterator<Item = Timers<N>> {
        BACKENDS.iter().map(|info| {
            let mut notifier = (info.open)().unwrap();
            let timers = std::array::from_fn(|_| Timer::new().unwrap());
            for (number, timer) in timers.iter().enumerate() {
                notifier.register(timer, Key(number), Interest::Read, Mode::Level).unwrap();
            }
            Timers { backend: format!("{} on {OS}", info.name), notifier, timers }
        })
    }

    fn set(&mut self, number: usize, after: Duration) {
        let set = self.timers[number].set(after);
        set.unwrap_or_else(|error| panic!("{}: {error}", self.backend));
    }

    /// Waits until one is readable, and returns those that are.
    fn wait(&mut self) -> Vec<usize> {
        let mut events = Events::with_capacity(8);
        self.notifier.wait(&mut events, Some(LIMIT)).unwrap();
        assert!(!events.is_empty(), "{}: no timer expires", self.backend);
        let mut keys: Vec<_> = events.iter().map(|event| event.key.0).collect();
        keys.sort_unstable();
        keys
    }
}

#[test]
fn a_timer_is_readable_until_it_is_acknowledged() {
    for mut two in Timers::<2>::on_each_backend() {
        for after in [SOON, Duration::ZERO, LATER] {
            two.set(0, after);
            assert_eq!(two.wait(), [0], "{}", two.backend);
            assert_eq!(two.wait(), [0], "{}: it was not acknowledged", two.backend);
            two.timers[0].acknowledge();
            two.set(1, LATER);
            assert_eq!(two.wait(), [1], "{}: it is silent after {after:?}", two.backend);
            two.timers[1].acknowledge();
        }
    }
}

#[test]
fn a_timer_that_is_not_set_is_silent() {
    for mut two in Timers::<2>::on_each_backend() {
        two.timers[0].acknowledge();
        two.set(1, LATER);
        assert_eq!(two.wait(), [1], "{}", two.backend);
    }
}

#[test]
fn an_earlier_time_replaces_a_later_one() {
    for mut one in Timers::<1>::on_each_backend() {
        for _ in 0..3 {
            one.set(0, DAY);
            one.set(0, SOON);
            assert_eq!(one.wait(), [0], "{}", one.backend);
        }
    }
}

#[test]
fn a_later_time_replaces_an_earlier_one_and_its_event() {
    for mut three in Timers::<3>::on_each_backend() {
        three.set(0, SOON);
        three.set(0, DAY);
        // The first time of this one is over, and the event has not been fetched.
        three.set(1, SOON);
        assert_eq!(three.wait(), [1], "{}", three.backend);
        three.set(1, DAY);
        three.set(2, LATER);
        assert_eq!(three.wait(), [2], "{}", three.backend);
    }
}
