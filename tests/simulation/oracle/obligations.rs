//! When an entry must have been returned, and which reads are permitted.

use pullcord_platform::sim::{FsKind, Kernel};
use pullcord_platform::watch::REPORTS_NAMES;

use super::{AT_ONCE, Failure, GRACE, Oracle, POLL, RETRY, SECOND, Situation, Tracked, VERIFY};
use crate::history::{Consumer, Layout, Loop, Trigger};
use crate::in_place;

impl Oracle {
    /// Returns whether a recent event permits the queue to read more than otherwise.
    pub(super) fn is_disturbed(&self, now: u64) -> bool {
        let last = self.paths_disturbed.max(self.trigger_disturbed);
        now < last + VERIFY + SECOND || now < self.faulty_until + RETRY + 2 * SECOND
    }

    /// Returns whether the target of a path has changed recently.
    pub(crate) fn are_paths_disturbed(&self, now: u64) -> bool {
        self.paths_disturbed > 0 && now < self.paths_disturbed + VERIFY + SECOND
    }

    pub(crate) fn is_quiet(&self, now: u64) -> bool {
        !self.is_disturbed(now) && now > self.opened_at + RETRY
    }

    /// Returns whether a watch reports each entry of the queue's directories by name.
    pub(crate) fn is_fully_reliable(&self) -> bool {
        REPORTS_NAMES && self.is_watched() && self.config.events >= 1000 && !self.config.twice
    }

    /// Returns whether the queue may rely on the watch and therefore does not poll.
    pub(crate) fn is_reliable(&self) -> bool {
        self.is_watched() && (REPORTS_NAMES || !self.is_silent())
    }

    /// Returns whether an entry becomes ready without a change of its directory.
    fn is_silent(&self) -> bool {
        self.config.layout == Layout::Maildrop || self.config.in_place.is_some()
    }

    /// Returns whether a watch reports each change of the queue's directories. This needs enough watches
    /// and a file system that is known to be local.
    pub(super) fn is_watched(&self) -> bool {
        self.config.watches_directories()
            && self.config.fs.is_local()
            && self.config.watches > self.directories.len() + 4
    }

    /// When an entry is due, and why.
    fn deadline(&self, id: u64, tracked: &Tracked) -> (u64, Situation) {
        let (mut deadline, why) = self.undelayed(id, tracked);
        let hidden = self.when_hidden(0);
        // A turn with a wrong time may wait for an interval. What comes by itself does not wait.
        let by_itself = matches!(why, Situation::Watched | Situation::Pulled);
        if self.wrong_time > 0 && !(by_itself && self.config.in_place.is_none()) {
            let quiet = in_place::quiet(&self.config);
            deadline = deadline.max(self.wrong_time + VERIFY + hidden + quiet);
        }
        // No timeout is longer than the verification's interval.
        for &(begin, end) in &self.freezes {
            if deadline < begin {
                continue;
            }
            let moved = deadline.saturating_add(end - begin);
            deadline = deadline.max(moved.min(end + VERIFY + hidden));
        }
        (deadline, why)
    }

    /// Returns whether a pull may make no edge for the loop around a receiver: after a short read of a packet the
    /// trigger is not empty.
    fn may_miss_edges(&self) -> bool {
        self.had_packets && self.config.old_edges && self.config.wait == Loop::InsideEdge
    }

    /// How long a scan may take to find an entry. Where each removal hides another entry, some scans
    /// more find it.
    fn when_hidden(&self, otherwise: u64) -> u64 {
        if self.config.fs == FsKind::Remote { 8 * POLL } else { otherwise }
    }

