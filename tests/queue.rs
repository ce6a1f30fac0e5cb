//! The queue with trigger and scan and without a watch: every entry is returned, and no directory is
//! read unnecessarily.
//!
//! Each test runs on every backend of this system, in a writable directory.

mod queue_fixture;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Interest, Key, Mode, OtherReaders, PullOutcome, QueueOptions, Trigger, WarningKind,
    WatchMode, pull,
};
use queue_fixture::{PATIENCE, QueueFixture, odd_names, on_each_backend, sorted};

/// A short interval of verification, so that a replaced trigger or directory is found soon.
const VERIFY: Duration = Duration::from_millis(50);

fn without_watch(fixture: &QueueFixture) -> QueueOptions {
    fixture.options().watch(WatchMode::Off)
}

fn open(fixture: &mut QueueFixture) {
    fixture.open(&without_watch(fixture));
}

#[test]
fn entries_queued_before_the_open_are_returned_flat_and_split() {
    on_each_backend(None, |mut fixture| {
        let queued = [fixture.link("17"), fixture.link("4711")];
        open(&mut fixture);
        assert_eq!(sorted(fixture.expect_and_settle(&queued)), queued.into());
        assert_eq!(fixture.stats().directories_read, 1);
    });
    on_each_backend(Some(23), |mut fixture| {
        let queued = [fixture.link("0/17"), fixture.link("22/4711")];
        open(&mut fixture);
        assert_eq!(sorted(fixture.expect_and_settle(&queued)), queued.into());
        assert_eq!(fixture.stats().directories_read, 24, "todo and its parts");
    });
}

#[test]
fn a_pull_costs_one_wakeup_and_one_scan_and_no_pull_costs_none() {
    on_each_backend(None, |mut fixture| {
        open(&mut fixture);
        fixture.settle();
        for message in 0..50 {
            let before = fixture.stats();
            let path = fixture.link(message.to_string());
            fixture.pull();
            assert_eq!(fixture.expect_and_settle(&[&path]), [path.as_path()]);
            fs::remove_file(path).unwrap();
            let after = fixture.stats();
            assert_eq!(after.wakeups - before.wakeups, 1);
            assert_eq!(after.trigger_reads - before.trigger_reads, 1);
            assert_eq!(after.scans - before.scans, 1);
        }
    });
}

#[test]
fn a_byte_of_a_writer_that_holds_the_fifo_open_costs_one_scan() {
    on_each_backend(None, |mut fixture| {
        open(&mut fixture);
        fixture.settle();
        let before = fixture.stats();
        let mut held = fs::OpenOptions::new().write(true).open(fixture.trigger()).unwrap();
        std::io::Write::write_all(&mut held, b"x").unwrap();
        let path = fixture.link("1");
        assert_eq!(fixture.expect_and_settle(&[&path]), [path.as_path()]);
        let after = fixture.stats();
        assert_eq!((after.wakeups - before.wakeups, after.scans - before.scans), (1, 1));
    });
}

#[test]
fn a_turn_returns_64_entries_at_most_and_the_loop_serves_other_descriptors() {
    on_each_backend(None, |mut fixture| {
        let queued: BTreeSet<_> = (0..1000).map(|n| fixture.link(n.to_string())).collect();
        open(&mut fixture);
        let (other, mut writer) = std::io::pipe().unwrap();
        fixture.notifier.register(&other, Key(1), Interest::Read, Mode::Level).unwrap();
        std::io::Write::write_all(&mut writer, b"x").unwrap();

        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while seen.len() < queued.len() {
            assert!(Instant::now() < deadline, "only {} were returned", seen.len());
            let (paths, _) = fixture.turn(PATIENCE);
            assert!(paths.len() <= 64, "{} in one turn", paths.len());
            let is_served = fixture.events.iter().any(|event| event.key == Key(1));
            assert!(is_served, "the other descriptor waits, with {} returned", seen.len());
            seen.extend(paths);
        }
        assert_eq!(sorted(seen), queued);
    });
}

#[test]
fn a_pull_during_a_scan_causes_one_more_scan() {
    on_each_backend(None, |mut fixture| {
        for message in 0..200 {
            fixture.link(message.to_string());
        }
        open(&mut fixture);
        assert_eq!(fixture.turn(PATIENCE).0.len(), 64);
        let late = fixture.link("late");
        fixture.pull();
        let seen = fixture.expect_and_settle(&[late]);
        assert!(seen.len() >= 201 - 64, "the scan that was active went on");
        assert_eq!(fixture.stats().scans, 2);
    });
}

