//! When to read which directory: the state machine behind [`Todo`](super::Todo), with no files and
//! no clock.
//!
//! A directory is *dirty* from the moment something may have been put into it until a scan opens it.
//! The flag is cleared before the directory is opened, so that what comes during the scan sets it
//! again and is not forgotten at the scan's end.
//!
//! Dirty directories are read in *rounds*, each directory once a round. After a round comes a
//! *pause*, as long as the round's reading took, so that reading takes at most half of the time. A
//! pull that comes in the round or in the pause is *remembered* for the next one, and until then
//! there is no point in hearing of more pulls: the trigger *rests*.

use std::iter;
use std::time::{Duration, Instant};

/// The shortest pause: at most 500 rounds a second. A storm of pulls wakes the reader twice a round,
/// once by the pull that is then remembered and once by the end of the pause, so that this bounds
/// its wakes to a thousand a second.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// How long after a failure something is tried again: twice as long each time.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(30);

    pub(super) const fn new() -> Backoff {
        Backoff(Backoff::FIRST)
    }

    /// The wait before the next attempt.
    pub(super) fn fail(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(Backoff::LAST);
        wait
    }
}

#[derive(Debug)]
pub(super) struct Agenda {
    directories: Vec<Directory>,
    /// How many of them are dirty: mostly none, and then there is nothing to look through.
    dirty: usize,
    round: Option<Round>,
    pause_until: Instant,
    /// A pull was taken from the trigger, and no round has begun since.
    remembered: bool,
}

#[derive(Debug)]
struct Directory {
    dirty: bool,
    /// A dirty directory that could not be read is left alone until then.
    not_before: Option<Instant>,
    backoff: Backoff,
    /// How often it was read to its end.
    reads: u64,
}

#[derive(Debug)]
struct Round {
    /// Those before this one were visited; what makes them dirty now is for the next round.
    next: usize,
    spent: Duration,
}

impl Agenda {
    /// `directories` of them, all dirty, with a round due at once.
    pub(super) fn new(directories: usize, now: Instant) -> Agenda {
        Agenda {
            directories: iter::repeat_with(Directory::new).take(directories).collect(),
            dirty: directories,
            round: None,
            pause_until: now,
            remembered: false,
        }
    }

    /// A pull was taken from the trigger. Whatever is dirty is due; and every directory is dirty
    /// whose watch cannot be relied on to have said what the pull is about.
    pub(super) fn pulled(&mut self, relied_on: impl Fn(usize) -> bool) {
        self.remembered = true;
        for number in 0..self.directories.len() {
            if !relied_on(number) {
                self.soil(number);
            }
            self.directories[number].not_before = None;
        }
    }

    /// Something may have been put into a directory; it need not be read before `not_before`,
    /// unless somebody pulls.
    pub(super) fn changed(&mut self, directory: usize, not_before: Instant) {
        if self.soil(directory) {
            self.directories[directory].not_before = Some(not_before);
        }
    }

    /// A directory has to be read, and what may have kept it from being read is gone.
    pub(super) fn is_dirty_now(&mut self, directory: usize) {
        self.soil(directory);
        self.directories[directory].not_before = None;
    }

    /// Makes a directory dirty; false if it was.
    fn soil(&mut self, directory: usize) -> bool {
        let was_clean = !std::mem::replace(&mut self.directories[directory].dirty, true);
        self.dirty += usize::from(was_clean);
        was_clean
    }

    /// Everything has to be read, for whatever reason; what could not be read is tried again now.
    pub(super) fn everything_is_dirty(&mut self) {
        (0..self.directories.len()).for_each(|directory| self.is_dirty_now(directory));
    }

    /// There is one directory more, and it is dirty.
    pub(super) fn grow(&mut self) {
        self.directories.push(Directory::new());
        self.dirty += 1;
    }

