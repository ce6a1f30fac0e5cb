//! Turns of a queue on real files, at times that the test chooses.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Queue;
use crate::watcher::REPORTS_NAMES;
use crate::{QueueOptions, Trigger, WarningKind, WatchMode, pull};

const SECOND: Duration = Duration::from_secs(1);

/// A directory and a trigger.
pub(super) struct Host {
    _root: TempDir,
    pub(super) todo: PathBuf,
    pub(super) fifo: PathBuf,
    pub(super) now: Instant,
}

impl Host {
    pub(super) fn new() -> Host {
        let root = tempfile::tempdir().unwrap();
        let (todo, fifo) = (root.path().join("todo"), root.path().join("trigger"));
        fs::create_dir(&todo).unwrap();
        Trigger::create(&fifo, 0o622).unwrap();
        Host { _root: root, todo, fifo, now: Instant::now() }
    }

    /// Opens a queue on both.
    pub(super) fn open(&self, watch: WatchMode) -> Queue {
        let options = QueueOptions::directories([&self.todo]).trigger(&self.fifo).watch(watch);
        options.open().unwrap()
    }

    /// Makes one turn. Returns the number of its entries, which are removed.
    fn turn(&self, queue: &mut Queue) -> usize {
        let _ = queue.prepare_fds(self.now);
        let mut count = 0;
        while let Some(entry) = queue.next_entry(self.now) {
            fs::remove_file(entry.path()).unwrap();
            count += 1;
        }
        count
    }

    /// As [`turn`](Host::turn), after a wait that the trigger has ended.
    fn pulled_turn(&self, queue: &mut Queue) -> usize {
        queue.set_trigger_readable();
        self.turn(queue)
    }
}

#[test]
fn pulls_before_the_first_turn_are_drained_before_its_scan() {
    let host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    fs::write(host.todo.join("1"), "").unwrap();
    pull(&host.fifo).unwrap();
    assert_eq!(host.turn(&mut queue), 1);
    let stats = queue.stats();
    assert_eq!((stats.trigger_reads, stats.pulls, stats.scans), (1, 1, 1));
    // No byte is left that would end the next wait.
    host.pulled_turn(&mut queue);
    assert_eq!((queue.stats().pulls, queue.stats().scans), (1, 1));
}

#[test]
fn the_work_at_the_begin_of_a_turn_is_done_once() {
    let mut host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    assert_eq!(host.turn(&mut queue), 0);
    let reads = queue.stats().trigger_reads;
    pull(&host.fifo).unwrap();
    queue.set_trigger_readable();
    host.now += SECOND;
    assert!(queue.next_entry(host.now).is_none());
    assert_eq!(queue.stats().trigger_reads, reads, "in the same turn");
    assert_eq!(host.turn(&mut queue), 0);
    assert_eq!(queue.stats().trigger_reads, reads + 1, "in the next turn");
}

#[test]
fn a_pull_brings_the_retry_of_a_directory_forward() {
    let mut host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    host.turn(&mut queue);
    fs::remove_dir(&host.todo).unwrap();
    // Each failure doubles the delay of the next retry, to a second.
    for _ in 0..8 {
        host.now += SECOND;
        pull(&host.fifo).unwrap();
        host.pulled_turn(&mut queue);
    }
    fs::create_dir(&host.todo).unwrap();
    fs::write(host.todo.join("1"), "").unwrap();
    host.now += SECOND / 4;
    pull(&host.fifo).unwrap();
    assert_eq!(host.pulled_turn(&mut queue), 1);
}

#[test]
fn a_trigger_that_fails_again_is_reported_again() {
    let mut host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    host.turn(&mut queue);
    for failures in 1..=3 {
        fs::remove_file(&host.fifo).unwrap();
        for _ in 0..3 {
            host.now += 10 * SECOND;
            host.turn(&mut queue);
        }
        let kinds: Vec<_> =
            std::iter::from_fn(|| queue.next_warning()).map(|it| it.kind()).collect();
        let count = kinds.iter().filter(|kind| **kind == WarningKind::Trigger).count();
        assert_eq!(count, 1, "failure {failures}: {kinds:?}");
        Trigger::create(&host.fifo, 0o622).unwrap();
        host.now += 10 * SECOND;
        host.turn(&mut queue);
    }
}

/// A notifier that reports a trigger without bytes costs a bounded number of reads.
#[test]
fn an_empty_trigger_is_not_read_without_end() {
    let host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    host.turn(&mut queue);
    for _ in 0..1000 {
        host.pulled_turn(&mut queue);
    }
    let reads = queue.stats().trigger_reads;
    assert!((1..100).contains(&reads), "{reads} reads at one time");
}

/// The same for a watch that reports events of no entry. Each read of entries is free.
#[test]
fn only_events_of_entries_are_read_without_end() {
    if !REPORTS_NAMES {
        return;
    }
    let host = Host::new();
    let mut queue = host.open(WatchMode::Required);
    host.turn(&mut queue);
    let count_reads = |queue: &mut Queue, name: &str| {
        let (mut entries, before) = (0, queue.watches.reads());
        for _ in 0..1000 {
            let path = host.todo.join(name);
            fs::write(&path, "").unwrap();
            if name.starts_with('.') {
                fs::remove_file(&path).unwrap();
            }
            queue.set_watch_readable();
            entries += host.turn(queue);
        }
        (entries, queue.watches.reads() - before)
    };
    let (entries, reads) = count_reads(&mut queue, "1");
    assert_eq!(entries, 1000);
    assert!(reads >= 1000, "{reads} reads for 1,000 entries");
    let (entries, reads) = count_reads(&mut queue, ".hidden");
    assert_eq!(entries, 0);
    assert!((1..100).contains(&reads), "{reads} reads of hidden files at one time");
}
