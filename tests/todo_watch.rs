//! Todo with the directory watch, on real queues: every entry is handed out at least once, twice
//! only after a scan that was needed, and the number of scans is asserted.
//!
//! Needs a file system that can be watched and is known to be local; `PULLCORD_TEST_DIR` chooses
//! another than that of the temporary directory. Where entries are not named (kqueue), what differs
//! is said.

mod office;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use office::{Office, PATIENCE, odd_names, on_each_backend, sorted};
use pullcord::watcher::REPORTS_NAMES;
use pullcord::{Counters, DirWatcher, Trigger, Via, WatchMode, todo::Queue};

/// Opens the queue and takes what waits; false where nothing can be watched, which is said.
fn open(office: &mut Office) -> bool {
    office.open_on(office.queue());
    office.settle();
    let watched = office.todo().counters().unwatched == 0;
    if !watched {
        println!("not watched on {}: {:?}", std::env::consts::OS, DirWatcher::new());
    }
    watched
}

/// What was done by `act` and the turns after it, until nothing is left to do.
fn done_by(office: &mut Office, act: impl FnOnce(&mut Office)) -> (Vec<PathBuf>, Counters) {
    let before = office.todo().counters();
    act(office);
    let (paths, errors) = office.settle();
    assert_eq!(errors, [""; 0]);
    let mut since = office.todo().counters();
    since.scans -= before.scans;
    since.directories -= before.directories;
    since.by_watch -= before.by_watch;
    since.by_scan -= before.by_scan;
    since.overflows -= before.overflows;
    (paths, since)
}

#[test]
fn an_entry_is_found_however_it_arrives_and_however_many_wait() {
    on_each_backend(None, |mut office| {
        for message in 0..1000 {
            office.link(format!("waiting-{message}"));
        }
        if !open(&mut office) {
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
            let (draft, entry) = (office.path("mess/draft"), office.path("todo").join(way));
            fs::write(&draft, "a message").unwrap();
            fs::write(draft.with_extension("2"), "another").unwrap();
            let (paths, done) = done_by(&mut office, |office| {
                arrive(&draft, &entry);
                office.pull();
            });
            assert!(paths.contains(&entry), "{way}");
            if REPORTS_NAMES {
                assert_eq!((done.scans, done.by_scan), (0, 0), "{way}: by its name alone");
            } else {
                assert_eq!(done.scans, 1, "{way}: its directory is read once");
            }
            let _ = (fs::remove_file(&draft), fs::remove_file(entry));
        }
    });
}

/// A file without a name gets one: it arrives by link(2), complete.
#[cfg(target_os = "linux")]
#[test]
fn a_file_made_without_a_name_is_found_once_it_is_linked() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open as open_file};
    on_each_backend(None, |mut office| {
        let flags = OFlags::TMPFILE | OFlags::WRONLY;
        let Ok(file) = open_file(office.path("todo"), flags, Mode::RUSR) else {
            return println!("no O_TMPFILE on this file system");
        };
        if !open(&mut office) {
            return;
        }
        let entry = office.path("todo/17");
        let unnamed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let (paths, done) = done_by(&mut office, |office| {
            linkat(CWD, unnamed, CWD, &entry, AtFlags::SYMLINK_FOLLOW).unwrap();
            office.pull();
        });
        assert_eq!((paths, done.scans), (vec![entry.clone()], u64::from(!REPORTS_NAMES)));
    });
}

#[test]
fn without_a_pull_it_is_found_too() {
    on_each_backend(Some(3), |mut office| {
        if open(&mut office) {
            let entry = office.link("2/17");
            office.expect(&[entry]);
        }
    });
}

#[test]
fn a_pull_without_a_change_reads_nothing() {
    on_each_backend(Some(3), |mut office| {
        if open(&mut office) {
            let (paths, done) = done_by(&mut office, |office| office.pull());
            assert_eq!((paths.len(), done.scans), (0, 0), "on {}", std::env::consts::OS);
        }
    });
}

