//! Entries that are written in place.

use super::*;

const QUIET: Duration = Duration::from_secs(3600);

fn options(host: &Host) -> QueueOptions {
    host.options().write_method(WriteMethod::InPlace { quiet: QUIET })
}

/// Opens a queue whose watch reports names; `None` on another system.
fn open(host: &Host) -> Option<Queue> {
    let mut queue = options(host).open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    (REPORTS_NAMES && queue.is_fully_watched()).then_some(queue)
}

/// Lets the quiet time pass twice: the first look finds a young file, whose times are real ones. Returns the
/// entries.
fn be_quiet(host: &mut Host, queue: &mut Queue) -> Vec<(String, Origin)> {
    let mut entries = Vec::new();
    for _ in 0..2 {
        host.now += QUIET - SECOND;
        assert!(host.entries(queue).is_empty(), "it is not quiet for long enough");
        host.now += SECOND;
        entries = host.entries(queue);
    }
    entries.into_iter().map(|entry| (entry.name.into_string().unwrap(), entry.origin)).collect()
}

/// Waits until the file is so old.
fn grow_old(path: &Path, age: Duration) {
    let is_old = |version: file::FileVersion| version.age(clock::wall()).is_some_and(|it| it > age);
    while !is_old(file::lstat(path).unwrap().version) {
        std::thread::yield_now();
    }
}

fn append(path: &Path) {
    File::options().append(true).open(path).unwrap().write_all(b"a line").unwrap();
}

#[test]
fn a_reported_file_is_returned_once_two_looks_find_it_unchanged() {
    let mut host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    host.create("1");
    queue.set_watch_readable();
    assert!(host.entries(&mut queue).is_empty());
    assert_eq!(queue.work.turn.looks, 0, "its event is sufficient");
    assert_eq!(be_quiet(&mut host, &mut queue), [("1".into(), Origin::Watch)]);
    assert_eq!(host.watched(&mut queue), [""; 0]);
}

#[test]
fn a_scanned_file_is_returned_once_two_looks_find_it_unchanged() {
    let mut host = Host::new();
    host.create("1");
    let mut queue = options(&host).watch(WatchMode::Off).open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    // Without a watch nothing is known of the clock of its times, so that one look is sufficient.
    host.now += QUIET;
    let origins: Vec<_> = host.entries(&mut queue).iter().map(|entry| entry.origin).collect();
    assert_eq!(origins, [Origin::Scan]);
}

#[test]
fn the_longest_quiet_time_is_a_time() {
    for watch in MODES {
        let mut host = Host::new();
        host.create("found");
        let options = host.options().write_method(WriteMethod::InPlace { quiet: Duration::MAX });
        let mut queue = options.watch(watch).open().unwrap();
        assert!(host.settle(&mut queue).is_empty());
        host.create("reported");
        for _ in 0..3 {
            host.now += QUIET;
            assert!(host.pulled_or_watched(&mut queue).is_empty());
        }
    }
}

#[test]
fn events_of_files_that_wait_are_read_without_end() {
    let host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    let before = queue.watches.reads();
    for _ in 0..1000 {
        append(&host.create("1"));
        assert!(host.watched(&mut queue).is_empty());
    }
    assert_eq!(queue.watches.reads() - before, 1000);
}

#[test]
fn a_file_that_is_gone_before_it_is_quiet_is_not_returned() {
    let mut host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    fs::remove_file(host.create("1")).unwrap();
    assert!(host.watched(&mut queue).is_empty());
    assert!(be_quiet(&mut host, &mut queue).is_empty());
}

/// Its times prove it.
#[test]
fn a_file_that_is_old_when_its_time_comes_is_returned_at_the_first_look() {
    let (mut host, quiet) = (Host::new(), Duration::from_millis(50));
    let path = host.create("found");
    grow_old(&path, quiet);
    let options = host.options().write_method(WriteMethod::InPlace { quiet });
    let mut queue = options.open().unwrap();
    if !(REPORTS_NAMES && queue.is_fully_watched()) {
        return;
    }
    assert_eq!(host.settle(&mut queue), ["found"]);
    // Its consumer opens it, and changes nothing.
    drop(File::options().append(true).open(&path).unwrap());
    assert!(host.watched(&mut queue).is_empty());
    host.now += SECOND;
    assert!(host.settle(&mut queue).is_empty());

    grow_old(&host.create("reported"), quiet);
    assert!(host.watched(&mut queue).is_empty());
    host.now += quiet;
    assert_eq!(host.settle(&mut queue), ["reported"]);
}

