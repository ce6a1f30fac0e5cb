//! The queue in a process without free descriptors or without permissions. It keeps its open files,
//! reports the problem once, and loses no entry. Each test has a process of its own.

mod queue_fixture;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;

use pullcord::{Backend, DirWatcher, QueueOptions, WatchMode};
use queue_fixture::QueueFixture;
use support::{Suite, named, sys};

fn main() -> ExitCode {
    Suite::default()
        .alone_on_each_backend(named![
            an_open_queue_without_free_descriptors_reports_it_once_and_loses_nothing,
            opening_a_queue_without_free_descriptors_fails_with_a_hint,
            an_unreadable_directory_is_reported_once_and_its_entries_are_not_lost,
            with_any_number_of_free_descriptors_opening_fails_with_a_hint_or_mail_is_found,
            a_parent_that_cannot_be_read_concerns_nobody,
        ])
        .run(&[])
}

/// Opens files until no more can be opened.
fn exhaust() -> Vec<File> {
    assert!(sys::limit_descriptors(64), "the limit cannot be lowered");
    std::iter::from_fn(|| File::open("/").ok()).collect()
}

fn an_open_queue_without_free_descriptors_reports_it_once_and_loses_nothing(backend: Backend) {
    let mut fixture = QueueFixture::new(backend, Some(3));
    fixture.open(&fixture.options().watch(WatchMode::Off));
    fixture.settle();
    let entry = fixture.link("1/17");
    // The writer needs a descriptor for a moment.
    let mut taken = exhaust();
    taken.pop();
    fixture.pull();
    taken.extend(File::open("/").ok());

    let (paths, warnings) =
        fixture.turn_until("every directory fails", |fixture| fixture.warned.len() >= 4);
    assert!(paths.is_empty());
    assert_eq!(warnings.len(), 4, "once for todo and each part: {warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains("ulimit -n")), "{warnings:?}");
    let before = fixture.stats();
    let (_, warnings) = fixture.turn_for(Duration::from_secs(1));
    assert!(warnings.is_empty(), "reported once: {warnings:?}");
    let tries = fixture.stats().scans - before.scans;
    assert!((1..=12).contains(&tries), "{tries} scans in a second");

    // No other pull follows. The scan for the first pull is still pending.
    drop(taken);
    fixture.expect(&[entry]);
}

fn opening_a_queue_without_free_descriptors_fails_with_a_hint(backend: Backend) {
    let fixture = QueueFixture::new(backend, None);
    let options = fixture.options();
    let taken = exhaust();
    let error = options.open().map(drop).unwrap_err().to_string();
    assert!(error.contains("lock/trigger") && error.contains("ulimit -n"), "{error}");
    drop(taken);
    options.open().unwrap();
}

/// The test runs as another user, because permissions do not restrict root.
fn an_unreadable_directory_is_reported_once_and_its_entries_are_not_lost(backend: Backend) {
    let played = sys::in_child(|| {
        sys::become_nobody();
        for watch in [WatchMode::Off, WatchMode::Auto] {
            let mut fixture = QueueFixture::new(backend, Some(2));
            fixture.open(&fixture.options().watch(watch));
            fixture.settle();
            let part = fixture.path("todo/1");
            let mode = |mode| fs::set_permissions(&part, fs::Permissions::from_mode(mode)).unwrap();
            // The directory may be written to and searched. It must not be readable.
            mode(0o300);
            let (hidden, seen) = (fixture.link("1/17"), fixture.link("0/18"));
            fixture.pull();
            let mut paths = fixture.expect(&[&seen]);
            if watch == WatchMode::Off {
                let (_, warnings) =
                    fixture.turn_until("it is reported", |fixture| !fixture.warned.is_empty());
                assert!(warnings.iter().all(|warning| warning.contains("todo/1")), "{warnings:?}");
            }
            paths.extend(fixture.turn_for(Duration::from_millis(300)).0);
            assert!(fixture.warned.len() <= 1, "reported once: {:?}", fixture.warned);
            mode(0o700);
            if !paths.contains(&hidden) {
                fixture.expect(&[hidden]);
            }
        }
    });
    assert!(played.success());
}

/// The limit is reached in each call that opens a descriptor, one after the other.
fn with_any_number_of_free_descriptors_opening_fails_with_a_hint_or_mail_is_found(
    backend: Backend,
) {
    let mut fixture = QueueFixture::new(backend, Some(2));
    let mut taken = exhaust();
    let (mut failed, mut opened) = (0, 0);
    for free in 0..20 {
        for watch in [WatchMode::Auto, WatchMode::Off] {
            taken.truncate(taken.len() - free);
            // Looking for the parts needs a descriptor, too.
            let options = QueueOptions::qmail(fixture.root.path());
            let queue = options.and_then(|options| options.watch(watch).open());
            taken.extend(std::iter::from_fn(|| File::open("/").ok()));
            let Ok(mut queue) = queue.map_err(|error| {
                let text = error.to_string();
                let path = fixture.root.path().to_str().unwrap();
                assert!(text.contains(path) && text.contains("ulimit -n"), "{text}");
            }) else {
                failed += 1;
                continue;
            };
            opened += 1;
            queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
            fixture.queue = Some(queue);
            fixture.turn_for(Duration::from_millis(20));
            taken.clear();
            let entry = fixture.link("1/17");
            fixture.pull();
            fixture.expect(&[&entry]);
            fs::remove_file(entry).unwrap();
            fixture.close();
            taken = exhaust();
        }
    }
    assert!(failed >= 2 && opened >= 10, "{failed} failed, {opened} were opened");
}

/// It may be passed through: only the directories of the queue are read and watched.
fn a_parent_that_cannot_be_read_concerns_nobody(backend: Backend) {
    let played = sys::in_child(|| {
        sys::become_nobody();
        let mut fixture = QueueFixture::new(backend, Some(2));
        let mode = |mode| {
            let path = fixture.root.path();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o311);
        let names_parts = fixture.options();
        let watched = DirWatcher::new().is_ok();
        let watch = if watched { WatchMode::Required } else { WatchMode::Auto };
        fixture.open(&names_parts.watch(watch).verify_interval(Duration::from_millis(50)));
        let entry = fixture.link("1/17");
        fixture.pull();
        fixture.expect(&[entry]);
        fixture.turn_for(Duration::from_millis(200));
        assert!(fixture.warned.is_empty(), "{:?}", fixture.warned);
        assert!(fixture.stats().verifications > 0);
        let path = fixture.root.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    });
    assert!(played.success());
}
