//! Keeps the watches, the trigger and the paths of a queue right: what is done at the begin of a
//! turn.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pullcord_platform::clock;

use super::core::retry::Thing;
use super::core::verification::Step;
use super::core::warnings::Problem;
use super::watch_set::Armed;
use super::{PULL_GRACE, Queue, WarningKind, WatchGrade};
use crate::error::Error;
use crate::trigger::DrainOutcome;
use crate::watcher::{REPORTS_NAMES, with_context};

/// The calls that watching a directory makes.
const ARM_LOOKS: usize = 4;
/// How long the notifier may refuse a descriptor before the queue looks at it itself. Attempts come
/// at 100, 300, 700 and 1,500 ms, and then each second.
const LOOK_AFTER: Duration = Duration::from_millis(600);

impl Queue {
    /// Does what is due at this time.
    #[inline(never)]
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.notice_time(now);
        self.schedule.update(now);
        if self.schedule.take_rescan(now) {
            self.mark_all_dirty(now);
        }
        if self.sources.watch_rests {
            self.sources.watch_rests = !self.schedule.pacer().may_begin(now);
        }
        self.work.stats.verifications += u64::from(self.verification.update(now));
        while self.retry.is_any_failing()
            && !self.work.is_spent()
            && let Some(thing) = self.retry.pop_due(now)
        {
            self.try_again(thing, now);
        }
        while self.verification.is_pending()
            && !self.work.is_spent()
            && let Some(step) = self.verification.next_step(self.watches.len())
        {
            self.verify(step, now);
        }
        self.take_pulls(now);
    }

    /// Notices that the caller's time went back: nothing may then wait longer than it would have
    /// without the jump.
    #[inline]
    pub(super) fn notice_time(&mut self, now: Instant) {
        if self.work.last_time.replace(now).is_some_and(|last| now < last) {
            self.on_jump(now);
        }
    }

    #[cold]
    fn on_jump(&mut self, now: Instant) {
        let longest = self.options.poll_interval.unwrap_or(Duration::ZERO).max(PULL_GRACE);
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
            Thing::Directory(directory) if self.watches.is_own(directory) => {
                self.schedule.mark_dirty(directory);
            }
            Thing::Watch(directory) if self.watches.is_own(directory) => {
                self.arm(directory, now);
            }
            Thing::Directory(_) | Thing::Watch(_) => drop(self.retry.succeeded(thing)),
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
            Ok(true) if !rearm || !self.watches.is_own(directory) => return,
            Err(e) if self.is_lost_part(directory, e.kind()) => {
                return self.lose_part(directory);
            }
            _ => {}
        }
        if !self.watches.is_own(directory) {
            self.watches.set_gone(directory, false);
            self.mark_dirty(directory, now);
        }
        if self.retry.is_failing(Thing::Watch(directory)) {
            self.retry.news(Thing::Watch(directory), now);
        } else {
            self.arm(directory, now);
        }
    }

    /// Watches a directory, or finds that it is watched already, and acts on the result.
    pub(super) fn arm(&mut self, directory: usize, now: Instant) {
        if !self.can_watch(directory) {
            return;
        }
        self.work.turn.looks += ARM_LOOKS;
        let was_watched = self.watches.is_watched(directory);
        let armed = self.watches.arm(directory);
        let failed =
            matches!(armed, Armed::Failed(_) | Armed::Unreachable(_) | Armed::Unwatchable(_));
        self.on_armed(directory, armed, now);
        if failed && was_watched && self.watches.is_own(directory) {
            self.on_watch_lost(directory, now);
        }
    }

    /// Returns whether it makes sense to watch a directory: not while the watch itself has failed.
    pub(super) fn can_watch(&self, directory: usize) -> bool {
        self.watches.is_watchable(directory) && !self.retry.is_failing(Thing::Watcher)
    }

    pub(super) fn on_armed(&mut self, directory: usize, armed: Armed, now: Instant) {
        match armed {
            Armed::Unwatchable(None) => {}
            Armed::Same => self.watch_mended(directory),
            Armed::Anew { elsewhere, moved } => {
                self.watch_mended(directory);
                if elsewhere {
                    self.forget_entries(directory);
                }
                self.on_watch_lost(directory, now);
                if let Some(other) = moved {
                    self.forget_entries(other);
                    self.on_watch_lost(other, now);
                }
                if self.watches.grade(directory) == WatchGrade::None && !self.has_trigger() {
                    self.warn_polled(directory);
                }
            }
            Armed::Alias => self.on_alias(directory),
            Armed::Unwatchable(Some(error)) => {
                self.retry.succeeded(Thing::Watch(directory));
                self.warn(Problem::Watch(directory), WarningKind::Unwatched, error);
            }
            Armed::Failed(error) => {
                self.retry.failed(Thing::Watch(directory), now);
                self.warn(Problem::Watch(directory), WarningKind::Unwatched, error);
            }
            Armed::Unreachable(error) => {
                if self.retry.is_failing(Thing::Watch(directory)) {
                    self.retry.failed(Thing::Watch(directory), now);
                } else {
                    // A scan finds out whether it can be read.
                    self.mark_dirty(directory, now);
                }
                if self.is_lost_part(directory, error.kind()) {
                    self.lose_part(directory);
                }
            }
        }
    }

    fn watch_mended(&mut self, directory: usize) {
        self.retry.succeeded(Thing::Watch(directory));
        self.warnings.mended(Problem::Watch(directory));
        self.warnings.mended(Problem::Alias(directory));
    }

    fn warn_polled(&mut self, directory: usize) {
        let interval = match self.options.poll_interval {
            Some(interval) => format!("it is scanned every {interval:?}"),
            None => "it is scanned only at the rescan interval".into(),
        };
        let why = self.watches.reason(directory).unwrap_or("its watch is not reliable").to_owned();
        let why = io::Error::new(io::ErrorKind::Unsupported, format!("{why}; {interval}"));
        let path = self.watches.path(directory);
        let error = Error::new(path, "rely on the directory watch", why);
        self.warn(Problem::Polled(directory), WarningKind::Polled, error);
    }

    /// Reports a directory that the watch set has found to be the same as another one.
    pub(super) fn on_alias(&mut self, directory: usize) {
        let why = self.watches.reason(directory).unwrap_or_default();
        let why = io::Error::new(io::ErrorKind::AlreadyExists, why);
        let path = self.watches.path(directory);
        let error = Error::new(path, "use the directory", why)
            .with_hint("its entries are returned with the other path");
        self.warn(Problem::Alias(directory), WarningKind::Alias, error);
        self.drop_directory(directory);
    }

    /// Adds a directory to the queue.
    pub(super) fn add_directory(&mut self, path: PathBuf) -> usize {
        self.schedule.add_directory();
        self.watches.add(path)
    }

    /// Adds a part of a split queue, or uses it again after it was removed.
    pub(super) fn add_part(&mut self, path: PathBuf, now: Instant) {
        match self.watches.find(&path) {
            None => {
                let directory = self.add_directory(path);
                self.arm(directory, now);
            }
            Some(directory) if self.watches.is_gone(directory) => {
                self.watches.set_gone(directory, false);
                self.mark_dirty(directory, now);
                self.arm(directory, now);
            }
            Some(_) => {}
        }
    }

    /// Returns whether an error says that a part of a split queue was removed.
    pub(super) fn is_lost_part(&self, directory: usize, kind: io::ErrorKind) -> bool {
        self.options.has_parts && directory != 0 && kind == io::ErrorKind::NotFound
    }

    /// Takes a part out that was removed. Its name in `todo` brings it back.
    pub(super) fn lose_part(&mut self, directory: usize) {
        self.watches.set_gone(directory, true);
        self.drop_directory(directory);
    }

    /// Forgets everything about a directory that is not to be read any more.
    fn drop_directory(&mut self, directory: usize) {
        self.forget_entries(directory);
        self.forget_reports(directory);
        self.schedule.mark_clean(directory);
        self.retry.succeeded(Thing::Directory(directory));
        self.retry.succeeded(Thing::Watch(directory));
        self.warnings.mended(Problem::Read(directory));
        self.warnings.mended(Problem::Watch(directory));
        self.work.set_error(directory, None);
    }

    /// Forgets the entries of a directory whose path leads to another one now.
    pub(super) fn forget_entries(&mut self, directory: usize) {
        self.appointments.forget(directory);
        self.arrivals.recent.forget(directory);
        self.schedule.clear_unfinished(directory);
    }

    /// Forgets what the watch has reported of a directory, and a scan of it that relies on that.
    fn forget_reports(&mut self, directory: usize) {
        if !mutant!(LossForgiven) {
            self.arrivals.forget(directory);
        }
        if self.scanner.directory() == Some(directory) {
            self.scanner.close();
        }
    }

    /// Scans a directory from its beginning, because its watch has missed entries.
    fn on_watch_lost(&mut self, directory: usize, now: Instant) {
        self.forget_reports(directory);
        if !mutant!(LossUnread) {
            self.mark_dirty(directory, now);
        }
    }

    /// Marks a directory to be read in the next round. One that cannot be read is tried again as soon
    /// as its retry allows.
    pub(super) fn mark_dirty(&mut self, directory: usize, now: Instant) {
        if self.retry.is_failing(Thing::Directory(directory)) {
            self.retry.news(Thing::Directory(directory), now);
        } else if self.watches.is_own(directory) {
            self.schedule.mark_dirty(directory);
        }
    }

    /// Marks a directory to be read after a delay. Returns whether that is news.
    pub(super) fn mark_dirty_after(
        &mut self,
        directory: usize,
        delay: Duration,
        now: Instant,
    ) -> bool {
        if self.retry.is_failing(Thing::Directory(directory)) {
            self.retry.news(Thing::Directory(directory), now);
            return false;
        }
        if delay.is_zero() {
            let is_news = !self.schedule.is_dirty(directory);
            self.mark_dirty(directory, now);
            return is_news;
        }
        self.watches.is_own(directory) && self.schedule.mark_dirty_after(directory, delay, now)
    }

    pub(super) fn mark_all_dirty(&mut self, now: Instant) {
        (0..self.watches.len()).for_each(|directory| self.mark_dirty(directory, now));
    }

    /// Reads every directory anew, and watches it anew: the watch may have lost the news that a
    /// directory was removed.
    pub(super) fn on_overflow(&mut self, now: Instant) {
        self.work.stats.watch_overflows += 1;
        if mutant!(OverflowForgiven) {
            return self.mark_all_dirty(now);
        }
        self.arrivals.forget_all();
        self.scanner.close();
        self.mark_all_dirty(now);
        self.verification.begin_pass(true);
    }

    /// Records that the watch itself has failed. Everything is scanned until it works again.
    pub(super) fn watcher_failed(&mut self, error: io::Error, now: Instant) {
        let is_first = !self.retry.is_failing(Thing::Watcher);
        self.retry.failed(Thing::Watcher, now);
        let error = with_context(self.first_path(), "watch the queue", error);
        self.warn(Problem::Watcher, WarningKind::Unwatched, error);
        self.sources.watch.readable = false;
        self.scanner.set_left_to_absorb(0);
        if is_first {
            self.watches.unwatch_all();
            self.arrivals.forget_all();
            self.mark_all_dirty(now);
        }
    }

    fn reopen_watcher(&mut self, now: Instant) {
        let reopened = self.watches.open().and_then(|()| {
            self.sources.watch.replaced();
            // That it can be opened does not prove that it can be read.
            self.watches.watcher().map_or(Ok(0), |watcher| watcher.available())?;
            self.watches.read_events()
        });
        match reopened {
            Ok(_) => {
                self.retry.succeeded(Thing::Watcher);
                self.warnings.mended(Problem::Watcher);
                self.verification.begin_pass(true);
            }
            Err(error) => self.watcher_failed(error, now),
        }
    }

    /// Records that the trigger cannot be opened or read. Nobody can pull until it can be, so that
    /// directories without a reliable watch are polled.
    pub(super) fn trigger_failed(&mut self, error: Error, now: Instant) {
        self.retry.failed(Thing::Trigger, now);
        self.warn(Problem::Trigger, WarningKind::Trigger, error);
        self.sources.trigger.readable = false;
        let Some(interval) = self.options.poll_interval else { return };
        for directory in 0..self.watches.len() {
            if self.watches.grade(directory) == WatchGrade::None
                && !self.retry.is_failing(Thing::Directory(directory))
            {
                self.schedule.mark_dirty_after(directory, interval, now);
            }
        }
    }

    /// Opens the FIFO that the path names now, and acts as on a pull: pulls may have failed meanwhile.
    fn reopen_trigger(&mut self, now: Instant) {
        let is_first = !self.retry.is_failing(Thing::Trigger);
        match self.trigger.open() {
            Ok(()) => {
                self.work.stats.trigger_reopens += 1;
                self.sources.trigger.replaced();
                self.drain(now);
                self.on_pull(now);
            }
            Err(error) => {
                self.trigger_failed(error, now);
                if is_first {
                    self.on_pull(now);
                }
            }
        }
    }

    /// Reads the trigger if it is readable and the scan can follow; or if it is not waited for, so that
    /// it never stays full.
    fn take_pulls(&mut self, now: Instant) {
        let needs_trigger = self.needs_trigger();
        let was_needed = std::mem::replace(&mut self.sources.needs_trigger, needs_trigger);
        self.sources.trigger.readable |= needs_trigger && !was_needed && self.trigger.is_open();
        self.sources.trigger.readable &= needs_trigger && self.has_trigger();
        if !self.has_trigger() {
            return;
        }
        let is_pulled = self.sources.trigger.readable && self.schedule.may_drain(now);
        if is_pulled || !needs_trigger && self.trigger.should_empty(now) {
            self.drain(now);
        }
    }

    fn drain(&mut self, now: Instant) {
        self.work.stats.trigger_reads += 1;
        let begun = clock::now();
        let drained =
            if mutant!(DrainedLate) { Ok(DrainOutcome::Drained) } else { self.trigger.drain(now) };
        let time = clock::now().saturating_duration_since(begun);
        self.schedule.pacer().add_drain(time);
        let needs_trigger = self.needs_trigger();
        self.sources.trigger.readable =
            needs_trigger && matches!(drained, Ok(DrainOutcome::Partial));
        match drained {
            Ok(outcome) => {
                if self.retry.succeeded(Thing::Trigger) {
                    self.warnings.mended(Problem::Trigger);
                }
                if outcome != DrainOutcome::Empty {
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
            let is_failing = retry.is_failing(Thing::Directory(directory));
            if is_failing { WatchGrade::Names } else { watches.grade(directory) }
        });
        if !self.schedule.has_dirty() && !self.schedule.is_round_active() {
            self.schedule.pacer().charge_empty(now);
        }
    }
}
