//! qmail's trigger, as its functions see it.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{DrainOutcome, OtherReaders, Trigger};
use pullcord_platform::file;
use pullcord_platform::timer::Timer;

use crate::ffi::{FdSet, ReadySet, is_readable};
use crate::scan_pacer::ScanPacer;
use crate::turns::Turns;

/// Relative to the queue directory, which is the working directory of every qmail program.
pub(crate) const PATH: &str = "lock/trigger";

/// How often the path is compared with the open FIFO, at most; and the interval at which `todo` is read while
/// no FIFO can be read.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often a manager is woken that does not ask whether it was pulled.
const SILENT_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct QmailTrigger {
    trigger: Option<Trigger>,
    timer: Option<Timer>,
    timer_at: Option<Instant>,
    waits_for: WaitFor,
    /// When to scan once more, unless the scan for the last pull is seen to have begun by then.
    rescan_at: Option<Instant>,
    /// The answer of this turn.
    answer: Option<bool>,
    turns: Turns,
    pacer: ScanPacer,
    checked_at: Option<Instant>,
    reported: Reported,
}

/// The descriptor that the next select(2) waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    Pull,
    /// A pull came within the pause. It stays in the FIFO until the pause is over.
    EndOfPause(Instant),
    /// A pull is in the FIFO, and the manager does not ask: the FIFO would be readable in each turn.
    Question(Instant),
    /// The path leads to no FIFO that can be read: `todo` is read periodically instead.
    Retry(Instant),
}

/// Which problems were reported, so that each is reported once.
struct Reported {
    does_not_fit: bool,
    cannot_open: bool,
}

impl QmailTrigger {
    pub(crate) const fn new() -> QmailTrigger {
        QmailTrigger {
            trigger: None,
            timer: None,
            timer_at: None,
            waits_for: WaitFor::Pull,
            rescan_at: None,
            answer: None,
            turns: Turns::new(),
            pacer: ScanPacer::new(),
            checked_at: None,
            reported: Reported { does_not_fit: false, cannot_open: false },
        }
    }

    pub(crate) fn set(&mut self, now: Instant) {
        if self.timer.is_none() {
            // Without one, scans are not paced.
            self.timer = Timer::new().ok();
        }
        self.reopen_if_replaced(now);
        // The bytes that remain after one drain wake the next select.
        self.drain();
        if let WaitFor::EndOfPause(_) | WaitFor::Question(_) = self.waits_for {
            self.waits_for = WaitFor::Pull;
        }
        let for_pull = self.answer.take() == Some(true);
        self.turns.scan_begins(for_pull);
        let delay = if for_pull { self.turns.retry_delay() } else { None };
        self.rescan_at = delay.map(|delay| now + delay);
        self.pacer.scan_begins(now);
    }

    pub(crate) fn selprep(&mut self, now: Instant, set: &mut FdSet<'_>) {
        self.answer = None;
        if self.turns.begin() {
            self.rescan_at = None;
        }
        self.pacer.turn_begins(now);
        let must_check =
            self.checked_at.is_none_or(|then| now.duration_since(then) >= RECHECK_INTERVAL);
        if must_check && self.reopen_if_replaced(now) {
            // Pulls of the new FIFO have found no reader until now: pull for their writers.
            let _ = pullcord::pull(Path::new(PATH));
        }
        if self.waits_for == WaitFor::Pull && self.turns.should_check() && self.is_pulled() {
            self.waits_for = WaitFor::Question(now);
        }
        let deadline = match self.waits_for {
            WaitFor::Pull => None,
            WaitFor::EndOfPause(at) | WaitFor::Question(at) | WaitFor::Retry(at) => Some(at),
        };
        let fits = if deadline.is_some_and(|at| self.set_timer(now, at)) {
            self.timer.as_ref().is_none_or(|timer| set.add(timer))
        } else {
            if self.rescan_at.is_some_and(|at| self.set_timer_by(now, at)) {
                self.timer.iter().for_each(|timer| _ = set.add(timer));
            }
            self.trigger.as_ref().is_none_or(|trigger| set.add(trigger))
        };
        if !fits {
            let why = "its descriptor is beyond FD_SETSIZE; close some, or mail waits for the next \
                       regular scan";
            report_once(
                &mut self.reported.does_not_fit,
                format_args!("{PATH}: cannot wait for it: {why}"),
            );
        }
    }

    pub(crate) fn pulled(&mut self, now: Instant, ready: &ReadySet<'_>) -> bool {
        if let Some(answer) = self.answer {
            return answer;
        }
        self.turns.asked();
        self.pacer.scan_ended();
        let answer = match self.waits_for {
            WaitFor::Pull if self.rescan_at.is_some_and(|at| at <= now) => {
                self.drain();
                true
            }
            WaitFor::Pull => {
                self.trigger.as_ref().is_some_and(|trigger| ready.has(trigger))
                    && !self.defer_if_paused(now)
                    && self.drain()
            }
            WaitFor::Question(_) => {
                self.waits_for = WaitFor::Pull;
                !self.defer_if_paused(now) && self.drain()
            }
            WaitFor::EndOfPause(at) => self.timer_expired(now, at) && self.drain(),
            WaitFor::Retry(at) => self.timer_expired(now, at),
        };
        if answer {
            self.pacer.answered(now);
        }
        self.answer = Some(answer);
        answer
    }