#[test]
fn a_storm_of_pulls_is_paced() {
    on_each_backend(None, |mut fixture| {
        open(&mut fixture);
        fixture.settle();
        let (begun, before) = (Instant::now(), fixture.stats());
        let trigger = fixture.trigger();
        let storm = std::thread::spawn(move || {
            for _ in 0..20_000 {
                pull(&trigger).unwrap();
            }
        });
        let mut waits = 0u128;
        while !storm.is_finished() {
            fixture.turn(Duration::from_millis(50));
            waits += 1;
        }
        storm.join().unwrap();
        let elapsed = begun.elapsed().as_millis();
        let scans = u128::from(fixture.stats().scans - before.scans);
        println!("{elapsed} ms, {scans} scans, {waits} waits");
        assert!(scans > 0);
        assert!(scans <= elapsed / 2 + 6, "{scans} scans in {elapsed} ms");
        assert!(waits <= elapsed * 6 / 5 + 12, "{waits} wake-ups in {elapsed} ms");
    });
}

/// The caller passes the time, so that the test can stop it.
#[test]
fn pulls_during_a_pause_cause_one_wakeup_and_one_scan_after_it() {
    on_each_backend(None, |mut fixture| {
        open(&mut fixture);
        let start = Instant::now();
        let is_paused = |fixture: &mut QueueFixture| {
            let scans = fixture.stats().scans;
            fixture.pull();
            fixture.turn_at(start);
            fixture.stats().scans == scans
        };
        let turns = (0..100).take_while(|_| !is_paused(&mut fixture)).count();
        assert!((1..10).contains(&turns), "{turns} empty scans without a pause");

        let paused = fixture.stats();
        let path = fixture.link("1");
        for _ in 0..3 {
            fixture.pull();
            assert!(fixture.turn_at(start).is_empty());
            assert_eq!(fixture.stats(), paused, "the trigger is not registered");
        }
        assert_eq!(fixture.turn_at(start + Duration::from_secs(1)), [path]);
        for later in 2..5 {
            fixture.turn_at(start + Duration::from_secs(later));
        }
        assert_eq!(fixture.stats().scans, paused.scans + 1, "one scan for all of them");
    });
}

/// The next turn drains the bytes that one drain leaves. A loop that reports edges only needs this.
#[test]
fn a_drain_that_leaves_bytes_is_repeated_without_a_further_event() {
    let fixture = QueueFixture::new(Backend::best(), None);
    let mut queue = without_watch(&fixture).open().unwrap();
    let start = Instant::now();
    let mut turn = |seconds, is_readable| {
        let now = start + Duration::from_secs(seconds);
        let timeout = queue.prepare_fds(now).timeout;
        if is_readable {
            queue.set_trigger_readable();
        }
        while queue.next_entry(now).is_some() {}
        (timeout, queue.stats().trigger_reads)
    };
    let (_, before) = turn(0, false);
    while pull(fixture.trigger()).unwrap() == PullOutcome::Delivered {}
    assert_eq!(turn(1, true).1, before + 1);
    // If the FIFO's capacity is at least as large as one drain, more bytes may remain.
    let (timeout, reads) = turn(2, false);
    if timeout == Some(Duration::ZERO) {
        assert_eq!(reads, before + 2);
    }
    let (timeout, reads) = turn(3, false);
    assert_ne!(timeout, Some(Duration::ZERO), "it is empty");
    assert_eq!(pull(fixture.trigger()).unwrap(), PullOutcome::Delivered);
    if cfg!(target_os = "linux") {
        assert_eq!(reads, before + 2, "a Linux FIFO holds as much as a drain reads");
    }
}

#[test]
fn an_entry_before_the_last_pull_of_a_storm_is_returned_without_another_pull() {
    on_each_backend(Some(3), |mut fixture| {
        open(&mut fixture);
        fixture.settle();
        for message in 0..500 {
            let path = fixture.link(format!("{}/{message}", message % 3));
            fixture.pull();
            if message % 7 == 0 {
                fixture.expect(&[path]);
            }
            if message % 11 == 0 {
                fixture.turn(Duration::ZERO);
            }
        }
        let last = fixture.link("0/last");
        fixture.pull();
        fixture.expect(&[last]);
    });
}