    /// The next directory to open, if it is time to. It is not dirty any more: what comes after
    /// this makes it dirty again. Say [`read`](Agenda::read) or [`failed`](Agenda::failed) before
    /// asking again.
    pub(super) fn begin(&mut self, now: Instant) -> Option<usize> {
        if self.round.is_none() {
            if !self.round_is_due(now) {
                return None;
            }
            self.round = Some(Round { next: 0, spent: Duration::ZERO });
            self.remembered = false;
        }
        let round = self.round.as_mut()?;
        while let Some(directory) = self.directories.get_mut(round.next) {
            round.next += 1;
            if directory.is_due(now) {
                directory.not_before = None;
                if !mutant!(CleanedLate) {
                    directory.dirty = false;
                    self.dirty -= 1;
                }
                return Some(round.next - 1);
            }
        }
        self.pause_until = now + round.spent.max(SHORTEST_PAUSE);
        self.round = None;
        None
    }

    /// Some time was spent on reading a directory, the deliveries in between not counted.
    pub(super) fn spent(&mut self, time: Duration) {
        if let Some(round) = &mut self.round {
            round.spent += time;
        }
    }

    /// A directory was read to its end.
    pub(super) fn read(&mut self, directory: usize) {
        let directory = &mut self.directories[directory];
        directory.backoff = Backoff::new();
        directory.reads += 1;
        if mutant!(CleanedLate) && std::mem::take(&mut directory.dirty) {
            self.dirty -= 1;
        }
    }

    /// How often a directory was read to its end.
    pub(super) fn reads(&self, directory: usize) -> u64 {
        self.directories[directory].reads
    }

    /// A directory could not be opened, or not read to its end. It is tried again later, and by the
    /// next pull at once.
    pub(super) fn failed(&mut self, directory: usize, now: Instant) {
        let wait = self.directories[directory].backoff.fail();
        self.changed(directory, now + wait);
    }

    /// Whether a scan of this directory is to come.
    pub(super) fn is_dirty(&self, directory: usize) -> bool {
        self.directories[directory].dirty
    }

    /// Whether there is a directory that [`begin`](Agenda::begin) would return now.
    #[inline]
    pub(super) fn has_work(&self, now: Instant) -> bool {
        self.dirty > 0 && self.has_due_directory(now)
    }

    fn has_due_directory(&self, now: Instant) -> bool {
        let from = match &self.round {
            Some(round) => round.next,
            None if self.round_is_due(now) => 0,
            None => return false,
        };
        self.directories[from..].iter().any(|directory| directory.is_due(now))
    }

    /// Whether a directory is being read, or the next one may be at once.
    pub(super) fn round_is_on(&self) -> bool {
        self.round.is_some()
    }

    /// Whether a round may begin.
    pub(super) fn round_is_due(&self, now: Instant) -> bool {
        self.round.is_none() && self.next_round().is_some_and(|due| due <= now)
    }

    /// Whether a pull waits for a round: then others need not be heard of.
    pub(super) fn rests(&self) -> bool {
        self.remembered
    }

    /// When the next round is due, if one is foreseen: a moment in the past for one that is due.
    pub(super) fn next_round(&self) -> Option<Instant> {
        if self.remembered {
            return Some(self.pause_until);
        }
        if self.dirty == 0 {
            return None;
        }
        let dirty = self.directories.iter().filter(|directory| directory.dirty);
        let due = dirty.map(|directory| directory.not_before.unwrap_or(self.pause_until)).min();
        due.map(|due| due.max(self.pause_until))
    }
}

