//! Todo over trigger and scan, with no watch, on real queues: every entry is handed out, and nothing
//! is read for nothing.
//!
//! Each test runs on every backend that exists here. None needs more than a writable directory.

mod office;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use office::{Office, PATIENCE, odd_names, on_each_backend, sorted};
use pullcord::{
    Backend, Interest, Key, Mode, OtherReaders, PullOutcome, Todo, Trigger, WatchMode, pull,
    todo::Queue,
};

fn without_watch(office: &Office) -> Queue {
    office.queue().watch(WatchMode::Off)
}

fn open(office: &mut Office) {
    office.open_on(without_watch(office));
}

#[test]
fn what_waits_at_start_is_found_flat_and_split() {
    on_each_backend(None, |mut office| {
        let waiting = [office.link("17"), office.link("4711")];
        open(&mut office);
        assert_eq!(sorted(office.settle().0), waiting.into());
    });
    on_each_backend(Some(23), |mut office| {
        let waiting = [office.link("0/17"), office.link("22/4711")];
        open(&mut office);
        assert_eq!(sorted(office.settle().0), waiting.into());
        assert_eq!(office.todo().counters().directories, 23);
    });
}

#[test]
fn a_pull_costs_one_wake_and_one_scan_and_none_costs_none() {
    on_each_backend(None, |mut office| {
        open(&mut office);
        office.settle();
        for message in 0..50 {
            let before = office.todo().counters();
            let path = office.link(message.to_string());
            office.pull();
            assert_eq!(office.settle().0, [path.as_path()]);
            fs::remove_file(path).unwrap();
            let after = office.todo().counters();
            assert_eq!(after.wakes - before.wakes, 1);
            assert_eq!(after.drains - before.drains, 1);
            assert_eq!(after.scans - before.scans, 1);
        }
    });
}

#[test]
fn a_writer_that_holds_the_fifo_open_costs_one_scan_for_its_byte() {
    on_each_backend(None, |mut office| {
        open(&mut office);
        office.settle();
        let before = office.todo().counters();
        let mut held = fs::OpenOptions::new().write(true).open(office.trigger()).unwrap();
        std::io::Write::write_all(&mut held, b"x").unwrap();
        let path = office.link("1");
        assert_eq!(office.settle().0, [path]);
        let after = office.todo().counters();
        assert_eq!((after.wakes - before.wakes, after.scans - before.scans), (1, 1));
    });
}

#[test]
fn a_turn_is_bounded_and_other_descriptors_are_served_in_the_middle_of_a_scan() {
    on_each_backend(None, |mut office| {
        let waiting: BTreeSet<_> = (0..1000).map(|n| office.link(n.to_string())).collect();
        open(&mut office);
        let (other, mut bell) = std::io::pipe().unwrap();
        office.notifier.register(&other, Key(1), Interest::Read, Mode::Level).unwrap();
        std::io::Write::write_all(&mut bell, b"x").unwrap();

        let mut seen = Vec::new();
        while seen.len() < waiting.len() {
            let (paths, _) = office.turn(PATIENCE);
            assert!(paths.len() <= 64, "{} in one turn", paths.len());
            let heard = office.events.iter().any(|event| event.key == Key(1));
            assert!(heard, "the other descriptor waits, with {} handed out", seen.len());
            seen.extend(paths);
        }
        assert_eq!(sorted(seen), waiting);
    });
}

#[test]
fn a_pull_in_the_middle_of_a_scan_is_not_forgotten() {
    on_each_backend(None, |mut office| {
        for message in 0..200 {
            office.link(message.to_string());
        }
        open(&mut office);
        assert_eq!(office.turn(PATIENCE).0.len(), 64);
        let late = office.link("late");
        office.pull();
        let seen = office.expect(std::slice::from_ref(&late));
        let again = office.settle().0;
        assert!(seen.len() + again.len() >= 201, "the scan that was under way went on");
        assert_eq!(office.todo().counters().scans, 2);
    });
}

#[test]
fn a_storm_of_pulls_is_paced() {
    on_each_backend(None, |mut office| {
        open(&mut office);
        office.settle();
        let (begun, before) = (Instant::now(), office.todo().counters());
        let trigger = office.trigger();
        let storm = std::thread::spawn(move || {
            for _ in 0..20_000 {
                pull(&trigger).unwrap();
            }
        });
        let mut waits = 0u128;
        while !storm.is_finished() {
            office.turn(Duration::from_millis(50));
            waits += 1;
        }
        storm.join().unwrap();
        let elapsed = begun.elapsed().as_millis();
        let scans = u128::from(office.todo().counters().scans - before.scans);
        println!("{elapsed} ms, {scans} scans, {waits} waits");
        assert!(scans > 0);
        assert!(scans <= elapsed / 2 + 1, "{scans} scans in {elapsed} ms");
        assert!(waits <= elapsed + 2, "{waits} wake-ups in {elapsed} ms");
    });
}