/// The rule is that the scan yields to the watch: what was linked before the start is found by the
/// scan, what is linked after it by the watch, and nothing by both.
#[test]
fn what_arrives_while_the_start_is_scanned_is_handed_out_once() {
    on_each_backend(None, |mut office| {
        let mut linked: BTreeSet<_> = (0..3000).map(|n| office.link(format!("{n}"))).collect();
        office.open_on(office.queue());
        // Armed, and not read yet.
        linked.insert(office.link("after-arming"));
        let mut seen = Vec::new();
        for turn in 0..300 {
            office.wait(Duration::ZERO);
            // Between two entries of one turn, so that the next batch may hold what the watch was
            // not seen to have.
            while let Some(entry) = office.todo().next(Instant::now()) {
                seen.push(entry.unwrap().path());
                if turn < 150 {
                    linked.insert(office.link(format!("during-{}", seen.len())));
                }
            }
            office.pull();
        }
        seen.extend(office.settle().0);
        if REPORTS_NAMES && office.todo().counters().unwatched == 0 {
            assert_eq!(sorted(seen), linked);
            assert_eq!(office.todo().counters().scans, 1);
        } else {
            assert!(linked.is_subset(&seen.into_iter().collect()));
        }
    });
}

/// qmail names a message after its inode, and inode numbers are used again: "seen that name" must
/// not hide an arrival.
#[test]
fn a_name_that_is_used_again_while_the_start_is_scanned_is_handed_out_again() {
    on_each_backend(None, |mut office| {
        for message in 0..3000 {
            office.link(format!("{message}"));
        }
        office.open_on(office.queue());
        let entry = office.link("4711");
        let mut count = 0;
        for round in 1..=5 {
            let deadline = Instant::now() + PATIENCE;
            while count < round {
                assert!(Instant::now() < deadline, "lost in round {round}");
                let seen = office.turn(PATIENCE).0;
                count += seen.iter().filter(|path| **path == entry).count();
            }
            fs::remove_file(&entry).unwrap();
            office.link("4711");
            office.pull();
        }
    });
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    on_each_backend(Some(3), |mut office| {
        if !open(&mut office) {
            return;
        }
        fs::remove_dir(office.path("todo/1")).unwrap();
        let (_, errors) = office.settle();
        assert!(errors.iter().all(|error| error.contains("todo/1")), "{errors:?}");
        let other = office.link("2/5");
        office.expect(&[other]);

        fs::create_dir(office.path("todo/1")).unwrap();
        let first = office.link("1/8");
        office.expect(&[first]);
        wait_until_watched(&mut office);
        let second = office.link("1/9");
        let done = done_by(&mut office, |office| office.pull()).1;
        assert_eq!(done.scans, u64::from(!REPORTS_NAMES), "watched again");
        if REPORTS_NAMES {
            assert_eq!(done.by_watch, 1);
        }
        drop(second);
    });
}

#[test]
fn a_directory_that_is_replaced_by_a_rename_is_read_and_watched() {
    on_each_backend(Some(2), |mut office| {
        if !open(&mut office) {
            return;
        }
        fs::create_dir(office.path("new")).unwrap();
        fs::write(office.path("new/in-it-before"), "a message").unwrap();
        let (paths, done) = done_by(&mut office, |office| {
            fs::rename(office.path("new"), office.path("todo/1")).unwrap();
        });
        assert_eq!(paths, [office.path("todo/1/in-it-before")]);
        assert!((1..=2).contains(&done.scans), "{} scans", done.scans);
        wait_until_watched(&mut office);
        let later = office.link("1/later");
        office.expect(&[later]);
    });
}

