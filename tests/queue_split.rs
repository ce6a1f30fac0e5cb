//! qmail's `todo` with parts. The cases: mail in `todo` itself; parts that are created, removed and
//! created again; links with a number as their name; a queue that changes from flat to split.

mod queue_fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use pullcord::QueueOptions;
use queue_fixture::{QueueFixture, WATCH_MODES, on_each_backend, on_each_watch_mode, sorted};

const VERIFY: Duration = Duration::from_millis(100);

fn on_each(split: Option<usize>, test: impl Fn(&mut QueueFixture)) {
    on_each_watch_mode(split, |mut fixture, watch| {
        let options = fixture.options().watch(watch).verify_interval(VERIFY);
        fixture.open(&options.rescan_interval(None));
        test(&mut fixture);
    });
}

/// Adds an entry, pulls, and checks that it is returned exactly once.
#[track_caller]
fn expect_new(fixture: &mut QueueFixture, name: &str) {
    let entry = fixture.link(name);
    fixture.pull();
    assert_eq!(fixture.expect_and_settle(&[&entry]), [entry.as_path()], "{name}");
    fs::remove_file(entry).unwrap();
}

fn parts(fixture: &mut QueueFixture) -> Vec<PathBuf> {
    let mut parts: Vec<_> = fixture.queue().status().map(|part| part.path.to_owned()).collect();
    parts.sort();
    parts
}

#[test]
fn mail_in_todo_itself_and_in_its_parts_is_returned() {
    for watch in WATCH_MODES {
        on_each_backend(Some(3), |mut fixture| {
            // A message may have the number of a part that does not exist.
            let queued = ["17", "4", "0/17", "2/18"].map(|name| fixture.link(name));
            fs::create_dir(fixture.path("todo/not-a-number")).unwrap();
            fs::create_dir(fixture.path("todo/007")).unwrap();
            fixture.open(&fixture.options().watch(watch));
            assert_eq!(sorted(fixture.expect_and_settle(&queued)), queued.clone().into());
            queued.iter().for_each(|path| fs::remove_file(path).unwrap());
            for name in ["19", "5", "1/20"] {
                expect_new(&mut fixture, name);
            }
        });
    }
}

#[test]
fn a_flat_queue_returns_the_mail_of_parts_that_are_left_over() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            // This mail fills the first batch of the directory.
            let mut queued: Vec<_> =
                (100_000..102_000).map(|n| fixture.link(n.to_string())).collect();
            for part in [0, 22] {
                fs::create_dir(fixture.path(&format!("todo/{part}"))).unwrap();
                queued.push(fixture.link(format!("{part}/17")));
            }
            fixture.open(&fixture.options().watch(watch));
            let seen = sorted(fixture.expect_and_settle(&queued));
            assert_eq!(seen, queued.iter().cloned().collect());
            queued.iter().for_each(|path| fs::remove_file(path).unwrap());
            expect_new(&mut fixture, "22/18");
            expect_new(&mut fixture, "23");
        });
    }
}

#[test]
fn a_flat_queue_becomes_split_and_flat_again() {
    on_each(None, |fixture| {
        expect_new(fixture, "1");
        for part in 0..3 {
            fs::create_dir(fixture.path(&format!("todo/{part}"))).unwrap();
        }
        expect_new(fixture, "2/17");
        expect_new(fixture, "3");
        fixture.turn_until("the parts are found", |fixture| parts(fixture).len() == 4);
        expect_new(fixture, "0/18");
        for part in 0..3 {
            fs::remove_dir(fixture.path(&format!("todo/{part}"))).unwrap();
        }
        expect_new(fixture, "4");
        fixture.turn_until("the parts are gone", |fixture| {
            fixture.pull();
            parts(fixture).len() == 1
        });
        assert!(fixture.warned.is_empty(), "{:?}", fixture.warned);
    });
}

#[test]
fn a_part_that_is_created_repeatedly_loses_no_entry() {
    on_each(Some(2), |fixture| {
        for round in 0..20 {
            // On most file systems the new part has the same inode number.
            fs::remove_dir(fixture.path("todo/1")).unwrap();
            if round % 3 == 0 {
                fixture.turn(Duration::ZERO);
            }
            fs::create_dir(fixture.path("todo/1")).unwrap();
            if round % 2 == 0 {
                fixture.turn(Duration::ZERO);
            }
            let entry = fixture.link(format!("1/{round}"));
            fixture.pull();
            fixture.expect(&[&entry]);
            fs::remove_file(entry).unwrap();
        }
        assert!(fixture.warned.is_empty(), "{:?}", fixture.warned);
    });
}

