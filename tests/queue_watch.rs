//! The queue with the directory watch: every entry is returned at least once, and twice only after a
//! scan that was needed. The tests check the number of scans.
//!
//! They need a file system that can be watched and is known to be local. `PULLCORD_TEST_DIR` replaces the
//! temporary directory. kqueue does not report names. Tests that depend on this check it explicitly.

mod queue_fixture;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::watcher::REPORTS_NAMES;
use pullcord::{
    Backend, DirWatcher, Origin, OwnedEntry, QueueOptions, Stats, WatchGrade, WatchMode,
};
use queue_fixture::{PATIENCE, QueueFixture, odd_names, on_each_backend, sorted};

/// Opens the queue and reads its entries. If it cannot be watched, prints a message and returns false.
fn open(fixture: &mut QueueFixture) -> bool {
    fixture.open(&fixture.options());
    fixture.settle();
    let is_watched = fixture.queue().status().all(|directory| directory.watch > WatchGrade::None);
    if !is_watched {
        println!("not watched on {}: {:?}", std::env::consts::OS, DirWatcher::new());
    }
    is_watched
}

/// Returns the entries that `act` causes, and the stats of this work. The entries must include `wanted`.
fn done_by(
    fixture: &mut QueueFixture,
    wanted: &[&Path],
    act: impl FnOnce(&mut QueueFixture),
) -> (Vec<PathBuf>, Stats) {
    let before = fixture.stats();
    act(fixture);
    let mut paths = fixture.expect(wanted);
    let (more, warnings) = fixture.settle();
    paths.extend(more);
    assert_eq!(warnings, [""; 0]);
    let mut since = fixture.stats();
    since.scans -= before.scans;
    since.watch_entries -= before.watch_entries;
    since.scan_entries -= before.scan_entries;
    since.watch_overflows -= before.watch_overflows;
    (paths, since)
}

#[test]
fn an_entry_that_arrives_in_any_way_is_returned_without_a_scan() {
    on_each_backend(None, |mut fixture| {
        for message in 0..1000 {
            fixture.link(format!("waiting-{message}"));
        }
        if !open(&mut fixture) {
            return;
        }
        type Arrival = fn(&Path, &Path);
        let ways: [(&str, Arrival); 4] = [
            ("link", |draft, entry| fs::hard_link(draft, entry).unwrap()),
            ("rename", |draft, entry| fs::rename(draft, entry).unwrap()),
            ("rename-over", |draft, entry| {
                fs::hard_link(draft, entry).unwrap();
                fs::rename(draft.with_extension("2"), entry).unwrap();
            }),
            ("create", |_, entry| fs::write(entry, "a message").unwrap()),
        ];
        for (way, arrive) in ways {
            let (draft, entry) = (fixture.path("mess/draft"), fixture.path("todo").join(way));
            fs::write(&draft, "a message").unwrap();
            fs::write(draft.with_extension("2"), "another").unwrap();
            let (paths, done) = done_by(&mut fixture, &[&entry], |fixture| {
                arrive(&draft, &entry);
                fixture.pull();
            });
            assert!(paths.contains(&entry), "{way}");
            if REPORTS_NAMES {
                assert_eq!((done.scans, done.scan_entries), (0, 0), "{way}: by its name alone");
            } else {
                assert_eq!(done.scans, 1, "{way}: its directory is read once");
            }
            let _ = (fs::remove_file(&draft), fs::remove_file(entry));
        }
    });
}

/// A file without a name gets a name from link(2), and is complete then.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_was_created_without_a_name_is_returned_once_it_is_linked() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open as open_file};
    on_each_backend(None, |mut fixture| {
        let flags = OFlags::TMPFILE | OFlags::WRONLY;
        let Ok(file) = open_file(fixture.path("todo"), flags, Mode::RUSR) else {
            return println!("no O_TMPFILE on this file system");
        };
        if !open(&mut fixture) {
            return;
        }
        let entry = fixture.path("todo/17");
        let unnamed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let (paths, done) = done_by(&mut fixture, &[&entry], |fixture| {
            linkat(CWD, unnamed, CWD, &entry, AtFlags::SYMLINK_FOLLOW).unwrap();
            fixture.pull();
        });
        assert_eq!((paths, done.scans), (vec![entry.clone()], 0));
    });
}

#[test]
fn an_entry_without_a_pull_is_returned() {
    on_each_backend(Some(3), |mut fixture| {
        if open(&mut fixture) {
            let entry = fixture.link("2/17");
            fixture.expect(&[entry]);
        }
    });
}

