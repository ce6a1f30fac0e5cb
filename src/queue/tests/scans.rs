//! Scans: their limits, and directories that come and go.

use super::*;

/// A turn takes 4,096 names at most, of entries or not.
#[test]
fn a_turn_reads_a_bounded_number_of_names() {
    let host = Host::new();
    (0..5000).for_each(|name| drop(host.create(&format!(".{name}"))));
    let mut queue = host.open(WatchMode::Off);
    assert!(host.entries(&mut queue).is_empty());
    assert_eq!((queue.work.turn.names, queue.is_scanning()), (4096, true));
    assert!(host.entries(&mut queue).is_empty());
    assert_eq!((queue.work.turn.names, queue.is_scanning()), (5000 - 4096, false));
}

#[test]
fn a_directory_that_is_made_later_is_read_once() {
    let mut host = Host::new();
    fs::remove_dir(&host.todo).unwrap();
    let mut queue = host.options().must_exist(false).open().unwrap();
    host.settle(&mut queue);
    fs::create_dir(&host.todo).unwrap();
    host.create("1");
    host.now += 2 * SECOND;
    assert_eq!(host.settle(&mut queue), ["1"]);
    assert_eq!(queue.stats().directories_read, 1);
    assert_eq!(queue.status().next().unwrap().scans, 1);
}

#[test]
fn a_name_of_no_entry_cannot_be_requeued() {
    let host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    let requeue = |queue: &mut Queue, path: PathBuf| {
        queue.requeue(&OwnedEntry::from_path(path).unwrap(), host.now + SECOND)
    };
    for path in [host.todo.join(".hidden"), host.todo.join("part/1"), host.fifo.clone()] {
        let error = requeue(&mut queue, path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    requeue(&mut queue, host.todo.join("1")).unwrap();
    // A program can change the fields of an entry.
    for name in ["", "part/1"] {
        let mut entry = OwnedEntry::from_path(host.todo.join("1")).unwrap();
        entry.name = name.into();
        let error = queue.requeue(&entry, host.now + SECOND).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name:?}");
    }
}

#[test]
fn a_directory_outside_a_qmail_queue_is_an_entry() {
    let host = Host::new();
    let mut queue = host.open(WatchMode::Off);
    fs::create_dir(host.todo.join("0")).unwrap();
    fs::create_dir(host.todo.join("part")).unwrap();
    assert_eq!(host.settle(&mut queue), ["0", "part"]);
    assert_eq!(queue.status().count(), 1);
}

#[test]
fn a_requeued_name_whose_file_has_changed_is_returned_by_a_scan_and_no_more() {
    let mut host = Host::new();
    let entry = host.create("1");
    let mut queue = host.open(WatchMode::Off);
    assert_eq!(host.settle(&mut queue), ["1"]);
    let requeue = |host: &Host, queue: &mut Queue| {
        let owned = OwnedEntry::from_path(host.todo.join("1")).unwrap();
        queue.requeue(&owned, host.now + 60 * SECOND).unwrap();
    };
    requeue(&host, &mut queue);
    host.now += SECOND;
    assert!(host.pulled(&mut queue).is_empty(), "it is the same file");
    fs::remove_file(&entry).unwrap();
    let other = host.create("other");
    fs::rename(other, &entry).unwrap();
    host.now += SECOND;
    assert_eq!(host.pulled(&mut queue), ["1"]);
    host.now += 60 * SECOND;
    assert!(host.settle(&mut queue).is_empty(), "its appointment has ended");
    // One that was gone when it was requeued is another one, too.
    fs::remove_file(&entry).unwrap();
    requeue(&host, &mut queue);
    host.create("1");
    host.now += SECOND;
    assert_eq!(host.pulled(&mut queue), ["1"]);
}
