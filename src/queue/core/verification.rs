//! Which paths must be compared with the files that are watched or open, and when.
//!
//! All paths are compared at an interval, after an overflow of the watch, and when the queue is opened. A
//! single path is compared when its own watch reports that the path changed, and when a reported entry does
//! not exist. A comparison is one step, so that a caller can make a bounded number of them in a turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::timer::Timer;

/// A path to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Trigger,
    /// A directory, and whether it must be watched anew even if its path leads to the same one.
    Directory {
        directory: usize,
        rearm: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Verification {
    timer: Timer,
    /// The next step of the pass over all paths: 0 is the trigger, and then come the directories.
    next: Option<usize>,
    /// The pass arms every directory anew.
    rearm: bool,
    /// Single directories, and whether each must be watched anew.
    single: BTreeMap<usize, bool>,
}

impl Verification {
    /// Returns a verification with a pass at each interval; `None` means never.
    pub(crate) fn new(interval: Option<Duration>, now: Instant) -> Verification {
        Verification {
            timer: Timer::new(interval, now),
            next: None,
            rearm: false,
            single: BTreeMap::new(),
        }
    }

    /// Begins a pass over all paths, from the beginning if one is under way.
    pub(crate) fn begin_pass(&mut self, rearm: bool) {
        (self.next, self.rearm) = (Some(0), self.rearm || rearm);
    }

    /// Begins a pass if the interval is over. Returns whether it did.
    pub(crate) fn update(&mut self, now: Instant) -> bool {
        let is_due = self.timer.is_due(now);
        if is_due {
            self.timer.restart(now);
            if self.next.is_none() {
                self.begin_pass(false);
            }
        }
        is_due
    }

    /// Makes the next pass due if its time is more than an interval ahead: the clock jumped back.
    pub(crate) fn on_jump(&mut self, now: Instant) {
        self.timer.on_jump(now);
    }

    /// Adds one directory, to be watched anew: its watch may have ended, and then the path may lead to
    /// another directory with the same numbers.
    pub(crate) fn rearm(&mut self, directory: usize) {
        self.single.insert(directory, true);
    }

    /// Adds one directory, to be compared: one of its entries was not found, so that its path may lead to
    /// another directory for a moment.
    pub(crate) fn compare(&mut self, directory: usize) {
        self.single.entry(directory).or_insert(false);
    }

    /// Returns the next step, of a queue with so many directories.
    pub(crate) fn next_step(&mut self, directories: usize) -> Option<Step> {
        if let Some((directory, rearm)) = self.single.pop_first() {
            return Some(Step::Directory { directory, rearm });
        }
        let next = self.next?;
        self.next = Some(next + 1).filter(|next| *next <= directories);
        let rearm = self.rearm;
        self.rearm &= self.next.is_some();
        match next.checked_sub(1) {
            None => Some(Step::Trigger),
            Some(directory) if directory < directories => {
                Some(Step::Directory { directory, rearm })
            }
            Some(_) => None,
        }
    }

    /// Returns whether there is a step to make.
    pub(crate) fn is_pending(&self) -> bool {
        self.next.is_some() || !self.single.is_empty()
    }

    /// Returns the time of the next pass.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.timer.at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn steps(verification: &mut Verification, directories: usize) -> Vec<Step> {
        let steps = std::iter::from_fn(|| {
            verification.is_pending().then(|| verification.next_step(directories)).flatten()
        });
        steps.collect()
    }

    fn directory(directory: usize, rearm: bool) -> Step {
        Step::Directory { directory, rearm }
    }

    #[test]
    fn an_interval_brings_one_pass_over_trigger_and_directories() {
        let begin = Instant::now();
        let mut verification = Verification::new(Some(INTERVAL), begin);
        assert!(!verification.update(begin));
        assert!(!verification.is_pending());
        assert!(verification.update(begin + INTERVAL));
        let pass = [Step::Trigger, directory(0, false), directory(1, false)];
        assert_eq!(steps(&mut verification, 2), pass);
        assert!(!verification.update(begin + INTERVAL));
        assert_eq!(verification.next_at(), Some(begin + 2 * INTERVAL));
    }

    #[test]
    fn a_jump_of_the_clock_back_brings_a_pass() {
        let begin = Instant::now() + 10 * INTERVAL;
        let mut verification = Verification::new(Some(INTERVAL), begin);
        let back = begin - 5 * INTERVAL;
        verification.on_jump(back);
        assert!(verification.update(back));
    }

    #[test]
    fn a_pass_that_watches_anew_does_so_to_its_end_and_not_in_the_next_pass() {
        let begin = Instant::now();
        let mut verification = Verification::new(None, begin);
        verification.begin_pass(true);
        assert_eq!(verification.next_step(2), Some(Step::Trigger));
        assert_eq!(verification.next_step(2), Some(directory(0, true)));
        verification.begin_pass(false);
        let pass = [Step::Trigger, directory(0, true), directory(1, true)];
        assert_eq!(steps(&mut verification, 2), pass);
        verification.begin_pass(false);
        let pass = [Step::Trigger, directory(0, false), directory(1, false)];
        assert_eq!(steps(&mut verification, 2), pass);
    }

    #[test]
    fn single_directories_come_first_and_once() {
        let mut verification = Verification::new(None, Instant::now());
        verification.begin_pass(false);
        verification.compare(1);
        verification.rearm(1);
        verification.compare(1);
        verification.compare(0);
        assert_eq!(verification.next_step(2), Some(directory(0, false)));
        assert_eq!(verification.next_step(2), Some(directory(1, true)));
        assert_eq!(verification.next_step(2), Some(Step::Trigger));
    }

    #[test]
    fn a_pass_ends_early_if_directories_were_removed() {
        let mut verification = Verification::new(None, Instant::now());
        verification.begin_pass(false);
        assert_eq!(verification.next_step(3), Some(Step::Trigger));
        assert_eq!(verification.next_step(3), Some(directory(0, false)));
        assert_eq!(verification.next_step(1), None);
        assert!(!verification.is_pending());
    }
}