    /// Removes from the set the descriptors that `selprep` has added.
    pub(crate) fn clear(&self, set: &mut FdSet<'_>) {
        self.trigger.iter().for_each(|trigger| set.remove(trigger));
        self.timer.iter().for_each(|timer| set.remove(timer));
    }

    /// Opens the FIFO that the path leads to, unless it is open. Returns true if it is another one.
    fn reopen_if_replaced(&mut self, now: Instant) -> bool {
        self.checked_at = Some(now);
        if self.trigger.as_ref().is_some_and(|trigger| !trigger.is_replaced()) {
            return false;
        }
        // Allow: qmail-send has a lock of its own against a second one, and has never looked.
        match Trigger::open(PATH, OtherReaders::Allow) {
            Ok(trigger) => {
                self.trigger = Some(trigger);
                self.waits_for = WaitFor::Pull;
                self.reported.cannot_open = false;
                true
            }
            Err(e) => {
                report_once(&mut self.reported.cannot_open, e);
                if !matches!(self.waits_for, WaitFor::Retry(_)) && self.timer.is_some() {
                    self.waits_for = WaitFor::Retry(now + RECHECK_INTERVAL);
                }
                false
            }
        }
    }

    /// Returns whether a pull came too soon after the last scan. It is served when the timer expires.
    fn defer_if_paused(&mut self, now: Instant) -> bool {
        let Some(remaining) = self.pacer.remaining(now).filter(|_| self.timer.is_some()) else {
            return false;
        };
        self.waits_for = WaitFor::EndOfPause(now + remaining);
        true
    }

    /// Sets the timer for `at`, unless it is set for it. If that is over, and the manager does not ask,
    /// sets it for a little later, or it would end each wait. Returns false if there is no timer.
    fn set_timer(&mut self, now: Instant, at: Instant) -> bool {
        let Some(timer) = &mut self.timer else { return false };
        let is_ignored = at <= now && self.turns.is_silent();
        let soon = now + SILENT_INTERVAL;
        let at = match self.timer_at {
            // Not the timer of a scan to repeat, which expires much later.
            Some(set_for) if is_ignored && now < set_for && set_for <= soon => set_for,
            _ if is_ignored => soon,
            _ => at,
        };
        if self.timer_at == Some(at) {
            return true;
        }
        let is_set = timer.set(at.saturating_duration_since(now)).is_ok();
        self.timer_at = is_set.then_some(at);
        is_set
    }

    /// As `set_timer`, but leaves a timer alone that will expire before. After most pulls the timer is set
    /// and not needed, and so it is set once a second at most.
    fn set_timer_by(&mut self, now: Instant, at: Instant) -> bool {
        let is_set = self.timer_at.is_some_and(|set_for| now < set_for && set_for <= at);
        is_set || self.set_timer(now, at)
    }

    fn timer_expired(&mut self, now: Instant, at: Instant) -> bool {
        if at <= now {
            self.waits_for = WaitFor::Pull;
        }
        at <= now
    }

    fn is_pulled(&self) -> bool {
        self.timer.is_some() && self.trigger.as_ref().is_some_and(is_readable)
    }

    /// Drains the FIFO. Returns true if there was a pull, or may have been one.
    fn drain(&mut self) -> bool {
        let drained = self.trigger.as_mut().map(Trigger::drain);
        drained.is_some_and(|drained| !matches!(drained, Ok(DrainOutcome::Empty)))
    }
}

/// Reports a problem on standard error, once. But not into a pipe: descriptor 2 of a qmail-todo is the
/// one by which it gives orders to qmail-clean.
fn report_once(reported: &mut bool, problem: impl Display) {
    let stderr = io::stderr();
    if !*reported && file::fstat(&stderr).is_ok_and(|status| !status.is_fifo()) {
        let _ = writeln!(stderr.lock(), "pullcord: {problem}");
    }
    *reported = true;
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;

    use super::*;
    use crate::ffi::TestSets;

    /// The path of the trigger is relative: this is the only test here that changes the directory.
    #[test]
    fn a_pull_during_a_long_scan_is_served_soon_after_it() {
        let queue = tempfile::tempdir().unwrap();
        fs::create_dir(queue.path().join("lock")).unwrap();
        env::set_current_dir(queue.path()).unwrap();
        Trigger::create(PATH, 0o622).unwrap();
        let (mut trigger, start) = (QmailTrigger::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        trigger.set(start);
        assert!(!turn(&mut trigger, at(1), true));
        pull();
        assert!(turn(&mut trigger, at(100), true));
        // This scan is for a pull: the timer is set for a second later, to repeat it.
        trigger.set(at(100));
        turn(&mut trigger, at(101), false);
        pull();
        for ms in 102..250 {
            turn(&mut trigger, at(ms), false);
        }
        let wakes_at = trigger.timer_at.expect("a timer is set");
        assert!(wakes_at <= at(250) + SILENT_INTERVAL, "{:?} later", wakes_at - at(250));
        assert!(!turn(&mut trigger, at(251), true), "the pause after a long scan");
        assert!(turn(&mut trigger, at(262), true));
    }

    fn pull() {
        pullcord::pull(Path::new(PATH)).unwrap();
    }

    /// A turn of the manager's loop with a select(2) that does not wait. Returns whether it was pulled.
    fn turn(trigger: &mut QmailTrigger, now: Instant, asks: bool) -> bool {
        let mut sets = TestSets::new();
        trigger.selprep(now, &mut sets.waiting());
        let ready = sets.select();
        asks && trigger.pulled(now, &ready)
    }
}