    /// The same, if the process was never stopped, and its time never wrong.
    fn undelayed(&self, id: u64, tracked: &Tracked) -> (u64, Situation) {
        let watched = self.is_watched();
        // An entry that is written in place waits for its quiet time. If its times prove nothing, the quiet time
        // begins when it is looked at, which only so many entries wait for at once.
        let quiet = in_place::quiet(&self.config);
        let unchanged = tracked.since.max(self.written.untouched_since(id)) + quiet;
        let proves_times = watched && !self.written.is_dated_wrongly(id);
        // It may arrive during a scan, and wait for the rest of that one and for its own.
        let scans = if self.config.consumer == Consumer::Leaves { 2 } else { 1 };
        let rounds = 2 + scans * self.arrivals / in_place::MOST_WAITING;
        let looked_at = if proves_times { 0 } else { quiet * rounds };
        let after = |since: u64, base: u64| {
            let ready = since.max(unchanged).saturating_add(looked_at);
            ready.max(self.opened_at).saturating_add(base)
        };
        let rescan = self.rescan().saturating_add(AT_ONCE);
        // Unless there are many.
        let is_hidden = self.config.fs == FsKind::Remote && self.had_burst;
        let when_hidden = |otherwise| self.when_hidden(otherwise);
        let rescan = if is_hidden { u64::MAX } else { rescan.max(when_hidden(0)) };
        let (mut deadline, mut situation) = (after(tracked.since, rescan), Situation::Rescanned);
        let mut at_most = |time: u64, why: Situation| {
            if time < deadline {
                (deadline, situation) = (time, why);
            }
        };
        // After a change of the paths, or a failure, a scan finds it.
        let found = (self.paths_disturbed + VERIFY).max(self.faulty_until + RETRY);
        let found = found + when_hidden(0) + quiet.max(looked_at);
        if let Some(due) = tracked.due.filter(|_| !tracked.is_moved) {
            return (after(due, AT_ONCE).max(found), Situation::Requeued);
        }
        if let Some(pulled) = tracked.pulled {
            let disturbed = self.trigger_disturbed + VERIFY + looked_at;
            let base = if self.may_miss_edges() { VERIFY + AT_ONCE } else { AT_ONCE };
            if !is_hidden {
                at_most(
                    after(pulled, when_hidden(base).max(base)).max(disturbed),
                    Situation::Pulled,
                );
            }
        }
        if watched && !tracked.silent {
            if REPORTS_NAMES && self.config.layout != Layout::Maildrop {
                at_most(after(tracked.since, AT_ONCE), Situation::Watched);
                let closed = self.written.closed_since(id).filter(|at| *at > self.opened_at);
                let is_ready = self.config.in_place == Some(0) && self.is_fully_reliable();
                if let Some(closed) = closed.filter(|_| is_ready) {
                    at_most(closed + AT_ONCE, Situation::Closed);
                }
            } else if REPORTS_NAMES || !self.is_silent() {
                at_most(after(tracked.since, GRACE), Situation::Changed);
            }
        }
        // With few watches the directory may still be watched. Then silent changes are not found.
        let watched = watched || tracked.silent && self.config.watches_directories();
        if !watched && !is_hidden && self.config.trigger == Trigger::None {
            at_most(after(tracked.since, when_hidden(POLL)), Situation::Polled);
        } else if !watched && !is_hidden && !self.trigger_is_there {
            // The verification finds that it is gone, and the polls begin.
            let since = tracked.since.max(self.trigger_disturbed + VERIFY);
            at_most(after(since, when_hidden(POLL)), Situation::Polled);
        }
        let deadline = deadline.max(found);
        // If its old path leads to it again before that is noticed, its appointment holds.
        let due = tracked.due.map_or(0, |due| after(due, AT_ONCE));
        (deadline.max(due), situation)
    }

    /// Fails if an entry should have been returned before `now`.
    pub(crate) fn check(&self, now: u64) -> Result<(), Failure> {
        for (id, tracked) in self.tracked.iter().filter(|(_, tracked)| !tracked.is_exempt) {
            if !tracked.reachable || tracked.returned > 0 && tracked.due.is_none() {
                continue;
            }
            let (deadline, why) = self.deadline(*id, tracked);
            if deadline < now {
                let (directory, by) = (tracked.directory, now - deadline);
                return Err(Failure::Late { directory, by, why });
            }
        }
        Ok(())
    }

    /// Returns whether the kernel watches each existing directory of the queue.
    pub(crate) fn all_are_watched(&self, kernel: &Kernel) -> bool {
        self.directories.iter().filter_map(|it| it.ino).all(|ino| kernel.is_watched(ino))
    }

    pub(crate) fn all_can_be_watched(&self) -> bool {
        !self.has_bound
            && self.is_fully_reliable()
            && self.directories.iter().all(|it| it.ino.is_some())
    }

    /// Returns whether all directories and the trigger exist, and no other process reads the trigger.
    pub(crate) fn all_are_there(&self) -> bool {
        !self.foreign_reader
            && self.directories.iter().all(|it| it.ino.is_some())
            && self.trigger_is_there
    }

    pub(crate) fn waiting(&self) -> usize {
        self.tracked.len()
    }
}
