//! Entries that are written in the directory itself, where nothing marks their end. Each is returned
//! after its quiet time, and not earlier.

mod queue_fixture;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{QueueOptions, WatchMode, WriteMethod};
use queue_fixture::{PATIENCE, QueueFixture, on_each_backend, on_each_watch_mode};

const QUIET: Duration = Duration::from_millis(600);
/// Time stamps of files are as coarse as a tick of the kernel.
const TICK: Duration = Duration::from_millis(20);

fn options(fixture: &QueueFixture, quiet: Duration) -> QueueOptions {
    let options = QueueOptions::directories([fixture.path("todo")]);
    options
        .write_method(WriteMethod::InPlace { quiet })
        .poll_interval(Duration::from_millis(50))
        .rescan_interval(None)
}

/// Runs the test with a watch, and with neither a watch nor a trigger, so that the queue is polled. Each
/// entry is removed as soon as it is returned.
fn on_each(quiet: Duration, test: impl Fn(&mut QueueFixture)) {
    on_each_watch_mode(None, |mut fixture, watch| {
        fixture.open(&options(&fixture, quiet).watch(watch));
        fixture.turn_for(Duration::from_millis(100));
        test(&mut fixture);
    });
}

/// Waits for the entry and removes it. The last write was at `written`. The entry must not be returned
/// before the quiet time has passed.
#[track_caller]
fn expect_quiet(fixture: &mut QueueFixture, path: &Path, written: Instant, quiet: Duration) {
    assert_eq!(fixture.expect(&[path]), [path]);
    let after = written.elapsed();
    assert!(after + TICK >= quiet, "{path:?} is returned after {after:?}");
    assert!(after < quiet + PATIENCE / 4, "{path:?} is returned after {after:?}");
    fs::remove_file(path).unwrap();
    let again = fixture.turn_for(Duration::from_millis(150)).0;
    assert!(again.is_empty(), "it is returned again: {again:?}");
}

/// Writes in pieces, with pauses that are shorter than the quiet time. Returns the time of the last write.
fn write_slowly(fixture: &mut QueueFixture, mut file: File) -> Instant {
    let mut written = Instant::now();
    for _ in 0..6 {
        file.write_all(b"a piece\n").unwrap();
        written = Instant::now();
        let seen = fixture.turn_for(QUIET / 3).0;
        assert!(seen.is_empty(), "it is returned while it is written: {seen:?}");
    }
    written
}

#[test]
fn a_file_that_is_written_slowly_and_closed_is_returned_once_it_is_quiet() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        let file = File::create(&path).unwrap();
        // With a watch, the close is a change that starts the quiet time again.
        let written = write_slowly(fixture, file);
        expect_quiet(fixture, &path, written, QUIET);
    });
}

#[test]
fn a_file_that_stays_open_is_returned_after_its_last_write() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        let mut file = File::create(&path).unwrap();
        let written = write_slowly(fixture, file.try_clone().unwrap());
        file.flush().unwrap();
        expect_quiet(fixture, &path, written, QUIET);
        drop(file);
        assert!(fixture.turn_for(QUIET).0.is_empty(), "it is gone");
    });
}

#[test]
fn a_file_that_is_renamed_into_the_directory_is_returned_at_once_by_the_watch() {
    on_each(QUIET, |fixture| {
        let (draft, path) = (fixture.path("mess/draft"), fixture.path("todo/renamed"));
        fs::write(&draft, "a message").unwrap();
        let begun = Instant::now();
        fs::rename(&draft, &path).unwrap();
        fixture.expect(&[&path]);
        if fixture.queue().is_fully_watched() {
            assert!(begun.elapsed() < QUIET, "after {:?}", begun.elapsed());
        }
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_file_that_is_linked_into_the_directory_is_returned_once_it_is_quiet() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/linked");
        fixture.link_at(&path);
        expect_quiet(fixture, &path, Instant::now(), QUIET);
    });
}

#[test]
fn a_file_that_is_appended_to_after_its_return_is_returned_again() {
    on_each_backend(None, |mut fixture| {
        fixture.open(&options(&fixture, QUIET));
        if !fixture.queue().is_fully_watched() {
            return; // its directory is polled, and each scan returns it
        }
        let path = fixture.path("todo/log");
        fs::write(&path, "a line\n").unwrap();
        assert_eq!(fixture.expect_and_settle(&[&path]), [path.as_path()]);
        // Its consumer opens it, also for writing, and changes nothing.
        fs::read(&path).unwrap();
        drop(OpenOptions::new().append(true).open(&path).unwrap());
        let seen = fixture.turn_for(QUIET * 2).0;
        assert!(seen.is_empty(), "it has not changed: {seen:?}");
        for _ in 0..3 {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(b"a line\n").unwrap();
            let written = Instant::now();
            drop(file);
            assert_eq!(fixture.expect_and_settle(&[&path]), [path.as_path()]);
            assert!(written.elapsed() + TICK >= QUIET);
        }
    });
}

