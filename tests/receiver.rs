//! A queue with a loop of its own, on real files.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/sys.rs"]
mod sys;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, Origin, QueueOptions, Receiver, Trigger, WarningKind, WatchMode, pull};
use tempfile::TempDir;
use watchdog::Watchdog;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Creates a queue with a trigger.
fn create() -> TempDir {
    let queue = tempfile::tempdir().unwrap();
    for directory in ["todo", "lock"] {
        fs::create_dir(queue.path().join(directory)).unwrap();
    }
    Trigger::create(queue.path().join("lock/trigger"), 0o622).unwrap();
    queue
}

/// Adds an entry and pulls.
fn add(queue: &TempDir, name: &str) {
    fs::write(queue.path().join("todo").join(name), "").unwrap();
    pull(queue.path().join("lock/trigger")).unwrap();
}

#[test]
fn recv_returns_queued_entries_and_new_ones_and_requeued_ones_at_their_time() {
    let queue = create();
    for watch in [WatchMode::Auto, WatchMode::Off] {
        fs::write(queue.path().join("todo/1"), "").unwrap();
        let options = QueueOptions::qmail(queue.path()).unwrap().watch(watch);
        let mut mail = options.receiver().unwrap();
        let entry = mail.recv().unwrap().unwrap().into_owned();
        assert!(entry.path().ends_with("todo/1"), "{entry:?}");
        assert_eq!(entry.origin, Origin::Scan);
        let when = Instant::now() + Duration::from_millis(200);
        mail.requeue(&entry, when).unwrap();

        add(&queue, "2");
        let second = mail.recv().unwrap().unwrap().into_owned();
        assert!(second.path().ends_with("todo/2"), "{second:?}");
        fs::remove_file(second.path()).unwrap();

        let again = mail.recv().unwrap().unwrap().into_owned();
        assert_eq!((&again.name, again.origin), (&entry.name, Origin::Requeue));
        assert!(Instant::now() >= when);
        fs::remove_file(again.path()).unwrap();
        assert_eq!(mail.recv_timeout(Duration::from_millis(50)).unwrap(), None);
        assert!(mail.next_warning().is_none());
        drop(mail);
    }
}

/// The queue has more entries than a turn examines. The turn ends while the scan waits for the watch.
#[test]
fn entries_added_between_open_and_the_first_scan_are_returned_once() {
    const ENTRIES: usize = 10_000;
    let todo = tempfile::tempdir().unwrap();
    let mut mail = QueueOptions::directories([todo.path()]).receiver().unwrap();
    if !mail.queue().is_fully_watched() {
        return;
    }
    (0..ENTRIES).for_each(|n| fs::write(todo.path().join(n.to_string()), "").unwrap());
    let mut names = HashSet::new();
    while names.len() < ENTRIES {
        let entry = mail.recv().unwrap().unwrap();
        assert!(names.insert(entry.name.to_owned()), "returned twice: {entry:?}");
    }
    assert_eq!(mail.recv_timeout(Duration::from_millis(50)).unwrap(), None);
    assert_eq!(mail.queue().stats().watch_overflows, 0);
}

/// Entries of a batch from the old directory must not be returned with the path of the new one.
#[test]
fn entries_of_a_directory_replaced_during_its_scan_keep_their_path() {
    let root = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| root.path().join(name));
    for directory in [&first, &second] {
        fs::create_dir(directory).unwrap();
    }
    (0..1_000).for_each(|n| fs::write(first.join(n.to_string()), "").unwrap());
    fs::write(second.join("only"), "").unwrap();
    let mut mail = QueueOptions::directories([&first, &second]).receiver().unwrap();
    while mail.try_recv().is_some() {}
    fs::rename(&first, root.path().join("moved")).unwrap();
    fs::create_dir(&first).unwrap();
    let mut in_second = Vec::new();
    while let Some(entry) = mail.recv_timeout(Duration::from_millis(200)).unwrap() {
        if entry.directory == second {
            in_second.push(entry.name.to_owned());
        }
    }
    assert_eq!(in_second, ["only"]);
}

