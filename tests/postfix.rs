//! Tests a queue on the maildrop with Postfix's own `sendmail` and `postdrop`.
//!
//! The queue and its configuration are in a temporary directory. No daemon runs, and the system's Postfix
//! queue is not touched. The tests must run as root: postdrop(1) is set-gid and accepts only the system's
//! configuration from other users.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pullcord::watcher::REPORTS_NAMES;
use pullcord::{Backend, Events, Key, Notifier, Queue, QueueOptions, Stats, Trigger};

#[path = "support/watchdog.rs"]
mod watchdog;
use watchdog::Watchdog;

const SENDMAIL: &str = "/usr/sbin/sendmail";
const PATIENCE: Duration = Duration::from_secs(60);

/// A Postfix queue with its configuration, and a program that reads its maildrop.
struct Maildrop {
    root: tempfile::TempDir,
    notifier: Box<dyn Notifier>,
    events: Events,
    queue: Option<Queue>,
    _watchdog: Watchdog,
}

impl Maildrop {
    fn new(backend: Backend) -> Maildrop {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["conf", "data", "queue", "queue/maildrop", "queue/public"] {
            fs::create_dir(path(directory)).unwrap();
        }
        let settings = format!(
            "compatibility_level = 3.6\nmyhostname = pullcord.example\n\
             queue_directory = {0}/queue\ndata_directory = {0}/data\n",
            root.path().display()
        );
        fs::write(path("conf/main.cf"), settings).unwrap();
        fs::write(path("conf/master.cf"), "").unwrap();
        Trigger::create(path("queue/public/pickup"), 0o622).unwrap();
        let (notifier, events) = (backend.open().unwrap(), Events::with_capacity(8));
        Maildrop { root, notifier, events, queue: None, _watchdog: Watchdog::new() }
    }

    fn open(&mut self) {
        let options = QueueOptions::postfix(self.root.path().join("queue")).unwrap();
        let mut queue = options.open().unwrap();
        queue.register(&mut *self.notifier, [Key(0), Key(1)]);
        self.queue = Some(queue);
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().expect("the queue was opened")
    }

    fn stats(&self) -> Stats {
        self.queue().stats()
    }

    /// Returns whether entries are found without reading the directory.
    fn is_fully_watched(&self) -> bool {
        REPORTS_NAMES && self.queue().is_fully_watched()
    }

    fn files(&self) -> Vec<PathBuf> {
        let maildrop = fs::read_dir(self.root.path().join("queue/maildrop")).unwrap();
        maildrop.map(|entry| entry.unwrap().path()).collect()
    }

    /// Starts the real sendmail, which reads a message from its standard input.
    fn sendmail(&self) -> Child {
        sendmail(&self.root.path().join("conf"))
    }

    /// Collects entries until `enough` returns true. Checks that each is complete and removes it
    /// immediately, as a consumer does.
    fn collect(&mut self, enough: impl Fn(&HashMap<String, u32>) -> bool) -> HashMap<String, u32> {
        let queue = self.queue.as_mut().expect("the queue was opened");
        let deadline = Instant::now() + PATIENCE;
        let mut subjects = HashMap::new();
        while !enough(&subjects) {
            assert!(Instant::now() < deadline, "mail is missing: only {subjects:?} came");
            let timeout = queue.prepare(&mut *self.notifier, Instant::now());
            let timeout = timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE));
            self.notifier.wait(&mut self.events, Some(timeout)).unwrap();
            for event in &self.events {
                let _ = queue.handle_event(event);
            }
            while let Some(entry) = queue.next_entry(Instant::now()) {
                let path = entry.path();
                *subjects.entry(subject_of(&path)).or_default() += 1;
                fs::remove_file(path).unwrap();
            }
            assert!(queue.next_warning().is_none());
        }
        subjects
    }
}

