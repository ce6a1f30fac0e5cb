//! A directory or a link above the queue is replaced. The queue must find the new target of its paths
//! within the verify interval. A directory with a watch needs no pull for that. `queue_above_mounts` has
//! the cases that need root.

mod queue_fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use pullcord::{Backend, PullOutcome, QueueOptions, Trigger, WatchMode, pull};
use queue_fixture::{QueueFixture, WATCH_MODES};

/// Creates a queue below this directory.
fn create(queue: &Path) {
    for directory in ["todo/0", "todo/1", "lock"] {
        fs::create_dir_all(queue.join(directory)).unwrap();
    }
    Trigger::create(queue.join("lock/trigger"), 0o622).unwrap();
}

fn replace_link(fixture: &QueueFixture, target: &str, link: &str) {
    symlink(target, fixture.path("new-link")).unwrap();
    fs::rename(fixture.path("new-link"), fixture.path(link)).unwrap();
}

/// `act` replaces a directory or a link on the path `a/b/queue`, or below it. Checks that mail in each
/// directory at the new paths is returned, and that the new trigger is read.
fn check(prepare: fn(&QueueFixture), act: fn(&mut QueueFixture)) {
    for watch in WATCH_MODES {
        for backend in Backend::available() {
            println!("{backend}, watch {watch}");
            let mut fixture = QueueFixture::new(backend, None);
            create(&fixture.path("a/b/queue"));
            create(&fixture.path("other/b/queue"));
            prepare(&fixture);
            let queue = fixture.path("a/b/queue");
            let options = QueueOptions::qmail(&queue).unwrap().watch(watch);
            let options = options.rescan_interval(None).poll_interval(None);
            fixture.open(&options.verify_interval(Duration::from_millis(100)));
            fixture.settle();

            act(&mut fixture);
            let entries = ["0/17", "1/18", "19"].map(|name| queue.join("todo").join(name));
            entries.iter().for_each(|path| fixture.link_at(path));
            if watch == WatchMode::Off {
                // A directory without a watch is scanned at a pull, or when the trigger is replaced.
                pull(queue.join("lock/trigger")).unwrap();
            }
            fixture.expect(&entries);
            fixture.turn_until("the trigger is read", |_| {
                pull(queue.join("lock/trigger")).unwrap() != PullOutcome::NoReader
            });
            fixture.turn_until("the watch is as before", |fixture| {
                fixture.queue().is_fully_watched()
                    || watch == WatchMode::Off
                    || !pullcord::watcher::REPORTS_NAMES
            });
            fixture.settle();
            entries.iter().for_each(|path| fs::remove_file(path).unwrap());
            let entry = queue.join("todo/1/20");
            fixture.link_at(&entry);
            pull(queue.join("lock/trigger")).unwrap();
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry]);
        }
    }
}

#[test]
fn a_parent_that_is_created_again_is_found() {
    check(
        |_| {},
        |fixture| {
            fs::rename(fixture.path("a/b"), fixture.path("a/old")).unwrap();
            create(&fixture.path("a/b/queue"));
        },
    );
}

#[test]
fn a_replaced_parent_of_the_parent_is_found() {
    check(
        |_| {},
        |fixture| {
            fs::rename(fixture.path("a"), fixture.path("old")).unwrap();
            fs::rename(fixture.path("other"), fixture.path("a")).unwrap();
        },
    );
}

#[test]
fn a_replaced_queue_is_found() {
    check(
        |_| {},
        |fixture| {
            fs::rename(fixture.path("a/b/queue"), fixture.path("old")).unwrap();
            fs::rename(fixture.path("other/b/queue"), fixture.path("a/b/queue")).unwrap();
        },
    );
}

#[test]
fn replaced_todo_and_lock_are_found() {
    check(
        |_| {},
        |fixture| {
            for directory in ["todo", "lock"] {
                let path = |queue: &str| fixture.path(queue).join("b/queue").join(directory);
                fs::rename(path("a"), fixture.path(&format!("old-{directory}"))).unwrap();
                fs::rename(path("other"), path("a")).unwrap();
            }
        },
    );
}

#[test]
fn a_queue_that_is_removed_and_created_again_is_found() {
    check(
        |_| {},
        |fixture| {
            fs::remove_dir_all(fixture.path("a")).unwrap();
            create(&fixture.path("a/b/queue"));
        },
    );
}

#[test]
fn a_swapped_link_above_the_queue_is_followed() {
    check(
        |fixture| {
            fs::rename(fixture.path("a"), fixture.path("first")).unwrap();
            symlink("first", fixture.path("a")).unwrap();
        },
        |fixture| replace_link(fixture, "other", "a"),
    );
}

#[test]
fn a_swapped_link_to_the_queue_is_followed() {
    check(
        |fixture| {
            fs::rename(fixture.path("a/b/queue"), fixture.path("a/b/first")).unwrap();
            symlink("first", fixture.path("a/b/queue")).unwrap();
        },
        |fixture| replace_link(fixture, "../../other/b/queue", "a/b/queue"),
    );
}

#[test]
fn swapped_links_to_todo_and_lock_are_followed() {
    check(
        |fixture| {
            for directory in ["todo", "lock"] {
                let path = |name: &str| fixture.path("a/b/queue").join(name);
                fs::rename(path(directory), path(&format!("first-{directory}"))).unwrap();
                symlink(format!("first-{directory}"), path(directory)).unwrap();
            }
        },
        |fixture| {
            for directory in ["todo", "lock"] {
                let target = format!("../../../other/b/queue/{directory}");
                replace_link(fixture, &target, &format!("a/b/queue/{directory}"));
            }
        },
    );
}

#[test]
fn a_link_that_becomes_a_directory_is_found() {
    check(
        |fixture| {
            fs::rename(fixture.path("a"), fixture.path("first")).unwrap();
            symlink("first", fixture.path("a")).unwrap();
        },
        |fixture| {
            fs::remove_file(fixture.path("a")).unwrap();
            create(&fixture.path("a/b/queue"));
        },
    );
}

#[test]
fn a_directory_that_becomes_a_link_is_followed() {
    check(
        |_| {},
        |fixture| {
            fs::rename(fixture.path("a/b"), fixture.path("old")).unwrap();
            symlink("../other/b", fixture.path("a/b")).unwrap();
        },
    );
}

#[test]
fn two_queues_that_change_places_and_back_are_found() {
    fn exchange(fixture: &mut QueueFixture) {
        fs::rename(fixture.path("a/b"), fixture.path("old")).unwrap();
        fs::rename(fixture.path("other/b"), fixture.path("a/b")).unwrap();
        fs::rename(fixture.path("old"), fixture.path("other/b")).unwrap();
    }
    check(|_| {}, exchange);
    check(|_| {}, |fixture| (0..3).for_each(|_| exchange(fixture)));
}

/// For a moment the path does not exist.
#[test]
fn a_parent_that_is_away_for_a_while_is_found_again() {
    check(
        |_| {},
        |fixture| {
            let (here, away) = (fixture.path("a"), fixture.path("away"));
            fs::rename(&here, &away).unwrap();
            fixture.turn_for(Duration::from_millis(300));
            fs::rename(away, here).unwrap();
        },
    );
}