#[test]
fn a_link_that_a_scan_finds_is_returned_at_once() {
    let host = Host::new();
    symlink("nowhere", host.todo.join("link")).unwrap();
    for watch in MODES {
        let mut queue = options(&host).watch(watch).open().unwrap();
        assert_eq!(host.settle(&mut queue), ["link"], "watch {watch}");
    }
}

/// No process writes to it.
#[test]
fn a_link_is_returned_after_one_quiet_time() {
    let mut host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    symlink("nowhere", host.todo.join("link")).unwrap();
    assert!(host.watched(&mut queue).is_empty());
    host.now += QUIET;
    assert_eq!(host.settle(&mut queue), ["link"]);
}

#[test]
fn an_event_of_an_unchanged_file_leaves_the_time_of_a_requeued_entry_alone() {
    let mut host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    let path = host.create("1");
    host.watched(&mut queue);
    be_quiet(&mut host, &mut queue);
    let requeue = |host: &Host, queue: &mut Queue| {
        let entry = OwnedEntry::from_path(&path).unwrap();
        queue.requeue(&entry, host.now + 10 * QUIET).unwrap();
        // As if 4,096 others had been returned since.
        queue.arrivals.recent.forget(0);
    };
    requeue(&host, &mut queue);
    drop(File::options().append(true).open(&path).unwrap());
    assert!(host.watched(&mut queue).is_empty());
    assert!(be_quiet(&mut host, &mut queue).is_empty());
    host.now += 8 * QUIET;
    let origins: Vec<_> = host.entries(&mut queue).iter().map(|entry| entry.origin).collect();
    assert_eq!(origins, [Origin::Requeue]);
    // A file that has changed is returned when it is quiet.
    requeue(&host, &mut queue);
    append(&path);
    assert!(host.watched(&mut queue).is_empty());
    assert_eq!(be_quiet(&mut host, &mut queue), [("1".into(), Origin::Watch)]);
    // So is one that was not there when its name was requeued.
    fs::remove_file(&path).unwrap();
    requeue(&host, &mut queue);
    host.create("1");
    assert!(host.watched(&mut queue).is_empty());
    assert_eq!(be_quiet(&mut host, &mut queue), [("1".into(), Origin::Watch)]);
}

/// An event that a consumer causes.
#[test]
fn an_event_of_a_file_that_was_returned_and_is_unchanged_is_no_arrival() {
    let mut host = Host::new();
    let Some(mut queue) = open(&host) else { return };
    let path = host.create("1");
    host.watched(&mut queue);
    settle_time(&path);
    assert_eq!(be_quiet(&mut host, &mut queue).len(), 1);
    drop(File::options().append(true).open(&path).unwrap());
    host.watched(&mut queue);
    assert!(be_quiet(&mut host, &mut queue).is_empty());
}

/// Found by a scan, 4,096 files wait for quiet at most. The scan pauses meanwhile, and pulls wait, too.
#[test]
fn a_scan_that_pauses_keeps_the_queue_asleep() {
    let mut host = Host::new();
    (0..5000).for_each(|name| drop(host.create(&name.to_string())));
    let mut queue = options(&host).watch(WatchMode::Off).open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    assert_eq!(queue.appointments.scanned(), 4096);
    pull(&host.fifo).unwrap();
    queue.set_trigger_readable();
    let reads = queue.stats().trigger_reads;
    assert!(host.settle(&mut queue).is_empty());
    assert_eq!(queue.stats().trigger_reads, reads, "its scan could not follow");
    for count in [4096, 5000 - 4096] {
        host.now += QUIET;
        let names = host.settle(&mut queue);
        assert_eq!(names.len(), count);
        names.iter().for_each(|name| fs::remove_file(host.todo.join(name)).unwrap());
    }
    assert!(queue.stats().trigger_reads > reads);
}
