//! A queue in a temporary directory, and the loop of a program that uses it.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Events, Key, Notifier, PullOutcome, Queue, QueueOptions, Stats, Trigger, WarningKind,
    WatchMode, pull,
};

#[path = "../support/watchdog.rs"]
mod watchdog;
pub(crate) use watchdog::Watchdog;

pub(crate) struct QueueFixture {
    pub(crate) root: tempfile::TempDir,
    pub(crate) notifier: Box<dyn Notifier>,
    pub(crate) events: Events,
    pub(crate) queue: Option<Queue>,
    /// The kinds of the warnings so far.
    pub(crate) warned: Vec<WarningKind>,
    linked: usize,
    _watchdog: Watchdog,
}

/// With a watch, and without one.
pub(crate) const WATCH_MODES: [WatchMode; 2] = [WatchMode::Auto, WatchMode::Off];

pub(crate) const KEYS: [Key; 2] = [Key(7), Key(8)];

/// How long a test waits for an event that must come. A test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing may happen until a queue counts as idle.
const QUIET: Duration = Duration::from_millis(20);

impl QueueFixture {
    /// Creates a qmail queue, flat or with this many parts. It is not opened yet.
    pub(crate) fn new(backend: Backend, split: Option<usize>) -> QueueFixture {
        let fixture = QueueFixture {
            root: directory(),
            notifier: backend.open().unwrap(),
            events: Events::with_capacity(8),
            queue: None,
            warned: Vec::new(),
            linked: 0,
            _watchdog: Watchdog::new(),
        };
        for directory in ["lock", "mess", "todo"] {
            fs::create_dir(fixture.path(directory)).unwrap();
        }
        for part in 0..split.unwrap_or(0) {
            fs::create_dir(fixture.path(&format!("todo/{part}"))).unwrap();
        }
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        fixture
    }

    /// Creates the directories of Postfix's maildrop beside it, and the FIFO of its pickup.
    pub(crate) fn create_maildrop(&self) -> PathBuf {
        for directory in ["public", "maildrop"] {
            fs::create_dir(self.path(directory)).unwrap();
        }
        let fifo = self.path("public/pickup");
        Trigger::create(&fifo, 0o622).unwrap();
        fifo
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn trigger(&self) -> PathBuf {
        self.path("lock/trigger")
    }

    pub(crate) fn options(&self) -> QueueOptions {
        QueueOptions::qmail(self.root.path()).unwrap()
    }

    pub(crate) fn open(&mut self, options: &QueueOptions) {
        self.close();
        let mut queue = options.open().unwrap();
        queue.register(&mut *self.notifier, KEYS);
        self.queue = Some(queue);
    }

    pub(crate) fn close(&mut self) {
        if let Some(mut queue) = self.queue.take() {
            queue.deregister(&mut *self.notifier).unwrap();
        }
    }

    pub(crate) fn queue(&mut self) -> &mut Queue {
        self.queue.as_mut().expect("the queue was opened")
    }

    pub(crate) fn stats(&self) -> Stats {
        self.queue.as_ref().expect("the queue was opened").stats()
    }

    /// Queues a message as qmail-queue does, without the pull: writes it under another name, then links.
    pub(crate) fn link(&mut self, name: impl AsRef<OsStr>) -> PathBuf {
        let message = self.path("todo").join(name.as_ref());
        self.link_at(&message);
        message
    }

    /// Links a message to this path.
    pub(crate) fn link_at(&mut self, message: &Path) {
        self.linked += 1;
        let draft = self.path(&format!("mess/{}", self.linked));
        fs::write(&draft, "a message").unwrap();
        fs::hard_link(&draft, message).unwrap();
        fs::remove_file(&draft).unwrap();
    }

    pub(crate) fn pull(&self) {
        assert_ne!(pull(self.trigger()).unwrap(), PullOutcome::NoReader);
    }

    /// Pulls a FIFO that the queue may not have opened yet.
    pub(crate) fn pull_if_there_is_a_reader(&self) {
        pull(self.trigger()).unwrap();
    }

    /// Makes one turn of the loop, waiting no longer than `patience`. Returns the paths of the
    /// entries, and the warnings.
    pub(crate) fn turn(&mut self, patience: Duration) -> (Vec<PathBuf>, Vec<String>) {
        self.wait(patience);
        self.take()
    }

    /// Makes one turn at a time that the test chooses, without waiting. Returns the paths.
    pub(crate) fn turn_at(&mut self, now: Instant) -> Vec<PathBuf> {
        let queue = self.queue.as_mut().expect("the queue was opened");
        let _ = queue.prepare(&mut *self.notifier, now);
        self.notifier.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
        for event in &self.events {
            let _ = queue.handle_event(event);
        }
        let mut paths = Vec::new();
        while let Some(entry) = queue.next_entry(now) {
            paths.push(entry.path());
        }
        paths
    }

    /// Makes the first half of a turn: waits and passes the events to the queue. Returns the queue's timeout.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<Duration> {
        let queue = self.queue.as_mut().expect("the queue was opened");
        let timeout = queue.prepare(&mut *self.notifier, Instant::now());
        let longest = timeout.map_or(patience, |timeout| timeout.min(patience));
        self.notifier.wait(&mut self.events, Some(longest)).unwrap();
        for event in &self.events {
            let _ = queue.handle_event(event);
        }
        timeout
    }

