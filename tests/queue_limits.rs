//! The queue in a process without free descriptors or without permissions. It keeps its open files,
//! reports the problem once, and loses no entry. Each test has a process of its own.

mod queue_fixture;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;

use pullcord::{Backend, WatchMode};
use queue_fixture::QueueFixture;
use support::{Suite, named, sys};

fn main() -> ExitCode {
    Suite::default()
        .alone_on_each_backend(named![
            an_open_queue_without_free_descriptors_reports_it_once_and_loses_nothing,
            opening_a_queue_without_free_descriptors_fails_with_a_hint,
            an_unreadable_directory_is_reported_once_and_its_entries_are_not_lost,
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
