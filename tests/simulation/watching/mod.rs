//! A queue whose directories come and go, and whose watch fails: warnings, entries and calls, one behaviour
//! in each test. The program here makes turns until a time, and no oracle judges it.

mod directories;
mod failures;
mod limits;
mod many;
mod pace;

use std::collections::BTreeMap;
use std::time::Duration;

use libc::{O_NONBLOCK, O_WRONLY};
use libtest_mimic::Trial;
use pullcord::{
    Backend, Events, Key, Notifier, OwnedEntry, Queue, QueueOptions, Warning, WarningKind,
    WatchMode, WriteMethod,
};
use pullcord_platform::sim::{self, Call, Fault, Kernel};
use pullcord_platform::watch::REPORTS_NAMES;
use pullcord_platform::{clock, sim::FsKind};

use crate::history::{Config, Layout, PLAIN};
use crate::memory::{self, counted};
use crate::world::{self, OTHERS};

const TRIGGER: &str = "/v/q/lock/trigger";

/// Whether the simulated kernel has a directory watch.
const HAS_WATCH: bool = !cfg!(pullcord_sim = "none");

/// Returns the tests that are possible on this kernel.
pub(crate) fn trials() -> Vec<Trial> {
    let all =
        [directories::TESTS, failures::TESTS, limits::TESTS, many::TESTS, pace::TESTS].concat();
    let is_possible = |test: &&Test| match test.2 {
        On::All => true,
        On::Watching => HAS_WATCH,
        On::Linux => REPORTS_NAMES,
        On::Changes => HAS_WATCH && !REPORTS_NAMES,
        On::Unwatched => !HAS_WATCH,
    };
    let trial = |(name, test, _): &Test| {
        let test = *test;
        Trial::test(format!("watching::{name}"), move || {
            test();
            Ok(())
        })
    };
    all.iter().filter(is_possible).map(trial).collect()
}

/// The name of a test, the test, and the kernels that it is for.
type Test = (&'static str, fn(), On);

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    /// Kernels with a directory watch.
    Watching,
    /// A kernel whose watch has a limit, can overflow and reports names.
    Linux,
    /// A kernel whose watch reports no names.
    Changes,
    /// A kernel without a directory watch.
    Unwatched,
}

/// The options of directories `d0` and so on.
fn directories(count: usize) -> QueueOptions {
    QueueOptions::directories((0..count).map(|number| format!("/v/q/d{number}")))
}

/// A kernel on which such directories are.
fn with_directories(count: usize) -> Config {
    Config { layout: Layout::Directories(count), ..PLAIN }
}

/// Ends the simulated kernel.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        drop(sim::halt());
    }
}

/// The program around a queue.
struct Program {
    queue: Queue,
    notifier: Box<dyn Notifier>,
    events: Events,
    returned: Vec<OwnedEntry>,
    warned: Vec<Warning>,
    /// How far the time that it passes is behind.
    behind: Duration,
    /// It removes each entry that is returned.
    removes: bool,
    /// The last of all: the others close descriptors.
    _running: Running,
}

impl Program {
    /// Boots a kernel, and opens a queue with these options.
    fn start(config: Config, options: impl FnOnce() -> QueueOptions) -> Program {
        sim::boot(world::boot(&config));
        let running = Running;
        let mut queue = options().open().expect("nothing fails");
        let mut notifier = Backend::best().open().expect("nothing fails");
        queue.register(&mut *notifier, [Key(0), Key(1)]);
        Program {
            queue,
            notifier,
            events: Events::with_capacity(4),
            returned: Vec::new(),
            warned: Vec::new(),
            behind: Duration::ZERO,
            removes: false,
            _running: running,
        }
    }

    /// Makes one turn, and waits no longer than this before.
    fn turn(&mut self, longest: Duration) {
        let now = clock::now() - self.behind;
        let timeout = counted(|| self.queue.prepare(&mut *self.notifier, now));
        let timeout = timeout.map_or(longest, |timeout| timeout.min(longest));
        self.notifier.wait(&mut self.events, Some(timeout)).expect("no wait fails");
        for event in &self.events {
            let _ = counted(|| self.queue.handle_event(event));
        }
        let now = clock::now() - self.behind;
        while let Some(entry) = counted(|| self.queue.next_entry(now)) {
            let entry = entry.into_owned();
            if self.removes {
                let _ = others(|kernel| kernel.unlink(entry.path().as_os_str().as_encoded_bytes()));
            }
            self.returned.push(entry);
        }
        self.warned.extend(std::iter::from_fn(|| self.queue.next_warning()));
    }

    /// Makes turns for this number of milliseconds.
    fn run_for(&mut self, milliseconds: u64) {
        self.run_with(milliseconds, |_| ());
    }

    /// Makes turns for this number of milliseconds, and calls `after` after each.
    fn run_with(&mut self, milliseconds: u64, mut after: impl FnMut(&mut Program)) {
        let end = clock::now() + Duration::from_millis(milliseconds);
        while let Some(left) = end.checked_duration_since(clock::now()).filter(|it| !it.is_zero()) {
            self.turn(left);
            after(self);
        }
    }