impl Directory {
    fn new() -> Directory {
        Directory { dirty: true, not_before: None, backoff: Backoff::new(), reads: 0 }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.dirty && self.not_before.is_none_or(|then| then <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Reads all that is due, taking `each` for a directory; says which.
    fn round(agenda: &mut Agenda, now: Instant, each: Duration) -> Vec<usize> {
        let mut visited = Vec::new();
        while let Some(directory) = agenda.begin(now) {
            agenda.spent(each);
            agenda.read(directory);
            visited.push(directory);
        }
        visited
    }

    #[test]
    fn a_pull_after_a_quiet_time_is_served_at_once_and_the_next_after_the_pause() {
        let start = Instant::now();
        let mut agenda = Agenda::new(2, start);
        assert_eq!(round(&mut agenda, start, 5 * MS), [0, 1], "all are read at start");
        assert_eq!(agenda.next_round(), None, "no pull, no scan");

        agenda.pulled(|_| false);
        assert!(agenda.rests(), "others need not be heard of");
        assert_eq!(agenda.next_round(), Some(start + 10 * MS), "as long as the reading took");
        assert_eq!(round(&mut agenda, start + 9 * MS, MS), []);
        assert_eq!(round(&mut agenda, start + 10 * MS, MS / 4), [0, 1]);
        assert!(!agenda.rests());

        agenda.pulled(|_| false);
        assert_eq!(agenda.next_round(), Some(start + 10 * MS + SHORTEST_PAUSE));
        assert_eq!(round(&mut agenda, start + 90 * MS, MS), [0, 1]);
    }

    #[test]
    fn a_pull_during_the_scan_is_for_what_was_opened_before_it() {
        let start = Instant::now();
        let mut agenda = Agenda::new(3, start);
        assert_eq!(agenda.begin(start), Some(0));
        agenda.read(0);
        assert_eq!(agenda.begin(start), Some(1));
        agenda.pulled(|_| false);
        agenda.read(1);
        assert_eq!(round(&mut agenda, start, MS), [2], "opened after the pull: once is enough");
        assert_eq!(round(&mut agenda, start + 3 * MS, MS), [0, 1], "opened before it: again");
        assert_eq!(agenda.next_round(), None);
    }

    #[test]
    fn what_cannot_be_read_is_tried_ever_more_slowly_and_by_a_pull_at_once() {
        let mut now = Instant::now();
        let mut agenda = Agenda::new(1, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(agenda.begin(now), Some(0));
            agenda.failed(0, now);
            assert_eq!(agenda.begin(now), None);
            let next = agenda.next_round().expect("never forgotten");
            waits.push(next - now);
            now = next;
        }
        assert!(waits.is_sorted() && waits[0] < waits[5], "{waits:?}");
        assert_eq!(waits.last(), Some(&Duration::from_secs(30)));

        assert_eq!(agenda.begin(now), Some(0));
        agenda.failed(0, now);
        assert_eq!(agenda.begin(now), None);
        agenda.pulled(|_| false);
        assert_eq!(agenda.next_round(), Some(now + SHORTEST_PAUSE), "paced, but not put off");
    }

    #[test]
    fn a_pull_reads_only_what_no_watch_answers_for() {
        let start = Instant::now();
        let mut agenda = Agenda::new(3, start);
        round(&mut agenda, start, MS);
        let later = start + 10 * MS;
        agenda.pulled(|directory| directory != 1);
        assert_eq!(round(&mut agenda, later, MS), [1]);
        agenda.pulled(|_| true);
        assert_eq!(round(&mut agenda, later + 10 * MS, MS), [], "but it starts the same pause");
        assert_eq!(agenda.next_round(), None);
        agenda.pulled(|_| true);
        assert_eq!(agenda.next_round(), Some(later + 10 * MS + SHORTEST_PAUSE));
    }

    #[test]
    fn a_change_says_where_and_a_pull_says_when() {
        let start = Instant::now();
        let mut agenda = Agenda::new(3, start);
        round(&mut agenda, start, MS);
        agenda.changed(1, start + 1000 * MS);
        agenda.changed(1, start + 2000 * MS);
        assert_eq!(agenda.next_round(), Some(start + 1000 * MS), "the first change counts");
        agenda.pulled(|_| true);
        assert_eq!(round(&mut agenda, start + 10 * MS, MS), [1]);
    }

    #[test]
    fn a_pull_during_a_scan_that_fails_is_not_put_off() {
        let now = Instant::now();
        let mut agenda = Agenda::new(1, now);
        assert_eq!(agenda.begin(now), Some(0));
        agenda.pulled(|_| false);
        agenda.failed(0, now);
        assert_eq!(agenda.begin(now), None);
        assert_eq!(agenda.next_round(), Some(now + SHORTEST_PAUSE));
    }
}
