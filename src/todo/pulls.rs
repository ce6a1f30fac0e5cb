//! The trigger's part: what a pull asks for, and where pulls come from.

use std::time::Instant;

use super::queue::Arrival;
use super::{Backoff, Todo};
use crate::trigger::{DrainOutcome, Trigger};
use crate::watcher::REPORTS_NAMES;

impl Todo {
    /// Takes the pulls out of the trigger, once a turn: before the scan that they ask for, and not
    /// while one is remembered that has to wait.
    pub(super) fn drain(&mut self, now: Instant) {
        let due = if self.agenda.rests() { self.agenda.round_is_due(now) } else { self.pulled };
        let Some(trigger) = self.trigger.as_mut().filter(|_| due) else { return };
        self.counters.drains += 1;
        let drained =
            if mutant!(DrainedLate) { Ok(DrainOutcome::Drained) } else { trigger.drain() };
        self.pulled = matches!(drained, Ok(DrainOutcome::Partial));
        match drained {
            Ok(DrainOutcome::Empty) => {}
            Ok(DrainOutcome::Drained | DrainOutcome::Partial) => {
                self.counters.pulls += 1;
                self.heed_pull(now);
            }
            Err(error) => {
                self.troubles.push_back(error);
                self.follow_trigger(now);
            }
        }
    }

    /// Somebody has pulled. What they linked before is known to the watch by now, so that what the
    /// watch cannot tell is all that has to be read.
    fn heed_pull(&mut self, now: Instant) {
        if self.queue.arrival == Arrival::Unfinished || !REPORTS_NAMES {
            self.absorb(now);
        }
        self.agenda.pulled(|directory| self.lookout.relies_on(directory));
        self.look_at_held();
        // A pull with nothing new to show for it may be about a directory that was mounted over.
        self.compare = self.lookout.watch().is_some();
    }

    pub(super) fn check_trigger(&mut self, now: Instant) {
        if self.reopen.is_none() && self.trigger.as_ref().is_some_and(Trigger::is_replaced) {
            self.follow_trigger(now);
        }
    }

    /// Opens the trigger that the path names now. While that fails nobody can pull, and everything
    /// is read at every attempt instead.
    pub(super) fn follow_trigger(&mut self, now: Instant) {
        let Some(trigger) = &mut self.trigger else { return };
        self.agenda.everything_is_dirty();
        match trigger.reopen() {
            Ok(()) => {
                self.counters.reopens += 1;
                self.reopen = None;
                self.pulled = true;
                self.trigger_is_armed = false;
            }
            Err(error) => {
                let (_, mut backoff) = self.reopen.take().unwrap_or_else(|| {
                    self.troubles.push_back(error);
                    (now, Backoff::new())
                });
                self.reopen = Some((now + backoff.fail(), backoff));
            }
        }
    }
}
