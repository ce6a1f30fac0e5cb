//! The counters of the command since its start, which --stats, --metrics and the summary print.

use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{Queue, Stats};

use super::exec::Counts;
use super::format;
use super::known::{KnownEntries, Survey};
use crate::processor;

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Entries that were found, each once.
    pub(super) found: u64,
    /// Pulls that were seen; `None` while the trigger is not read.
    pub(super) pulls: Option<u64>,
    pub(super) queue: Stats,
    /// The commands of --exec; `None` without it.
    pub(super) commands: Option<Counts>,
    /// Processor time of this process.
    pub(super) cpu: Option<Duration>,
}

impl Totals {
    pub(super) fn now(
        found: u64,
        commands: Option<Counts>,
        has_trigger: bool,
        queue: &Queue,
    ) -> Totals {
        let stats = queue.stats();
        let pulls = has_trigger.then_some(stats.pulls);
        Totals { found, pulls, queue: stats, commands, cpu: processor::time() }
    }
}

/// Counts the entries of the queue, but spends only a tenth of the time on that.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    last: Survey,
    not_before: Option<Instant>,
}

impl Surveyor {
    /// Returns the state of the queue: as it is now, or as it was at the last survey if the pause after
    /// that is not over.
    pub(super) fn survey(
        &mut self,
        known: &mut KnownEntries,
        queue: &Queue,
        trigger: Option<&Path>,
    ) -> Survey {
        let begun = Instant::now();
        if self.not_before.is_some_and(|not_before| begun < not_before) {
            return self.last;
        }
        let directories = queue.status().map(|directory| directory.path);
        self.last = known.survey(directories, trigger, format::since_1970());
        self.not_before = Some(begun + pause(begun.elapsed()));
        self.last
    }
}

/// Returns the time from the begin of a survey that took this long to the begin of the next one.
fn pause(took: Duration) -> Duration {
    took * 10
}

/// A time that comes again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) length: Duration,
    next: Option<Instant>,
}

impl Interval {
    /// The first time is one interval from now.
    pub(super) fn new(length: Duration, now: Instant) -> Interval {
        Interval { length, next: now.checked_add(length) }
    }

    /// Returns how long to wait for the next time.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        Some(self.next?.saturating_duration_since(now))
    }

    /// Returns whether the time has come. Times that were missed meanwhile are one.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        match self.next {
            Some(next) if next <= now => {
                let next = next.checked_add(self.length);
                self.next = next.filter(|next| *next > now).or(now.checked_add(self.length));
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_over_at_its_multiples_and_missed_ones_are_one() {
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        let mut interval = Interval::new(second, begin);
        assert!(!interval.is_over(begin));
        assert!(interval.is_over(begin + second * 3 / 2));
        assert_eq!(interval.left(begin + second * 3 / 2), Some(second / 2), "no drift");
        assert!(interval.is_over(begin + second * 10));
        assert!(!interval.is_over(begin + second * 10));
        assert_eq!(interval.left(begin + second * 10), Some(second));
        assert_eq!(Interval::new(Duration::MAX, begin).left(begin), None);
    }
}