#[test]
fn a_missing_directory_is_reported_once_and_read_when_it_exists_again() {
    on_each_backend(None, |mut fixture| {
        let [other, here] = ["todo", "here"].map(|name| fixture.path(name));
        fs::create_dir(&here).unwrap();
        let options = QueueOptions::directories([&other, &here]).trigger(fixture.trigger());
        fixture.open(&options.watch(WatchMode::Off));
        fixture.settle();
        let away = fixture.path("away");
        fs::rename(&here, &away).unwrap();

        let path = fixture.link("5");
        fixture.pull();
        let (mut paths, mut warnings) = (Vec::new(), Vec::new());
        while paths.is_empty() || warnings.is_empty() {
            let (more_paths, more_warnings) = fixture.turn(PATIENCE);
            paths.extend(more_paths);
            warnings.extend(more_warnings);
        }
        assert_eq!(paths, [path.as_path()]);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("here") && !warning.contains('\n'), "{warning}");
        fixture.pull();
        let (paths, warnings) = fixture.turn_for(Duration::from_millis(1500));
        assert_eq!((paths, warnings), (vec![path], vec![]), "reported once, others are served");

        // No other pull follows. The scan for the first pull is still pending.
        fs::write(away.join("8"), "a message").unwrap();
        fs::rename(&away, &here).unwrap();
        fixture.expect(&[here.join("8")]);
    });
}

#[test]
fn a_removed_part_causes_no_warning_and_is_read_when_it_is_back() {
    on_each_backend(Some(3), |mut fixture| {
        fixture.open(&without_watch(&fixture).verify_interval(VERIFY));
        fixture.settle();
        let (away, here) = (fixture.path("away"), fixture.path("todo/1"));
        fs::rename(&here, &away).unwrap();
        let path = fixture.link("2/5");
        fixture.pull();
        let (mut paths, mut warnings) = (Vec::new(), Vec::new());
        while paths.is_empty() {
            let (more_paths, more_warnings) = fixture.turn(PATIENCE);
            paths.extend(more_paths);
            warnings.extend(more_warnings);
        }
        warnings.extend(fixture.turn_for(Duration::from_millis(200)).1);
        assert_eq!((paths, warnings), (vec![path], vec![]));
        assert_eq!(fixture.queue().status().count(), 3, "todo and two parts");

        fs::write(away.join("8"), "a message").unwrap();
        fs::rename(&away, &here).unwrap();
        fixture.expect(&[here.join("8")]);
    });
}

#[test]
fn names_may_be_any_bytes_and_names_with_a_dot_first_are_skipped() {
    on_each_backend(None, |mut fixture| {
        let mut wanted: BTreeSet<_> = odd_names().map(|name| fixture.link(name)).collect();
        // Not every file system accepts a name that is not UTF-8.
        let not_utf8 = fixture.path("todo").join(OsStr::from_bytes(b"\xff\xfe"));
        if fs::write(&not_utf8, "").is_ok() {
            wanted.insert(not_utf8);
        }
        fixture.link(".hidden");
        open(&mut fixture);
        let wanted_paths: Vec<_> = wanted.iter().collect();
        assert_eq!(sorted(fixture.expect_and_settle(&wanted_paths)), wanted);
    });
}

