//! The trigger: reads it, acts on pulls, and opens it anew.

use std::time::Instant;

use pullcord_platform::clock;

use super::core::retry::Thing;
use super::core::warnings::Problem;
use super::{Queue, WarningKind, WatchGrade};
use crate::error::Error;
use crate::trigger::DrainOutcome;
use crate::watcher::REPORTS_NAMES;

impl Queue {
    /// Returns whether pulls can come.
    pub(super) fn has_trigger(&self) -> bool {
        self.trigger.is_open() && !self.retry.is_failing(Thing::Trigger)
    }

    /// Records that the trigger cannot be opened or read. Pulls may be lost until it can be, so that
    /// directories without a reliable watch are polled. Once it is open, they are read as after a pull.
    pub(super) fn trigger_failed(&mut self, error: Error, now: Instant) {
        self.retry.failed(Thing::Trigger, now);
        self.warn(Problem::Trigger, WarningKind::Trigger, error);
        let Some(interval) = self.options.poll_interval else { return };
        for directory in 0..self.watches.len() {
            if self.watches.grade(directory) == WatchGrade::None && self.may_be_read(directory) {
                self.schedule.mark_dirty_after(directory, interval, now);
            }
        }
    }

    /// Opens the FIFO that the path names now, and acts as on a pull: pulls may have failed meanwhile.
    pub(super) fn reopen_trigger(&mut self, now: Instant) {
        let is_first = !self.retry.is_failing(Thing::Trigger);
        match self.trigger.open() {
            Ok(()) => {
                self.work.stats.trigger_reopens += 1;
                self.sources.trigger.replaced();
                self.drain(now);
                if !mutant!(ReopenedUnread) {
                    self.on_pull(now);
                }
            }
            Err(error) => {
                self.trigger_failed(error, now);
                // The old FIFO is closed, and a pull in it is lost.
                if is_first {
                    self.on_pull(now);
                }
            }
        }
    }

    /// Reads the trigger if it is readable and the scan can follow; or if it is not waited for, so that
    /// it never stays full.
    #[inline(never)]
    pub(super) fn take_pulls(&mut self, now: Instant) {
        let needs_trigger = self.needs_trigger();
        let was_needed = std::mem::replace(&mut self.sources.needs_trigger, needs_trigger);
        self.sources.trigger.readable |= needs_trigger && !was_needed && self.trigger.is_open();
        self.sources.trigger.readable &= needs_trigger && self.has_trigger();
        if !self.has_trigger() {
            return;
        }
        let is_blocked = self.is_scan_blocked() && !mutant!(DrainedBlocked);
        let may_drain = self.schedule.may_drain(now) && !is_blocked || mutant!(DrainedUnpaced);
        let is_pulled = self.sources.trigger.readable && may_drain;
        if is_pulled || !needs_trigger && self.trigger.should_empty(now) {
            self.drain(now);
        }
    }

    #[inline(never)]
    fn drain(&mut self, now: Instant) {
        self.work.stats.trigger_reads += 1;
        let begun = clock::now();
        let drained =
            if mutant!(DrainedLate) { Ok(DrainOutcome::Drained) } else { self.trigger.drain(now) };
        let time = clock::now().saturating_duration_since(begun);
        self.schedule.pacer().add_drain(self.trigger.drained(), time);
        let needs_trigger = self.needs_trigger();
        self.sources.trigger.readable =
            needs_trigger && matches!(drained, Ok(DrainOutcome::Partial));
        match drained {
            Ok(outcome) => {
                if self.retry.succeeded(Thing::Trigger) {
                    self.warnings.mended(Problem::Trigger);
                }
                if outcome != DrainOutcome::Empty || mutant!(EmptyIsPull) {
                    self.work.stats.pulls += 1;
                    if needs_trigger {
                        self.on_pull(now);
                    }
                } else if needs_trigger {
                    self.schedule.pacer().charge_empty(now);
                }
            }
            Err(error) => {
                self.trigger_failed(error, now);
                self.on_pull(now);
            }
        }
    }

    /// Acts on a pull: every directory is read whose watch may not have reported the entry.
    fn on_pull(&mut self, now: Instant) {
        if !REPORTS_NAMES {
            self.absorb_all(now);
        }
        let failing: Vec<usize> = self.retry.failing_directories().collect();
        for directory in failing {
            if self.watches.grade(directory) != WatchGrade::Names {
                self.retry.news(Thing::Directory(directory), now);
            }
        }
        let (watches, retry) = (&self.watches, &self.retry);
        self.schedule.on_pull(|directory| {
            let is_waiting = retry.is_waiting(Thing::Directory(directory));
            if is_waiting { WatchGrade::Names } else { watches.grade(directory) }
        });
        if !self.schedule.has_dirty() && !self.schedule.is_round_active() {
            self.schedule.pacer().charge_empty(now);
        }
    }
}
