//! The watch: its events, and the scan beside it.

use super::*;

/// Opens a queue whose watch reports names, and makes its first turns; `None` on a system without such a
/// watch.
fn open(host: &Host, options: QueueOptions) -> Option<Queue> {
    let mut queue = open_only(options)?;
    assert!(host.settle(&mut queue).is_empty());
    Some(queue)
}

/// Opens such a queue, and makes no turn.
fn open_only(options: QueueOptions) -> Option<Queue> {
    REPORTS_NAMES.then(|| options.watch(WatchMode::Required).open().unwrap())
}

/// Opens such a queue, and makes its first turn, which must not end the scan.
fn scanning(host: &Host, options: QueueOptions) -> Option<Queue> {
    let mut queue = open_only(options)?;
    assert!(!host.entries(&mut queue).is_empty());
    assert!(queue.is_scanning());
    Some(queue)
}

/// Makes 1,000 turns at one time, each after an event. Returns the number of entries and of reads.
fn count_reads(host: &Host, queue: &mut Queue, cause: impl Fn()) -> (usize, u64) {
    let (mut entries, before) = (0, queue.watches.reads());
    for _ in 0..1000 {
        cause();
        queue.set_watch_readable();
        entries += host.turn(queue);
    }
    (entries, queue.watches.reads() - before)
}

/// A watch that reports events of no entry costs a bounded number of reads.
#[test]
fn only_events_of_entries_are_read_without_end() {
    let host = Host::new();
    let Some(mut queue) = open(&host, host.options()) else { return };
    let create = || drop(host.create("1"));
    // One read is sufficient for each.
    assert_eq!(count_reads(&host, &mut queue, create), (1000, 1000));
    let hide = || fs::remove_file(host.create(".hidden")).unwrap();
    let (entries, reads) = count_reads(&host, &mut queue, hide);
    assert_eq!(entries, 0);
    assert!((1..100).contains(&reads), "{reads} reads of hidden files at one time");
}

/// A notifier that reports a watch without events.
#[test]
fn an_empty_watch_is_not_read_without_end() {
    let host = Host::new();
    let Some(mut queue) = open(&host, host.options()) else { return };
    let (entries, reads) = count_reads(&host, &mut queue, || ());
    assert_eq!(entries, 0);
    assert!((1..100).contains(&reads), "{reads} reads at one time");
}

#[test]
fn a_batch_waits_for_the_events_that_are_pending_and_for_no_others() {
    let host = Host::new();
    let Some(mut queue) = open(&host, host.options()) else { return };
    (0..10).for_each(|name| drop(host.create(&name.to_string())));
    queue.mark_dirty(0);
    let before = queue.watches.reads();
    // The notifier has not reported the watch yet.
    assert_eq!(host.settle(&mut queue).len(), 10);
    assert_eq!(queue.watches.reads() - before, 1);
}

#[test]
fn events_of_entries_that_are_checked_are_read_without_end() {
    let host = Host::new();
    let options = host.options().write_method(WriteMethod::OwnerExecutable);
    let Some(mut queue) = open(&host, options) else { return };
    let create = || host.create_executable("1");
    assert_eq!(count_reads(&host, &mut queue, create), (1000, 1000));
}

/// A scan whose events take longer than the turn.
#[test]
fn each_entry_is_returned_once_although_the_turn_ends_amid_the_events() {
    // A turn takes 4,096 names. One of an entry is the last of them.
    for hidden in [4066, 6000] {
        let host = Host::new();
        let Some(mut queue) = open_only(host.options()) else { return };
        // The kernel makes one of two equal events.
        for number in 0..hidden {
            fs::remove_file(host.create([".even", ".odd"][number % 2])).unwrap();
        }
        for name in 0..60 {
            host.create(&name.to_string());
        }
        // The watch was not reported yet, so that the scan comes first.
        assert!(host.entries(&mut queue).is_empty());
        assert_eq!(queue.work.turn.names, 4096);
        let mut names = host.settle(&mut queue);
        let count = names.len();
        names.dedup();
        assert_eq!((names.len(), count), (60, 60), "{hidden} hidden files");
    }
}

#[test]
fn a_report_is_remembered_until_a_scan_of_the_directory_has_ended() {
    let host = Host::new();
    let Some(mut queue) = open(&host, host.options()) else { return };
    host.create("1");
    queue.mark_dirty(0);
    // Both know the entry. It is returned once.
    assert_eq!(host.watched(&mut queue), ["1"]);
    assert!(!queue.arrivals.reported.contains(0, "1".as_ref()), "no scan needs it any more");
}