    /// Makes the second half of a turn: returns the entries that are ready, and the warnings.
    pub(crate) fn take(&mut self) -> (Vec<PathBuf>, Vec<String>) {
        let queue = self.queue();
        let (mut paths, mut warnings, mut warned) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(entry) = queue.next_entry(Instant::now()) {
            paths.push(entry.path());
        }
        while let Some(warning) = queue.next_warning() {
            warnings.push(warning.to_string());
            warned.push(warning.kind());
        }
        self.warned.extend(warned);
        (paths, warnings)
    }

    /// Makes turns until the queue is idle and has no work soon.
    pub(crate) fn settle(&mut self) -> (Vec<PathBuf>, Vec<String>) {
        let (mut paths, mut warnings) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(
                Instant::now() < deadline,
                "the queue does not become idle: {:?}",
                self.stats()
            );
            let before = self.done();
            let timeout = self.wait(QUIET);
            let (more_paths, more_warnings) = self.take();
            if self.done() == before && timeout.is_none_or(|timeout| timeout > QUIET) {
                return (paths, warnings);
            }
            paths.extend(more_paths);
            warnings.extend(more_warnings);
        }
    }

    /// Returns the stats, except those that change continuously.
    fn done(&self) -> Stats {
        let mut stats = self.stats();
        stats.verifications = 0;
        stats
    }

    /// Makes turns until each of these has been returned, in any order. Returns all returned entries.
    pub(crate) fn expect(&mut self, wanted: &[impl AsRef<Path>]) -> Vec<PathBuf> {
        let deadline = Instant::now() + PATIENCE;
        let mut missing: BTreeSet<_> = wanted.iter().map(|path| path.as_ref().to_owned()).collect();
        let mut seen = Vec::new();
        while !missing.is_empty() {
            assert!(Instant::now() < deadline, "waited for {missing:?}, saw {} others", seen.len());
            let (paths, _) = self.turn(PATIENCE);
            for path in &paths {
                missing.remove(path);
            }
            seen.extend(paths);
        }
        seen
    }

    /// Does the same as [`expect`](QueueFixture::expect), then makes turns until the queue is idle.
    pub(crate) fn expect_and_settle(&mut self, wanted: &[impl AsRef<Path>]) -> Vec<PathBuf> {
        let mut seen = self.expect(wanted);
        seen.extend(self.settle().0);
        seen
    }

    /// Makes turns until `is_done` returns true. Returns the entries and the warnings until then.
    pub(crate) fn turn_until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut QueueFixture) -> bool,
    ) -> (Vec<PathBuf>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let (mut paths, mut warnings) = (Vec::new(), Vec::new());
        while !is_done(self) {
            let stats = self.stats();
            assert!(Instant::now() < deadline, "waited for {what}; {stats:?}, {warnings:?}");
            let (more_paths, more_warnings) = self.turn(Duration::from_millis(100));
            paths.extend(more_paths);
            warnings.extend(more_warnings);
        }
        (paths, warnings)
    }

    /// Makes turns for the whole `time`. Returns the entries and the warnings.
    pub(crate) fn turn_for(&mut self, time: Duration) -> (Vec<PathBuf>, Vec<String>) {
        let end = Instant::now() + time;
        let (mut paths, mut warnings) = (Vec::new(), Vec::new());
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let (more_paths, more_warnings) = self.turn(left);
            paths.extend(more_paths);
            warnings.extend(more_warnings);
        }
        (paths, warnings)
    }
}

/// Creates a directory for one test.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent = std::env::var_os("PULLCORD_TEST_DIR").map(PathBuf::from);
    tempfile::tempdir_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap()
}

/// Returns names that a hostile user may choose, and one of every length.
pub(crate) fn odd_names() -> impl Iterator<Item = OsString> {
    let odd: [&[u8]; 3] = [b"\x01\x1b[2J\n", b" ", "\u{202e}".as_bytes()];
    let odd = odd.map(|name| OsStr::from_bytes(name).to_owned());
    odd.into_iter().chain((1..=255).map(|length| "n".repeat(length).into()))
}

pub(crate) fn on_each_backend(split: Option<usize>, test: impl Fn(QueueFixture)) {
    for backend in Backend::available() {
        println!("{backend}, {split:?}");
        test(QueueFixture::new(backend, split));
    }
}

/// Runs the test for each backend, with and without a watch.
pub(crate) fn on_each_watch_mode(split: Option<usize>, test: impl Fn(QueueFixture, WatchMode)) {
    for watch in WATCH_MODES {
        on_each_backend(split, |fixture| {
            println!("watch {watch}");
            test(fixture, watch);
        });
    }
}

/// Runs the test for each backend, with and without a watch, with the options of a flat queue.
pub(crate) fn on_each_flat_queue(test: impl Fn(&mut QueueFixture, QueueOptions)) {
    on_each_watch_mode(None, |mut fixture, watch| {
        let options = fixture.options().watch(watch);
        test(&mut fixture, options);
    });
}

#[track_caller]
pub(crate) fn sorted(paths: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    let count = paths.len();
    let set: BTreeSet<_> = paths.into_iter().collect();
    assert_eq!(set.len(), count, "an entry was returned twice");
    set
}
