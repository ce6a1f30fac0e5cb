//! Opens queues with unusual arguments: wrong types of files, missing paths, the same directory twice,
//! odd names and intervals.

mod queue_fixture;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Queue, QueueOptions, Trigger, WarningKind, WatchMode};
use queue_fixture::{QueueFixture, WATCH_MODES, directory, on_each_backend, sorted};

const VERIFY: Duration = Duration::from_millis(100);

/// Opens the queue in another thread, so that an open that blocks fails the test and does not hang it.
fn open_in_time(options: QueueOptions) -> Result<(), pullcord::Error> {
    let (sender, opened) = mpsc::channel();
    thread::spawn(move || sender.send(options.open().map(drop)));
    opened.recv_timeout(Duration::from_secs(10)).expect("open blocks")
}

#[test]
fn a_path_that_is_not_a_directory_fails_immediately() {
    on_each_backend(None, |fixture| {
        fs::write(fixture.path("file"), "").unwrap();
        Trigger::create(fixture.path("fifo"), 0o622).unwrap();
        symlink("fifo", fixture.path("link")).unwrap();
        let files = ["file", "fifo", "link"].map(|name| fixture.path(name));
        for path in files.iter().map(PathBuf::as_path).chain([Path::new("/dev/null")]) {
            for watch in WATCH_MODES {
                for must_exist in [true, false] {
                    let options = QueueOptions::directories([path]).watch(watch);
                    let error = open_in_time(options.must_exist(must_exist)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::NotADirectory, "{error}, watch {watch}");
                    assert_eq!(error.path(), path);
                    let text = error.to_string();
                    assert!(text.contains("name the directory itself"), "{text}");
                }
            }
        }
    });
}

#[test]
fn a_fifo_in_the_place_of_an_open_directory_does_not_block() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            fixture.open(&fixture.options().watch(watch).verify_interval(VERIFY));
            fixture.settle();
            fs::rename(fixture.path("todo"), fixture.path("away")).unwrap();
            Trigger::create(fixture.path("todo"), 0o622).unwrap();
            fixture.pull();
            fixture.turn_until("it is reported", |fixture| {
                fixture.warned.contains(&WarningKind::Unreadable)
            });
            fs::remove_file(fixture.path("todo")).unwrap();
            fs::rename(fixture.path("away"), fixture.path("todo")).unwrap();
            let entry = fixture.link("1");
            fixture.expect(&[entry]);
        });
    }
}

#[test]
fn an_interval_of_zero_is_invalid_and_the_longest_one_means_never() {
    on_each_backend(None, |mut fixture| {
        type Setter = fn(QueueOptions, Duration) -> QueueOptions;
        let setters: [Setter; 3] = [
            |options, interval| options.rescan_interval(interval),
            |options, interval| options.verify_interval(interval),
            |options, interval| options.poll_interval(interval),
        ];
        for set in setters {
            let error = set(fixture.options(), Duration::ZERO).open().map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("use None for never"), "{error}");
        }
        for watch in WATCH_MODES {
            let never = setters
                .iter()
                .fold(fixture.options().watch(watch), |options, set| set(options, Duration::MAX));
            fixture.open(&never);
            fixture.settle();
            assert_eq!(fixture.wait(Duration::ZERO), None, "it waits without a timeout");
            let entry = fixture.link(format!("{watch}"));
            fixture.pull();
            fixture.expect(&[entry]);
        }
    });
}

#[test]
fn without_a_directory_opening_fails_with_invalid_input() {
    let error = QueueOptions::directories([""; 0]).open().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = QueueOptions::directories([""]).open().map(drop).unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[test]
fn a_directory_that_is_named_twice_is_read_once_with_one_warning() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            let todo = fixture.path("todo");
            symlink("todo", fixture.path("link")).unwrap();
            let others =
                [todo.clone(), fixture.path("mess/../todo"), todo.join("."), fixture.path("link")];
            for other in others {
                println!("{other:?}, watch {watch}");
                let options = QueueOptions::directories([&todo, &other]);
                fixture.warned.clear();
                fixture.open(&options.trigger(fixture.trigger()).watch(watch));
                fixture.settle();
                let entry = fixture.link("1");
                fixture.pull();
                let seen = fixture.expect_and_settle(&[&entry]);
                assert_eq!(seen, [entry.as_path()], "with the first path, once");
                assert_eq!(fixture.warned, [WarningKind::Alias]);
                assert_eq!(fixture.queue().status().count(), 1);
                assert_eq!(
                    fixture.queue().unwatched_directories(),
                    usize::from(watch == WatchMode::Off || !pullcord::watcher::REPORTS_NAMES)
                );
                fs::remove_file(entry).unwrap();
            }
        });
    }
}