/// The time is the caller's, so here it stands still for as long as it should.
#[test]
fn a_pull_within_the_pause_is_remembered_and_further_ones_are_not_heard() {
    on_each_backend(None, |mut office| {
        open(&mut office);
        let start = Instant::now();
        office.turn_at(start);
        assert_eq!(office.todo().counters().scans, 1);

        office.pull();
        office.turn_at(start);
        let counters = office.todo().counters();
        assert_eq!((counters.wakes, counters.pulls, counters.scans), (1, 1, 1), "remembered");
        let path = office.link("1");
        office.pull();
        assert!(office.turn_at(start).is_empty());
        assert_eq!(office.todo().counters(), counters, "the trigger rests");

        assert_eq!(office.turn_at(start + Duration::from_secs(1)), [path]);
        for later in 2..5 {
            office.turn_at(start + Duration::from_secs(later));
        }
        let counters = office.todo().counters();
        assert_eq!(
            (counters.wakes, counters.pulls, counters.scans),
            (1, 2, 2),
            "one scan for both"
        );
    });
}

/// For a loop that is told of edges only: what one drain leaves is drained by the next turn.
#[test]
fn what_a_drain_leaves_needs_no_further_event() {
    let mut office = Office::new(Backend::best(), None);
    office.todo = Some(Todo::open(without_watch(&office)).unwrap());
    let start = Instant::now();
    let turn = |office: &mut Office, seconds| {
        let now = start + Duration::from_secs(seconds);
        let timeout = office.todo().sources(now).timeout;
        while office.todo().next(now).is_some() {}
        timeout
    };
    turn(&mut office, 0);
    while pull(office.trigger()).unwrap() == PullOutcome::Delivered {}
    office.todo().trigger_ready();
    turn(&mut office, 1);
    let counters = office.todo().counters();
    assert_eq!(counters.drains, 1);
    // Where a FIFO holds more than one drain takes, or just as much, there may be more.
    if turn(&mut office, 2) == Duration::ZERO {
        assert_eq!(office.todo().counters().drains, 2);
    }
    assert!(turn(&mut office, 3) > Duration::ZERO, "and then it is empty");
    assert_eq!(pull(office.trigger()).unwrap(), PullOutcome::Delivered);
    #[cfg(target_os = "linux")]
    assert_eq!(office.todo().counters().drains, 2, "a Linux FIFO holds just what a drain takes");
}

#[test]
fn what_was_queued_before_the_last_pull_of_a_storm_is_seen_though_no_other_pull_follows() {
    on_each_backend(Some(3), |mut office| {
        open(&mut office);
        office.settle();
        for message in 0..500 {
            let path = office.link(format!("{}/{message}", message % 3));
            office.pull();
            if message % 7 == 0 {
                office.expect(std::slice::from_ref(&path));
            }
            if message % 11 == 0 {
                office.turn(Duration::ZERO);
            }
        }
        let last = office.link("0/last");
        office.pull();
        office.expect(&[last]);
    });
}

#[test]
fn a_directory_that_is_gone_is_said_once_and_holds_up_nobody() {
    on_each_backend(Some(3), |mut office| {
        open(&mut office);
        office.settle();
        let (away, here) = (office.path("away"), office.path("todo/1"));
        fs::rename(&here, &away).unwrap();

        let path = office.link("2/5");
        office.pull();
        let (paths, errors) = office.settle();
        assert_eq!(paths, [path.as_path()]);
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert!(error.contains("todo/1") && !error.contains('\n'), "{error}");
        office.pull();
        assert_eq!(office.settle(), (vec![path], vec![]), "said once, others served");

        // No pull follows: what was asked for while it could not be read is still owed.
        let late = away.join("8");
        fs::write(&late, "a message").unwrap();
        fs::rename(&away, &here).unwrap();
        office.expect(&[here.join("8")]);
    });
}

#[test]
fn names_are_bytes_and_dot_names_are_none() {
    on_each_backend(None, |mut office| {
        let mut wanted: BTreeSet<_> = odd_names().map(|name| office.link(name)).collect();
        // Not every file system takes what is not UTF-8.
        let not_utf8 = office.path("todo").join(OsStr::from_bytes(b"\xff\xfe"));
        if fs::write(&not_utf8, "").is_ok() {
            wanted.insert(not_utf8);
        }
        office.link(".hidden");
        open(&mut office);
        assert_eq!(sorted(office.settle().0), wanted);
    });
}

