//! Which directory must be read, and when.
//!
//! A directory is *dirty* from the moment at which an entry may have been added until a scan opens
//! it. It is clean before it is opened, so that an entry which is added during the scan makes it
//! dirty again. The dirty directories are read in *rounds*: each directory once a round, and the
//! [`Pacer`] decides when the next round may begin.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::grade::WatchGrade;
use super::pacer::Pacer;
use super::timer::Timer;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No scan is needed.
    #[default]
    Clean,
    /// It is read in the next round.
    Dirty,
    /// It is read from this time on.
    Later(Instant),
}

#[derive(Clone, Copy, Debug, Default)]
struct Directory {
    state: State,
    /// An entry was seen that was not finished: a pull may be the only sign that it is now.
    has_unfinished: bool,
    /// How often it was read to its end, and when last.
    scans: u64,
    last_scan: Option<Instant>,
    /// How many scans in a row were made only because the scan before had returned entries.
    follow_ups: u8,
}

/// The rounds of scans.
#[derive(Debug, Default)]
struct Rounds {
    /// The dirty directories, each once, in the order in which they became dirty.
    dirty: VecDeque<usize>,
    /// The number of directories of the round that are not opened yet; `None` between two rounds.
    left: Option<usize>,
    count: u64,
}

/// How many follow-up scans are made in a row.
const MAX_FOLLOW_UPS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Schedule {
    directories: Vec<Directory>,
    later: BTreeSet<(Instant, usize)>,
    /// How many directories have entries that were not finished when they were last seen.
    unfinished: usize,
    rounds: Rounds,
    rescan: Timer,
    pacer: Pacer,
}

impl Schedule {
    /// Returns a schedule without directories.
    pub(crate) fn new(rescan_interval: Option<Duration>, now: Instant) -> Schedule {
        Schedule {
            directories: Vec::new(),
            later: BTreeSet::new(),
            unfinished: 0,
            rounds: Rounds::default(),
            rescan: Timer::new(rescan_interval, now),
            pacer: Pacer::default(),
        }
    }

    /// Adds a directory, which is dirty.
    pub(crate) fn add_directory(&mut self) {
        self.directories.push(Directory::default());
        self.mark_dirty(self.directories.len() - 1);
    }

    /// Marks a directory to be read in the next round.
    pub(crate) fn mark_dirty(&mut self, directory: usize) {
        if self.directories[directory].state != State::Dirty {
            self.mark_clean(directory);
            self.directories[directory].state = State::Dirty;
            self.rounds.dirty.push_back(directory);
        }
    }

    /// Marks a directory to be read once the delay is over. Returns whether that is news: it counts as none
    /// if the directory is read anyway, at that time or before.
    pub(crate) fn mark_dirty_after(
        &mut self,
        directory: usize,
        delay: Duration,
        now: Instant,
    ) -> bool {
        let Some(at) = now.checked_add(delay) else { return false };
        if delay.is_zero() {
            let is_news = !self.is_dirty(directory);
            self.mark_dirty(directory);
            return is_news;
        }
        match self.directories[directory].state {
            State::Dirty => return false,
            State::Later(then) if then <= at => return false,
            _ => self.mark_clean(directory),
        }
        self.directories[directory].state = State::Later(at);
        self.later.insert((at, directory));
        true
    }

    /// Marks a directory that need not be read.
    pub(crate) fn mark_clean(&mut self, directory: usize) {
        match std::mem::take(&mut self.directories[directory].state) {
            State::Later(at) => drop(self.later.remove(&(at, directory))),
            State::Dirty => {
                // A number in the queue stands for one visit: it must not come to stand for a later
                // mark, which has a number of its own.
                let at = self.rounds.dirty.iter().position(|other| *other == directory);
                if let Some(at) = at {
                    self.rounds.dirty.remove(at);
                    let left = self.rounds.left.filter(|left| at < *left);
                    self.rounds.left = left.map(|left| left - 1).or(self.rounds.left);
                }
            }
            State::Clean => {}
        }
    }

    /// Makes those directories dirty whose time has come.
    #[inline]
    pub(crate) fn update(&mut self, now: Instant) {
        if !self.later.is_empty() {
            self.update_later(now);
        }
    }

