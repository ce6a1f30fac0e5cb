//! Entries that their writer makes executable once they are complete.

use super::*;

fn options(host: &Host) -> QueueOptions {
    host.options().write_method(WriteMethod::OwnerExecutable)
}

#[test]
fn a_scan_notes_files_that_are_unfinished() {
    let mut host = Host::new();
    for watch in MODES {
        let mut queue = options(&host).watch(watch).open().unwrap();
        // Neither of these will ever become an entry.
        fs::create_dir(host.todo.join("directory")).unwrap();
        symlink("nowhere", host.todo.join("link")).unwrap();
        assert!(host.settle(&mut queue).is_empty());
        assert!(!queue.schedule.has_unfinished());
        let entry = host.create("1");
        queue.mark_dirty(0);
        host.now += SECOND;
        assert!(host.settle(&mut queue).is_empty());
        assert!(queue.schedule.has_unfinished());
        make_executable(&entry);
        host.now += SECOND;
        assert_eq!(host.pulled(&mut queue), ["1"]);
        assert!(!queue.schedule.has_unfinished());
        for name in ["1", "link"] {
            fs::remove_file(host.todo.join(name)).unwrap();
        }
        fs::remove_dir(host.todo.join("directory")).unwrap();
    }
}

#[test]
fn the_watch_notes_files_that_are_unfinished() {
    let host = Host::new();
    let mut queue = options(&host).open().unwrap();
    host.settle(&mut queue);
    if !queue.is_fully_watched() {
        return;
    }
    fs::create_dir(host.todo.join("directory")).unwrap();
    symlink("nowhere", host.todo.join("link")).unwrap();
    assert!(host.watched(&mut queue).is_empty());
    assert!(!queue.schedule.has_unfinished());
    let entry = host.create("1");
    assert!(host.watched(&mut queue).is_empty());
    assert!(queue.schedule.has_unfinished());
    make_executable(&entry);
    assert_eq!(host.watched(&mut queue), ["1"]);
}

/// The scan that ends later has not seen it.
#[test]
fn a_file_that_is_reported_during_a_scan_stays_unfinished() {
    let host = Host::new();
    (0..100).for_each(|name| host.create_executable(&name.to_string()));
    let mut queue = options(&host).open().unwrap();
    host.entries(&mut queue);
    assert!(queue.is_scanning());
    if !queue.is_fully_watched() {
        return;
    }
    host.create("unfinished");
    host.watched(&mut queue);
    assert!(!queue.is_scanning() && queue.schedule.has_unfinished());
    // The scan that a pull causes returns it: no report hides it.
    assert!(!queue.arrivals.reported.contains(0, "unfinished".as_ref()));
}

#[test]
fn a_file_that_was_returned_is_not_returned_again_unless_it_changes() {
    let host = Host::new();
    let mut queue = options(&host).open().unwrap();
    host.settle(&mut queue);
    if !queue.is_fully_watched() {
        return;
    }
    let entry = host.create("1");
    make_executable(&entry);
    // Its creation, its end and its new mode are three events.
    assert_eq!(host.watched(&mut queue), ["1"]);
    make_executable(&entry);
    assert_eq!(host.watched(&mut queue), ["1"]);
}

/// A turn looks at 64 files at most.
#[test]
fn a_turn_looks_at_a_bounded_number_of_files() {
    let host = Host::new();
    (0..200).for_each(|name| drop(host.create(&name.to_string())));
    let mut queue = options(&host).open().unwrap();
    let looked = |queue: &mut Queue| {
        assert!(host.entries(queue).is_empty());
        queue.work.turn.looks
    };
    let mut scanned = Vec::new();
    while scanned.is_empty() || queue.is_scanning() {
        scanned.push(looked(&mut queue));
    }
    assert!(
        scanned.iter().sum::<usize>() >= 200 && scanned.iter().all(|looks| *looks <= 64),
        "{scanned:?}"
    );
    if !queue.is_fully_watched() {
        return;
    }
    (200..400).for_each(|name| drop(host.create(&name.to_string())));
    queue.set_watch_readable();
    assert_eq!(looked(&mut queue), 64);
    assert!(queue.watches.has_buffered_events());
}

#[test]
fn a_file_that_is_gone_before_the_scan_looks_at_it_is_not_returned() {
    let host = Host::new();
    (0..100).for_each(|name| host.create_executable(&name.to_string()));
    let mut queue = options(&host).watch(WatchMode::Off).open().unwrap();
    assert!(!host.entries(&mut queue).is_empty());
    assert!(queue.is_scanning(), "a turn makes 64 looks");
    (0..100).for_each(|name| fs::remove_file(host.todo.join(name.to_string())).unwrap());
    assert!(host.settle(&mut queue).is_empty());
}

/// The scan looks at it between the writer's chmod(2) and the read of its event.
#[test]
fn a_file_that_the_scan_has_found_ready_is_not_returned_again_for_its_event() {
    let host = Host::new();
    let paths: Vec<_> = (0..100).map(|name| host.create(&name.to_string())).collect();
    let mut queue = options(&host).open().unwrap();
    assert!(host.entries(&mut queue).is_empty(), "a turn looks at 64 files");
    assert!(queue.is_scanning());
    if !queue.is_fully_watched() {
        return;
    }
    paths.iter().for_each(|path| make_executable(path));
    settle_time(&paths[99]);
    let mut names = host.settle(&mut queue);
    assert!((30..=50).contains(&names.len()), "the watch was not read yet: {names:?}");
    names.extend(host.watched(&mut queue));
    assert_eq!(names.len(), 100);
}

/// Its chmod(2) by another name of the file is reported nowhere. The scan that looks at it then must not
/// leave it out as reported.
#[test]
fn a_reported_file_that_is_finished_silently_is_returned_by_the_scan() {
    let mut host = Host::new();
    let mut queue = options(&host).open().unwrap();
    host.settle(&mut queue);
    if !queue.is_fully_watched() {
        return;
    }
    // The scan may not begin yet.
    queue.mark_dirty(0);
    (0..10).for_each(|_| queue.schedule.pacer().charge_empty(host.now));
    let other = host.root.path().join("other");
    fs::write(&other, "").unwrap();
    fs::hard_link(&other, host.todo.join("1")).unwrap();
    assert!(host.watched(&mut queue).is_empty());
    make_executable(&other);
    host.now += SECOND;
    assert_eq!(host.settle(&mut queue), ["1"]);
}