#[test]
fn in_a_maildrop_what_is_not_ready_is_held_back_and_not_forgotten() {
    on_each_backend(None, |mut office| {
        for directory in ["public", "maildrop"] {
            fs::create_dir(office.path(directory)).unwrap();
        }
        let fifo = office.path("public/pickup");
        Trigger::create(&fifo, 0o622).unwrap();
        let file = |office: &Office, name: &str, mode| {
            let path = office.path("maildrop").join(name);
            fs::write(&path, "a message").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let ready = file(&office, "ready", 0o744);
        let early = file(&office, "early", 0o644);
        fs::create_dir(office.path("maildrop/a-directory")).unwrap();
        std::os::unix::fs::symlink(&ready, office.path("maildrop/a-link")).unwrap();

        office.open_on(Queue::postfix(office.root.path()).unwrap().watch(WatchMode::Off));
        assert_eq!(office.settle().0, [ready.as_path()]);
        fs::remove_file(&ready).unwrap();
        assert_ne!(pull(&fifo).unwrap(), PullOutcome::NoReader);
        assert!(office.settle().0.is_empty(), "somebody else's pull");
        fs::set_permissions(&early, fs::Permissions::from_mode(0o744)).unwrap();
        assert_ne!(pull(&fifo).unwrap(), PullOutcome::NoReader);
        assert_eq!(office.settle().0, [early]);
    });
}

#[test]
fn a_replaced_trigger_is_followed_at_the_tick() {
    on_each_backend(None, |mut office| {
        let tick = Duration::from_millis(50);
        office.open_on(without_watch(&office).tick(tick));
        office.settle_for_a_while();
        fs::remove_file(office.trigger()).unwrap();
        Trigger::create(office.trigger(), 0o622).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while office.todo().counters().reopens == 0 {
            assert!(Instant::now() < deadline, "the new FIFO was not noticed");
            office.turn(PATIENCE);
        }
        office.settle_for_a_while();
        let path = office.link("1");
        office.pull();
        office.expect(&[path]);
    });
}

#[test]
fn while_there_is_no_trigger_everything_is_scanned_at_a_pace() {
    on_each_backend(None, |mut office| {
        let tick = Duration::from_millis(50);
        office.open_on(without_watch(&office).tick(tick));
        fs::remove_file(office.trigger()).unwrap();
        fs::write(office.trigger(), "not a FIFO").unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        while said.is_empty() {
            assert!(Instant::now() < deadline, "the loss of the FIFO was not noticed");
            said = office.turn(PATIENCE).1;
        }
        assert!(said[0].contains("lock/trigger") && said[0].contains("regular file"), "{said:?}");
        let path = office.link("1");
        office.expect(&[path]);

        fs::remove_file(office.trigger()).unwrap();
        Trigger::create(office.trigger(), 0o622).unwrap();
        while office.todo().counters().reopens == 0 {
            assert!(Instant::now() < deadline, "the new FIFO was not opened");
            said.extend(office.turn(PATIENCE).1);
        }
        assert_eq!(said.len(), 1, "said once: {said:?}");
    });
}

#[test]
fn a_queue_that_cannot_be_opened_says_which_path_and_why() {
    let office = Office::new(Backend::Select, Some(3));
    let error = |queue: Queue| Todo::open(queue).map(drop).unwrap_err().to_string();
    let qmail = |path: &Path| Queue::qmail(path).map(drop).unwrap_err().to_string();

    assert!(qmail(&office.path("nowhere")).contains("nowhere/todo"));
    fs::remove_dir(office.path("todo/1")).unwrap();
    assert!(qmail(office.root.path()).contains("todo/1"), "partly missing");

    fs::write(office.path("file"), "").unwrap();
    let queue = |trigger: &str, directory: &str| {
        Queue::directories([office.path(directory)]).trigger(office.path(trigger))
    };
    for (trigger, directory, path, why) in [
        ("lock/none", "todo", "lock/none", "mkfifo"),
        ("file", "todo", "file", "a regular file, not a FIFO"),
        ("todo", "todo", "todo", "a directory, not a FIFO"),
        ("lock/trigger", "nowhere", "nowhere", "check the path"),
        ("lock/trigger", "file", "file", "not a directory"),
    ] {
        let said = error(queue(trigger, directory));
        let fits = said.contains(path) && said.contains(why) && !said.contains('\n');
        assert!(fits, "{trigger}, {directory}: {said}");
    }

    let _reader = Trigger::open(office.trigger(), OtherReaders::Reject).unwrap();
    let said = error(queue("lock/trigger", "todo"));
    assert!(said.contains("lock/trigger") && said.contains("delay its mail"), "{said}");
    Todo::open(queue("lock/trigger", "todo").sharing(OtherReaders::Allow)).unwrap();
}
