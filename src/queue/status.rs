//! The counters of a queue, and the state of each directory.

use std::path::Path;
use std::time::Instant;

use super::WatchGrade;

/// The counters of a queue, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Events of the trigger and of the watch that the caller has passed on.
    pub wakeups: u64,
    /// Calls of read(2) on the trigger.
    pub trigger_reads: u64,
    /// Reads of the trigger that found bytes.
    pub pulls: u64,
    /// How often another FIFO was opened in place of the trigger.
    pub trigger_reopens: u64,
    /// Rounds of scans: each reads all directories that may have new entries.
    pub scans: u64,
    /// Directories that a scan has opened.
    pub directories_read: u64,
    /// Entries that a scan has found.
    pub scan_entries: u64,
    /// Entries that the watch has reported.
    pub watch_entries: u64,
    /// Entries that were requeued, and returned again.
    pub requeued_entries: u64,
    /// How often the watch has lost events.
    pub watch_overflows: u64,
    /// How often the paths of the queue were verified.
    pub verifications: u64,
    /// Warnings that were reported.
    pub warnings: u64,
    /// Warnings that were dropped, since the caller did not take them.
    pub dropped_warnings: u64,
}

/// How a directory of a queue is watched and read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryStatus<'a> {
    /// Its absolute path.
    pub path: &'a Path,
    /// How it is watched.
    pub watch: WatchGrade,
    /// Why it is not watched reliably, or not read at all; `None` if it is watched by names.
    pub reason: Option<&'a str>,
    /// How often it was read to its end.
    pub scans: u64,
    /// When it was last read to its end.
    pub last_scan: Option<Instant>,
    /// Why it cannot be read at present.
    pub last_error: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::queue::tests::Host;
    use crate::{OwnedEntry, Queue, Trigger, WarningKind, WatchMode, pull};

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the names of one turn.
    fn turn(queue: &mut Queue, now: Instant) -> Vec<OwnedEntry> {
        let _ = queue.prepare_fds(now);
        std::iter::from_fn(|| queue.next_entry(now).map(|entry| entry.into_owned())).collect()
    }

    /// A queue without a watch, in which each thing happens a different number of times.
    #[test]
    fn each_thing_that_happens_is_counted_once() {
        let host = Host::new();
        let mut queue = host.open(WatchMode::Off);
        let Host { todo, fifo, mut now, .. } = host;
        for name in ["1", "2", "3"] {
            fs::write(todo.join(name), "").unwrap();
        }
        let entries = turn(&mut queue, now);
        assert_eq!(entries.len(), 3);
        let first = queue.stats();
        assert_eq!((first.scan_entries, first.directories_read, first.scans), (3, 1, 1));

        for entry in &entries[..2] {
            queue.requeue(entry, now + SECOND).unwrap();
        }
        for entry in &entries {
            fs::remove_file(entry.path()).unwrap();
        }
        for _ in 0..2 {
            now += SECOND;
            pull(&fifo).unwrap();
            queue.set_trigger_readable();
            turn(&mut queue, now);
        }
        let second = queue.stats();
        assert_eq!(second.requeued_entries, 2);
        assert_eq!((second.wakeups, second.pulls), (2, 2));
        assert_eq!(second.trigger_reads, first.trigger_reads + 2);
        assert_eq!(second.directories_read, 3);
        assert_eq!(second.verifications, first.verifications);

        // The trigger is replaced, which the verification finds.
        fs::remove_file(&fifo).unwrap();
        Trigger::create(&fifo, 0o622).unwrap();
        now += 10 * SECOND;
        turn(&mut queue, now);
        let third = queue.stats();
        assert_eq!(third.verifications, second.verifications + 1);
        assert_eq!((third.trigger_reopens, third.warnings), (1, 0));

        // Neither can be read. Each is a warning.
        fs::remove_file(&fifo).unwrap();
        fs::remove_dir(&todo).unwrap();
        for _ in 0..4 {
            now += 10 * SECOND;
            turn(&mut queue, now);
        }
        let kinds: Vec<_> =
            std::iter::from_fn(|| queue.next_warning().map(|warning| warning.kind())).collect();
        assert!(kinds.contains(&WarningKind::Trigger), "{kinds:?}");
        assert!(kinds.contains(&WarningKind::Unreadable), "{kinds:?}");
        assert_eq!((queue.stats().warnings, kinds.len()), (2, 2));
        let status = queue.status().next().unwrap();
        assert!(status.last_error.is_some_and(|error| error.contains("todo")), "{status:?}");

        fs::create_dir(&todo).unwrap();
        now += 10 * SECOND;
        turn(&mut queue, now);
        assert_eq!(queue.status().next().unwrap().last_error, None);
    }
}
