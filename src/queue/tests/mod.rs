//! Turns of a queue on real files, at times that the test chooses.

mod in_place;
mod open;
mod pulls;
mod scans;
mod split;
mod unfinished;
mod watched;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord_platform::{clock, file};
use tempfile::TempDir;

use super::{Origin, OwnedEntry, Queue, WriteMethod};
use crate::watcher::REPORTS_NAMES;
use crate::{QueueOptions, Trigger, WarningKind, WatchMode, pull};

const SECOND: Duration = Duration::from_secs(1);
/// Without a watch, and with one where the system has it.
const MODES: [WatchMode; 2] = [WatchMode::Off, WatchMode::Auto];

/// A directory and a trigger.
pub(super) struct Host {
    root: TempDir,
    pub(super) todo: PathBuf,
    pub(super) fifo: PathBuf,
    pub(super) now: Instant,
}

impl Host {
    pub(super) fn new() -> Host {
        let root = tempfile::tempdir().unwrap();
        let (todo, fifo) = (root.path().join("todo"), root.path().join("trigger"));
        fs::create_dir(&todo).unwrap();
        Trigger::create(&fifo, 0o622).unwrap();
        Host { root, todo, fifo, now: Instant::now() }
    }

    /// Makes a symbolic link to the directory above both. Returns its path.
    fn link_to_root(&self) -> PathBuf {
        let link = self.root.path().join("link");
        symlink(self.root.path(), &link).unwrap();
        link
    }

    /// The options of a queue on both.
    fn options(&self) -> QueueOptions {
        QueueOptions::directories([&self.todo]).trigger(&self.fifo).rescan_interval(None)
    }

    /// The options of a queue of qmail's form on the directory.
    fn qmail_options(&self) -> QueueOptions {
        let lock = self.root.path().join("lock");
        fs::create_dir_all(&lock).unwrap();
        let _ = Trigger::create(lock.join("trigger"), 0o622);
        QueueOptions::qmail(self.root.path()).unwrap().rescan_interval(None)
    }

    /// Opens a queue on both.
    pub(super) fn open(&self, watch: WatchMode) -> Queue {
        self.options().watch(watch).open().unwrap()
    }

    /// Creates a file in the directory. Returns its path.
    fn create(&self, name: &str) -> PathBuf {
        let path = self.todo.join(name);
        fs::write(&path, "").unwrap();
        path
    }

    /// Moves an executable file into the directory.
    fn create_executable(&self, name: &str) {
        let draft = self.root.path().join("draft");
        fs::write(&draft, "").unwrap();
        make_executable(&draft);
        fs::rename(&draft, self.todo.join(name)).unwrap();
    }

    /// Makes one turn. Returns its entries.
    fn entries(&self, queue: &mut Queue) -> Vec<OwnedEntry> {
        let _ = queue.prepare_fds(self.now);
        let mut entries = Vec::new();
        while let Some(entry) = queue.next_entry(self.now) {
            entries.push(entry.into_owned());
        }
        entries
    }

    /// Makes turns until no work is left for this time. Returns the paths of the entries below the
    /// directory, in order.
    fn settle(&self, queue: &mut Queue) -> Vec<String> {
        let mut paths = Vec::new();
        for _ in 0..1000 {
            let entries = self.entries(queue);
            let timeout = queue.prepare_fds(self.now).timeout;
            let is_over = entries.is_empty() && timeout != Some(Duration::ZERO);
            let below = |entry: OwnedEntry| {
                entry.path().strip_prefix(&self.todo).unwrap().to_str().unwrap().to_owned()
            };
            paths.extend(entries.into_iter().map(below));
            if is_over {
                paths.sort();
                return paths;
            }
        }
        panic!("the queue always has work: {queue:#?}");
    }

    /// As [`settle`](Host::settle), after a wait that the watch has ended.
    fn watched(&self, queue: &mut Queue) -> Vec<String> {
        queue.set_watch_readable();
        self.settle(queue)
    }

    /// As [`settle`](Host::settle), after a pull.
    fn pulled(&self, queue: &mut Queue) -> Vec<String> {
        pull(&self.fifo).unwrap();
        queue.set_trigger_readable();
        self.settle(queue)
    }

    /// As [`settle`](Host::settle), after a pull and after a wait that the watch has ended.
    fn pulled_or_watched(&self, queue: &mut Queue) -> Vec<String> {
        queue.set_watch_readable();
        self.pulled(queue)
    }

    /// Makes one turn. Returns the number of its entries, which are removed.
    fn turn(&self, queue: &mut Queue) -> usize {
        let entries = self.entries(queue);
        entries.iter().for_each(|entry| fs::remove_file(entry.path()).unwrap());
        entries.len()
    }

    /// As [`turn`](Host::turn), after a wait that the trigger has ended.
    fn pulled_turn(&self, queue: &mut Queue) -> usize {
        queue.set_trigger_readable();
        self.turn(queue)
    }
}

/// Makes a symbolic link lead to itself. No path through it can be looked at then.
fn break_link(link: &Path) {
    fs::remove_file(link).unwrap();
    symlink(link, link).unwrap();
}

fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Waits until a change of the file has another time than its last one.
fn settle_time(path: &Path) {
    while !file::lstat(path).unwrap().version.is_settled(clock::wall()) {
        std::thread::yield_now();
    }
}