#[test]
fn a_file_that_exists_at_the_open_is_returned_at_once_only_if_it_is_old() {
    on_each_backend(None, |mut fixture| {
        let (old, new) = (fixture.path("todo/old"), fixture.path("todo/new"));
        fs::write(&old, "a message").unwrap();
        std::thread::sleep(QUIET + TICK);
        let file = File::create(&new).unwrap();
        fixture.open(&options(&fixture, QUIET));
        if !fixture.queue().is_fully_watched() {
            return; // the times of the files are not reliable here
        }
        let begun = Instant::now();
        assert_eq!(fixture.expect(&[&old]), [old.as_path()]);
        assert!(begun.elapsed() < QUIET, "after {:?}", begun.elapsed());
        fs::remove_file(old).unwrap();
        let written = write_slowly(&mut fixture, file);
        expect_quiet(&mut fixture, &new, written, QUIET);
    });
}

/// The times of the file come from another clock, which may be late.
#[test]
fn if_the_file_system_may_be_remote_two_checks_a_quiet_time_apart_must_be_equal() {
    on_each_backend(None, |mut fixture| {
        let path = fixture.path("todo/queued");
        fs::write(&path, "a message").unwrap();
        std::thread::sleep(QUIET / 2);
        fixture.open(&options(&fixture, QUIET).watch(WatchMode::Off));
        let first_look = Instant::now();
        expect_quiet(&mut fixture, &path, first_look, QUIET);
    });
}

#[test]
fn with_a_quiet_time_of_zero_a_reported_close_is_sufficient() {
    on_each(Duration::ZERO, |fixture| {
        let path = fixture.path("todo/upload");
        let mut file = File::create(&path).unwrap();
        for _ in 0..3 {
            file.write_all(b"a piece\n").unwrap();
            assert!(fixture.turn_for(Duration::from_millis(200)).0.is_empty());
        }
        let written = Instant::now();
        drop(file);
        if fixture.queue().is_fully_watched() {
            assert_eq!(fixture.expect(&[&path]), [path.as_path()]);
            let after = written.elapsed();
            assert!(after < WriteMethod::DEFAULT_QUIET / 2, "after {after:?}");
            fs::remove_file(path).unwrap();
        } else {
            let written = written - Duration::from_millis(200);
            expect_quiet(fixture, &path, written, WriteMethod::DEFAULT_QUIET);
        }
    });
}

#[test]
fn with_a_quiet_time_of_zero_other_changes_wait_for_the_default_time() {
    on_each_backend(None, |mut fixture| {
        let queued = fixture.path("todo/queued");
        let mut open = File::create(&queued).unwrap();
        fixture.open(&options(&fixture, Duration::ZERO));
        open.write_all(b"a piece\n").unwrap();
        let written = Instant::now();
        expect_quiet(&mut fixture, &queued, written, WriteMethod::DEFAULT_QUIET);

        let linked = fixture.path("todo/linked");
        fixture.link_at(&linked);
        expect_quiet(&mut fixture, &linked, Instant::now(), WriteMethod::DEFAULT_QUIET);
    });
}

#[test]
fn a_file_that_is_removed_before_it_is_quiet_is_not_returned() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        fs::write(&path, "a message").unwrap();
        fixture.turn_for(QUIET / 2);
        fs::remove_file(&path).unwrap();
        assert!(fixture.turn_for(QUIET * 2).0.is_empty());
    });
}

#[test]
fn ten_thousand_files_that_are_not_yet_quiet_are_each_returned_once() {
    on_each_backend(None, |mut fixture| {
        let paths: Vec<PathBuf> = (0..10_000).map(|n| fixture.path(&format!("todo/{n}"))).collect();
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        // The scan pauses as soon as 4,096 of them wait.
        fixture.open(&options(&fixture, QUIET));
        let mut seen = fixture.expect(&paths);
        if fixture.queue().is_fully_watched() {
            seen.extend(fixture.settle().0);
            assert_eq!(queue_fixture::sorted(seen).len(), paths.len());
        }
    });
}

/// A scanner or an upload in pieces closes a file several times.
#[test]
fn a_file_that_is_closed_several_times_is_returned_once_after_the_last_write() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        for _ in 0..5 {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(b"a piece\n").unwrap();
            drop(file);
            assert!(fixture.turn_for(QUIET / 2).0.is_empty(), "it is written in pieces");
        }
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        let written = write_slowly(fixture, file);
        expect_quiet(fixture, &path, written, QUIET);
    });
}

/// Its size says nothing then.
#[test]
fn a_file_whose_size_is_reserved_in_advance_is_returned_once_it_is_quiet() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        let written = write_slowly(fixture, file);
        expect_quiet(fixture, &path, written, QUIET);
    });
}

#[test]
fn a_name_that_is_removed_and_made_again_while_it_waits_is_returned_once() {
    on_each(QUIET, |fixture| {
        let path = fixture.path("todo/upload");
        for round in 0..20 {
            fs::write(&path, format!("a message {round}")).unwrap();
            assert!(fixture.turn_for(Duration::from_millis(20)).0.is_empty());
            fs::remove_file(&path).unwrap();
            if round % 2 == 0 {
                assert!(fixture.turn_for(Duration::from_millis(20)).0.is_empty());
            }
        }
        fs::write(&path, "the last message").unwrap();
        expect_quiet(fixture, &path, Instant::now(), QUIET);
    });
}
