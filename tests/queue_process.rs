//! The queue and its process: the working directory, descriptors, children and memory. Each test has a
//! process of its own.

#[path = "support/allocator.rs"]
mod allocator;
mod queue_fixture;
mod support;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocator::{Counting, live_bytes};
use pullcord::watcher::locality;
use pullcord::{
    Backend, DirWatcher, Interest, Key, Mode, OtherReaders, OwnedEntry, PullOutcome, QueueOptions,
    Receiver, Trigger, WatchMode, pull,
};
use queue_fixture::{PATIENCE, QueueFixture, WATCH_MODES};
use support::{Suite, named, sys};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    let suite = Suite::default().patience(Duration::from_secs(300)).alone(named![
        relative_paths_lead_to_the_same_queue_after_a_chdir,
        relative_paths_keep_their_meaning_after_a_chdir,
        a_child_that_drops_an_inherited_receiver_leaves_the_parents_alone,
        requeued_entries_cost_memory_and_waiting_ones_do_not,
    ]);
    let suite = if Backend::best().has_pollable_fd() {
        suite.alone(named![
            ten_thousand_receivers_leave_no_descriptor_behind,
            a_receiver_keeps_the_number_of_its_descriptor,
        ])
    } else {
        suite
    };
    suite.run(&[])
}

fn relative_paths_lead_to_the_same_queue_after_a_chdir() {
    for watch in WATCH_MODES {
        let mut fixture = QueueFixture::new(Backend::best(), Some(2));
        env::set_current_dir(fixture.root.path()).unwrap();
        let verify = Duration::from_millis(50);
        let options = QueueOptions::qmail(".").unwrap().watch(watch).verify_interval(verify);
        fixture.open(&options);
        env::set_current_dir("/").unwrap();
        fixture.settle();
        let part = fixture.path("todo/1");
        fs::rename(&part, fixture.path("old")).unwrap();
        fs::create_dir(&part).unwrap();
        for number in 0..3 {
            let entry = fixture.link(format!("1/{number}"));
            fixture.pull();
            assert!(fixture.expect(&[entry]).iter().all(|path| path.is_absolute()));
        }
        // An entry, and a trigger, that were named before.
        let entry = fixture.link("1/requeued");
        fixture.pull();
        fixture.expect(&[&entry]);
        env::set_current_dir(fixture.root.path()).unwrap();
        let requeued = OwnedEntry::from_path("todo/1/requeued").unwrap();
        Trigger::create("other-trigger", 0o622).unwrap();
        let mut trigger = Trigger::open("other-trigger", OtherReaders::Reject).unwrap();
        env::set_current_dir("/").unwrap();
        fixture.queue().requeue(&requeued, Instant::now()).unwrap();
        fixture.expect(&[entry]);
        assert!(!trigger.is_replaced());
        trigger.reopen().unwrap();
        assert_eq!(trigger.path(), fixture.path("other-trigger"));

        let queue = fixture.queue();
        assert!(queue.options().directory_paths().iter().all(|path| path.is_absolute()));
        assert!(queue.options().trigger_path().unwrap().is_absolute());
    }
}

/// The current directory changes between each function that takes a path and the use of its result.
fn relative_paths_keep_their_meaning_after_a_chdir() {
    let fixture = QueueFixture::new(Backend::best(), Some(2));
    let root = fixture.root.path();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |directory: &Path| env::set_current_dir(directory).unwrap();
    fs::create_dir(fixture.path("maildrop")).unwrap();
    at(root);
    let (qmail, postfix) = (QueueOptions::qmail(".").unwrap(), QueueOptions::postfix(".").unwrap());
    at(elsewhere.path());
    assert!(qmail.directory_paths().iter().all(|path| path.starts_with(root)), "{qmail:?}");
    assert_eq!(qmail.directory_paths().len(), 3);
    let todo = fixture.path("todo");
    drop(qmail.open().unwrap());
    let queue = postfix.without_trigger().open().unwrap();
    assert_eq!(queue.options().directory_paths(), [fixture.path("maildrop")]);
    drop(queue);

    at(&todo);
    if let Ok(mut watcher) = DirWatcher::new() {
        let watched = watcher.watch("0").unwrap();
        at(elsewhere.path());
        assert!(watched.matches_path(&todo.join("0")));
        fs::write(todo.join("0/1"), "").unwrap();
        assert_ne!(watcher.read_events().unwrap(), 0);
        watcher.unwatch(&watched);
        at(&todo);
    }
    assert_eq!(locality(Path::new("0")).unwrap(), locality(&todo.join("0")).unwrap());
    let trigger = Trigger::open(fixture.trigger(), OtherReaders::Reject).unwrap();
    at(fixture.trigger().parent().unwrap());
    let name = fixture.trigger().file_name().unwrap().to_owned();
    assert_eq!(pull(&name).unwrap(), PullOutcome::Delivered);
    at(elsewhere.path());
    assert!(pull(&name).is_err(), "there is no such FIFO here");
    drop(trigger);
}

