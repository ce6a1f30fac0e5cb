//! A file system is mounted on, above or in the queue, or unmounted. The queue must find the new target
//! of its paths within the verify interval. All tests need root. Each test removes its mounts.

#![cfg(target_os = "linux")]

mod queue_fixture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pullcord::{Backend, PullOutcome, QueueOptions, Trigger, pull};
use queue_fixture::QueueFixture;

/// A mount, until it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(arguments: &[&str], at: &Path) -> Mount {
        let mut mount = Command::new("mount");
        assert!(mount.args(arguments).arg(at).status().unwrap().success(), "{mount:?}");
        Mount(at.to_owned())
    }

    fn tmpfs(at: &Path) -> Mount {
        Mount::new(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], at)
    }

    fn bind(from: &Path, at: &Path) -> Mount {
        Mount::new(&["--bind", from.to_str().unwrap()], at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a queue may still have a directory open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn create(queue: &Path) {
    for directory in ["todo/0", "lock"] {
        fs::create_dir_all(queue.join(directory)).unwrap();
    }
    Trigger::create(queue.join("lock/trigger"), 0o622).unwrap();
}

/// `act` mounts or unmounts a file system. Checks that mail in each directory at the new paths is
/// returned, and that the new trigger is read. Checks the same after the mounts of `act` are gone.
fn check(prepare: fn(&Path) -> Vec<Mount>, act: fn(&Path, &mut Vec<Mount>)) {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    let root = fixture.root.path().to_owned();
    create(&root.join("a/queue"));
    create(&root.join("other/queue"));
    let mut mounts = prepare(&root);
    let queue = root.join("a/queue");
    let options = QueueOptions::qmail(&queue).unwrap().rescan_interval(None).poll_interval(None);
    fixture.open(&options.verify_interval(Duration::from_millis(100)));
    fixture.settle();
    assert!(fixture.queue().is_fully_watched(), "a local file system is needed");
    act(&root, &mut mounts);
    expect_mail(&mut fixture, &queue, "17");
    mounts.clear();
    if queue.join("todo").exists() {
        expect_mail(&mut fixture, &queue, "18");
    }
    fixture.close();
}

fn expect_mail(fixture: &mut QueueFixture, queue: &Path, name: &str) {
    let entries = ["", "0/"].map(|part| queue.join("todo").join(format!("{part}{name}")));
    // The entry is not linked, because its file system has no other directory.
    entries.iter().for_each(|path| fs::write(path, "a message").unwrap());
    fixture.expect(&entries);
    fixture.turn_until("the trigger is read", |_| {
        pull(queue.join("lock/trigger")).unwrap() != PullOutcome::NoReader
    });
    fixture.turn_until("all is watched", |fixture| fixture.queue().is_fully_watched());
    entries.iter().for_each(|path| fs::remove_file(path).unwrap());
}

#[test]
#[ignore = "needs root, to mount"]
fn a_file_system_mounted_on_todo_is_found() {
    check(
        |_| vec![],
        |root, mounts| {
            mounts.push(Mount::tmpfs(&root.join("a/queue/todo")));
            fs::create_dir(root.join("a/queue/todo/0")).unwrap();
        },
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn a_file_system_mounted_on_the_triggers_directory_is_found() {
    check(
        |_| vec![],
        |root, mounts| {
            mounts.push(Mount::tmpfs(&root.join("a/queue/lock")));
            Trigger::create(root.join("a/queue/lock/trigger"), 0o622).unwrap();
        },
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn a_file_system_mounted_above_the_queue_is_found() {
    check(
        |_| vec![],
        |root, mounts| {
            mounts.push(Mount::tmpfs(&root.join("a")));
            create(&root.join("a/queue"));
        },
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn another_queue_bound_over_the_queue_is_found() {
    check(
        |_| vec![],
        |root, mounts| mounts.push(Mount::bind(&root.join("other/queue"), &root.join("a/queue"))),
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn another_fifo_bound_over_the_trigger_is_found() {
    check(
        |_| vec![],
        |root, mounts| {
            let trigger = |queue: &str| root.join(queue).join("queue/lock/trigger");
            mounts.push(Mount::bind(&trigger("other"), &trigger("a")));
        },
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn a_directory_bound_over_a_part_is_found() {
    check(
        |_| vec![],
        |root, mounts| {
            let part = |queue: &str| root.join(queue).join("queue/todo/0");
            mounts.push(Mount::bind(&part("other"), &part("a")));
        },
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn the_queue_below_an_unmounted_file_system_is_found() {
    check(
        |root| {
            let mount = Mount::tmpfs(&root.join("a"));
            create(&root.join("a/queue"));
            vec![mount]
        },
        |_, mounts| mounts.clear(),
    );
}

#[test]
#[ignore = "needs root, to mount"]
fn a_second_file_system_mounted_over_the_first_is_found() {
    check(
        |root| {
            let mount = Mount::tmpfs(&root.join("a"));
            create(&root.join("a/queue"));
            vec![mount]
        },
        |root, mounts| {
            mounts.push(Mount::tmpfs(&root.join("a")));
            create(&root.join("a/queue"));
        },
    );
}

/// inotify has one watch for both paths.
#[test]
#[ignore = "needs root, to mount"]
fn a_part_is_bound_to_the_place_of_another_part() {
    let mut fixture = QueueFixture::new(Backend::best(), Some(2));
    let options = fixture.options().rescan_interval(None);
    fixture.open(&options.verify_interval(Duration::from_millis(100)));
    fixture.settle();
    let parts = |fixture: &mut QueueFixture| fixture.queue().status().count();
    let mount = Mount::bind(&fixture.path("todo/0"), &fixture.path("todo/1"));
    fixture.turn_until("it is an alias", |fixture| parts(fixture) == 2);
    for round in 0..3 {
        let entry = fixture.path(&format!("todo/{}/{round}", round % 2));
        let before = fixture.stats().watch_entries;
        fs::write(&entry, "a message").unwrap();
        let (mut paths, _) =
            fixture.turn_until("it is returned", |fixture| fixture.stats().watch_entries > before);
        paths.extend(fixture.settle().0);
        assert_eq!(paths.len(), 1, "it is returned once, by one of its paths: {paths:?}");
        assert_eq!(paths[0].file_name(), entry.file_name());
        fs::remove_file(entry).unwrap();
    }
    drop(mount);
    fixture.turn_until("it is a part of its own", |fixture| parts(fixture) == 3);
    fixture.turn_until("all is watched", |fixture| fixture.queue().is_fully_watched());
    for part in 0..2 {
        let entry = fixture.link(format!("{part}/mail"));
        assert_eq!(fixture.expect_and_settle(&[&entry]), [entry]);
    }
}
