//! Requeued entries: each is returned once and at its time, unless it is a new arrival before that.

mod queue_fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{Origin, OwnedEntry, QueueOptions};
use queue_fixture::{PATIENCE, QueueFixture, on_each_backend, on_each_flat_queue};

const HOUR: Duration = Duration::from_secs(3600);

fn requeue(fixture: &mut QueueFixture, path: &Path, at: Instant) {
    fixture.queue().requeue(&OwnedEntry::from_path(path).unwrap(), at).unwrap();
}

#[test]
fn each_requeued_entry_is_returned_once_at_its_time_despite_scans() {
    on_each_flat_queue(|fixture, options| {
        let paths: Vec<_> = (0..100).map(|n| fixture.link(format!("{n}"))).collect();
        let rescan = Duration::from_millis(30);
        fixture.open(&options.rescan_interval(rescan).verify_interval(rescan));
        fixture.expect(&paths);
        let start = Instant::now();
        let at = |n: usize| start + Duration::from_millis(100 + 9 * n as u64);
        let mut due: BTreeMap<PathBuf, Instant> = BTreeMap::new();
        for (n, path) in paths.iter().enumerate() {
            due.insert(path.clone(), at(n));
            requeue(fixture, path, at(n));
        }
        let before = fixture.stats();
        while !due.is_empty() {
            assert!(start.elapsed() < PATIENCE, "missing: {due:?}");
            fixture.pull();
            fixture.wait(PATIENCE);
            let now = Instant::now();
            while let Some(entry) = fixture.queue().next_entry(now) {
                let (path, origin) = (entry.path(), entry.origin);
                // A scan that has read its name before may return it once more, after its time.
                let Some(at) = due.remove(&path) else {
                    assert_eq!(origin, Origin::Scan, "{path:?} is returned twice");
                    continue;
                };
                assert!(now >= at, "{path:?} is early by {:?}", at - now);
                assert_eq!(origin, Origin::Requeue);
                fs::remove_file(path).unwrap();
            }
        }
        let after = fixture.stats();
        assert!(after.scans > before.scans + 5, "scans went on");
        assert_eq!(after.requeued_entries - before.requeued_entries, 100);
        fixture.turn(Duration::ZERO);
        assert!(fixture.turn_for(Duration::from_millis(100)).0.is_empty());
    });
}

#[test]
fn an_entry_that_is_requeued_again_is_returned_once_at_the_last_time() {
    on_each_flat_queue(|fixture, options| {
        let path = fixture.link("1");
        fixture.open(&options);
        fixture.expect_and_settle(&[&path]);
        let start = Instant::now();
        for milliseconds in [10, 20, 30, 300] {
            requeue(fixture, &path, start + Duration::from_millis(milliseconds));
        }
        assert_eq!(fixture.expect_and_settle(&[&path]), [path]);
        assert!(start.elapsed() >= Duration::from_millis(300));
    });
}

#[test]
fn an_entry_that_is_requeued_for_the_past_is_returned_in_the_next_turn() {
    on_each_flat_queue(|fixture, options| {
        let path = fixture.link("1");
        fixture.open(&options);
        fixture.expect_and_settle(&[&path]);
        let now = Instant::now();
        requeue(fixture, &path, now);
        assert_eq!(fixture.turn_at(now), [path]);
    });
}

/// The new file may even have the inode number of the old one.
#[test]
fn a_new_arrival_cancels_the_appointment_of_its_name() {
    type Arrival = fn(&mut QueueFixture, &Path);
    let ways: [(&str, Arrival); 3] = [
        ("removed and linked", |fixture, path| {
            fs::remove_file(path).unwrap();
            fixture.link_at(path);
        }),
        ("renamed over", |fixture, path| {
            let draft = fixture.path("mess/draft");
            fs::write(&draft, "another message").unwrap();
            fs::rename(draft, path).unwrap();
        }),
        ("moved away and back", |fixture, path| {
            let away = fixture.path("mess/away");
            fs::rename(path, &away).unwrap();
            fs::rename(away, path).unwrap();
        }),
    ];
    on_each_flat_queue(|fixture, options| {
        fixture.open(&options.rescan_interval(None));
        for (way, arrive) in ways {
            println!("{way}");
            let path = fixture.link("1");
            fixture.pull();
            fixture.expect_and_settle(&[&path]);
            let now = Instant::now();
            requeue(fixture, &path, now + HOUR);
            fixture.pull();
            assert!(fixture.turn_for(Duration::from_millis(50)).0.is_empty(), "{way}: too early");

            arrive(fixture, &path);
            fixture.pull();
            assert_eq!(fixture.expect_and_settle(&[&path]), [path.as_path()], "{way}");
            fs::remove_file(&path).unwrap();
            // The caller's time is far ahead, once, and then it is right again.
            let late = fixture.turn_at(now + 2 * HOUR);
            assert!(late.is_empty(), "{way}: the appointment was not cancelled");
            fixture.turn_at(Instant::now());
            fixture.settle();
        }
    });
}

