//! The trigger: its pulls, and a trigger that fails.

use super::*;

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
    host.settle(&mut queue);
    fs::remove_dir(&host.todo).unwrap();
    host.pulled(&mut queue);
    // Each failure doubles the delay of the next retry, to a second. The last one has just failed.
    for _ in 0..8 {
        host.now += SECOND + SECOND / 10;
        host.settle(&mut queue);
    }
    fs::create_dir(&host.todo).unwrap();
    host.create("1");
    host.now += SECOND / 4;
    assert!(host.settle(&mut queue).is_empty(), "its retry is not due");
    assert_eq!(host.pulled(&mut queue), ["1"]);
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

/// A trigger that fails cannot report entries: directories without a reliable watch are polled.
#[test]
fn directories_are_polled_while_the_trigger_fails() {
    let mut host = Host::new();
    let interval = 60 * SECOND;
    let options = host.options().watch(WatchMode::Off).poll_interval(interval);
    let mut queue = options.open().unwrap();
    host.settle(&mut queue);
    fs::remove_file(&host.fifo).unwrap();
    host.now += 10 * SECOND;
    host.settle(&mut queue);
    for name in ["1", "2"] {
        let entry = host.create(name);
        host.now += interval + SECOND;
        assert_eq!(host.settle(&mut queue), [name]);
        fs::remove_file(entry).unwrap();
    }
    Trigger::create(&host.fifo, 0o622).unwrap();
    host.now += 10 * SECOND;
    host.settle(&mut queue);
    host.create("3");
    assert_eq!(host.pulled(&mut queue), ["3"]);
}

/// The notifier has reported it before the verification finds that it is gone.
#[test]
fn a_trigger_that_has_failed_is_not_waited_for_without_end() {
    let mut host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    host.settle(&mut queue);
    fs::remove_file(&host.fifo).unwrap();
    host.now += 10 * SECOND;
    queue.set_trigger_readable();
    host.settle(&mut queue);
    let fds = queue.prepare_fds(host.now);
    assert!(fds.trigger.is_none());
    assert!(fds.timeout.is_some_and(|timeout| timeout > Duration::ZERO), "{fds:?}");
}

#[test]
fn a_trigger_that_is_replaced_between_the_open_and_the_first_turn_is_found() {
    let host = Host::new();
    for watch in MODES {
        let mut queue = host.open(watch);
        host.create("1");
        fs::remove_file(&host.fifo).unwrap();
        Trigger::create(&host.fifo, 0o622).unwrap();
        assert_eq!(host.settle(&mut queue), ["1"]);
        assert_eq!(queue.stats().trigger_reopens, 1);
    }
}

/// The FIFO is still open, so that no pull is lost so far. But none is read any more.
#[test]
fn directories_are_polled_once_the_trigger_cannot_be_looked_at() {
    let mut host = Host::new();
    let link = host.link_to_root();
    let options = QueueOptions::directories([&host.todo]).trigger(link.join("trigger"));
    let options = options.watch(WatchMode::Off).rescan_interval(None).poll_interval(60 * SECOND);
    let mut queue = options.open().unwrap();
    host.settle(&mut queue);
    break_link(&link);
    host.now += 10 * SECOND;
    host.settle(&mut queue);
    assert_eq!(queue.next_warning().map(|it| it.kind()), Some(WarningKind::Trigger));
    let scans = queue.stats().scans;
    host.create("1");
    host.now += 61 * SECOND;
    assert_eq!(host.settle(&mut queue), ["1"]);
    assert_eq!(queue.stats().scans, scans + 1);
}
