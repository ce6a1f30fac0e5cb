//! A queue with a loop of its own, on real files.

use std::fs;
use std::time::{Duration, Instant};

use pullcord::{Origin, QueueOptions, Trigger, WatchMode, pull};

#[test]
fn recv_returns_queued_entries_and_new_ones_and_requeued_ones_at_their_time() {
    let queue = tempfile::tempdir().unwrap();
    for directory in ["todo", "lock"] {
        fs::create_dir(queue.path().join(directory)).unwrap();
    }
    let trigger = queue.path().join("lock/trigger");
    Trigger::create(&trigger, 0o622).unwrap();
    for watch in [WatchMode::Auto, WatchMode::Off] {
        fs::write(queue.path().join("todo/1"), "").unwrap();
        let options = QueueOptions::qmail(queue.path()).unwrap().watch(watch);
        let mut mail = options.receiver().unwrap();
        let entry = mail.recv().unwrap().unwrap().into_owned();
        assert!(entry.path().ends_with("todo/1"), "{entry:?}");
        assert_eq!(entry.origin, Origin::Scan);
        let when = Instant::now() + Duration::from_millis(200);
        mail.requeue(&entry, when).unwrap();

        fs::write(queue.path().join("todo/2"), "").unwrap();
        pull(&trigger).unwrap();
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