#[test]
fn a_requeued_entry_that_is_gone_is_skipped() {
    on_each_flat_queue(|fixture, options| {
        let path = fixture.link("1");
        fixture.open(&options);
        fixture.expect_and_settle(&[&path]);
        fs::remove_file(&path).unwrap();
        let now = Instant::now();
        requeue(fixture, &path, now);
        assert!(fixture.turn_for(Duration::from_millis(50)).0.len() <= 1);
    });
}

#[test]
fn a_path_that_is_not_an_entry_of_the_queue_is_refused() {
    on_each_flat_queue(|fixture, options| {
        fixture.open(&options);
        for name in ["mess/1", "todo/.hidden", "todo/0/1", "lock/trigger"] {
            let entry = OwnedEntry::from_path(fixture.path(name)).unwrap();
            let error = fixture.queue().requeue(&entry, Instant::now()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
        }
        for name in ["", ".", "..", "0/1", "1/", "/1"] {
            let mut entry = OwnedEntry::from_path(fixture.path("todo/1")).unwrap();
            entry.name = name.into();
            let error = fixture.queue().requeue(&entry, Instant::now()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "the name {name:?}");
        }
        assert!(OwnedEntry::from_path("/").is_none());
    });
}

/// The program repeatedly requeues each entry for the next moment.
#[test]
fn entries_that_are_always_due_delay_neither_new_mail_nor_a_scan() {
    on_each_flat_queue(|fixture, options| {
        let busy: Vec<_> = (0..1000).map(|n| fixture.link(format!("busy-{n}"))).collect();
        fixture.open(&options.rescan_interval(None));
        fixture.expect(&busy);
        busy.iter().for_each(|path| requeue(fixture, path, Instant::now()));
        for message in 0..5 {
            let path = fixture.link(format!("new-{message}"));
            fixture.pull();
            let mut turns = 0;
            let mut is_returned = false;
            while !is_returned {
                turns += 1;
                assert!(turns < 200, "new mail is missing after {turns} turns");
                let paths = fixture.turn(PATIENCE).0;
                for entry in paths {
                    is_returned |= entry == path;
                    if entry != path {
                        requeue(fixture, &entry, Instant::now());
                    }
                }
            }
            fs::remove_file(path).unwrap();
        }
    });
}

/// Each name that a scan skips for this reason costs one check, and a turn makes few checks.
#[test]
fn a_scan_that_skips_requeued_entries_delays_neither_new_mail_nor_a_due_entry() {
    on_each_backend(None, |mut fixture| {
        let waiting: Vec<_> = (0..5000).map(|n| fixture.link(format!("{n}"))).collect();
        fixture.open(&fixture.options());
        fixture.expect_and_settle(&waiting);
        let start = Instant::now();
        waiting[1..].iter().for_each(|path| requeue(&mut fixture, path, start + HOUR));
        let rescan = start + QueueOptions::DEFAULT_RESCAN_INTERVAL + Duration::from_secs(1);
        requeue(&mut fixture, &waiting[0], rescan);
        let mut seen = fixture.turn_at(rescan);
        assert!(fixture.queue().is_scanning());
        let new = fixture.link("new");
        if !fixture.queue().is_fully_watched() {
            return;
        }
        (0..4).for_each(|_| seen.extend(fixture.turn_at(rescan)));
        assert!(fixture.queue().is_scanning());
        assert!(seen.contains(&waiting[0]) && seen.contains(&new), "{seen:?}");
    });
}

#[test]
fn a_directory_that_is_replaced_drops_its_appointments() {
    on_each_backend(None, |mut fixture| {
        let verify = Duration::from_millis(50);
        let path = fixture.link("1");
        fixture.open(&fixture.options().verify_interval(verify));
        fixture.expect_and_settle(&[&path]);
        requeue(&mut fixture, &path, Instant::now() + HOUR);
        fs::rename(fixture.path("todo"), fixture.path("old")).unwrap();
        fs::create_dir(fixture.path("todo")).unwrap();
        // Even the same file in another directory is a new arrival.
        fs::rename(fixture.path("old/1"), &path).unwrap();
        fixture.expect(&[path]);
    });
}