#[test]
fn an_alias_that_becomes_a_directory_of_its_own_is_found() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            let (todo, link) = (fixture.path("todo"), fixture.path("link"));
            symlink("todo", &link).unwrap();
            let options = QueueOptions::directories([&todo, &link]).trigger(fixture.trigger());
            fixture.open(&options.watch(watch).verify_interval(VERIFY));
            fixture.settle();
            assert_eq!(fixture.queue().status().count(), 1);
            fs::remove_file(&link).unwrap();
            fs::create_dir(&link).unwrap();
            let entry = link.join("1");
            fixture.link_at(&entry);
            fixture.expect(&[&entry]);
            // Then both paths lead to one directory again.
            fs::remove_dir_all(&link).unwrap();
            symlink("todo", &link).unwrap();
            fixture.turn_until("it is an alias", |fixture| {
                fixture.pull();
                fixture.queue().status().count() == 1
            });
            fixture.settle();
            let entry = fixture.link("2");
            fixture.pull();
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry]);
        });
    }
}

#[test]
fn names_of_any_bytes_and_of_255_bytes_are_returned_by_scan_and_by_watch() {
    let names = || {
        let mut names: Vec<OsString> = vec!["a\nb".into(), "\n".into(), "n".repeat(255).into()];
        names.push(OsString::from_vec(b"\xff\xfe\n\x80".to_vec()));
        names.push(OsString::from_vec([0xc3; 255].to_vec()));
        names
    };
    on_each_backend(None, |mut fixture| {
        let add = |fixture: &QueueFixture, prefix: &[u8]| -> BTreeSet<PathBuf> {
            let name = |name: OsString| {
                let bytes = [prefix, &name.as_bytes()[prefix.len().min(name.len() - 1)..]].concat();
                fixture.path("todo").join(OsStr::from_bytes(&bytes))
            };
            // Not every file system accepts them all.
            names().into_iter().map(name).filter(|path| fs::write(path, "").is_ok()).collect()
        };
        let before = add(&fixture, b"1");
        fixture.open(&fixture.options());
        let paths: Vec<_> = before.iter().collect();
        assert_eq!(sorted(fixture.expect_and_settle(&paths)), before);
        let after = add(&fixture, b"2");
        fixture.pull();
        let paths: Vec<_> = after.iter().collect();
        let seen: BTreeSet<_> = fixture.expect_and_settle(&paths).into_iter().collect();
        assert!(after.is_subset(&seen));
    });
}

#[test]
fn a_missing_trigger_or_directory_is_an_error_only_if_it_must_exist() {
    for watch in WATCH_MODES {
        let root = directory();
        let [todo, fifo] = ["todo", "trigger"].map(|name| root.path().join(name));
        let options = QueueOptions::directories([&todo]).trigger(&fifo).watch(watch);
        let open = |must_exist: bool| options.clone().must_exist(must_exist).open();
        let refused = |must_exist| open(must_exist).map(drop).unwrap_err().kind();
        let warnings = |mut queue: Queue| {
            let now = Instant::now();
            let _ = queue.prepare_fds(now);
            assert!(queue.next_entry(now).is_none());
            std::iter::from_fn(|| queue.next_warning().map(|it| it.kind())).collect::<Vec<_>>()
        };
        Trigger::create(&fifo, 0o622).unwrap();
        assert_eq!(refused(true), ErrorKind::NotFound, "no directory");
        assert!(warnings(open(false).unwrap()).contains(&WarningKind::Unreadable));
        fs::write(&todo, "").unwrap();
        assert_eq!([true, false].map(refused), [ErrorKind::NotADirectory; 2]);
        fs::remove_file(&todo).unwrap();
        fs::create_dir(&todo).unwrap();
        fs::remove_file(&fifo).unwrap();
        assert_eq!(refused(true), ErrorKind::NotFound, "no trigger");
        assert!(warnings(open(false).unwrap()).contains(&WarningKind::Trigger));
        fs::write(&fifo, "").unwrap();
        assert_eq!([true, false].map(refused), [ErrorKind::InvalidInput; 2]);
    }
}

