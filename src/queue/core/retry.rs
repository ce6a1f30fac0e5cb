//! The one back-off: the time of the next try for a thing that failed or is missing.
//!
//! The first wait is 100 ms. Each failed attempt after it doubles the wait, up to 1 s. A queue makes
//! at most ten failed attempts a second, with its four kinds of things in turns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A thing that can fail, and that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    /// The trigger cannot be opened or read.
    Trigger,
    /// The notifier refused the trigger or the watch.
    Registration,
    /// A directory cannot be read.
    Directory(usize),
    /// A directory cannot be watched.
    Watch(usize),
    /// The watch itself cannot be opened or read.
    Watcher,
}

impl Thing {
    const KINDS: usize = 4;

    fn kind(self) -> usize {
        match self {
            Thing::Trigger => 0,
            Thing::Registration => 1,
            Thing::Directory(_) => 2,
            Thing::Watch(_) | Thing::Watcher => 3,
        }
    }
}

/// The first wait, and the time between two failed attempts.
const MIN_DELAY: Duration = Duration::from_millis(100);
/// The longest wait.
const MAX_DELAY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct State {
    /// The time of the next attempt; `None` while an attempt is under way.
    at: Option<Instant>,
    /// The wait after the next failure.
    delay: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Retry {
    states: BTreeMap<Thing, State>,
    /// The waiting things of each kind, ordered by time.
    waiting: [BTreeSet<(Instant, Thing)>; Thing::KINDS],
    /// No attempt is made before this time.
    not_before: Option<Instant>,
    /// The attempt under way, and when it is given up for the sake of the others.
    under_way: Option<(Thing, Instant)>,
    /// The kind whose turn comes first.
    turn: usize,
}

impl Retry {
    /// Records a failure. A failure while the thing waits for its next attempt does not count.
    pub(crate) fn failed(&mut self, thing: Thing, now: Instant) {
        self.end_attempt(thing);
        let state = self.states.entry(thing).or_insert(State { at: None, delay: MIN_DELAY });
        if state.at.is_some() {
            return;
        }
        let at = now + if mutant!(NoBackOff) { Duration::ZERO } else { state.delay };
        (state.at, state.delay) = (Some(at), (state.delay * 2).min(MAX_DELAY));
        self.waiting[thing.kind()].insert((at, thing));
        if self.not_before.is_none_or(|then| then <= now) && !mutant!(NoBackOff) {
            self.not_before = Some(now + MIN_DELAY);
        }
    }

    /// Records a success. Returns whether the thing had failed before.
    #[inline]
    pub(crate) fn succeeded(&mut self, thing: Thing) -> bool {
        self.is_any_failing() && self.end_failure(thing)
    }

    fn end_failure(&mut self, thing: Thing) -> bool {
        self.end_attempt(thing);
        let Some(state) = self.states.remove(&thing) else { return false };
        if let Some(at) = state.at {
            self.waiting[thing.kind()].remove(&(at, thing));
        }
        true
    }

    /// Ends the wait of a thing, because something is known to have changed about it. The next
    /// failure then waits as long as the first one.
    pub(crate) fn news(&mut self, thing: Thing, now: Instant) {
        let Some(state) = self.states.get_mut(&thing) else { return };
        state.delay = MIN_DELAY;
        if let Some(at) = &mut state.at {
            self.waiting[thing.kind()].remove(&(*at, thing));
            *at = now.min(*at);
            self.waiting[thing.kind()].insert((*at, thing));
        }
    }

    /// Returns whether anything has failed and has not succeeded since.
    #[inline]
    pub(crate) fn is_any_failing(&self) -> bool {
        !self.states.is_empty()
    }

    /// Returns whether a thing has failed and has not succeeded since.
    #[inline]
    pub(crate) fn is_failing(&self, thing: Thing) -> bool {
        self.is_any_failing() && self.states.contains_key(&thing)
    }

    /// Returns whether a thing has failed and waits for its next attempt. During the attempt it does not.
    pub(crate) fn is_waiting(&self, thing: Thing) -> bool {
        self.states.get(&thing).is_some_and(|state| state.at.is_some())
    }

    /// Returns the directories that cannot be read and that wait for an attempt.
    pub(crate) fn failing_directories(&self) -> impl Iterator<Item = usize> + '_ {
        self.waiting[Thing::Directory(0).kind()].iter().filter_map(|(_, thing)| match thing {
            Thing::Directory(directory) => Some(*directory),
            _ => None,
        })
    }

    /// Returns the next thing to try, if one is due and no attempt is under way. The caller must call
    /// [`failed`](Retry::failed) or [`succeeded`](Retry::succeeded) once it has tried.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Thing> {
        if let Some((thing, until)) = self.under_way {
            if until > now {
                return None;
            }
            self.failed(thing, now);
        }
        if self.not_before.is_some_and(|then| then > now) {
            return None;
        }
        for kind in (self.turn..Thing::KINDS).chain(0..self.turn) {
            let Some((at, thing)) = self.waiting[kind].first().copied() else { continue };
            if at > now {
                continue;
            }
            self.waiting[kind].pop_first();
            if let Some(state) = self.states.get_mut(&thing) {
                state.at = None;
            }
            self.turn = (kind + 1) % Thing::KINDS;
            self.under_way = Some((thing, now + MAX_DELAY));
            return Some(thing);
        }
        None
    }

    /// Returns the time of the next attempt.
    #[inline]
    pub(crate) fn next_at(&self) -> Option<Instant> {
        if self.is_any_failing() { self.next_of_failing() } else { None }
    }

    fn next_of_failing(&self) -> Option<Instant> {
        if let Some((_, until)) = self.under_way {
            return Some(until);
        }
        let first = self.waiting.iter().filter_map(|kind| kind.first()).map(|(at, _)| *at).min()?;
        Some(self.not_before.map_or(first, |then| then.max(first)))
    }

    /// Makes everything due whose time is further ahead than any wait: the clock jumped back.
    pub(crate) fn on_jump(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|then| *then <= now + MIN_DELAY);
        self.under_way = self.under_way.map(|(thing, until)| (thing, until.min(now + MAX_DELAY)));
        for waiting in &mut self.waiting {
            while let Some((at, thing)) =
                waiting.last().copied().filter(|last| last.0 > now + MAX_DELAY)
            {
                waiting.remove(&(at, thing));
                waiting.insert((now, thing));
                if let Some(state) = self.states.get_mut(&thing) {
                    state.at = Some(now);
                }
            }
        }
    }

    fn end_attempt(&mut self, thing: Thing) {
        self.under_way = self.under_way.filter(|(other, _)| *other != thing);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    /// Fails each attempt from `begin` on for this long. Returns the times of the attempts.
    fn attempts(retry: &mut Retry, begin: Instant, time: Duration) -> Vec<(u128, Thing)> {
        let mut attempts = Vec::new();
        while let Some(at) = retry.next_at().filter(|at| *at - begin <= time) {
            let thing = retry.pop_due(at).expect("it is due at the time that was told");
            retry.failed(thing, at);
            attempts.push(((at - begin).as_millis(), thing));
        }
        attempts
    }

    #[test]
    fn the_wait_doubles_up_to_a_second() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Trigger, begin);
        let times: Vec<_> =
            attempts(&mut retry, begin, Duration::from_secs(4)).iter().map(|it| it.0).collect();
        assert_eq!(times, [100, 300, 700, 1500, 2500, 3500]);
    }

    #[test]
    fn a_thing_waits_except_during_an_attempt() {
        let (begin, thing) = (Instant::now(), Thing::Directory(0));
        let mut retry = Retry::default();
        assert!(!retry.is_waiting(thing));
        retry.failed(thing, begin);
        assert!(retry.is_waiting(thing));
        assert_eq!(retry.pop_due(begin + MIN_DELAY), Some(thing));
        assert!(!retry.is_waiting(thing) && retry.is_failing(thing));
        retry.failed(thing, begin + MIN_DELAY);
        assert!(retry.is_waiting(thing));
        retry.succeeded(thing);
        assert!(!retry.is_waiting(thing));
    }

    #[test]
    fn at_most_ten_attempts_a_second_are_made_and_each_kind_has_its_turn() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        for directory in 0..1000 {
            retry.failed(Thing::Directory(directory), begin);
            retry.failed(Thing::Watch(directory), begin);
        }
        retry.failed(Thing::Trigger, begin);
        let attempts = attempts(&mut retry, begin, Duration::from_secs(10));
        assert_eq!(attempts.len(), 100);
        for kind in [Thing::Trigger, Thing::Directory(0), Thing::Watch(0)] {
            let is_one = |it: &&(u128, Thing)| discriminant(&it.1) == discriminant(&kind);
            let count = attempts.iter().filter(is_one).count();
            assert!(count >= 10, "{count} attempts of {kind:?}");
        }
    }

    #[test]
    fn a_success_ends_it_and_the_next_failure_begins_anew() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        assert!(!retry.succeeded(Thing::Watcher));
        retry.failed(Thing::Watcher, begin);
        attempts(&mut retry, begin, Duration::from_secs(4));
        assert!(retry.succeeded(Thing::Watcher));
        assert!(!retry.is_any_failing());
        assert_eq!(retry.next_at(), None);
        let later = begin + Duration::from_secs(60);
        retry.failed(Thing::Watcher, later);
        assert_eq!(retry.next_at(), Some(later + MIN_DELAY));
    }

    #[test]
    fn a_failure_while_it_waits_does_not_count() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.failed(Thing::Directory(0), begin + Duration::from_millis(50));
        assert_eq!(retry.next_at(), Some(begin + MIN_DELAY));
        assert_eq!(retry.failing_directories().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn news_end_the_wait() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        attempts(&mut retry, begin, Duration::from_millis(1500));
        let now = begin + Duration::from_millis(1700);
        retry.news(Thing::Directory(0), now);
        assert_eq!(retry.pop_due(now), Some(Thing::Directory(0)));
        retry.failed(Thing::Directory(0), now);
        assert_eq!(retry.next_at(), Some(now + MIN_DELAY));
    }

    #[test]
    fn a_success_lets_the_next_attempt_follow() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.failed(Thing::Directory(1), begin + MIN_DELAY / 2);
        assert_eq!(retry.next_at(), Some(begin + MIN_DELAY));
        let now = begin + 2 * MIN_DELAY;
        assert_eq!(retry.pop_due(now), Some(Thing::Directory(0)));
        assert!(retry.succeeded(Thing::Directory(0)));
        assert!(!retry.succeeded(Thing::Directory(0)));
        assert!(!retry.is_failing(Thing::Directory(0)));
        assert_eq!(retry.pop_due(now), Some(Thing::Directory(1)));
    }

    #[test]
    fn a_success_or_news_leave_no_other_attempt_behind() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.failed(Thing::Directory(1), begin);
        retry.succeeded(Thing::Directory(0));
        retry.news(Thing::Directory(1), begin);
        assert_eq!(retry.failing_directories().collect::<Vec<_>>(), [1]);
        assert_eq!(retry.pop_due(begin), None, "an attempt has failed just now");
    }

    #[test]
    fn an_attempt_without_a_result_is_given_up() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.failed(Thing::Trigger, begin);
        let now = begin + MIN_DELAY;
        let first = retry.pop_due(now).unwrap();
        assert_eq!(retry.pop_due(now), None, "an attempt is under way");
        assert_eq!(retry.pop_due(now + MAX_DELAY), None, "giving it up is a failure");
        let second = retry.pop_due(now + MAX_DELAY + MIN_DELAY).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn a_jump_of_the_clock_back_leaves_no_longer_wait_than_a_second() {
        let begin = Instant::now() + Duration::from_secs(3600);
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        let back = begin - Duration::from_secs(1800);
        retry.failed(Thing::Directory(1), back);
        retry.on_jump(back);
        assert_eq!(retry.pop_due(back), Some(Thing::Directory(0)));
        let back = back - Duration::from_secs(1800);
        retry.on_jump(back);
        assert_eq!(retry.next_at(), Some(back + MAX_DELAY), "the attempt is given up then");
    }

    #[test]
    fn the_longest_wait_outlives_a_jump_that_does_not_concern_it() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Trigger, begin);
        let last = attempts(&mut retry, begin, Duration::from_secs(5)).last().unwrap().0;
        let last = begin + Duration::from_millis(last as u64);
        retry.on_jump(last);
        assert_eq!(retry.next_at(), Some(last + MAX_DELAY));
    }

    #[test]
    fn a_success_after_a_jump_of_the_clock_leaves_no_attempt_behind() {
        let begin = Instant::now() + Duration::from_secs(3600);
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.failed(Thing::Directory(1), begin);
        retry.on_jump(begin - Duration::from_secs(1800));
        retry.succeeded(Thing::Directory(0));
        assert_eq!(retry.failing_directories().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_time_between_two_attempts_outlives_a_jump_that_does_not_concern_it() {
        let begin = Instant::now();
        let mut retry = Retry::default();
        retry.failed(Thing::Directory(0), begin);
        retry.on_jump(begin);
        retry.news(Thing::Directory(0), begin);
        assert_eq!(retry.next_at(), Some(begin + MIN_DELAY));
    }
}
