//! A directory or the trigger of an open queue is replaced. The queue must find the new one within the
//! verify interval and watch it.

mod queue_fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use pullcord::watcher::REPORTS_NAMES;
use pullcord::{PullOutcome, QueueOptions, Trigger, WatchGrade, WatchMode};
use queue_fixture::{QueueFixture, on_each_backend};

const VERIFY: Duration = Duration::from_millis(100);

/// Opens the queue with a short verify interval. Returns false where it cannot be watched.
fn open(fixture: &mut QueueFixture) -> bool {
    fixture.open(&fixture.options().verify_interval(VERIFY));
    fixture.settle();
    is_watched(fixture)
}

fn is_watched(fixture: &mut QueueFixture) -> bool {
    fixture.queue().status().all(|directory| directory.watch > WatchGrade::None)
}

fn wait_until_watched(fixture: &mut QueueFixture) {
    fixture.turn_until("it is watched again", is_watched);
    fixture.settle();
}

/// Adds an entry. If the watch reports names, checks that it is returned without a scan.
fn expect_by_watch(fixture: &mut QueueFixture, name: &str) {
    let scans = fixture.stats().scans;
    let entry = fixture.link(name);
    fixture.expect(&[entry]);
    if REPORTS_NAMES {
        assert_eq!(fixture.stats().scans, scans, "{name} was found by a scan");
    }
}

#[test]
fn a_part_that_is_removed_and_created_again_is_watched_again() {
    on_each_backend(Some(3), |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        fs::remove_dir(fixture.path("todo/1")).unwrap();
        let (_, warnings) = fixture.settle();
        assert_eq!(warnings, [""; 0], "a removed part is no problem");
        let other = fixture.link("2/5");
        fixture.expect(&[other]);

        fs::create_dir(fixture.path("todo/1")).unwrap();
        let first = fixture.link("1/8");
        fixture.expect(&[first]);
        wait_until_watched(&mut fixture);
        expect_by_watch(&mut fixture, "1/9");
    });
}

#[test]
fn a_directory_that_is_replaced_by_a_rename_is_read_and_watched() {
    on_each_backend(Some(2), |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        fs::create_dir(fixture.path("new")).unwrap();
        fs::write(fixture.path("new/in-it-before"), "a message").unwrap();
        let scans = fixture.stats().scans;
        fs::rename(fixture.path("new"), fixture.path("todo/1")).unwrap();
        let entry = fixture.path("todo/1/in-it-before");
        assert_eq!(fixture.expect_and_settle(&[&entry]), [entry.as_path()]);
        let scans = fixture.stats().scans - scans;
        assert!((1..=2).contains(&scans), "{scans} scans");
        wait_until_watched(&mut fixture);
        expect_by_watch(&mut fixture, "1/later");
    });
}

/// The verification finds the replacement before the watch has reported it. At that moment the scan still
/// skips names of the old directory. The simulation's mutant `LossForgiven` lacks this rule.
#[test]
fn a_directory_that_is_replaced_during_a_round_hides_no_entry() {
    on_each_backend(Some(2), |mut fixture| {
        for message in 0..300 {
            fixture.link(format!("0/{message}"));
        }
        fixture.open(&fixture.options());
        let start = Instant::now();
        fixture.turn_at(start);
        assert!(fixture.queue().is_scanning(), "todo/0 is being read, todo/1 is to come");
        let entry = fixture.link("1/4711");
        if fixture.queue().is_fully_watched() {
            while !fixture.turn_at(start).contains(&entry) {
                assert!(fixture.queue().is_scanning());
            }
        }
        fs::create_dir(fixture.path("new")).unwrap();
        fs::write(fixture.path("new/4711"), "another message").unwrap();
        fs::rename(fixture.path("todo/1"), fixture.path("old")).unwrap();
        fs::rename(fixture.path("new"), fixture.path("todo/1")).unwrap();
        let later = start + Duration::from_secs(11);
        let is_returned = (0..100).any(|turn| {
            let paths = fixture.turn_at(later + Duration::from_millis(100) * turn);
            paths.contains(&entry)
        });
        assert!(is_returned, "lost");
    });
}