/// Identities are compared before the watch has reported the replacement, while the scan is to skip
/// names of the old directory. The simulation's mutant `LossForgiven` lacks this rule.
#[test]
fn a_directory_that_is_replaced_in_the_middle_of_a_round_hides_nothing() {
    on_each_backend(Some(2), |mut office| {
        for message in 0..300 {
            office.link(format!("0/{message}"));
        }
        office.open_on(office.queue());
        let start = Instant::now();
        office.turn_at(start);
        assert!(office.todo().is_scanning(), "todo/0 is being read, todo/1 is to come");
        let entry = office.link("1/4711");
        if REPORTS_NAMES {
            while !office.turn_at(start).contains(&entry) {
                assert!(office.todo().is_scanning());
            }
        }
        fs::create_dir(office.path("new")).unwrap();
        fs::write(office.path("new/4711"), "another message").unwrap();
        fs::rename(office.path("todo/1"), office.path("old")).unwrap();
        fs::rename(office.path("new"), office.path("todo/1")).unwrap();
        // The tick is due at once. But for it, nobody waits for long.
        let tick = start + Duration::from_secs(1501);
        let again = (0..100).any(|turn| {
            let paths = office.turn_at(tick + Duration::from_millis(100) * turn);
            paths.contains(&entry)
        });
        assert!(again, "lost until the next tick");
    });
}

/// A pull uncovers that another directory is there, which cannot be watched. The pull is for that one
/// as well. The simulation's mutant `LossUnread` lacks this rule.
#[test]
fn what_takes_a_directorys_place_and_cannot_be_watched_is_read() {
    on_each_backend(Some(2), |mut office| {
        if !open(&mut office) {
            return;
        }
        // It is watched already, on account of the trigger.
        fs::rename(office.path("todo/1"), office.path("old")).unwrap();
        symlink("../lock", office.path("todo/1")).unwrap();
        let entry = office.path("todo/1/4711");
        fs::write(&entry, "a message").unwrap();
        office.pull();
        office.expect(&[entry]);
    });
}

#[test]
fn a_split_queue_that_grows_is_noticed() {
    on_each_backend(Some(2), |mut office| {
        if !open(&mut office) {
            return;
        }
        for part in 2..5 {
            fs::create_dir(office.path(&format!("todo/{part}"))).unwrap();
        }
        fs::create_dir(office.path("todo/not-a-number")).unwrap();
        let entry = office.link("4/17");
        office.expect(&[entry]);
        wait_until_watched(&mut office);
        let entry = office.link("3/18");
        office.expect(&[entry]);
    });
}

#[test]
fn a_replaced_trigger_is_followed_at_once() {
    on_each_backend(None, |mut office| {
        if !open(&mut office) {
            return;
        }
        for _ in 0..3 {
            let reopens = office.todo().counters().reopens;
            let fresh = office.path("lock/fresh");
            Trigger::create(&fresh, 0o622).unwrap();
            fs::rename(&fresh, office.trigger()).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while office.todo().counters().reopens == reopens {
                assert!(Instant::now() < deadline, "the new FIFO was not noticed");
                office.turn(PATIENCE);
            }
            office.settle();
            office.pull();
            let pulls = office.todo().counters().pulls;
            while office.todo().counters().pulls == pulls {
                assert!(Instant::now() < deadline, "a pull of the new FIFO was not heard");
                office.turn(PATIENCE);
            }
        }
    });
}

#[test]
fn when_the_watch_overflows_everything_is_read() {
    const LINKS: usize = 50_000;
    on_each_backend(None, |mut office| {
        if !open(&mut office) {
            return;
        }
        let draft = office.path("mess/draft");
        fs::write(&draft, "a message").unwrap();
        let (paths, done) = done_by(&mut office, |office| {
            for message in 0..LINKS {
                // A file can have 65,000 links on ext4.
                fs::hard_link(&draft, office.path(&format!("todo/{message}"))).unwrap();
            }
            office.pull();
        });
        let seen: BTreeSet<_> = paths.iter().collect();
        assert_eq!(seen.len(), LINKS, "lost {}", LINKS - seen.len());
        if REPORTS_NAMES {
            assert_eq!(done.overflows, 1);
        }
        assert_eq!(done.scans, 1);
    });
}