#[test]
fn an_unfinished_entry_of_a_maildrop_is_returned_once_it_is_executable() {
    on_each_backend(None, |mut fixture| {
        let fifo = fixture.create_maildrop();
        let file = |fixture: &QueueFixture, name: &str, mode| {
            let path = fixture.path("maildrop").join(name);
            fs::write(&path, "a message").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let ready = file(&fixture, "ready", 0o744);
        let early = file(&fixture, "early", 0o644);
        fs::create_dir(fixture.path("maildrop/a-directory")).unwrap();
        std::os::unix::fs::symlink(&ready, fixture.path("maildrop/a-link")).unwrap();

        let options = QueueOptions::postfix(fixture.root.path()).unwrap();
        fixture.open(&options.watch(WatchMode::Off));
        assert_eq!(fixture.expect_and_settle(&[&ready]), [ready.as_path()]);
        fs::remove_file(&ready).unwrap();
        let scans = fixture.stats().scans;
        assert_ne!(pull(&fifo).unwrap(), PullOutcome::NoReader);
        fixture.turn_until("the pull causes a scan", |fixture| {
            fixture.stats().scans > scans && !fixture.queue().is_scanning()
        });
        assert!(fixture.settle().0.is_empty(), "the pull of another writer");
        fs::set_permissions(&early, fs::Permissions::from_mode(0o744)).unwrap();
        assert_ne!(pull(&fifo).unwrap(), PullOutcome::NoReader);
        assert_eq!(fixture.expect_and_settle(&[&early]), [early]);
    });
}

#[test]
fn a_replaced_trigger_is_opened_within_the_verify_interval() {
    on_each_backend(None, |mut fixture| {
        fixture.open(&without_watch(&fixture).verify_interval(VERIFY));
        fixture.settle();
        fs::remove_file(fixture.trigger()).unwrap();
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        fixture.turn_until("the new FIFO is opened", |fixture| fixture.stats().trigger_reopens > 0);
        let path = fixture.link("1");
        fixture.pull();
        fixture.expect(&[path]);
    });
}

#[test]
fn without_the_trigger_directories_are_scanned_at_the_poll_interval() {
    on_each_backend(None, |mut fixture| {
        let poll = Duration::from_millis(50);
        let options = without_watch(&fixture).verify_interval(VERIFY).poll_interval(poll);
        fixture.open(&options);
        fixture.settle();
        fs::remove_file(fixture.trigger()).unwrap();
        fs::write(fixture.trigger(), "not a FIFO").unwrap();
        let (_, warnings) = fixture
            .turn_until("the loss is noticed", |fixture| fixture.warned == [WarningKind::Trigger]);
        let text = &warnings[0];
        assert!(text.contains("lock/trigger") && text.contains("regular file"), "{text}");
        let path = fixture.link("1");
        fixture.expect(&[path]);
        let (begun, before) = (Instant::now(), fixture.stats());
        let (_, warnings) = fixture.turn_for(Duration::from_millis(500));
        let scans = u128::from(fixture.stats().scans - before.scans);
        assert!(scans <= begun.elapsed().as_millis() / 50 + 1, "{scans} scans");

        fs::remove_file(fixture.trigger()).unwrap();
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        let (_, more) = fixture
            .turn_until("the new FIFO is opened", |fixture| fixture.stats().trigger_reopens > 0);
        assert!(warnings.is_empty() && more.is_empty(), "reported once: {warnings:?}, {more:?}");
    });
}

#[test]
fn an_error_of_open_names_the_path_and_the_reason() {
    let fixture = QueueFixture::new(Backend::Select, Some(3));
    let error = |options: QueueOptions| options.open().map(drop).unwrap_err().to_string();

    let text = error(QueueOptions::qmail(fixture.path("nowhere")).unwrap());
    assert!(text.contains("nowhere/lock/trigger"), "{text}");
    let text = error(fixture.options().trigger(fixture.path("lock/none")));
    assert!(text.contains("lock/none"), "{text}");

    fs::write(fixture.path("file"), "").unwrap();
    let options = |trigger: &str, directory: &str| {
        QueueOptions::directories([fixture.path(directory)]).trigger(fixture.path(trigger))
    };
    for (trigger, directory, path, why) in [
        ("lock/none", "todo", "lock/none", "mkfifo"),
        ("file", "todo", "file", "a regular file, not a FIFO"),
        ("todo", "todo", "todo", "a directory, not a FIFO"),
        ("lock/trigger", "nowhere", "nowhere", "check the path"),
        ("lock/trigger", "file", "file", "ot a directory"),
    ] {
        for watch in [WatchMode::Auto, WatchMode::Off] {
            let text = error(options(trigger, directory).watch(watch));
            let fits = text.contains(path) && text.contains(why) && !text.contains('\n');
            assert!(fits, "{trigger}, {directory}: {text}");
        }
    }

    let _reader = Trigger::open(fixture.trigger(), OtherReaders::Reject).unwrap();
    let text = error(options("lock/trigger", "todo"));
    assert!(text.contains("lock/trigger") && text.contains("delay its mail"), "{text}");
    options("lock/trigger", "todo").other_readers(OtherReaders::Allow).open().unwrap();
}
