//! Which entry's command is run, when it is run again, and how many run at a time. Asks the system
//! nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::Origin;

use crate::watch::known::{CLOCK_TICK, File};

/// The time until the first retry, which doubles at each failure.
const MIN_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(300);

/// How long no command is started after the system could not start one.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The commands that run, and the entries that wait for an attempt.
#[derive(Debug)]
pub(super) struct Jobs {
    limit: usize,
    /// How many commands are to succeed.
    enough: Option<u64>,
    running: HashMap<PathBuf, Running>,
    waiting: HashMap<PathBuf, Waiting>,
    paused_until: Option<Instant>,
    pub(super) counts: Counts,
}

/// The counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::watch) struct Counts {
    pub(in crate::watch) started: u64,
    pub(in crate::watch) succeeded: u64,
    pub(in crate::watch) failed: u64,
    pub(in crate::watch) running: u64,
}

#[derive(Debug)]
struct Running {
    /// The entry as it was right before the start.
    file: Option<File>,
    attempt: u32,
    /// The entry has arrived again meanwhile.
    is_again: bool,
}

/// An entry that the queue is to return for another attempt.
#[derive(Debug)]
struct Waiting {
    /// How often the command has failed.
    failures: u32,
    inode: Option<u64>,
}

/// An entry that the queue has returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) path: &'a Path,
    pub(super) origin: Origin,
    /// The result of lstat(2); `None` if it has failed.
    pub(super) file: Option<File>,
    /// Since its last change.
    pub(super) age: Duration,
    /// The command has succeeded for this file.
    pub(super) is_done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// To be run now. It counts as running from now on.
    Run { attempt: u32 },
    /// It is checked again after this time.
    Later(Duration),
    /// Nothing must be done now. If a command runs, its end decides.
    Skip,
}

/// An entry after its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Gone,
    There(File),
    NotKnown,
}

/// The next step after a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing: the entry is gone.
    Removed,
    /// Nothing: the command has succeeded, and has left the entry. This file is done.
    Kept(Option<File>),
    /// Run it again now: the entry has arrived again.
    Again,
    /// Run it again after this time.
    Retry(Duration),
}

impl Jobs {
    pub(super) fn new(limit: usize, enough: Option<u64>) -> Jobs {
        Jobs {
            limit,
            enough,
            running: HashMap::new(),
            waiting: HashMap::new(),
            paused_until: None,
            counts: Counts::default(),
        }
    }