#[test]
fn a_queue_that_does_not_exist_yet_is_found_with_all_its_parents() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            let queue = fixture.path("a/b/c/queue");
            let options = || QueueOptions::qmail(&queue).unwrap().watch(watch);
            assert_eq!(options().open().map(drop).unwrap_err().kind(), ErrorKind::NotFound);
            fixture.open(&options().must_exist(false));
            fixture.turn_for(Duration::from_millis(300));
            let begun = Instant::now();
            let scans = fixture.stats().scans;
            fixture.turn_for(Duration::from_secs(1));
            let scans = fixture.stats().scans - scans;
            assert!(scans <= 12, "{scans} scans in {:?}", begun.elapsed());

            fs::create_dir_all(queue.join("todo")).unwrap();
            fs::create_dir(queue.join("lock")).unwrap();
            Trigger::create(queue.join("lock/trigger"), 0o622).unwrap();
            let wanted: Vec<_> = (0..100).map(|n| queue.join(format!("todo/{n}"))).collect();
            wanted.iter().for_each(|path| fixture.link_at(path));
            let begun = Instant::now();
            fixture.expect(&wanted);
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            fixture
                .turn_until("the trigger is open", |fixture| fixture.stats().trigger_reopens > 0);
            let path = queue.join("todo/later");
            fixture.link_at(&path);
            pullcord::pull(queue.join("lock/trigger")).unwrap();
            fixture.expect(&[path]);
        });
    }
}

#[test]
fn a_directory_that_is_removed_while_it_is_read_loses_no_entry_of_the_others() {
    for watch in WATCH_MODES {
        on_each_backend(Some(3), |mut fixture| {
            for message in 0..1000 {
                fixture.link(format!("1/{message}"));
            }
            let other = fixture.link("2/other");
            fixture.open(&fixture.options().watch(watch));
            let (mut paths, _) = fixture.turn_until("todo/1 is being read", |fixture| {
                fixture.queue().is_scanning() && fixture.stats().scan_entries > 0
            });
            fs::rename(fixture.path("todo/1"), fixture.path("away")).unwrap();
            fs::remove_dir_all(fixture.path("away")).unwrap();
            // Without a pull, which would begin another scan.
            let (more, warnings) = fixture.settle();
            paths.extend(more);
            assert_eq!(warnings, [""; 0]);
            assert!(paths.contains(&other), "only {} others", paths.len());
            fs::remove_file(&other).unwrap();
            let entry = fixture.link("2/after");
            fixture.pull();
            fixture.expect(&[entry]);
        });
    }
}

#[test]
fn a_trigger_in_its_own_directory_is_not_an_entry() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            let directory = fixture.path("mess");
            let trigger = directory.join("trigger");
            Trigger::create(&trigger, 0o622).unwrap();
            let options = QueueOptions::directories([&directory]).trigger(&trigger).watch(watch);
            fixture.open(&options.verify_interval(VERIFY));
            assert!(fixture.settle().0.is_empty());
            let entry = directory.join("entry");
            fs::write(&entry, "").unwrap();
            pullcord::pull(&trigger).unwrap();
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry.as_path()]);
            fs::remove_file(&entry).unwrap();
            // The watch reports the replaced trigger.
            fs::remove_file(&trigger).unwrap();
            Trigger::create(&trigger, 0o622).unwrap();
            let (paths, _) = fixture.turn_until("the new FIFO is opened", |fixture| {
                fixture.stats().trigger_reopens > 0
            });
            assert!(paths.is_empty(), "{paths:?}");
            fs::write(&entry, "").unwrap();
            pullcord::pull(&trigger).unwrap();
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry]);
        });
    }
}

#[test]
fn a_turn_opens_64_directories_at_most() {
    const DIRECTORIES: u64 = 1_000;
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            let path = |fixture: &QueueFixture, n| fixture.path(&format!("mess/{n}"));
            let directories: Vec<_> = (0..DIRECTORIES).map(|n| path(&fixture, n)).collect();
            directories.iter().for_each(|path| fs::create_dir(path).unwrap());
            fixture.open(&QueueOptions::directories(&directories).watch(watch));
            while fixture.stats().directories_read < DIRECTORIES {
                let before = fixture.stats().directories_read;
                fixture.turn(Duration::from_millis(100));
                let opened = fixture.stats().directories_read - before;
                assert!(opened <= 64, "{opened} directories in a turn, watch {watch}");
            }
        });
    }
}