fn receiver(fixture: &QueueFixture, watch: WatchMode) -> Receiver {
    fixture.options().watch(watch).receiver().unwrap()
}

/// Adds an entry and checks that the receiver returns it.
#[track_caller]
fn expect_received(fixture: &mut QueueFixture, mail: &mut Receiver, name: &str) {
    let entry = fixture.link(name);
    fixture.pull();
    let received = mail.recv_timeout(PATIENCE).unwrap().map(|entry| entry.path());
    assert_eq!(received.as_deref(), Some(entry.as_path()));
    fs::remove_file(entry).unwrap();
}

fn a_child_that_drops_an_inherited_receiver_leaves_the_parents_alone() {
    for watch in WATCH_MODES {
        let mut fixture = QueueFixture::new(Backend::best(), Some(2));
        let mut mail = Some(receiver(&fixture, watch));
        for round in 0..3 {
            expect_received(&mut fixture, mail.as_mut().unwrap(), &format!("1/{round}"));
            let ended = sys::in_child(|| drop(mail.take()));
            assert!(ended.success());
            expect_received(&mut fixture, mail.as_mut().unwrap(), &format!("0/{round}"));
            // The deadlines of the parent still work.
            let wanted = fixture.link("requeued");
            fixture.pull();
            let mail = mail.as_mut().unwrap();
            let entry = mail.recv_timeout(PATIENCE).unwrap().unwrap().into_owned();
            let at = Instant::now() + Duration::from_millis(100);
            mail.requeue(&entry, at).unwrap();
            let again = mail.recv_timeout(PATIENCE).unwrap().unwrap().path();
            assert!(again == wanted && Instant::now() >= at);
            fs::remove_file(wanted).unwrap();
        }
    }
}

fn number(mail: &Receiver) -> RawFd {
    mail.pollable_fd().unwrap().as_raw_fd()
}

fn ten_thousand_receivers_leave_no_descriptor_behind() {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    let before = sys::open_descriptors();
    let mut kept = receiver(&fixture, WatchMode::Auto);
    let fd = number(&kept);
    let other = QueueFixture::new(Backend::best(), Some(1));
    // Linux takes about 10 ms to close an inotify descriptor: nine of ten have none.
    let watched = other.options();
    let unwatched = other.options().watch(WatchMode::Off);
    for round in 0..10_000 {
        let options = if round % 10 == 0 { &watched } else { &unwatched };
        let mut mail = options.receiver().unwrap();
        assert_ne!(number(&mail), fd);
        if round % 1000 == 0 {
            let entry = other.path(&format!("todo/0/{round}"));
            fs::write(&entry, "").unwrap();
            let received = mail.recv_timeout(PATIENCE).unwrap().unwrap().path();
            assert_eq!(received, entry);
            fs::remove_file(entry).unwrap();
            drop(mail);
            expect_received(&mut fixture, &mut kept, &round.to_string());
        }
    }
    assert_eq!(number(&kept), fd);
    drop((kept, other));
    // The notifier of the second fixture was one of them and is also closed.
    assert_eq!(sys::open_descriptors(), before);
}

