//! Todo when this process runs out of descriptors, or of rights: it keeps what it has, says so once,
//! and loses nothing. Each test has the process to itself.

mod office;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use office::Office;
use pullcord::{Backend, Todo, WatchMode};
use support::{Suite, named, sys};

fn main() -> ExitCode {
    Suite::default()
        .alone_on_each_backend(named![
            running_out_while_open_is_said_once_and_loses_nothing,
            running_out_at_start_is_said,
            rights_taken_away_are_said_once_and_lose_nothing,
        ])
        .run(&[])
}

/// Opens files until no more can be opened.
fn exhaust() -> Vec<File> {
    assert!(sys::limit_descriptors(64), "the limit cannot be lowered");
    std::iter::from_fn(|| File::open("/").ok()).collect()
}

fn running_out_while_open_is_said_once_and_loses_nothing(backend: Backend) {
    let mut office = Office::new(backend, Some(3));
    office.open_on(office.queue().watch(WatchMode::Off));
    office.settle();
    let entry = office.link("1/17");
    // The writer needs a descriptor too, for a moment.
    let mut taken = exhaust();
    taken.pop();
    office.pull();
    taken.extend(File::open("/").ok());

    let (paths, errors) = office.settle();
    assert!(paths.is_empty());
    assert_eq!(errors.len(), 3, "once for each directory: {errors:?}");
    assert!(errors.iter().all(|error| error.contains("ulimit -n")), "{errors:?}");
    let before = office.todo().counters();
    let (_, errors) = office.turn(std::time::Duration::from_millis(250));
    assert!(errors.is_empty(), "said once: {errors:?}");
    let after = office.todo().counters();
    assert!(after.scans - before.scans <= 3, "tried at a pace");

    // No further pull comes: the one that came is still owed its scan.
    drop(taken);
    office.expect(&[entry]);
}

fn running_out_at_start_is_said(backend: Backend) {
    let office = Office::new(backend, None);
    let queue = office.queue();
    let taken = exhaust();
    let error = Todo::open(queue.clone()).map(drop).unwrap_err().to_string();
    assert!(error.contains("lock/trigger") && error.contains("ulimit -n"), "{error}");
    drop(taken);
    Todo::open(queue).unwrap();
}

/// Root has all the rights, whatever the mode says: somebody else plays the owner.
fn rights_taken_away_are_said_once_and_lose_nothing(backend: Backend) {
    let office = Office::new(backend, Some(2));
    let played = sys::in_child(|| {
        sys::become_nobody();
        for watch in [WatchMode::Off, WatchMode::Auto] {
            let mut office = Office::new(backend, Some(2));
            office.open_on(office.queue().watch(watch));
            office.settle();
            let part = office.path("todo/1");
            let mode = |mode| fs::set_permissions(&part, fs::Permissions::from_mode(mode)).unwrap();
            // Into a directory that may be written to and searched, but not read.
            mode(0o300);
            let (hidden, seen) = (office.link("1/17"), office.link("0/18"));
            office.pull();
            let (paths, errors) = office.settle();
            assert!(paths.contains(&seen), "the other directory is served");
            if !paths.contains(&hidden) {
                assert_eq!(errors.len(), 1, "said once: {errors:?}");
                assert!(errors[0].contains("todo/1"), "{errors:?}");
                mode(0o700);
                office.expect(&[hidden]);
            }
            mode(0o700);
        }
    });
    drop(office);
    assert!(played.success());
}
