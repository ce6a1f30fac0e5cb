//! The caller's time jumps by an hour in both directions. No entry is lost, and no action is late by more
//! than an interval.

mod queue_fixture;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{OwnedEntry, PullOutcome, QueueOptions, Trigger, WatchMode, WriteMethod};
use queue_fixture::{QueueFixture, on_each_backend, on_each_flat_queue};

const HOUR: Duration = Duration::from_secs(3600);

/// Makes turns at this time and soon after it, one every 100 ms of the caller's time, until the entry is
/// returned. Fails if it takes longer than `longest`.
#[track_caller]
fn expect_soon(fixture: &mut QueueFixture, now: &mut Instant, path: &Path, longest: Duration) {
    let end = *now + longest;
    let mut seen = Vec::new();
    while !seen.iter().any(|seen| seen == path) {
        assert!(*now <= end, "{path:?} is missing after {longest:?}: {seen:?}");
        seen.extend(fixture.turn_at(*now));
        *now += Duration::from_millis(100);
    }
}

/// Returns the times of a clock that jumps. It runs for a minute after each jump.
fn jumps() -> [Instant; 5] {
    let start = Instant::now();
    [start, start + HOUR, start, start + 2 * HOUR, start + HOUR]
}

#[test]
fn mail_is_returned_after_each_jump_and_no_wait_is_longer_than_an_interval() {
    on_each_flat_queue(|fixture, options| {
        fixture.open(&options);
        for (jump, mut now) in jumps().into_iter().enumerate() {
            let timeout = fixture.queue().prepare_fds(now).timeout.unwrap();
            assert!(
                timeout <= QueueOptions::DEFAULT_VERIFY_INTERVAL,
                "jump {jump}: {timeout:?} until the next verification"
            );
            for message in 0..20 {
                let path = fixture.link(format!("{jump}-{message}"));
                fixture.pull();
                expect_soon(fixture, &mut now, &path, Duration::from_secs(1));
                fs::remove_file(path).unwrap();
                let timeout = fixture.queue().prepare_fds(now).timeout.unwrap();
                assert!(timeout <= QueueOptions::DEFAULT_VERIFY_INTERVAL, "{timeout:?}");
            }
        }
    });
}

#[test]
fn a_replaced_directory_is_found_after_each_jump_within_the_verify_interval() {
    on_each_flat_queue(|fixture, options| {
        fixture.open(&options);
        for (jump, mut now) in jumps().into_iter().enumerate() {
            fixture.turn_at(now);
            now += Duration::from_millis(100);
            fs::rename(fixture.path("lock"), fixture.path(&format!("lock-{jump}"))).unwrap();
            fs::rename(fixture.path("todo"), fixture.path(&format!("todo-{jump}"))).unwrap();
            for directory in ["lock", "todo"] {
                fs::create_dir(fixture.path(directory)).unwrap();
            }
            Trigger::create(fixture.trigger(), 0o622).unwrap();
            let path = fixture.link(format!("{jump}"));
            let end = now + Duration::from_secs(11);
            expect_soon(fixture, &mut now, &path, Duration::from_secs(11));
            while pullcord::pull(fixture.trigger()).unwrap() == PullOutcome::NoReader {
                assert!(now <= end, "the new trigger is not open");
                fixture.turn_at(now);
                now += Duration::from_millis(100);
            }
        }
    });
}

#[test]
fn a_missing_directory_is_tried_again_after_each_jump() {
    on_each_flat_queue(|fixture, options| {
        fixture.open(&options);
        for mut now in jumps() {
            fixture.turn_at(now);
            let away = fixture.path("away");
            fs::rename(fixture.path("todo"), &away).unwrap();
            fixture.pull();
            for _ in 0..50 {
                now += Duration::from_millis(100);
                fixture.turn_at(now);
            }
            // The scan has failed at this time. The time jumps while the scan waits for its next attempt.
            fs::rename(&away, fixture.path("todo")).unwrap();
            let path = fixture.link("1");
            let mut later = now.checked_sub(HOUR / 2).unwrap_or(now);
            expect_soon(fixture, &mut later, &path, Duration::from_secs(11));
            fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn a_polled_directory_is_polled_after_each_jump() {
    on_each_backend(None, |mut fixture| {
        let options = fixture.options().without_trigger().watch(WatchMode::Off);
        fixture.open(&options);
        for (jump, mut now) in jumps().into_iter().enumerate() {
            fixture.turn_at(now);
            let path = fixture.link(format!("{jump}"));
            expect_soon(&mut fixture, &mut now, &path, Duration::from_secs(6));
            let timeout = fixture.queue().prepare_fds(now).timeout.unwrap();
            assert!(timeout <= QueueOptions::DEFAULT_POLL_INTERVAL, "{timeout:?}");
        }
    });
}

/// The quiet time of an entry that is written in place is an interval too. A requeued entry has a time
/// that the caller has chosen.
#[test]
fn an_entry_that_waits_until_it_is_quiet_is_returned_after_each_jump() {
    on_each_backend(None, |mut fixture| {
        let quiet = Duration::from_secs(1);
        let options = fixture.options().write_method(WriteMethod::InPlace { quiet });
        fixture.open(&options);
        for (jump, now) in jumps().into_iter().enumerate() {
            fixture.turn_at(now);
            let path = fixture.path(&format!("todo/{jump}"));
            fs::write(&path, "a message").unwrap();
            fixture.pull();
            let mut paths: Vec<PathBuf> = fixture.turn_at(now);
            // The time jumps back while the entry waits. Afterwards it runs at normal speed.
            let (begun, back) = (Instant::now(), now.checked_sub(HOUR / 2).unwrap_or(now));
            while !paths.contains(&path) {
                assert!(begun.elapsed() < Duration::from_secs(5), "{path:?} is missing");
                paths.extend(fixture.turn_at(back + begun.elapsed()));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
}

#[test]
fn a_requeued_entry_keeps_the_time_that_the_caller_has_chosen() {
    on_each_flat_queue(|fixture, options| {
        let path = fixture.link("1");
        let start = Instant::now();
        fixture.open(&options.rescan_interval(None));
        fixture.expect_and_settle(&[&path]);
        let at = start + HOUR;
        fixture.queue().requeue(&OwnedEntry::from_path(&path).unwrap(), at).unwrap();
        for seconds in [10, 1000, 20, 3000, 30, 3599] {
            assert!(fixture.turn_at(start + Duration::from_secs(seconds)).is_empty());
        }
        assert_eq!(fixture.turn_at(at), [path]);
    });
}