#[test]
fn a_pull_without_a_change_causes_neither_a_wakeup_nor_a_scan() {
    on_each_backend(Some(3), |mut fixture| {
        if open(&mut fixture) {
            let before = fixture.stats();
            fixture.pull();
            let (paths, _) = fixture.settle();
            let after = fixture.stats();
            assert_eq!((paths.len(), after.scans), (0, before.scans));
            if REPORTS_NAMES {
                assert_eq!(after.wakeups, before.wakeups, "the trigger is not waited for");
            }
        }
    });
}

/// The scan returns the entries from before the open. The watch returns the later ones. No entry is
/// returned by both.
#[test]
fn an_entry_that_arrives_during_the_first_scan_is_returned_once() {
    on_each_backend(None, |mut fixture| {
        let mut linked: BTreeSet<_> = (0..3000).map(|n| fixture.link(format!("{n}"))).collect();
        fixture.open(&fixture.options());
        // The directory is watched and has not been read yet.
        linked.insert(fixture.link("after-arming"));
        let mut seen = Vec::new();
        for turn in 0..300 {
            fixture.wait(Duration::ZERO);
            // The link is between two entries of one turn, so that the next batch may contain names that
            // the watch has not reported yet.
            while let Some(entry) = fixture.queue().next_entry(Instant::now()) {
                seen.push(entry.path());
                if turn < 150 {
                    linked.insert(fixture.link(format!("during-{}", seen.len())));
                }
            }
            fixture.pull();
        }
        seen.extend(fixture.settle().0);
        if fixture.queue().is_fully_watched() {
            assert_eq!(sorted(seen), linked);
            assert_eq!(fixture.stats().scans, 1);
        } else {
            assert!(linked.is_subset(&seen.into_iter().collect()));
        }
    });
}

/// qmail names a message after its inode number, and inode numbers are used again. An old name must not
/// hide an arrival.
#[test]
fn a_name_that_is_used_again_during_the_first_scan_is_returned_again() {
    on_each_backend(None, |mut fixture| {
        for message in 0..3000 {
            fixture.link(format!("{message}"));
        }
        fixture.open(&fixture.options());
        let entry = fixture.link("4711");
        let mut count = 0;
        for round in 1..=5 {
            let deadline = Instant::now() + PATIENCE;
            while count < round {
                assert!(Instant::now() < deadline, "lost in round {round}");
                let seen = fixture.turn(PATIENCE).0;
                count += seen.iter().filter(|path| **path == entry).count();
            }
            fs::remove_file(&entry).unwrap();
            fixture.link("4711");
            fixture.pull();
        }
    });
}

#[test]
fn after_an_overflow_of_the_watch_every_entry_is_returned_by_one_scan() {
    const LINKS: usize = 50_000;
    on_each_backend(None, |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        let draft = fixture.path("mess/draft");
        fs::write(&draft, "a message").unwrap();
        let last = fixture.path(&format!("todo/{}", LINKS - 1));
        let (paths, done) = done_by(&mut fixture, &[&last], |fixture| {
            for message in 0..LINKS {
                // A file can have 65,000 links on ext4.
                fs::hard_link(&draft, fixture.path(&format!("todo/{message}"))).unwrap();
            }
            fixture.pull();
        });
        let seen: BTreeSet<_> = paths.iter().collect();
        assert_eq!(seen.len(), LINKS, "lost {}", LINKS - seen.len());
        if REPORTS_NAMES {
            assert_eq!(done.watch_overflows, 1);
        }
        assert_eq!(done.scans, 1);
    });
}