#[test]
fn whatever_it_is_and_whatever_its_name_it_holds_up_nobody() {
    on_each_backend(None, |mut office| {
        if !open(&mut office) {
            return;
        }
        let todo = office.path("todo");
        let mut wanted: BTreeSet<_> = odd_names().map(|name| office.link(name)).collect();
        fs::create_dir(todo.join("a-directory")).unwrap();
        symlink("nowhere", todo.join("a-link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(todo.join("a-socket")).unwrap();
        wanted.extend(["a-directory", "a-link", "a-socket"].map(|name| todo.join(name)));
        office.link(".hidden");
        office.pull();
        let paths: BTreeSet<_> = office.settle().0.into_iter().collect();
        assert_eq!(paths, wanted);
    });
}

/// In a maildrop the pull says when: what was made ready before it is not left until later.
#[test]
fn in_a_maildrop_what_is_ready_is_handed_out_by_the_pull_that_follows() {
    on_each_backend(None, |mut office| {
        for directory in ["public", "maildrop"] {
            fs::create_dir(office.path(directory)).unwrap();
        }
        let fifo = office.path("public/pickup");
        Trigger::create(&fifo, 0o622).unwrap();
        office.open_on(Queue::postfix(office.root.path()).unwrap());
        office.settle();
        let entry = office.path("maildrop/17");
        fs::write(&entry, "a message").unwrap();
        let scans = office.todo().counters().scans;
        assert!(office.turn(Duration::ZERO).0.is_empty(), "it is not ready");
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o744)).unwrap();
        assert!(office.turn(Duration::ZERO).0.is_empty(), "nobody has pulled for it");
        pullcord::pull(&fifo).unwrap();
        let handed_out: Vec<_> = (0..5).flat_map(|_| office.turn(Duration::ZERO).0).collect();
        assert_eq!(handed_out, [entry]);
        if REPORTS_NAMES && office.todo().counters().unwatched == 0 {
            assert_eq!(office.todo().counters().scans, scans, "by its name alone");
        }
    });
}

#[test]
fn what_could_not_be_dealt_with_can_be_asked_for_again() {
    on_each_backend(None, |mut office| {
        office.open_on(office.queue());
        let entry = office.link("1");
        office.expect(std::slice::from_ref(&entry));
        let at = Instant::now() + Duration::from_millis(50);
        office.todo().requeue(&entry, at).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "it did not come again");
            let (paths, _) = office.turn(PATIENCE);
            if paths.contains(&entry) {
                break;
            }
        }
        assert!(Instant::now() >= at, "too early");
        let error = office.todo().requeue(Path::new("/elsewhere/1"), at).unwrap_err();
        assert!(error.to_string().contains("not in this queue"), "{error}");
    });
}

#[test]
fn a_queue_that_needs_its_watch_is_not_opened_without() {
    let mut office = Office::new(pullcord::Backend::best(), None);
    let queue = office.queue().watch(WatchMode::Required);
    match pullcord::Todo::open(queue) {
        Ok(_) => assert!(DirWatcher::new().is_ok()),
        Err(error) => println!("{error}"),
    }
    // procfs is on no list of local file systems, and cannot be watched for what appears in it.
    office.open_on(Queue::directories(["/"]).watch(WatchMode::Off));
    assert_eq!(office.todo().counters().unwatched, 1);
}

#[test]
fn entries_say_how_they_were_found() {
    let mut office = Office::new(pullcord::Backend::best(), None);
    office.link("before");
    office.open_on(office.queue());
    let via = |office: &mut Office| loop {
        let todo = office.todo.as_mut().expect("the queue was opened");
        todo.prepare(&mut *office.notifier, Instant::now()).unwrap();
        office.notifier.wait(&mut office.events, Some(Duration::ZERO)).unwrap();
        for event in &office.events {
            todo.ready(event);
        }
        if let Some(Ok(entry)) = todo.next(Instant::now()) {
            break entry.via;
        }
    };
    assert_eq!(via(&mut office), Via::Scan);
    let watched = REPORTS_NAMES && office.todo().counters().unwatched == 0;
    office.settle();
    office.link("after");
    office.pull();
    assert_eq!(via(&mut office), if watched { Via::Watch } else { Via::Scan });
}

fn wait_until_watched(office: &mut Office) {
    let deadline = Instant::now() + PATIENCE;
    while office.todo().counters().unwatched > 0 {
        assert!(Instant::now() < deadline, "not watched again");
        office.turn(PATIENCE);
    }
    office.settle();
}
