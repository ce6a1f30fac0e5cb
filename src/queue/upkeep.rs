//! The work that is due at the begin of a turn: retries, comparisons of paths, and pulls.

use std::time::{Duration, Instant};

use super::core::retry::Thing;
use super::core::verification::Step;
use super::{PULL_GRACE, Queue};

/// How long the notifier may refuse a descriptor before the queue looks at it itself. Attempts come
/// at 100, 300, 700 and 1,500 ms, and then each second.
const LOOK_AFTER: Duration = Duration::from_millis(600);

impl Queue {
    /// Does the work that is due at this time.
    #[inline]
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.notice_time(now);
        self.schedule.update(now);
        if self.schedule.take_rescan(now) {
            self.mark_all_dirty();
        }
        if self.sources.watch_rests {
            self.sources.watch_rests = !self.schedule.pacer().may_begin(now);
        }
        if self.verification.update(now) {
            self.work.stats.verifications += 1;
        }
        if self.retry.is_any_failing() {
            self.try_due_work(now);
        }
        if self.verification.is_pending() {
            self.verify_on(now);
        }
        if self.trigger.is_wanted() {
            self.take_pulls(now);
        }
    }

    #[inline(never)]
    fn try_due_work(&mut self, now: Instant) {
        while !self.work.is_spent() {
            let Some(thing) = self.retry.pop_due(now) else { break };
            self.try_again(thing, now);
        }
    }

    /// Goes on with the pass over the paths.
    #[inline(never)]
    fn verify_on(&mut self, now: Instant) {
        while self.verification.is_pending() && !self.work.is_spent() {
            let Some(step) = self.verification.next_step(self.watches.len()) else { break };
            self.verify(step, now);
        }
    }

    /// Notices that the caller's time went back: nothing may then wait longer than it would have
    /// without the jump.
    #[inline]
    pub(super) fn notice_time(&mut self, now: Instant) {
        let has_jumped = now < std::mem::replace(&mut self.work.last_time, now);
        if has_jumped && !mutant!(JumpIgnored) {
            self.on_jump(now);
        }
    }

    #[cold]
    fn on_jump(&mut self, now: Instant) {
        let longest = self.options.poll_interval.unwrap_or(PULL_GRACE);
        self.schedule.on_jump(longest, now);
        self.appointments.on_jump(self.options.write_method.quiet(), now);
        self.verification.on_jump(now);
        self.retry.on_jump(now);
        self.sources.on_jump();
        self.trigger.on_jump();
    }

    fn try_again(&mut self, thing: Thing, now: Instant) {
        match thing {
            Thing::Trigger => self.reopen_trigger(now),
            Thing::Registration => {
                self.sources.trigger.unblock();
                self.sources.watch.unblock();
                if self.sources.is_look_due(LOOK_AFTER, now) {
                    self.sources.trigger.readable |= self.trigger.is_open() && self.needs_trigger();
                    self.sources.watch.readable |= self.watches.watcher().is_some();
                }
            }
            Thing::Directory(directory) => self.schedule.mark_dirty(directory),
            Thing::Watch(directory) => self.arm(directory, now),
            Thing::Watcher => self.reopen_watcher(now),
        }
    }

    /// Compares a path with the file that is watched or open.
    fn verify(&mut self, step: Step, now: Instant) {
        self.work.turn.looks += 1;
        match step {
            Step::Trigger => {
                if self.retry.is_failing(Thing::Trigger) {
                    return;
                }
                match self.trigger.is_replaced() {
                    Ok(false) => {}
                    Ok(true) => self.reopen_trigger(now),
                    Err(e) => {
                        self.trigger_failed(self.trigger.error("look at the trigger", e), now)
                    }
                }
            }
            Step::Directory { directory, rearm } => self.verify_directory(directory, rearm, now),
        }
    }

    fn verify_directory(&mut self, directory: usize, rearm: bool, now: Instant) {
        let unchanged = self.watches.is_unchanged(directory);
        match &unchanged {
            Ok(true) if mutant!(SameNumbersTrusted) => return,
            Ok(true) if !rearm || !self.watches.is_own(directory) => return,
            Err(e) if self.is_lost_part(directory, e.kind()) => {
                return self.lose_part(directory);
            }
            _ => {}
        }
        if self.watches.is_own(directory) {
            self.arm(directory, now);
        } else {
            self.use_again(directory);
        }
    }
}