#[test]
fn entries_of_any_type_and_any_name_are_returned_once() {
    on_each_backend(None, |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        let todo = fixture.path("todo");
        let mut wanted: BTreeSet<_> = odd_names().map(|name| fixture.link(name)).collect();
        symlink("nowhere", todo.join("a-link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(todo.join("a-socket")).unwrap();
        wanted.extend(["a-link", "a-socket"].map(|name| todo.join(name)));
        fs::create_dir(todo.join("a-directory")).unwrap();
        fixture.link(".hidden");
        fixture.pull();
        let paths: Vec<_> = wanted.iter().collect();
        let seen = fixture.expect_and_settle(&paths);
        assert_eq!(sorted(seen), wanted, "a directory in qmail's todo is no entry");
    });
    on_each_backend(None, |mut fixture| {
        let directory = fixture.path("mess");
        fixture.open(&QueueOptions::directories([&directory]));
        fixture.settle();
        fs::create_dir(directory.join("a-directory")).unwrap();
        fixture.expect(&[directory.join("a-directory")]);
    });
}

#[test]
fn an_entry_of_a_maildrop_is_returned_at_its_chmod_without_a_scan() {
    on_each_backend(None, |mut fixture| {
        let fifo = fixture.create_maildrop();
        fixture.open(&QueueOptions::postfix(fixture.root.path()).unwrap());
        fixture.settle();
        let is_watched = fixture.queue().is_fully_watched();
        let entry = fixture.path("maildrop/17");
        fs::write(&entry, "a message").unwrap();
        let scans = fixture.stats().scans;
        assert!(fixture.settle().0.is_empty(), "it is not ready");
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o744)).unwrap();
        if !is_watched {
            pullcord::pull(&fifo).unwrap();
        }
        assert_eq!(fixture.expect_and_settle(&[&entry]), [entry.as_path()]);
        if is_watched {
            assert_eq!(fixture.stats().scans, scans, "by its name alone");
            fs::remove_file(&entry).unwrap();
            pullcord::pull(&fifo).unwrap();
            assert!(fixture.settle().0.is_empty(), "the pull that follows returns nothing");
        }
    });
}

#[test]
fn requeue_returns_an_entry_at_its_time_and_refuses_a_path_outside_the_queue() {
    on_each_backend(None, |mut fixture| {
        fixture.open(&fixture.options());
        let entry = fixture.link("1");
        fixture.expect(&[&entry]);
        let at = Instant::now() + Duration::from_millis(50);
        let requeued = OwnedEntry::from_path(&entry).unwrap();
        fixture.queue().requeue(&requeued, at).unwrap();
        fixture.expect(&[&entry]);
        assert!(Instant::now() >= at, "too early");
        let elsewhere = OwnedEntry::from_path("/elsewhere/1").unwrap();
        let error = fixture.queue().requeue(&elsewhere, at).unwrap_err();
        assert!(error.to_string().contains("not in a directory of this queue"), "{error}");
    });
}

#[test]
fn a_queue_that_requires_its_watch_fails_to_open_without_one() {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    match fixture.options().watch(WatchMode::Required).open() {
        Ok(_) => assert!(DirWatcher::new().is_ok()),
        Err(error) => println!("{error}"),
    }
    fixture.open(&QueueOptions::directories(["/"]).watch(WatchMode::Off));
    assert_eq!(fixture.queue().unwatched_directories(), 1);
}

#[test]
fn an_entry_has_the_right_origin() {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    let before = fixture.link("before");
    fixture.open(&fixture.options());
    let origin = |fixture: &mut QueueFixture| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no entry is returned");
            fixture.wait(PATIENCE);
            if let Some(entry) = fixture.queue().next_entry(Instant::now()) {
                break entry.origin;
            }
        }
    };
    assert_eq!(origin(&mut fixture), Origin::Scan);
    let requeued = OwnedEntry::from_path(&before).unwrap();
    fixture.queue().requeue(&requeued, Instant::now()).unwrap();
    assert_eq!(origin(&mut fixture), Origin::Requeue);
    let is_watched = fixture.queue().is_fully_watched();
    fixture.settle();
    fs::remove_file(before).unwrap();
    fixture.link("after");
    fixture.pull();
    assert_eq!(origin(&mut fixture), if is_watched { Origin::Watch } else { Origin::Scan });
}

/// The queue's directories lie in a busy one: a spool, or /tmp.
#[test]
fn files_that_are_made_beside_the_queue_neither_wake_it_nor_overflow_its_watch() {
    on_each_backend(None, |mut fixture| {
        for message in 0..1000 {
            fixture.link(format!("{message}"));
        }
        if !open(&mut fixture) {
            return;
        }
        let before = fixture.stats();
        // More than the watch holds.
        for number in 0..20_000 {
            let noise = fixture.path(["noise", "lock/noise", "mess/noise"][number % 3]);
            fs::write(&noise, "").unwrap();
            fs::remove_file(&noise).unwrap();
        }
        let (paths, warnings) = fixture.settle();
        assert!(paths.is_empty() && warnings.is_empty(), "{paths:?}, {warnings:?}");
        let Stats { wakeups, scans, watch_overflows, .. } = fixture.stats();
        let expected = (before.wakeups, before.scans, 0);
        assert_eq!((wakeups, scans, watch_overflows), expected);
    });
}