    /// Makes turns without waiting until so many entries have been returned.
    fn turn_until_returned(&mut self, count: usize) {
        for _ in 0..100 {
            if self.returned.len() >= count {
                return;
            }
            self.turn(Duration::ZERO);
        }
        panic!("returned {:?}", self.take_returned());
    }

    /// Returns the paths of the entries since the last call.
    fn take_returned(&mut self) -> Vec<String> {
        let entries = std::mem::take(&mut self.returned);
        entries.iter().map(|entry| entry.path().to_str().expect("a name").to_owned()).collect()
    }

    /// Returns how often each path was returned since the last call.
    fn take_counts(&mut self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for path in self.take_returned() {
            *counts.entry(path).or_default() += 1;
        }
        counts
    }

    /// Returns the kinds and the paths of the warnings since the last call.
    fn take_warned(&mut self) -> Vec<(WarningKind, String)> {
        let warned = std::mem::take(&mut self.warned);
        let path = |warning: &Warning| warning.path().to_str().expect("a path").to_owned();
        warned.iter().map(|warning| (warning.kind(), path(warning))).collect()
    }

    /// Returns the text of the only warning since the last call.
    fn take_warning(&mut self, kind: WarningKind) -> String {
        let warned = std::mem::take(&mut self.warned);
        let [warning] = &warned[..] else { panic!("one warning: {warned:?}") };
        assert_eq!(warning.kind(), kind, "{warning}");
        warning.to_string()
    }

    /// Requeues the only entry that was returned since the last call, for so many seconds later.
    fn requeue(&mut self, seconds: u64) {
        let [entry] = &self.returned[..] else { panic!("one entry: {:?}", self.take_returned()) };
        let due = clock::now() + Duration::from_secs(seconds);
        self.queue.requeue(entry, due).expect("it is in the queue");
        self.returned.clear();
    }

    /// Returns the paths in the status.
    fn paths(&self) -> Vec<String> {
        self.queue.status().map(|it| it.path.to_str().expect("a path").to_owned()).collect()
    }

    /// Returns how often a directory was read.
    fn scans(&self, directory: usize) -> u64 {
        self.queue.status().nth(directory).expect("it is there").scans
    }

    /// Makes turns for so many seconds. Returns how often a call is made meanwhile.
    fn calls_in(&mut self, seconds: u64, call: Call) -> u64 {
        let before = made(call);
        self.run_for(1000 * seconds);
        made(call) - before
    }

    /// Makes turns for so many seconds. Returns how often the program wakes meanwhile.
    fn wakeups_in(&mut self, seconds: u64) -> u64 {
        let before = wakeups();
        self.run_for(1000 * seconds);
        wakeups() - before
    }
}

/// Performs what other processes do.
fn others<R>(act: impl FnOnce(&mut Kernel) -> R) -> R {
    sim::with(|kernel| kernel.act(OTHERS, act))
}

fn create(path: &str) {
    others(|kernel| kernel.create(path.as_bytes(), 0o644)).expect("it is not there");
}

fn remove(path: &str) {
    others(|kernel| kernel.unlink(path.as_bytes())).expect("it is there");
}

fn create_directory(path: &str) {
    others(|kernel| kernel.mkdir(path.as_bytes(), 0o755)).expect("it is not there");
}

fn remove_directory(path: &str) {
    others(|kernel| kernel.rmdir(path.as_bytes())).expect("it is empty");
}

fn rename(from: &str, to: &str) {
    others(|kernel| kernel.rename(from.as_bytes(), to.as_bytes())).expect("it is there");
}

fn link(target: &str, path: &str) {
    others(|kernel| kernel.symlink(target.as_bytes(), path.as_bytes())).expect("it is not there");
}

fn set_mode(path: &str, mode: u32) {
    others(|kernel| kernel.chmod(path.as_bytes(), mode)).expect("it is there");
}

/// Mounts a new file system.
fn mount(kind: FsKind, path: &str) {
    let mounted = others(|kernel| {
        let system = kernel.add_system(kind);
        kernel.mount(system, path.as_bytes())
    });
    mounted.expect("it is there");
}

/// Opens a file or a FIFO, writes one byte and closes it.
fn write(path: &str) {
    let written = others(|kernel| {
        let fd = kernel.open(path.as_bytes(), O_WRONLY | O_NONBLOCK, 0)?;
        kernel.write(fd, 1)?;
        kernel.close(fd)
    });
    written.expect("it is there, and the queue reads the FIFO");
}

fn pull() {
    write(TRIGGER);
}

/// Lets all calls of one kind fail for this number of milliseconds.
fn fail(call: Call, errno: i32, milliseconds: u64) {
    sim::with(|kernel| {
        let until = kernel.now() + milliseconds * 1_000_000;
        kernel.inject(Fault::Until { call, errno, until });
    });
}

fn set_watches(watches: usize) {
    sim::with(|kernel| kernel.settings_mut().watches = watches);
}

fn made(call: Call) -> u64 {
    sim::with(|kernel| kernel.census().made(call))
}

fn wakeups() -> u64 {
    sim::with(|kernel| kernel.wakeups())
}

/// Creates entries named `00` and so on.
fn create_many(directory: &str, count: usize) {
    (0..count).for_each(|number| create(&format!("{directory}/{number:02}")));
}