    #[inline(never)]
    fn update_later(&mut self, now: Instant) {
        while let Some((at, directory)) = self.later.first().copied().filter(|first| first.0 <= now)
        {
            debug_assert!(self.directories[directory].state == State::Later(at));
            self.mark_dirty(directory);
        }
    }

    /// Makes everything due whose time is further ahead than `longest`, the longest delay: the clock
    /// jumped back.
    pub(crate) fn on_jump(&mut self, longest: Duration, now: Instant) {
        self.rescan.on_jump(now);
        self.pacer.on_jump(now);
        while let Some((at, directory)) = self.later.last().copied() {
            if at.saturating_duration_since(now) <= longest {
                break;
            }
            self.mark_dirty(directory);
        }
    }

    /// Returns whether it is time to read all directories, and begins the next interval.
    pub(crate) fn take_rescan(&mut self, now: Instant) -> bool {
        let is_due = self.rescan.is_due(now);
        if is_due {
            self.rescan.restart(now);
        }
        is_due
    }

    /// Acts on a pull: marks the directories dirty whose watch may not have reported the entry that
    /// the pull is for.
    pub(crate) fn on_pull(&mut self, grade: impl Fn(usize) -> WatchGrade) {
        for directory in 0..self.directories.len() {
            let Directory { state, has_unfinished, .. } = self.directories[directory];
            let is_wanted = match grade(directory) {
                WatchGrade::Names => has_unfinished && !mutant!(UnfinishedNotPulled),
                WatchGrade::Changes => has_unfinished || matches!(state, State::Later(_)),
                WatchGrade::None => !mutant!(PullIgnored),
            };
            if is_wanted {
                self.mark_dirty(directory);
            }
        }
    }

    /// Returns the next directory to open, if one may be opened now, and begins a round for it if
    /// none is active. The directory is clean from then on. The caller must call
    /// [`on_scanned`](Schedule::on_scanned) for it unless the scan fails.
    pub(crate) fn next_directory(&mut self, now: Instant) -> Option<usize> {
        if self.rounds.left.is_none() {
            if self.rounds.dirty.is_empty() || !self.pacer.may_begin(now) {
                return None;
            }
            self.rounds.left = Some(self.rounds.dirty.len());
            self.rounds.count += 1;
            self.pacer.begin_round(now);
        }
        if let Some(left @ 1..) = &mut self.rounds.left {
            *left -= 1;
            let directory = self.rounds.dirty.pop_front()?;
            if !mutant!(CleanedLate) {
                self.directories[directory].state = State::Clean;
            }
            return Some(directory);
        }
        self.rounds.left = None;
        self.pacer.end_round(now);
        None
    }

    /// Records that a directory was read to its end.
    pub(crate) fn on_scanned(&mut self, directory: usize, has_unfinished: bool, now: Instant) {
        self.note_unfinished(directory, has_unfinished);
        let directory = &mut self.directories[directory];
        directory.scans += 1;
        directory.last_scan = Some(now);
        if mutant!(CleanedLate) && directory.state == State::Dirty {
            directory.state = State::Clean;
        }
    }

    /// Returns whether a scan that returned entries should be followed by another one, because a
    /// removal during it may have hidden other entries.
    pub(crate) fn wants_follow_up(&mut self, directory: usize, has_found: bool) -> bool {
        let follow_ups = &mut self.directories[directory].follow_ups;
        let is_allowed = *follow_ups < MAX_FOLLOW_UPS || mutant!(FollowUpsEndless);
        let wants = has_found && is_allowed;
        *follow_ups = if wants { *follow_ups + 1 } else { 0 };
        wants
    }

    /// Records that an entry of a directory was seen that is not finished.
    pub(crate) fn set_unfinished(&mut self, directory: usize) {
        self.note_unfinished(directory, true);
    }

    /// Forgets the unfinished entries of a directory: its path leads to another directory now.
    pub(crate) fn clear_unfinished(&mut self, directory: usize) {
        self.note_unfinished(directory, false);
    }

    fn note_unfinished(&mut self, directory: usize, has_unfinished: bool) {
        let before =
            std::mem::replace(&mut self.directories[directory].has_unfinished, has_unfinished);
        self.unfinished = self.unfinished + usize::from(has_unfinished) - usize::from(before);
    }

