//! A queue in a directory of its own, and the loop that an embedder would have.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Key, Notifier, PullOutcome, Todo, Trigger, pull, todo::Queue};

pub(crate) struct Office {
    pub(crate) root: tempfile::TempDir,
    pub(crate) notifier: Box<dyn Notifier>,
    pub(crate) events: Events,
    pub(crate) todo: Option<Todo>,
    linked: usize,
}

const TODO: [Key; 2] = [Key(7), Key(8)];

/// How long a test waits for what must come. One that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Office {
    /// A qmail queue, flat or split, not opened yet.
    pub(crate) fn new(backend: Backend, split: Option<usize>) -> Office {
        let parent = std::env::var_os("PULLCORD_TEST_DIR").map(PathBuf::from);
        let root = tempfile::tempdir_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap();
        let office = Office {
            root,
            notifier: backend.open().unwrap(),
            events: Events::with_capacity(8),
            todo: None,
            linked: 0,
        };
        for directory in ["lock", "mess", "todo"] {
            fs::create_dir(office.path(directory)).unwrap();
        }
        for part in 0..split.unwrap_or(0) {
            fs::create_dir(office.path(&format!("todo/{part}"))).unwrap();
        }
        Trigger::create(office.trigger(), 0o622).unwrap();
        office
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn trigger(&self) -> PathBuf {
        self.path("lock/trigger")
    }

    pub(crate) fn queue(&self) -> Queue {
        Queue::qmail(self.root.path()).unwrap()
    }

    pub(crate) fn open_on(&mut self, queue: Queue) {
        let mut todo = Todo::open(queue).unwrap();
        todo.register(&mut *self.notifier, TODO).unwrap();
        self.todo = Some(todo);
    }

    pub(crate) fn todo(&mut self) -> &mut Todo {
        self.todo.as_mut().expect("the queue was opened")
    }

    /// What qmail-queue does, but for the pull: written under another name, then linked.
    pub(crate) fn link(&mut self, name: impl AsRef<OsStr>) -> PathBuf {
        self.linked += 1;
        let draft = self.path(&format!("mess/{}", self.linked));
        let message = self.path("todo").join(name.as_ref());
        fs::write(&draft, "a message").unwrap();
        fs::hard_link(&draft, &message).unwrap();
        fs::remove_file(&draft).unwrap();
        message
    }

    pub(crate) fn pull(&self) {
        assert_ne!(pull(self.trigger()).unwrap(), PullOutcome::NoReader);
    }

    /// A FIFO just made is not read before it was noticed: then nobody listens, which is no harm.
    pub(crate) fn pull_if_there_is_somebody(&self) {
        pull(self.trigger()).unwrap();
    }

    /// One turn of the loop, waiting at most `patience`: the paths handed out and the errors said.
    pub(crate) fn turn(&mut self, patience: Duration) -> (Vec<PathBuf>, Vec<String>) {
        self.wait(patience);
        self.take()
    }

    /// One turn at a time of the test's own, without waiting: the paths handed out.
    pub(crate) fn turn_at(&mut self, now: Instant) -> Vec<PathBuf> {
        let todo = self.todo.as_mut().expect("the queue was opened");
        todo.prepare(&mut *self.notifier, now).unwrap();
        self.notifier.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
        for event in &self.events {
            todo.ready(event);
        }
        let mut paths = Vec::new();
        while let Some(entry) = todo.next(now) {
            paths.push(entry.unwrap().path());
        }
        paths
    }

    /// The first half of a turn: learns what is ready.
    pub(crate) fn wait(&mut self, patience: Duration) {
        let todo = self.todo.as_mut().expect("the queue was opened");
        let timeout = todo.prepare(&mut *self.notifier, Instant::now()).unwrap();
        let timeout = timeout.map_or(patience, |timeout| timeout.min(patience));
        self.notifier.wait(&mut self.events, Some(timeout)).unwrap();
        for event in &self.events {
            todo.ready(event);
        }
    }

    /// The second half of a turn: takes what is handed out.
    pub(crate) fn take(&mut self) -> (Vec<PathBuf>, Vec<String>) {
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        while let Some(entry) = self.todo().next(Instant::now()) {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (paths, errors)
    }

    /// Turns until nothing is left to do but to wait for something to happen.
    pub(crate) fn settle(&mut self) -> (Vec<PathBuf>, Vec<String>) {
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        loop {
            let before = self.todo().counters();
            let (more_paths, more_errors) = self.turn(Duration::from_millis(20));
            if self.todo().counters() == before {
                return (paths, errors);
            }
            paths.extend(more_paths);
            errors.extend(more_errors);
        }
    }

    /// Turns until these have all been handed out, in whatever order; says how often each was.
    pub(crate) fn expect(&mut self, wanted: &[PathBuf]) -> Vec<PathBuf> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !wanted.iter().all(|path| seen.contains(path)) {
            assert!(Instant::now() < deadline, "waited for {wanted:?}, saw {seen:?}");
            seen.extend(self.turn(PATIENCE).0);
        }
        seen
    }

    /// Some turns, for a queue that ticks too often to ever settle.
    pub(crate) fn settle_for_a_while(&mut self) {
        for _ in 0..5 {
            self.turn(Duration::from_millis(20));
        }
    }
}

/// Names that somebody may have thought of, and one of every length there can be.
pub(crate) fn odd_names() -> impl Iterator<Item = OsString> {
    let odd: [&[u8]; 3] = [b"\x01\x1b[2J\n", b" ", "\u{202e}".as_bytes()];
    let odd = odd.map(|name| OsStr::from_bytes(name).to_owned());
    odd.into_iter().chain((1..=255).map(|length| "n".repeat(length).into()))
}

pub(crate) fn on_each_backend(split: Option<usize>, test: impl Fn(Office)) {
    for backend in Backend::available() {
        println!("{backend}, {split:?}");
        test(Office::new(backend, split));
    }
}

pub(crate) fn sorted(paths: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    let count = paths.len();
    let set: BTreeSet<_> = paths.into_iter().collect();
    assert_eq!(set.len(), count, "something was handed out twice");
    set
}
