//! Postfix's maildrop: an entry is complete once its owner may execute it. The tests create entries in
//! Postfix's order of calls and in other orders.

mod queue_fixture;

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{PullOutcome, QueueOptions, pull};
use queue_fixture::{QueueFixture, on_each_watch_mode};

fn on_each(test: impl Fn(&mut QueueFixture, &Path)) {
    on_each_watch_mode(None, |mut fixture, watch| {
        let fifo = fixture.create_maildrop();
        let options = QueueOptions::postfix(fixture.root.path()).unwrap();
        fixture.open(&options.watch(watch).rescan_interval(None));
        fixture.settle();
        test(&mut fixture, &fifo);
    });
}

/// Creates an entry as postdrop(8) does: exclusively and not executable.
fn create(path: &Path) -> File {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path).unwrap()
}

fn finish(file: &File) {
    file.set_permissions(Permissions::from_mode(0o700)).unwrap();
}

fn pull_it(fifo: &Path) {
    assert_ne!(pull(fifo).unwrap(), PullOutcome::NoReader);
}

#[track_caller]
fn expect_once(fixture: &mut QueueFixture, path: &Path) {
    assert_eq!(fixture.expect_and_settle(&[path]), [path]);
    fs::remove_file(path).unwrap();
}

#[track_caller]
fn expect_nothing(fixture: &mut QueueFixture) {
    let seen = fixture.settle().0;
    assert!(seen.is_empty(), "{seen:?} is returned before it is complete");
}

/// The order of postdrop(8) is create, write, fchmod, fsync, close, and then the pull.
#[test]
fn in_the_order_of_postdrop_each_message_is_returned_once_when_it_is_complete() {
    on_each(|fixture, fifo| {
        for message in 0..20 {
            let path = fixture.path(&format!("maildrop/{message}"));
            let mut file = create(&path);
            expect_nothing(fixture);
            file.write_all(b"a message").unwrap();
            // Another writer's pull.
            pull_it(fifo);
            expect_nothing(fixture);
            finish(&file);
            file.sync_all().unwrap();
            drop(file);
            pull_it(fifo);
            expect_once(fixture, &path);
        }
    });
}

#[test]
fn a_message_that_is_complete_before_the_queue_checks_is_returned_once() {
    on_each(|fixture, fifo| {
        for message in 0..20 {
            let path = fixture.path(&format!("maildrop/{message}"));
            let mut file = create(&path);
            file.write_all(b"a message").unwrap();
            finish(&file);
            drop(file);
            pull_it(fifo);
            expect_once(fixture, &path);
        }
    });
}

#[test]
fn a_message_without_a_pull_is_returned_by_the_watch() {
    on_each(|fixture, _| {
        if fixture.queue().is_fully_watched() {
            let path = fixture.path("maildrop/1");
            let file = create(&path);
            expect_nothing(fixture);
            finish(&file);
            expect_once(fixture, &path);
        }
    });
}

/// The watch does not report the fchmod(2) of such a file. The queue finds it because of the pull.
#[cfg(target_os = "linux")]
#[test]
fn a_file_without_a_name_that_is_linked_and_then_completed_is_returned_after_the_pull() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
    on_each(|fixture, fifo| {
        let flags = OFlags::TMPFILE | OFlags::WRONLY;
        for is_complete_first in [true, false] {
            let directory = fixture.path("maildrop");
            let Ok(file) = open(directory, flags, Mode::RUSR | Mode::WUSR) else {
                return println!("no O_TMPFILE on this file system");
            };
            let file = File::from(file);
            let path = fixture.path("maildrop/unnamed");
            if is_complete_first {
                finish(&file);
            }
            let unnamed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            linkat(CWD, unnamed, CWD, &path, AtFlags::SYMLINK_FOLLOW).unwrap();
            if !is_complete_first {
                expect_nothing(fixture);
                finish(&file);
            }
            pull_it(fifo);
            expect_once(fixture, &path);
        }
    });
}

/// The fchmod(2) is reported to the directory that the file was opened in.
#[test]
fn a_link_that_is_made_before_the_chmod_is_returned_after_the_pull() {
    on_each(|fixture, fifo| {
        for message in 0..5 {
            let (draft, path) =
                (fixture.path("mess/draft"), fixture.path(&format!("maildrop/{message}")));
            let file = create(&draft);
            fs::hard_link(&draft, &path).unwrap();
            expect_nothing(fixture);
            finish(&file);
            pull_it(fifo);
            expect_once(fixture, &path);
            fs::remove_file(draft).unwrap();
        }
        // All entries are complete, so pulls need no more scans.
        if fixture.queue().is_fully_watched() {
            let scans = fixture.stats().scans;
            (0..5).for_each(|_| {
                pull_it(fifo);
                fixture.settle();
            });
            assert!(
                fixture.stats().scans <= scans + 1,
                "one scan may check for unfinished entries"
            );
        }
    });
}

#[test]
fn a_chmod_by_path_and_a_rename_of_a_complete_file_are_arrivals() {
    on_each(|fixture, fifo| {
        let path = fixture.path("maildrop/by-path");
        drop(create(&path));
        expect_nothing(fixture);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        pull_it(fifo);
        expect_once(fixture, &path);

        let draft = fixture.path("mess/draft");
        finish(&create(&draft));
        fs::rename(draft, &path).unwrap();
        pull_it(fifo);
        expect_once(fixture, &path);
    });
}

#[test]
fn a_directory_a_fifo_and_a_link_in_a_maildrop_are_not_entries() {
    on_each(|fixture, fifo| {
        let target = fixture.path("mess/target");
        finish(&create(&target));
        let path = |name: &str| -> PathBuf { fixture.path("maildrop").join(name) };
        fs::create_dir(path("directory")).unwrap();
        std::os::unix::fs::symlink(&target, path("link")).unwrap();
        pullcord::Trigger::create(path("fifo"), 0o722).unwrap();
        pull_it(fifo);
        expect_nothing(fixture);
    });
}

/// A killed writer leaves such a file indefinitely. While it exists, each pull costs one scan.
#[test]
fn a_file_that_is_never_completed_does_not_make_the_queue_spin() {
    on_each(|fixture, _| {
        drop(create(&fixture.path("maildrop/orphan")));
        expect_nothing(fixture);
        let before = fixture.stats();
        fixture.turn_for(Duration::from_secs(1));
        let after = fixture.stats();
        assert!(after.scans <= before.scans + 1, "{after:?}");
        assert!(after.wakeups <= before.wakeups + 1, "{after:?}");
    });
}

/// Each of them costs a look, and a turn makes 64.
#[test]
fn two_thousand_files_that_are_never_completed_are_looked_at_in_many_short_turns() {
    const FILES: usize = 2_000;
    on_each(|fixture, fifo| {
        (0..FILES).for_each(|n| drop(create(&fixture.path(&format!("maildrop/{n}")))));
        let scans = fixture.stats().scans;
        pull_it(fifo);
        fixture.turn(Duration::from_secs(1));
        let mut turns = 1;
        let (paths, _) = fixture.turn_until("each was looked at", |fixture| {
            turns += 1;
            let timeout = fixture.queue().prepare_fds(Instant::now()).timeout;
            let is_scanned = fixture.stats().scans > scans || fixture.queue().is_fully_watched();
            is_scanned && timeout > Some(Duration::from_millis(10))
        });
        assert!(paths.is_empty(), "{paths:?}");
        assert!(turns > FILES / 64, "{turns} turns");
        let path = fixture.path("maildrop/complete");
        finish(&create(&path));
        pull_it(fifo);
        fixture.expect(&[path]);
    });
}