fn sendmail(configuration: &Path) -> Child {
    assert!(Path::new(SENDMAIL).exists(), "{SENDMAIL} is missing: install postfix");
    Command::new(SENDMAIL)
        .args(["-i", "-f", "sender@pullcord.example", "postmaster@pullcord.example"])
        .env("MAIL_CONFIG", configuration)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send(mut sendmail: Child, subject: &str) {
    let mut stdin = sendmail.stdin.take().unwrap();
    write!(stdin, "Subject: {subject}\n\nThe body, and its {END}\n").unwrap();
    drop(stdin);
    assert!(sendmail.wait().unwrap().success(), "sendmail failed");
}

const END: &str = "very last words";

/// Returns the subject of a message in the maildrop, after checking that the message is complete.
fn subject_of(path: &Path) -> String {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert!(mode & 0o100 != 0, "returned before it was ready: mode {mode:o}");
    let message = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    assert!(message.contains(END), "returned before it was complete");
    let subject = message.split("Subject: ").nth(1).expect("a subject");
    // A record of Postfix ends at the type and the length of the next record.
    subject.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect()
}

fn each_once(subjects: &HashMap<String, u32>, wanted: usize) {
    assert_eq!(subjects.len(), wanted);
    assert!(subjects.values().all(|count| *count == 1), "one was returned twice: {subjects:?}");
}

#[test]
#[ignore = "needs Debian's postfix"]
fn a_message_is_returned_when_it_is_complete() {
    for backend in Backend::available() {
        let mut maildrop = Maildrop::new(backend);
        maildrop.open();
        for message in ["1", "2", "3"] {
            let sendmail = maildrop.sendmail();
            let sender = std::thread::spawn(move || send(sendmail, message));
            each_once(&maildrop.collect(|seen| seen.contains_key(message)), 1);
            sender.join().unwrap();
        }
        let stats = maildrop.stats();
        println!("{backend}: {stats:?}");
        assert!(stats.pulls <= 3, "one pull a message");
        if maildrop.is_fully_watched() {
            assert_eq!((stats.watch_entries, stats.scan_entries), (3, 0), "{stats:?}");
        }
    }
}

#[test]
#[ignore = "needs Debian's postfix"]
fn two_hundred_messages_of_eight_senders_are_returned_once_each() {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    for backend in Backend::available() {
        let mut maildrop = Maildrop::new(backend);
        maildrop.open();
        let configuration: PathBuf = maildrop.root.path().join("conf");
        let senders = (0..SENDERS).map(|sender| {
            let configuration = configuration.clone();
            std::thread::spawn(move || {
                for message in 0..EACH {
                    send(sendmail(&configuration), &format!("{sender}-{message}"));
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        let subjects = maildrop.collect(|seen| seen.len() == SENDERS * EACH);
        each_once(&subjects, SENDERS * EACH);
        for sender in senders {
            sender.join().unwrap();
        }
        println!("{backend}: {:?}", maildrop.stats());
        if maildrop.is_fully_watched() {
            let stats = maildrop.stats();
            // A scan after a pull may find another message that has just become ready, before the queue
            // reads the watch's event for this message.
            assert!(stats.watch_entries > 0, "none by the watch: {stats:?}");
            let returned = stats.watch_entries + stats.scan_entries;
            assert_eq!(returned, (SENDERS * EACH) as u64, "{stats:?}");
        }
    }
}

/// The name of the message exists after the first line, and its bytes are written in many writes.
#[test]
#[ignore = "needs Debian's postfix"]
fn a_large_message_that_is_written_slowly_is_returned_when_it_is_complete() {
    for backend in Backend::available() {
        let mut maildrop = Maildrop::new(backend);
        maildrop.open();
        let mut slow = maildrop.sendmail();
        let mut stdin = slow.stdin.take().unwrap();
        writeln!(stdin, "Subject: 99\n").unwrap();
        for part in 0..50 {
            writeln!(stdin, "{}", "a line of a large mail\n".repeat(2_000)).unwrap();
            stdin.flush().unwrap();
            // Meanwhile another message arrives and pulls. Only the other message is returned.
            let quick = part.to_string();
            send(maildrop.sendmail(), &quick);
            each_once(&maildrop.collect(|seen| seen.contains_key(&quick)), 1);
        }
        assert!(!maildrop.files().is_empty(), "the slow one is there, unfinished");
        writeln!(stdin, "{END}").unwrap();
        drop(stdin);
        each_once(&maildrop.collect(|seen| seen.contains_key("99")), 1);
        assert!(slow.wait().unwrap().success());
    }
}

#[test]
#[ignore = "needs Debian's postfix"]
fn a_message_that_was_sent_before_the_open_is_returned_by_the_first_scan() {
    let mut maildrop = Maildrop::new(Backend::best());
    send(maildrop.sendmail(), "7");
    maildrop.open();
    each_once(&maildrop.collect(|seen| seen.contains_key("7")), 1);
}