    /// Returns whether another command may be started now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.has_slot() && self.paused_until.is_none_or(|until| until <= now)
    }

    /// Returns how long to wait for room, if it comes by itself.
    pub(super) fn time_to_room(&self, now: Instant) -> Option<Duration> {
        let until = self.paused_until.filter(|until| *until > now && self.has_slot())?;
        Some(until - now)
    }

    fn has_slot(&self) -> bool {
        let running = self.running.len() as u64;
        let is_enough = |enough| self.counts.succeeded + running >= enough;
        self.running.len() < self.limit && !self.enough.is_some_and(is_enough)
    }

    /// Returns whether enough commands have succeeded.
    pub(super) fn has_enough(&self) -> bool {
        self.enough.is_some_and(|enough| self.counts.succeeded >= enough)
    }

    /// Returns whether no command runs, and no entry waits for another attempt.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Decides about an entry. The caller has asked for room.
    pub(super) fn admit(&mut self, found: Found<'_>) -> Admission {
        let is_scan = found.origin == Origin::Scan;
        if let Some(running) = self.running.get_mut(found.path) {
            // A scan returns all entries: the end of the command looks for changes.
            running.is_again |= !is_scan;
            return Admission::Skip;
        }
        if is_scan && found.is_done {
            return Admission::Skip;
        }
        let inode = found.file.map(|file| file.inode);
        // The file system's clock moves in ticks. A file that takes the place of this one within the
        // tick cannot be told from it, and would be taken for done.
        if is_scan && found.age < CLOCK_TICK {
            self.wait(found.path, 0, inode);
            return Admission::Later(CLOCK_TICK - found.age);
        }
        let before = self.waiting.get(found.path);
        // A command may change the entry itself: the inode number stays.
        let before = before.filter(|it| it.inode == inode && found.origin != Origin::Watch);
        let attempt = before.map_or(1, |it| it.failures.saturating_add(1));
        let running = Running { file: found.file, attempt, is_again: false };
        self.waiting.remove(found.path);
        self.running.insert(found.path.to_owned(), running);
        self.counts.started += 1;
        self.counts.running += 1;
        Admission::Run { attempt }
    }

    /// Records that the system could not start the command of an entry, and starts no other one for a
    /// while: all would fail. Returns when to try again.
    pub(super) fn on_not_started(&mut self, path: &Path, now: Instant) -> Duration {
        if let Some(Running { file, attempt, .. }) = self.end(path) {
            self.counts.started -= 1;
            self.wait(path, attempt - 1, file.map(|file| file.inode));
        }
        self.paused_until = now.checked_add(PAUSE);
        PAUSE
    }

    /// Records the end of the command of an entry. `is_watched`: a change of the directory is sure to be
    /// reported.
    pub(super) fn on_ended(
        &mut self,
        path: &Path,
        has_succeeded: bool,
        left: Left,
        is_watched: bool,
    ) -> After {
        let running = self.end(path);
        let (file, attempt, is_again) =
            running.map_or((None, 1, false), |it| (it.file, it.attempt, it.is_again));
        let counter =
            if has_succeeded { &mut self.counts.succeeded } else { &mut self.counts.failed };
        *counter += 1;
        let left = match left {
            Left::Gone => {
                self.waiting.remove(path);
                return After::Removed;
            }
            Left::There(file) => Some(file),
            Left::NotKnown => None,
        };
        // Without a reliable watch, a file that replaces the entry is not reported.
        let inode = |file: Option<File>| file.map(|file| file.inode);
        let is_other = !is_watched && left.is_some() && inode(file) != inode(left);
        if is_again || is_other {
            self.waiting.remove(path);
            return After::Again;
        }
        let is_same = left.is_some() && file == left;
        // Either the command has changed the entry, or a new one has the same inode number. The watch
        // reports the new one; else it is run again, but not at once.
        if has_succeeded && (is_same || is_watched || left.is_none()) {
            self.waiting.remove(path);
            return After::Kept(left.filter(|_| is_same));
        }
        self.wait(path, attempt, inode(left));
        After::Retry(delay(attempt))
    }

    fn end(&mut self, path: &Path) -> Option<Running> {
        let running = self.running.remove(path);
        self.counts.running = self.running.len() as u64;
        running
    }

    fn wait(&mut self, path: &Path, failures: u32, inode: Option<u64>) {
        self.waiting.insert(path.to_owned(), Waiting { failures, inode });
    }

    /// Forgets an entry that is gone.
    pub(super) fn forget(&mut self, path: &Path) {
        self.waiting.remove(path);
    }
}

