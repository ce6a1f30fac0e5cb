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
fn a_hidden_file_cannot_be_requeued() {
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
}
