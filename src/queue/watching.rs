//! Watches the directories, and acts where a watch is missing or lost.

use std::io;
use std::time::Instant;

use super::core::retry::Thing;
use super::core::warnings::Problem;
use super::watch_set::Armed;
use super::{Queue, WarningKind, WatchGrade};
use crate::error::Error;
use crate::watcher::with_context;

/// The calls that watching a directory makes.
const ARM_LOOKS: usize = 4;

impl Queue {
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
            self.on_watch_lost(directory);
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
                self.on_watch_lost(directory);
                if let Some(other) = moved.filter(|_| !mutant!(MovedWatchIgnored)) {
                    self.on_watch_lost(other);
                }
                if self.watches.grade(directory) == WatchGrade::None && !self.has_trigger() {
                    let why = self.watches.reason(directory).unwrap_or_default().to_owned();
                    self.warn_polled(directory, why);
                } else {
                    self.warnings.mended(Problem::Polled(directory));
                }
            }
            Armed::Alias => self.on_alias(directory),
            Armed::Unwatchable(Some(error)) => {
                self.retry.succeeded(Thing::Watch(directory));
                if self.has_trigger() {
                    self.warn(Problem::Watch(directory), WarningKind::Unwatched, error);
                } else {
                    self.warn_polled(directory, error.cause().to_string());
                }
            }
            Armed::Failed(error) => {
                if !mutant!(WatchFailureForgotten) {
                    self.retry.failed(Thing::Watch(directory), now);
                }
                self.warn(Problem::Watch(directory), WarningKind::Unwatched, error);
            }
            Armed::Unreachable(error) => {
                if self.is_lost_part(directory, error.kind()) {
                    self.lose_part(directory);
                } else if self.retry.is_failing(Thing::Watch(directory)) {
                    self.retry.failed(Thing::Watch(directory), now);
                } else {
                    // A scan finds out whether it can be read.
                    self.mark_dirty(directory);
                }
            }
        }
    }

    fn watch_mended(&mut self, directory: usize) {
        self.retry.succeeded(Thing::Watch(directory));
        self.warnings.mended(Problem::Watch(directory));
    }

    /// Warns of a directory that is polled, because neither a trigger nor its watch reports every entry.
    fn warn_polled(&mut self, directory: usize, why: String) {
        let interval = match self.options.poll_interval {
            Some(interval) => format!("it is scanned every {interval:?}"),
            None => "it is scanned only at the rescan interval".into(),
        };
        let why = io::Error::new(io::ErrorKind::Unsupported, format!("{why}; {interval}"));
        let path = self.watches.path(directory);
        let error = Error::new(path, "rely on the directory watch", why);
        self.warn(Problem::Polled(directory), WarningKind::Polled, error);
    }

    /// Scans a directory from its beginning, because its watch has missed entries.
    fn on_watch_lost(&mut self, directory: usize) {
        self.forget_reports(directory);
        if !mutant!(LossUnread) {
            self.mark_dirty(directory);
        }
    }

    /// Reads every directory anew, and watches it anew: the watch may have lost the news that a
    /// directory was removed.
    pub(super) fn on_overflow(&mut self) {
        self.work.stats.watch_overflows += 1;
        if mutant!(OverflowForgiven) {
            return self.mark_all_dirty();
        }
        self.arrivals.forget_all();
        self.scanner.close();
        if !mutant!(OverflowUnread) {
            self.mark_all_dirty();
        }
        self.verification.begin_pass(!mutant!(OverflowUnarmed));
    }

    /// Records that the watch itself has failed. Everything is scanned until it works again.
    pub(super) fn watcher_failed(&mut self, error: io::Error, now: Instant) {
        let is_first = !self.retry.is_failing(Thing::Watcher);
        let error = with_context(self.options.first_path(), "watch the queue", error);
        // A system that has no watch will have none later.
        if !error.is_lasting() {
            self.retry.failed(Thing::Watcher, now);
        }
        self.warn(Problem::Watcher, WarningKind::Unwatched, error);
        self.sources.watch.readable = false;
        self.scanner.set_left_to_absorb(0);
        if is_first {
            self.watches.unwatch_all();
            self.arrivals.forget_all();
            self.mark_all_dirty();
        }
    }

    pub(super) fn reopen_watcher(&mut self, now: Instant) {
        let reopened = self.watches.open().and_then(|()| {
            // That it can be opened does not prove that it can be read.
            self.watches.watcher().map_or(Ok(0), |watcher| watcher.available())?;
            self.watches.read_events()
        });
        match reopened {
            Ok(_) => {
                self.retry.succeeded(Thing::Watcher);
                self.warnings.mended(Problem::Watcher);
                self.verification.begin_pass(!mutant!(ReopenedUnarmed));
            }
            Err(error) => self.watcher_failed(error, now),
        }
    }
}