/// Returns the time from the last of so many failures to the next attempt.
fn delay(failures: u32) -> Duration {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
    doubled.map_or(MAX_DELAY, |factor| MIN_DELAY.saturating_mul(factor).min(MAX_DELAY))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const A: File = File { inode: 1, changed: (10, 0) };
    const SECOND: Duration = Duration::from_secs(1);

    fn found(path: &str, origin: Origin, file: File) -> Found<'_> {
        let path = path.as_ref();
        Found { path, origin, file: Some(file), age: SECOND, is_done: false }
    }

    fn scanned(path: &str) -> Found<'_> {
        found(path, Origin::Scan, A)
    }

    /// Ends the command of an entry that is still there, unchanged.
    fn end(jobs: &mut Jobs, path: &str, has_succeeded: bool) -> After {
        jobs.on_ended(path.as_ref(), has_succeeded, Left::There(A), true)
    }

    #[test]
    fn there_is_room_for_the_limit_and_for_as_many_as_are_to_succeed() {
        let now = Instant::now();
        let mut jobs = Jobs::new(2, Some(3));
        for path in ["a", "b"] {
            assert!(jobs.has_room(now));
            assert_eq!(jobs.admit(scanned(path)), Admission::Run { attempt: 1 });
        }
        assert!(!jobs.has_room(now), "two run");
        end(&mut jobs, "a", true);
        end(&mut jobs, "b", false);
        assert_eq!(jobs.admit(found("b", Origin::Requeue, A)), Admission::Run { attempt: 2 });
        assert!(jobs.has_room(now), "one has succeeded, one runs");
        jobs.admit(scanned("c"));
        assert!(!jobs.has_room(now) && !jobs.has_enough());
        end(&mut jobs, "b", true);
        assert!(!jobs.has_room(now), "the third runs");
        end(&mut jobs, "c", true);
        assert!(!jobs.has_room(now) && jobs.has_enough());
        let counts = Counts { started: 4, succeeded: 3, failed: 1, running: 0 };
        assert_eq!(jobs.counts, counts);
    }

    #[test]
    fn a_failure_is_retried_with_a_delay_that_doubles_up_to_five_minutes() {
        let mut jobs = Jobs::new(1, None);
        let mut delays = Vec::new();
        for attempt in 1..=40 {
            let found = found("a", Origin::Requeue, A);
            assert_eq!(jobs.admit(found), Admission::Run { attempt });
            let After::Retry(delay) = end(&mut jobs, "a", false) else { panic!("a retry") };
            delays.push(delay.as_secs());
        }
        assert_eq!(delays[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(delays[10..].iter().all(|delay| *delay == 300));
        assert!(!jobs.is_idle(), "it waits for another attempt");
        jobs.admit(found("a", Origin::Requeue, A));
        assert_eq!(end(&mut jobs, "a", true), After::Kept(Some(A)));
        assert!(jobs.is_idle());
        jobs.admit(found("a", Origin::Watch, A));
        assert_eq!(end(&mut jobs, "a", false), After::Retry(SECOND), "from the beginning");
    }

    #[test]
    fn a_new_entry_of_the_same_name_is_the_first_attempt() {
        for again in [
            found("a", Origin::Watch, A),
            found("a", Origin::Scan, File { inode: 2, changed: (10, 0) }),
        ] {
            let mut jobs = Jobs::new(1, None);
            jobs.admit(scanned("a"));
            end(&mut jobs, "a", false);
            assert_eq!(jobs.admit(again), Admission::Run { attempt: 1 });
        }
    }

    #[test]
    fn an_entry_that_arrives_while_its_command_runs_is_run_again_after_it() {
        for has_succeeded in [true, false] {
            let mut jobs = Jobs::new(2, None);
            jobs.admit(scanned("a"));
            assert_eq!(jobs.admit(scanned("a")), Admission::Skip, "a scan returns what is there");
            assert_eq!(jobs.admit(found("a", Origin::Watch, A)), Admission::Skip);
            assert_eq!(jobs.counts.running, 1, "never two at a time for one entry");
            assert_eq!(end(&mut jobs, "a", has_succeeded), After::Again);
        }
    }

    #[test]
    fn another_file_in_the_place_of_the_entry_is_run_without_any_event() {
        let mut jobs = Jobs::new(1, None);
        jobs.admit(scanned("a"));
        let other = Left::There(File { inode: 2, changed: (11, 0) });
        assert_eq!(jobs.on_ended("a".as_ref(), true, other, false), After::Again);
    }

    #[test]
    fn a_change_by_the_command_itself_is_no_arrival_where_the_watch_reports_arrivals() {
        let changed = File { changed: (11, 0), ..A };
        let mut jobs = Jobs::new(1, None);
        jobs.admit(scanned("a"));
        let after = jobs.on_ended("a".as_ref(), true, Left::There(changed), true);
        assert_eq!(after, After::Kept(None), "a scan that returns it runs it: it may be a new one");
        // Without a watch the file may be a new one of the same inode: in doubt again, but not at once.
        for delay in [1, 2, 4] {
            jobs.admit(found("a", Origin::Requeue, A));
            let after = jobs.on_ended("a".as_ref(), true, Left::There(changed), false);
            assert_eq!(after, After::Retry(Duration::from_secs(delay)));
        }
    }

    #[test]
    fn an_entry_that_is_gone_or_done_is_not_run_again() {
        let mut jobs = Jobs::new(1, None);
        for has_succeeded in [true, false] {
            jobs.admit(scanned("a"));
            let after = jobs.on_ended("a".as_ref(), has_succeeded, Left::Gone, true);
            assert_eq!(after, After::Removed);
        }
        let done = Found { is_done: true, ..scanned("a") };
        assert_eq!(jobs.admit(done), Admission::Skip);
        let event = Found { origin: Origin::Watch, ..done };
        assert_eq!(jobs.admit(event), Admission::Run { attempt: 1 }, "an event is always new");
    }

    #[test]
    fn a_young_entry_of_a_scan_waits_for_the_next_tick() {
        let mut jobs = Jobs::new(1, None);
        let young = Found { age: Duration::from_millis(4), ..scanned("a") };
        assert_eq!(jobs.admit(young), Admission::Later(CLOCK_TICK - young.age));
        assert!(!jobs.is_idle());
        assert_eq!(jobs.admit(found("a", Origin::Requeue, A)), Admission::Run { attempt: 1 });
        for origin in [Origin::Watch, Origin::Requeue] {
            let mut jobs = Jobs::new(1, None);
            assert_eq!(jobs.admit(Found { origin, ..young }), Admission::Run { attempt: 1 });
        }
    }

    #[test]
    fn a_system_that_cannot_start_commands_is_not_asked_again_for_a_second() {
        let now = Instant::now();
        let mut jobs = Jobs::new(2, None);
        jobs.admit(scanned("a"));
        assert_eq!(jobs.on_not_started("a".as_ref(), now), PAUSE);
        assert!(!jobs.has_room(now));
        assert_eq!(jobs.time_to_room(now), Some(PAUSE));
        assert!(jobs.has_room(now + PAUSE));
        assert_eq!(jobs.counts, Counts::default(), "it was no run");
        assert!(!jobs.is_idle());
        for attempt in [1, 2] {
            assert_eq!(jobs.admit(found("a", Origin::Requeue, A)), Admission::Run { attempt });
            end(&mut jobs, "a", false);
        }
        jobs.admit(found("a", Origin::Requeue, A));
        jobs.on_not_started("a".as_ref(), now);
        let again = jobs.admit(found("a", Origin::Requeue, A));
        assert_eq!(again, Admission::Run { attempt: 3 }, "not the fourth");
    }

    #[test]
    fn an_entry_that_cannot_be_looked_at_is_run_at_least_once() {
        let mut jobs = Jobs::new(1, None);
        let unseen = Found { file: None, ..scanned("a") };
        jobs.admit(unseen);
        let after = jobs.on_ended("a".as_ref(), true, Left::NotKnown, true);
        assert_eq!(after, After::Kept(None));
        assert_eq!(jobs.admit(unseen), Admission::Run { attempt: 1 });
        let after = jobs.on_ended("a".as_ref(), false, Left::NotKnown, true);
        assert_eq!(after, After::Retry(SECOND));
        jobs.admit(unseen);
        jobs.admit(Found { origin: Origin::Watch, ..unseen });
        let after = jobs.on_ended("a".as_ref(), true, Left::NotKnown, true);
        assert_eq!(after, After::Again, "it has arrived again");
    }

    /// An hour of simulated time with a rescan each minute: a hundred good entries, one that always
    /// fails, and one whose command succeeds and leaves it.
    #[test]
    fn in_an_hour_a_poison_entry_and_one_that_stays_cost_a_bounded_number_of_runs() {
        let mut jobs = Jobs::new(1, None);
        let mut runs: BTreeMap<String, u32> = BTreeMap::new();
        let good: Vec<_> = (0..100).map(|number| format!("good{number}")).collect();
        let (mut retry_at, mut is_done) = (0, false);
        for second in 0..3600 {
            let mut returned = Vec::new();
            if second % 60 == 0 {
                let is_new = second == 0;
                returned.extend(good.iter().filter(|_| is_new).map(|it| scanned(it)));
                returned.push(Found { is_done, ..scanned("stays") });
            }
            if retry_at == second {
                returned.push(found("poison", Origin::Requeue, A));
            }
            for found in returned {
                if !matches!(jobs.admit(found), Admission::Run { .. }) {
                    continue;
                }
                let path = found.path.to_str().unwrap();
                *runs.entry(path.into()).or_default() += 1;
                let is_good = path.starts_with("good");
                let left = if is_good { Left::Gone } else { Left::There(A) };
                match jobs.on_ended(found.path, path != "poison", left, false) {
                    After::Retry(delay) => retry_at = second + delay.as_secs(),
                    After::Kept(_) => is_done = true,
                    after => assert_eq!(after, After::Removed),
                }
            }
        }
        assert!(good.iter().all(|it| runs[it] == 1));
        assert_eq!(runs["stays"], 1);
        assert_eq!(runs["poison"], 20, "10 in the first 511 s, then one in 5 minutes");
        assert_eq!(jobs.waiting.len(), 1);
    }
}