fn a_receiver_keeps_the_number_of_its_descriptor() {
    let mut fixture = QueueFixture::new(Backend::best(), Some(1));
    let verify = Duration::from_millis(50);
    let mut mail = fixture.options().verify_interval(verify).receiver().unwrap();
    let fd = number(&mail);
    let mut outer = Backend::best().open().unwrap();
    outer.register(&mail.pollable_fd().unwrap(), Key(1), Interest::Read, Mode::Level).unwrap();
    for round in 0..5 {
        fs::remove_file(fixture.trigger()).unwrap();
        pullcord::Trigger::create(fixture.trigger(), 0o622).unwrap();
        fs::rename(fixture.path("todo/0"), fixture.path(&format!("old-{round}"))).unwrap();
        fs::create_dir(fixture.path("todo/0")).unwrap();
        let entry = fixture.link("0/1");
        let deadline = Instant::now() + PATIENCE;
        let mut seen = BTreeSet::new();
        while !seen.contains(&entry) || mail.queue().stats().trigger_reopens <= round {
            assert!(Instant::now() < deadline, "{entry:?} is missing");
            outer.wait(&mut fixture.events, Some(PATIENCE)).unwrap();
            while let Some(entry) = mail.try_recv() {
                seen.insert(entry.path());
            }
        }
        fs::remove_file(entry).unwrap();
        assert_eq!(number(&mail), fd);
    }
}

fn requeued_entries_cost_memory_and_waiting_ones_do_not() {
    // A million takes minutes on a disk.
    let waiting = if env::var_os("PULLCORD_LARGE").is_some() { 1_000_000 } else { 30_000 };
    const REQUEUED: usize = 10_000;
    for watch in WATCH_MODES {
        let fixture = QueueFixture::new(Backend::best(), None);
        let draft = fixture.path("mess/draft");
        for number in 0..waiting {
            if number % 10_000 == 0 {
                let _ = fs::remove_file(&draft);
                fs::write(&draft, "a message").unwrap();
            }
            fs::hard_link(&draft, fixture.path(&format!("todo/{number}"))).unwrap();
        }
        let bytes = |before: isize| live_bytes() - before;
        let before = live_bytes();
        let options = fixture.options().watch(watch).rescan_interval(None);
        let mut queue = options.open().unwrap();
        let (mut now, mut requeued, mut count) = (Instant::now(), Vec::new(), 0);
        let mut wave = |queue: &mut pullcord::Queue, now: &mut Instant, keeps: bool| {
            let mut entries = Vec::new();
            let (begun, mut idle) = (Instant::now(), 0);
            // A second is the longest pause between two rounds, and each turn is a millisecond later.
            while idle < 1_500 {
                assert!(begun.elapsed() < Duration::from_secs(200));
                idle += 1;
                *now += Duration::from_millis(1);
                let _ = queue.prepare_fds(*now);
                while let Some(entry) = queue.next_entry(*now) {
                    (idle, count) = (0, count + 1);
                    if keeps && entries.len() < REQUEUED {
                        entries.push(entry.into_owned());
                    }
                }
            }
            (std::mem::take(&mut count), entries)
        };
        let (found, entries) = wave(&mut queue, &mut now, true);
        assert_eq!(found, waiting);
        requeued.extend(entries);
        let kept: isize = requeued
            .iter()
            .map(|entry| (entry.directory.as_os_str().len() + entry.name.len()) as isize)
            .sum::<isize>()
            + (requeued.capacity() * size_of::<pullcord::OwnedEntry>()) as isize;
        let open = bytes(before) - kept;
        println!("watch {watch}: {open} bytes after the first scan");
        assert!(open < 1 << 20, "{open} bytes, with {waiting} entries that wait");

        let at = now + Duration::from_secs(3600);
        for entry in &requeued {
            queue.requeue(entry, at).unwrap();
        }
        let with_requeued = bytes(before) - kept;
        println!("watch {watch}: {with_requeued} bytes with {REQUEUED} requeued");
        assert!(with_requeued - open < 400 * REQUEUED as isize, "{with_requeued} bytes");
        for round in 0..3 {
            queue.set_trigger_readable();
            pullcord::pull(fixture.trigger()).unwrap();
            let (found, _) = wave(&mut queue, &mut now, false);
            let expected = if queue.is_fully_watched() { 0 } else { waiting - REQUEUED };
            assert_eq!(found, expected, "round {round}");
            let bytes = bytes(before) - kept;
            assert!(bytes < with_requeued + (1 << 16), "{bytes} bytes after round {round}");
        }
        now = at;
        let (found, _) = wave(&mut queue, &mut now, false);
        assert_eq!(found, REQUEUED, "each once");
        let bytes = bytes(before) - kept;
        println!("watch {watch}: {bytes} bytes once they were returned");
        assert!(bytes < open + 100 * REQUEUED as isize, "{bytes} bytes");
    }
}
