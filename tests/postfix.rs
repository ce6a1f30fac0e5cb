//! A real MTA's mail: Postfix's own `sendmail` and `postdrop`, and Todo on the maildrop.
//!
//! The queue and its configuration are in a temporary directory; no daemon runs, and Postfix's own
//! queue is not touched. Run as root: for anybody else postdrop(1), which is set-gid, follows no
//! other configuration than the system's.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pullcord::watcher::REPORTS_NAMES;
use pullcord::{Backend, Counters, Events, Key, Notifier, Todo, Trigger, todo::Queue};

const SENDMAIL: &str = "/usr/sbin/sendmail";
const PATIENCE: Duration = Duration::from_secs(60);

/// A Postfix queue with its configuration, and somebody who watches it.
struct Office {
    root: tempfile::TempDir,
    notifier: Box<dyn Notifier>,
    events: Events,
    todo: Option<Todo>,
}

impl Office {
    fn new(backend: Backend) -> Office {
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
        Office { root, notifier, events, todo: None }
    }

    fn open(&mut self) {
        let queue = Queue::postfix(self.root.path().join("queue")).unwrap();
        let mut todo = Todo::open(queue).unwrap();
        todo.register(&mut *self.notifier, [Key(0), Key(1)]).unwrap();
        self.todo = Some(todo);
    }

    fn counters(&self) -> Counters {
        self.todo.as_ref().expect("the queue was opened").counters()
    }

    /// Whether a pull finds what it is for without reading the directory.
    fn names_entries(&self) -> bool {
        REPORTS_NAMES && self.counters().unwatched == 0
    }

    fn files(&self) -> Vec<PathBuf> {
        let maildrop = fs::read_dir(self.root.path().join("queue/maildrop")).unwrap();
        maildrop.map(|entry| entry.unwrap().path()).collect()
    }

    /// Starts the real sendmail, which reads a message from its standard input.
    fn sendmail(&self) -> Child {
        sendmail(&self.root.path().join("conf"))
    }

    /// Collects what is handed out, checking that each is complete, until `enough` says so. Each
    /// is removed at once, as a consumer would.
    fn collect(&mut self, enough: impl Fn(&HashMap<String, u32>) -> bool) -> HashMap<String, u32> {
        let todo = self.todo.as_mut().expect("the queue was opened");
        let deadline = Instant::now() + PATIENCE;
        let mut subjects = HashMap::new();
        while !enough(&subjects) {
            assert!(Instant::now() < deadline, "mail is missing: only {subjects:?} came");
            let timeout = todo.prepare(&mut *self.notifier, Instant::now()).unwrap();
            let timeout = timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE));
            self.notifier.wait(&mut self.events, Some(timeout)).unwrap();
            for event in &self.events {
                todo.ready(event);
            }
            while let Some(entry) = todo.next(Instant::now()) {
                let path = entry.expect("nothing fails here").path();
                *subjects.entry(subject_of(&path)).or_default() += 1;
                fs::remove_file(path).unwrap();
            }
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

/// The subject of a message in the maildrop, once it was checked to be complete.
fn subject_of(path: &Path) -> String {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert!(mode & 0o100 != 0, "handed out before it was ready: mode {mode:o}");
    let message = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    assert!(message.contains(END), "handed out before it was complete");
    let subject = message.split("Subject: ").nth(1).expect("a subject");
    // A record of Postfix's ends where the next one's type and length begin.
    subject.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect()
}

fn each_once(subjects: &HashMap<String, u32>, wanted: usize) {
    assert_eq!(subjects.len(), wanted);
    assert!(subjects.values().all(|count| *count == 1), "something came twice: {subjects:?}");
}

#[test]
#[ignore = "needs Debian's postfix"]
fn mail_is_noticed_when_it_is_complete() {
    for backend in Backend::available() {
        let mut office = Office::new(backend);
        office.open();
        for message in ["1", "2", "3"] {
            let sendmail = office.sendmail();
            let sender = std::thread::spawn(move || send(sendmail, message));
            each_once(&office.collect(|seen| seen.contains_key(message)), 1);
            sender.join().unwrap();
        }
        let counters = office.counters();
        println!("{backend}: {counters:?}");
        assert!(counters.pulls <= 3, "one pull a message");
        if office.names_entries() {
            assert_eq!((counters.by_watch, counters.directories), (3, 1), "the start's scan alone");
        }
    }
}

#[test]
#[ignore = "needs Debian's postfix"]
fn two_hundred_mails_from_eight_senders_at_once_are_all_noticed() {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    for backend in Backend::available() {
        let mut office = Office::new(backend);
        office.open();
        let configuration: PathBuf = office.root.path().join("conf");
        let senders = (0..SENDERS).map(|sender| {
            let configuration = configuration.clone();
            std::thread::spawn(move || {
                for message in 0..EACH {
                    send(sendmail(&configuration), &format!("{sender}-{message}"));
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        let subjects = office.collect(|seen| seen.len() == SENDERS * EACH);
        each_once(&subjects, SENDERS * EACH);
        for sender in senders {
            sender.join().unwrap();
        }
        println!("{backend}: {:?}", office.counters());
        if office.names_entries() {
            assert_eq!(office.counters().directories, 1, "the start's scan alone");
        }
    }
}

/// Its name is there from the first line on, and its bytes come one write at a time.
#[test]
#[ignore = "needs Debian's postfix"]
fn a_large_mail_fed_slowly_is_not_handed_out_before_it_is_complete() {
    for backend in Backend::available() {
        let mut office = Office::new(backend);
        office.open();
        let mut slow = office.sendmail();
        let mut stdin = slow.stdin.take().unwrap();
        writeln!(stdin, "Subject: 99\n").unwrap();
        for part in 0..50 {
            writeln!(stdin, "{}", "a line of a large mail\n".repeat(2_000)).unwrap();
            stdin.flush().unwrap();
            // Another mail that comes meanwhile pulls, and is all that is handed out.
            let quick = part.to_string();
            send(office.sendmail(), &quick);
            each_once(&office.collect(|seen| seen.contains_key(&quick)), 1);
        }
        assert!(!office.files().is_empty(), "the slow one lies there, unfinished");
        writeln!(stdin, "{END}").unwrap();
        drop(stdin);
        each_once(&office.collect(|seen| seen.contains_key("99")), 1);
        assert!(slow.wait().unwrap().success());
    }
}

#[test]
#[ignore = "needs Debian's postfix"]
fn mail_sent_while_nobody_watches_is_found_at_start() {
    let mut office = Office::new(Backend::best());
    send(office.sendmail(), "7");
    office.open();
    each_once(&office.collect(|seen| seen.contains_key("7")), 1);
}