/// Its trigger is missing, which is found by a verification while the program waits.
#[test]
fn a_new_warning_ends_a_wait_with_a_timeout_once_and_no_other_wait() {
    let queue = create();
    let trigger = queue.path().join("lock/trigger");
    for watch in [WatchMode::Auto, WatchMode::Off] {
        let options = QueueOptions::qmail(queue.path()).unwrap().watch(watch);
        let options = options.verify_interval(Duration::from_millis(50)).poll_interval(None);
        let mut mail = options.receiver().unwrap();
        fs::remove_file(&trigger).unwrap();
        let begun = Instant::now();
        assert_eq!(mail.recv_timeout(PATIENCE).unwrap(), None, "watch {watch}");
        assert!(begun.elapsed() < PATIENCE, "the warning does not end the wait");
        let warning = mail.next_warning().expect("a warning");
        assert_eq!((warning.kind(), warning.path()), (WarningKind::Trigger, &*trigger));
        // The problem is still there, and it was reported.
        let begun = Instant::now();
        assert_eq!(mail.recv_timeout(Duration::from_millis(300)).unwrap(), None);
        assert!(begun.elapsed() >= Duration::from_millis(300), "after {:?}", begun.elapsed());

        // It is mended, and comes again, while the program waits for mail only.
        Trigger::create(&trigger, 0o622).unwrap();
        while mail.queue().stats().trigger_reopens == 0 {
            assert!(begun.elapsed() < PATIENCE, "the trigger is not opened again");
            assert_eq!(mail.recv_timeout(Duration::from_millis(10)).unwrap(), None);
        }
        add(&queue, "1");
        let entry = mail.recv().unwrap().unwrap().into_owned();
        fs::remove_file(&trigger).unwrap();
        let warnings = mail.queue().stats().warnings;
        loop {
            assert!(begun.elapsed() < PATIENCE, "the missing trigger is not reported");
            let is_reported = mail.queue().stats().warnings > warnings;
            mail.requeue(&entry, Instant::now() + Duration::from_millis(100)).unwrap();
            let again = mail.recv().unwrap().map(|entry| entry.path());
            assert_eq!(again, Some(entry.path()), "a warning has ended the wait");
            if is_reported {
                break;
            }
        }
        // It came during these waits, and ends the next one.
        let begun = Instant::now();
        let received = mail.recv_timeout(PATIENCE).unwrap().map(|entry| entry.path());
        assert!(received.is_none() && begun.elapsed() < PATIENCE, "{received:?}");
        assert!(mail.next_warning().is_some());
        drop(mail);
        fs::remove_file(entry.path()).unwrap();
        Trigger::create(&trigger, 0o622).unwrap();
    }
}

#[test]
fn a_waker_of_another_thread_ends_each_wait_once() {
    let _watchdog = Watchdog::new();
    for watch in [WatchMode::Auto, WatchMode::Off] {
        let queue = create();
        let mut mail = QueueOptions::qmail(queue.path()).unwrap().watch(watch).receiver().unwrap();
        let waker = mail.waker().unwrap();
        let wakes = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (begin, begun) = mpsc::channel();
            scope.spawn(|| {
                for () in begun {
                    wakes.fetch_add(1, Ordering::Relaxed);
                    waker.wake().unwrap();
                }
            });
            for wait in 1..=100 {
                begin.send(()).unwrap();
                let received = match wait % 2 {
                    0 => mail.recv_timeout(Duration::MAX),
                    _ => mail.recv(),
                };
                assert_eq!(received.unwrap(), None);
                assert_eq!(wakes.load(Ordering::Relaxed), wait, "ended without the waker");
            }
        });
        add(&queue, "1");
        assert_eq!(mail.recv().unwrap().unwrap().name, "1", "watch {watch}");
    }
}

#[test]
fn a_signal_ends_no_wait() {
    const SIGNALS: usize = 50;
    let _watchdog = Watchdog::new();
    sys::interrupt_by(libc::SIGUSR1);
    for watch in [WatchMode::Auto, WatchMode::Off] {
        let queue = create();
        let mut mail = QueueOptions::qmail(queue.path()).unwrap().watch(watch).receiver().unwrap();
        let waiting = sys::Thread::this();
        thread::scope(|scope| {
            let (begin, begun) = mpsc::channel::<String>();
            scope.spawn(|| {
                for name in begun {
                    // The signal is sent repeatedly, because a signal that arrives before the wait does not
                    // interrupt it.
                    for _ in 0..SIGNALS {
                        waiting.signal(libc::SIGUSR1);
                        thread::sleep(Duration::from_millis(1));
                    }
                    add(&queue, &name);
                }
            });
            for wait in 0..10 {
                let path = queue.path().join(format!("todo/{wait}"));
                begin.send(wait.to_string()).unwrap();
                loop {
                    let received = match wait % 2 {
                        0 => mail.recv_timeout(PATIENCE),
                        _ => mail.recv(),
                    };
                    let entry = received.unwrap().expect("a signal has ended the wait");
                    // An entry may be returned twice.
                    if entry.path() == path {
                        break;
                    }
                }
                fs::remove_file(path).unwrap();
            }
        });
    }
}

#[test]
fn a_backend_without_a_descriptor_is_refused_if_there_is_another_one() {
    let todo = tempfile::tempdir().unwrap();
    let queue = QueueOptions::directories([todo.path()]).open().unwrap();
    let receiver = Receiver::with_backend(queue, Backend::Select);
    let best = Backend::best();
    if best.has_pollable_fd() {
        let error = receiver.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().ends_with(&format!("use {best}")), "{error}");
    } else {
        assert!(receiver.unwrap().pollable_fd().is_none());
    }
}