#[test]
fn a_part_that_is_removed_before_the_open_is_no_problem_and_is_found_when_it_is_back() {
    on_each_watch_mode(Some(2), |mut fixture, watch| {
        let options = fixture.options().watch(watch);
        fs::remove_dir(fixture.path("todo/1")).unwrap();
        fixture.open(&options);
        let (paths, warnings) = fixture.settle();
        assert!(paths.is_empty() && warnings.is_empty(), "{paths:?}, {warnings:?}");
        assert_eq!(parts(&mut fixture).len(), 2, "todo and one part");
        fs::create_dir(fixture.path("todo/1")).unwrap();
        let entry = fixture.link("1/17");
        fixture.pull();
        fixture.expect(&[entry]);
    });
}

#[test]
fn exchanged_parts_lose_no_entry() {
    on_each(Some(2), |fixture| {
        for round in 0..5 {
            let path = |name: &str| fixture.path(name);
            fs::rename(path("todo/0"), path("away")).unwrap();
            fs::rename(path("todo/1"), path("todo/0")).unwrap();
            fs::rename(path("away"), path("todo/1")).unwrap();
            let entries = [0, 1].map(|part| fixture.link(format!("{part}/{round}")));
            fixture.pull();
            fixture.expect(&entries);
            fixture.turn_until("both are parts", |fixture| parts(fixture).len() == 3);
            entries.iter().for_each(|path| fs::remove_file(path).unwrap());
            fixture.settle();
        }
    });
}

#[test]
fn a_numbered_link_to_a_directory_is_a_part_and_any_other_link_is_mail() {
    on_each(Some(2), |fixture| {
        fs::create_dir(fixture.path("disk2")).unwrap();
        symlink("../disk2", fixture.path("todo/7")).unwrap();
        expect_new(fixture, "7/17");
        fixture.turn_until("the link is a part", |fixture| {
            parts(fixture).contains(&fixture.path("todo/7"))
        });
        expect_new(fixture, "7/18");
        let too_long = "n".repeat(256);
        for (name, target) in [("nowhere", "nowhere"), ("8", "nowhere"), ("8", &too_long)] {
            let link = fixture.path("todo").join(name);
            symlink(target, &link).unwrap();
            fixture.pull();
            fixture.expect(&[&link]);
            fs::remove_file(link).unwrap();
        }
        // The link is swapped.
        fs::create_dir(fixture.path("disk3")).unwrap();
        symlink("../disk3", fixture.path("swap")).unwrap();
        fs::rename(fixture.path("swap"), fixture.path("todo/7")).unwrap();
        let entry = fixture.path("todo/7/19");
        fixture.link_at(&entry);
        if !fixture.queue().is_fully_watched() {
            fixture.pull();
        }
        fixture.expect(&[entry]);
    });
}

#[test]
fn a_link_to_another_part_returns_each_entry_once() {
    on_each(Some(2), |fixture| {
        symlink("1", fixture.path("todo/5")).unwrap();
        fixture.pull();
        fixture.settle();
        let entry = fixture.link("1/17");
        fixture.pull();
        let seen = fixture.expect_and_settle(&[entry]);
        assert_eq!(seen.len(), 1, "{seen:?}");
    });
}

#[test]
fn a_part_that_becomes_a_file_is_mail() {
    on_each(Some(2), |fixture| {
        fs::remove_dir(fixture.path("todo/1")).unwrap();
        expect_new(fixture, "1");
        expect_new(fixture, "0/17");
        fs::create_dir(fixture.path("todo/1")).unwrap();
        expect_new(fixture, "1/18");
    });
}

#[test]
fn a_thousand_parts_are_found_while_the_queue_is_open() {
    on_each(Some(1), |fixture| {
        for part in 1..1000 {
            fs::create_dir(fixture.path(&format!("todo/{part}"))).unwrap();
        }
        let entries = [1, 500, 999].map(|part| fixture.link(format!("{part}/17")));
        fixture.pull();
        fixture.expect(&entries);
        fixture.turn_until("all are parts", |fixture| fixture.queue().status().count() == 1001);
    });
}

#[test]
fn directories_outside_a_qmail_queue_have_no_parts() {
    on_each_backend(Some(2), |mut fixture| {
        let todo = fixture.path("todo");
        fixture.open(&QueueOptions::directories([&todo]).trigger(fixture.trigger()));
        let both = [todo.join("0"), todo.join("1")];
        assert_eq!(sorted(fixture.expect_and_settle(&both)), both.into());
        assert_eq!(parts(&mut fixture), [todo]);
    });
}