    /// Returns whether any directory has entries that were not finished when they were last seen.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.unfinished > 0
    }

    /// Returns whether a round is active, or one is to begin: now, or once it is allowed to.
    #[inline]
    pub(crate) fn has_due(&self) -> bool {
        self.rounds.left.is_some() || !self.rounds.dirty.is_empty()
    }

    /// Returns whether any directory is read in this round or the next one.
    pub(crate) fn has_dirty(&self) -> bool {
        !self.rounds.dirty.is_empty()
    }

    /// Returns whether a directory will be read in this round or the next one.
    pub(crate) fn is_dirty(&self, directory: usize) -> bool {
        self.directories[directory].state == State::Dirty
    }

    /// Returns whether a round is active.
    pub(crate) fn is_round_active(&self) -> bool {
        self.rounds.left.is_some()
    }

    /// Returns whether a pull may be taken from the trigger now: if its scan can follow.
    pub(crate) fn may_drain(&self, now: Instant) -> bool {
        self.is_round_active() || self.pacer.may_begin(now)
    }

    /// Returns the pacer.
    pub(crate) fn pacer(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// Returns the earliest time of the next round; `None` means immediately.
    pub(crate) fn round_allowed_at(&self) -> Option<Instant> {
        self.pacer.next_at()
    }

    /// Returns the time of the next round or rescan, or `None` if neither is foreseen.
    #[inline]
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        let rescan = self.rescan.at().filter(|_| !mutant!(RescanNotAwaited));
        if self.rounds.dirty.is_empty() && self.later.is_empty() {
            return rescan;
        }
        self.next_round_at(now).into_iter().chain(rescan).min()
    }

    /// Returns the time of the next round for a directory that is dirty, or will be.
    fn next_round_at(&self, now: Instant) -> Option<Instant> {
        if self.is_round_active() && !mutant!(BlockedRoundAwaited) {
            // It begins after this one, which may wait for entries to become quiet.
            return None;
        }
        let allowed = self.pacer.next_at().unwrap_or(now);
        let is_dirty = !self.rounds.dirty.is_empty() && !mutant!(DirtyNotAwaited);
        let dirty = is_dirty.then_some(allowed);
        let later = self.later.first().filter(|_| !mutant!(DelayNotAwaited));
        let later = later.map(|(at, _)| allowed.max(*at));
        dirty.into_iter().chain(later).min()
    }

    /// Returns how often a directory was read to its end, and when last.
    pub(crate) fn scans(&self, directory: usize) -> (u64, Option<Instant>) {
        let directory = &self.directories[directory];
        (directory.scans, directory.last_scan)
    }

    /// Returns how many rounds have begun.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A schedule whose directories have all been read once, at a time at which a round may begin.
    fn clean(directories: usize) -> (Schedule, Instant) {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(None, now);
        for _ in 0..directories {
            schedule.add_directory();
        }
        round(&mut schedule, now);
        now += SECOND;
        (schedule, now)
    }

    fn round(schedule: &mut Schedule, now: Instant) -> Vec<usize> {
        let mut read = Vec::new();
        while let Some(directory) = schedule.next_directory(now) {
            schedule.on_scanned(directory, false, now);
            read.push(directory);
        }
        read
    }

    #[test]
    fn each_directory_is_read_once_a_round_in_the_order_of_the_marks() {
        let (mut schedule, now) = clean(3);
        assert!(!schedule.has_due());
        for directory in [2, 0, 2] {
            schedule.mark_dirty(directory);
        }
        assert_eq!(round(&mut schedule, now), [2, 0]);
        assert_eq!(schedule.scans(2), (2, Some(now)));
        assert_eq!(schedule.scans(1).0, 1);
        assert!(!schedule.has_due());
    }

    #[test]
    fn a_mark_during_the_scan_brings_another_scan_in_the_next_round() {
        let (mut schedule, now) = clean(2);
        schedule.mark_dirty(0);
        schedule.mark_dirty(1);
        assert_eq!(schedule.next_directory(now), Some(0));
        schedule.mark_dirty(0);
        assert_eq!(schedule.next_directory(now), Some(1));
        assert_eq!(schedule.next_directory(now), None, "the round is over");
        assert!(schedule.is_dirty(0));
        assert_eq!(round(&mut schedule, now + SECOND), [0]);
    }

    #[test]
    fn a_clean_mark_within_a_round_takes_no_other_directory_out_of_it() {
        let (mut schedule, now) = clean(3);
        for directory in 0..3 {
            schedule.mark_dirty(directory);
        }
        assert_eq!(schedule.next_directory(now), Some(0));
        schedule.mark_clean(1);
        schedule.mark_dirty(1);
        assert_eq!(schedule.next_directory(now), Some(2));
        assert_eq!(schedule.next_directory(now), None, "1 was marked for the next round");
        assert_eq!(round(&mut schedule, now + SECOND), [1]);
    }

    #[test]
    fn a_clean_mark_of_a_directory_of_the_next_round_leaves_this_round_as_it_is() {
        let (mut schedule, now) = clean(3);
        schedule.mark_dirty(0);
        schedule.mark_dirty(1);
        assert_eq!(schedule.next_directory(now), Some(0));
        schedule.mark_dirty(2);
        schedule.mark_clean(2);
        assert_eq!(schedule.next_directory(now), Some(1));
        assert_eq!(schedule.next_directory(now), None);
    }

    #[test]
    fn a_round_begins_only_for_a_dirty_directory_and_when_it_is_allowed() {
        let (mut schedule, now) = clean(1);
        let before = schedule.rounds();
        assert!(!schedule.has_due());
        assert_eq!(schedule.next_directory(now), None);
        assert!(!schedule.is_round_active());
        assert_eq!(schedule.rounds(), before);
        schedule.mark_dirty(0);
        for _ in 0..10 {
            schedule.pacer().charge_empty(now);
        }
        assert_eq!(schedule.next_directory(now), None);
        assert!(!schedule.is_round_active() && schedule.has_due());
        assert_eq!(schedule.next_directory(now + SECOND), Some(0));
        assert!(schedule.is_round_active() && schedule.has_due(), "the round must be ended");
        assert_eq!(schedule.rounds(), before + 1);
    }

    #[test]
    fn no_round_is_foreseen_during_another_one() {
        let (mut schedule, now) = clean(1);
        let rescan = schedule.next_at(now);
        schedule.mark_dirty(0);
        assert!(schedule.next_at(now).is_some_and(|at| at <= now));
        assert_eq!(schedule.next_directory(now), Some(0));
        schedule.mark_dirty(0);
        assert_eq!(schedule.next_at(now), rescan);
    }

    #[test]
    fn a_mark_without_a_delay_is_one_for_the_next_round() {
        let (mut schedule, now) = clean(1);
        assert!(schedule.mark_dirty_after(0, SECOND, now));
        assert!(schedule.mark_dirty_after(0, Duration::ZERO, now));
        assert!(schedule.is_dirty(0));
        assert!(!schedule.mark_dirty_after(0, Duration::ZERO, now));
        assert_eq!(round(&mut schedule, now), [0]);
    }

    #[test]
    fn a_delayed_mark_is_due_at_its_time_and_the_earlier_of_two_holds() {
        let (mut schedule, now) = clean(1);
        assert!(schedule.mark_dirty_after(0, 2 * SECOND, now));
        assert!(!schedule.mark_dirty_after(0, 3 * SECOND, now));
        assert!(schedule.mark_dirty_after(0, SECOND, now));
        assert!(!schedule.mark_dirty_after(0, SECOND, now), "at the same time is no news");
        assert!(!schedule.mark_dirty_after(0, Duration::MAX, now));
        assert_eq!(schedule.next_at(now), Some(now + SECOND));
        schedule.update(now + SECOND / 2);
        assert!(!schedule.is_dirty(0));
        schedule.update(now + SECOND);
        assert!(schedule.is_dirty(0));
        assert!(!schedule.mark_dirty_after(0, SECOND, now), "it is read before");
        assert_eq!(round(&mut schedule, now + SECOND), [0]);
        schedule.update(now + 10 * SECOND);
        assert!(!schedule.is_dirty(0));
    }

    #[test]
    fn of_several_delayed_marks_those_are_due_whose_time_has_come() {
        let (mut schedule, now) = clean(3);
        for (directory, seconds) in [(0, 3), (1, 1), (2, 2)] {
            schedule.mark_dirty_after(directory, seconds * SECOND, now);
        }
        schedule.update(now + 2 * SECOND);
        assert_eq!(round(&mut schedule, now + 2 * SECOND), [1, 2]);
    }

    #[test]
    fn a_jump_of_the_clock_back_makes_a_too_distant_time_due() {
        const LONGEST: Duration = Duration::from_secs(5);
        let begin = Instant::now() + 600 * SECOND;
        let mut schedule = Schedule::new(Some(60 * SECOND), begin);
        (0..4).for_each(|_| schedule.add_directory());
        round(&mut schedule, begin);
        for _ in 0..10 {
            schedule.pacer().charge_empty(begin);
        }
        let back = begin - 300 * SECOND;
        for (directory, ahead) in [(0, 6), (1, 5), (2, 1), (3, 400)] {
            schedule.mark_dirty_after(directory, ahead * SECOND, back);
        }
        schedule.on_jump(LONGEST, back);
        let dirty: Vec<_> = (0..4).filter(|directory| schedule.is_dirty(*directory)).collect();
        assert_eq!(dirty, [0, 3], "the others are not further ahead than the longest delay");
        assert!(schedule.take_rescan(back));
        assert!(schedule.may_drain(back), "the debt was from before the jump");
    }

    #[test]
    fn a_pull_reads_the_directories_that_the_watch_may_not_have_reported() {
        let grades = [WatchGrade::Names, WatchGrade::Changes, WatchGrade::None];
        let (mut schedule, now) = clean(3);
        schedule.on_pull(|directory| grades[directory]);
        assert_eq!(round(&mut schedule, now), [2]);
        schedule.set_unfinished(0);
        schedule.mark_dirty_after(1, 60 * SECOND, now);
        assert!(schedule.has_unfinished());
        schedule.on_pull(|directory| grades[directory]);
        assert_eq!(round(&mut schedule, now + SECOND), [0, 1, 2]);
        assert!(!schedule.has_unfinished());
        schedule.set_unfinished(0);
        schedule.set_unfinished(0);
        schedule.clear_unfinished(0);
        assert!(!schedule.has_unfinished());
    }

    #[test]
    fn a_scan_that_found_something_is_followed_by_three_at_most() {
        let (mut schedule, _) = clean(1);
        let wants: Vec<_> = (0..5).map(|_| schedule.wants_follow_up(0, true)).collect();
        assert_eq!(wants, [true, true, true, false, true]);
        assert!(!schedule.wants_follow_up(0, false));
    }

    #[test]
    fn the_rescan_is_due_at_its_interval() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(Some(60 * SECOND), begin);
        assert!(!schedule.take_rescan(begin + 59 * SECOND));
        assert_eq!(schedule.next_at(begin), Some(begin + 60 * SECOND));
        schedule.add_directory();
        assert_eq!(schedule.next_at(begin), Some(begin), "a dirty directory is read before");
        assert!(schedule.take_rescan(begin + 60 * SECOND));
        assert!(!schedule.take_rescan(begin + 60 * SECOND));
    }

    #[test]
    fn a_pull_is_taken_only_if_its_scan_can_follow() {
        let (mut schedule, now) = clean(1);
        let mut later = now;
        while schedule.may_drain(later) {
            schedule.mark_dirty(0);
            round(&mut schedule, later);
            later += Duration::from_nanos(1);
            assert!(schedule.rounds() < 10, "rounds without a price");
        }
        let allowed = schedule.round_allowed_at().unwrap();
        assert!(schedule.may_drain(allowed));
    }

    #[test]
    fn the_next_round_is_that_of_the_directory_that_is_due_first() {
        let (mut schedule, now) = clean(3);
        assert!(!schedule.has_dirty());
        schedule.mark_dirty_after(0, 3 * SECOND, now);
        schedule.mark_dirty_after(1, 2 * SECOND, now);
        assert!(!schedule.has_dirty());
        assert_eq!(schedule.next_at(now), Some(now + 2 * SECOND));
        schedule.mark_dirty(2);
        assert!(schedule.has_dirty());
        assert!(schedule.next_at(now).is_some_and(|at| at <= now));
    }
}