/// A change during the scan needs another scan, which must leave out the names that were reported before it.
#[test]
fn a_report_is_remembered_for_the_next_scan() {
    let host = Host::new();
    (0..100).for_each(|name| drop(host.create(&name.to_string())));
    let Some(mut queue) = scanning(&host, host.options()) else { return };
    host.create("new");
    queue.set_watch_readable();
    assert!(!host.entries(&mut queue).is_empty());
    queue.mark_dirty(0);
    let names = host.settle(&mut queue);
    assert!(queue.stats().scans >= 2);
    assert!(names.iter().filter(|name| *name == "new").count() <= 1, "{names:?}");
}

/// On a file system that another host may change, a name that was reported may be another file's by then.
#[test]
fn a_report_of_a_shared_file_system_hides_nothing_from_the_scan() {
    let host = Host::new();
    let Some(mut queue) = open(&host, host.options().assume_local(false)) else { return };
    host.create("1");
    queue.mark_dirty(0);
    assert_eq!(host.watched(&mut queue), ["1", "1"]);
}

#[test]
fn a_file_of_the_name_of_the_trigger_is_an_entry_unless_it_is_the_trigger() {
    let host = Host::new();
    // The trigger is in another directory.
    let entry = host.create("trigger");
    let mut queue = host.open(WatchMode::Auto);
    assert_eq!(host.settle(&mut queue), ["trigger"]);
    fs::remove_file(&entry).unwrap();
    host.create("trigger");
    assert_eq!(host.pulled_or_watched(&mut queue), ["trigger"]);
    drop(queue);
    fs::remove_file(entry).unwrap();

    // The trigger is in the directory, by this path and by another one.
    let fifo = host.todo.join("trigger");
    for path in [fifo.clone(), host.link_to_root().join("todo/trigger")] {
        Trigger::create(&fifo, 0o622).unwrap();
        let options = QueueOptions::directories([&host.todo]).trigger(&path);
        let mut queue = options.open().unwrap();
        assert!(host.settle(&mut queue).is_empty());
        fs::remove_file(&fifo).unwrap();
        Trigger::create(&fifo, 0o622).unwrap();
        assert!(host.pulled_or_watched(&mut queue).is_empty());
        fs::remove_file(&fifo).unwrap();
    }
}

/// A look at an entry whose path leads nowhere else: the directory has failed.
#[test]
fn an_entry_that_cannot_be_looked_at_is_returned_once_it_can_be() {
    let mut host = Host::new();
    let options = host.options().write_method(WriteMethod::OwnerExecutable);
    let Some(mut queue) = open(&host, options) else { return };
    host.create_executable("1");
    let away = host.root.path().join("away");
    fs::rename(&host.todo, &away).unwrap();
    fs::write(&host.todo, "no directory").unwrap();
    assert!(host.watched(&mut queue).is_empty());
    assert!(queue.status().next().unwrap().last_error.is_some());
    fs::remove_file(&host.todo).unwrap();
    fs::rename(&away, &host.todo).unwrap();
    host.now += 2 * SECOND;
    assert_eq!(host.settle(&mut queue), ["1"]);
    assert!(queue.status().next().unwrap().last_error.is_none());
}

/// The same while the directory is being read: that scan fails. Nothing reports that the path leads to the
/// directory again.
#[test]
fn a_scan_fails_if_a_reported_entry_cannot_be_looked_at() {
    let mut host = Host::new();
    (0..100).for_each(|name| host.create_executable(&name.to_string()));
    let link = host.link_to_root();
    let options = QueueOptions::directories([link.join("todo")]).verify_interval(3600 * SECOND);
    let options = options.write_method(WriteMethod::OwnerExecutable).rescan_interval(None);
    let Some(mut queue) = scanning(&host, options) else { return };
    host.create_executable("late");
    break_link(&link);
    queue.set_watch_readable();
    while queue.is_scanning() {
        host.entries(&mut queue);
    }
    assert!(queue.status().next().unwrap().last_error.is_some());
    fs::remove_file(&link).unwrap();
    host.link_to_root();
    host.now += 2 * SECOND;
    let mut names = Vec::new();
    while names.is_empty() || queue.is_scanning() {
        names.extend(host.entries(&mut queue).into_iter().map(|entry| entry.name));
    }
    assert!(names.contains(&"late".into()), "{names:?}");
}