/// The new target is another directory of the queue. The simulation's mutant `LossUnread` lacks this
/// rule.
#[test]
fn a_part_that_becomes_a_link_to_another_directory_is_read() {
    on_each_backend(Some(2), |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        fs::rename(fixture.path("todo/1"), fixture.path("old")).unwrap();
        symlink("../lock", fixture.path("todo/1")).unwrap();
        let entry = fixture.path("todo/1/4711");
        fs::write(&entry, "a message").unwrap();
        fixture.pull();
        fixture.expect(&[entry]);
    });
}

#[test]
fn a_new_part_of_a_split_queue_is_read_and_watched() {
    on_each_backend(Some(2), |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        for part in 2..5 {
            fs::create_dir(fixture.path(&format!("todo/{part}"))).unwrap();
        }
        fs::create_dir(fixture.path("todo/not-a-number")).unwrap();
        let entry = fixture.link("4/17");
        fixture.expect(&[entry]);
        fixture.turn_until("the parts are found", |fixture| fixture.queue().status().count() == 6);
        wait_until_watched(&mut fixture);
        expect_by_watch(&mut fixture, "3/18");
    });
}

#[test]
fn a_trigger_that_is_replaced_before_the_first_turn_is_opened_by_it() {
    on_each_backend(None, |mut fixture| {
        let options = fixture.options().watch(WatchMode::Off);
        fixture.open(&options.verify_interval(Duration::from_secs(3600)));
        fs::remove_file(fixture.trigger()).unwrap();
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        fixture.settle();
        assert_eq!(fixture.stats().trigger_reopens, 1);
        let entry = fixture.link("1");
        fixture.pull();
        fixture.expect(&[entry]);
    });
}

#[test]
fn a_trigger_that_is_replaced_repeatedly_is_opened_each_time() {
    on_each_backend(None, |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        for _ in 0..3 {
            let reopens = fixture.stats().trigger_reopens;
            let fresh = fixture.path("lock/fresh");
            Trigger::create(&fresh, 0o622).unwrap();
            fs::rename(&fresh, fixture.trigger()).unwrap();
            fixture.turn_until("the new FIFO is opened", |fixture| {
                fixture.stats().trigger_reopens > reopens
            });
            fixture.settle();
            fixture.pull();
            let pulls = fixture.stats().pulls;
            fixture.turn_until("a pull of the new FIFO is read", |fixture| {
                fixture.stats().pulls > pulls
            });
        }
    });
}

/// The old directory goes on to be filled, under its new name.
#[test]
fn a_directory_that_was_moved_away_returns_nothing_any_more() {
    on_each_backend(None, |mut fixture| {
        if !open(&mut fixture) {
            return;
        }
        fs::rename(fixture.path("todo"), fixture.path("old")).unwrap();
        fs::create_dir(fixture.path("todo")).unwrap();
        let entry = fixture.link("in-the-new-one");
        fixture.expect(&[&entry]);
        wait_until_watched(&mut fixture);
        fs::remove_file(entry).unwrap();
        for message in 0..10 {
            fs::write(fixture.path(&format!("old/{message}")), "a message").unwrap();
            let entry = fixture.link(format!("new-{message}"));
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry.as_path()]);
            fs::remove_file(entry).unwrap();
        }
    });
}

/// Its directory is one of the queue's, by another path, and hidden in it.
#[test]
fn a_trigger_that_is_named_by_another_path_is_opened_when_it_is_replaced() {
    on_each_backend(None, |mut fixture| {
        symlink("todo", fixture.path("alias")).unwrap();
        let trigger = fixture.path("alias/.trigger");
        Trigger::create(&trigger, 0o622).unwrap();
        let options = QueueOptions::directories([fixture.path("todo")]).trigger(&trigger);
        fixture.open(&options.verify_interval(VERIFY));
        fixture.settle();
        for round in 1..=3 {
            fs::remove_file(&trigger).unwrap();
            Trigger::create(&trigger, 0o622).unwrap();
            fixture.turn_until("the new FIFO is opened", |fixture| {
                fixture.stats().trigger_reopens == round
            });
            assert_eq!(pullcord::pull(&trigger).unwrap(), PullOutcome::Delivered);
            let entry = fixture.link(format!("{round}"));
            assert_eq!(fixture.expect_and_settle(&[&entry]), [entry]);
        }
    });
}
