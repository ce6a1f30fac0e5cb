//! Problems that lose nothing: each is reported once, and once more after it was mended.

use std::collections::{HashSet, VecDeque};

/// The most warnings that wait for the caller. Older ones are dropped and counted.
const LIMIT: usize = 64;

/// A problem that is reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Problem {
    /// The trigger cannot be opened or read.
    Trigger,
    /// The notifier refused the trigger or the watch.
    Registration,
    /// The notifier cannot wait.
    Wait,
    /// The watch itself cannot be opened or read.
    Watcher,
    /// A directory cannot be read.
    Read(usize),
    /// A directory cannot be watched.
    Watch(usize),
    /// A directory is another one of the queue's directories too.
    Alias(usize),
    /// A directory is read at an interval, because nothing else reports its entries.
    Polled(usize),
}

#[derive(Debug)]
pub(crate) struct Warnings<W> {
    /// The problems that were reported and not mended, with the number of the error.
    reported: HashSet<(Problem, Option<i32>)>,
    waiting: VecDeque<W>,
    dropped: u64,
    /// A warning was added since the last call of [`take_news`](Warnings::take_news).
    has_news: bool,
}

impl<W> Warnings<W> {
    /// Returns an empty list.
    pub(crate) fn new() -> Warnings<W> {
        Warnings { reported: HashSet::new(), waiting: VecDeque::new(), dropped: 0, has_news: false }
    }

    /// Adds a warning, unless the same problem was reported with the same error number and has not
    /// been mended since. Returns whether it was added.
    pub(crate) fn report(
        &mut self,
        problem: Problem,
        number: Option<i32>,
        warning: impl FnOnce() -> W,
    ) -> bool {
        if !self.reported.insert((problem, number)) && !mutant!(WarningRepeated) {
            return false;
        }
        self.waiting.push_back(warning());
        if self.waiting.len() > LIMIT {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.has_news = true;
        true
    }

    /// Records that a problem is mended: it is reported again when it comes back.
    pub(crate) fn mended(&mut self, problem: Problem) {
        if !self.reported.is_empty() {
            self.reported.retain(|(other, _)| *other != problem);
        }
    }

    /// Returns the next warning.
    pub(crate) fn next(&mut self) -> Option<W> {
        self.waiting.pop_front()
    }

    /// Returns whether a warning was added since the last call.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Returns how many warnings were dropped because the caller did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_reported_once_until_it_is_mended() {
        let mut warnings = Warnings::new();
        assert!(warnings.report(Problem::Trigger, Some(13), || "first"));
        assert!(!warnings.report(Problem::Trigger, Some(13), || "again"));
        warnings.mended(Problem::Watcher);
        assert!(!warnings.report(Problem::Trigger, Some(13), || "again"));
        warnings.mended(Problem::Trigger);
        assert!(warnings.report(Problem::Trigger, Some(13), || "second"));
        assert_eq!([warnings.next(), warnings.next()], [Some("first"), Some("second")]);
        assert_eq!(warnings.next(), None);
    }

    #[test]
    fn another_error_or_directory_is_another_problem() {
        let mut warnings = Warnings::new();
        assert!(warnings.report(Problem::Read(0), Some(13), || ()));
        assert!(warnings.report(Problem::Read(0), Some(5), || ()));
        assert!(warnings.report(Problem::Read(1), Some(13), || ()));
        warnings.mended(Problem::Read(0));
        assert!(!warnings.report(Problem::Read(1), Some(13), || ()));
        assert!(warnings.report(Problem::Read(0), Some(5), || ()));
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut warnings = Warnings::new();
        for directory in 0..LIMIT + 3 {
            warnings.report(Problem::Read(directory), None, || directory);
        }
        assert_eq!(warnings.dropped(), 3);
        assert_eq!(std::iter::from_fn(|| warnings.next()).collect::<Vec<_>>(), {
            (3..LIMIT + 3).collect::<Vec<_>>()
        });
    }

    #[test]
    fn news_are_told_once() {
        let mut warnings = Warnings::new();
        assert!(!warnings.take_news());
        warnings.report(Problem::Wait, None, || ());
        assert!(warnings.take_news());
        assert!(!warnings.take_news());
        warnings.report(Problem::Wait, None, || ());
        assert!(!warnings.take_news());
    }
}
