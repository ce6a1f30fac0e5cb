//! The kernel as a whole: processes, descriptors, waiting, the clock, and the seam for faults and
//! for the world around the queue.

mod changes;
mod descriptors;
mod files;
#[cfg(pullcord_sim = "bsd")]
mod kqueues;
mod timers;
mod waiting;
mod watches;

use super::call::Call;
use super::clock::Clock;
use super::epoll::Epoll;
use super::faults::{Census, Fault, Faults};
use super::fifo::{Fifo, WriteError};
use super::inotify::Inotify;
#[cfg(pullcord_sim = "bsd")]
use super::kqueue::Kqueue;
use super::libc::{
    EACCES, EAGAIN, EBADF, EEXIST, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENOENT,
    ENOSPC, ENOTDIR, ENOTTY, ENXIO, EPERM, EPIPE, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, ETXTBSY,
    F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, IN_CLOSE_WRITE, IN_MODIFY,
    IN_ONLYDIR, O_ACCMODE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECT, O_DIRECTORY, O_EXCL, O_NOFOLLOW,
    O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, c_int,
};
use super::settings::{FsKind, Pipes, Settings};
use super::timer::Timer;
use super::tree::{
    Caller, Cursor, EntryChange, Errno, Ino, Listed, Node, Place, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFREG, SelfChange, Tree, Use,
};

/// All that happens beside the queue's process.
pub trait World {
    /// Is called before each system call of the queue, and may change everything.
    fn before_call(&mut self, kernel: &mut Kernel, call: Call);

    /// The queue sleeps until `deadline`, or without a timeout: the next time at which something
    /// happens, if there is one.
    fn next_time(&mut self, kernel: &Kernel) -> Option<u64>;

    /// The time that `next_time` returned has come.
    fn at_time(&mut self, kernel: &mut Kernel);
}

/// The number of the process that the queue runs in. The world may use the others.
pub const QUEUE: usize = 0;

#[derive(Debug)]
struct Process {
    /// The description and the close-on-exec flag of each descriptor.
    table: Vec<Option<(usize, bool)>>,
    directory: Place,
}

/// An open file description.
#[derive(Debug)]
pub(super) struct Description {
    references: u32,
    flags: c_int,
    /// How a directory, a FIFO or a file was reached.
    by: Option<Use>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory(Cursor),
    /// `writer_opens` as of its own open, if no writer had it open then.
    Fifo {
        ino: Ino,
        without_writer: Option<u64>,
    },
    File {
        ino: Ino,
        position: u64,
    },
    Inotify(Inotify),
    Timer(Timer),
    Epoll(Epoll),
    #[cfg(pullcord_sim = "bsd")]
    Kqueue(Kqueue),
}

/// A simulated kernel.
pub struct Kernel {
    /// The next call does not fail.
    spares_next: bool,
    settings: Settings,
    pub(super) tree: Tree,
    descriptions: Vec<Option<Description>>,
    processes: Vec<Process>,
    current: usize,
    faults: Faults,
    world: Option<Box<dyn World>>,
    interrupted: bool,
    /// Calls of the queue's process, and how often it was woken.
    calls: u64,
    wakeups: u64,
    trace: u64,
    log: Option<Vec<String>>,
    /// The number of the last registration with an epoll instance.
    registrations: u64,
    /// The directories that the queue's process has opened since this was last asked.
    opened: Vec<Ino>,
    last_fault: Option<u64>,
    /// When the next timer expires; `u64::MAX` if none does.
    next_timer: u64,
    /// Every event that a watch was ever added for.
    noticed: u32,
}

/// The result of a call that can fail with an error number.
pub type Outcome<T> = Result<T, Errno>;

impl Kernel {
    /// A kernel with one file system, whose root directory is empty.
    pub fn new(settings: Settings, root: FsKind) -> Kernel {
        let clock = Clock::new(settings.tick, settings.grain);
        let mut kernel = Kernel {
            settings,
            tree: Tree::new(root, clock),
            descriptions: Vec::new(),
            processes: Vec::new(),
            current: QUEUE,
            faults: Faults::default(),
            world: None,
            interrupted: false,
            calls: 0,
            wakeups: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            log: None,
            registrations: 0,
            opened: Vec::new(),
            last_fault: None,
            next_timer: u64::MAX,
            noticed: 0,
            spares_next: false,
        };
        kernel.add_process();
        kernel
    }

    /// Starts a process without descriptors, and returns its number.
    pub fn add_process(&mut self) -> usize {
        let directory = self.tree.root();
        self.processes.push(Process { table: Vec::new(), directory });
        self.processes.len() - 1
    }

    /// Sets the world beside the queue.
    pub fn set_world(&mut self, world: Box<dyn World>) {
        self.world = Some(world);
    }

    /// Lets another process than the queue's act. Its calls cost no time and cannot fail by a fault.
    pub fn act<R>(&mut self, process: usize, act: impl FnOnce(&mut Kernel) -> R) -> R {
        let before = std::mem::replace(&mut self.current, process);
        let result = act(self);
        self.current = before;
        result
    }

    /// The settings, to be changed while it runs.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The file systems.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The time, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.tree.clock.now
    }

    /// Lets time pass.
    pub fn advance(&mut self, nanoseconds: u64) {
        self.tree.clock.now += nanoseconds;
        if self.now() >= self.next_timer {
            self.fire_timers();
        }
    }

    /// An administrator sets `CLOCK_REALTIME` forward or back.
    pub fn set_clock(&mut self, nanoseconds: i64) {
        self.tree.clock.jump(nanoseconds);
    }

    /// `CLOCK_REALTIME`, in nanoseconds.
    pub fn real_time(&self) -> u64 {
        self.tree.clock.real()
    }

    /// How many calls the queue's process has made.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// How often its waits have returned.
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// A hash of all calls and results.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Records each call, for a person to read.
    pub fn keep_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// Adds a line to the record, if one is kept.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.6} {}", (now as f64 - 1e12) / 1e9, line()));
        }
    }

    /// The record.
    pub fn take_log(&mut self) -> Vec<String> {
        self.log.take().unwrap_or_default()
    }

    /// Injects a fault into the calls of the queue's process.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// The time at which a call failed by a fault, once.
    pub fn take_fault(&mut self) -> Option<u64> {
        self.last_fault.take()
    }

    /// The directories that the queue's process has opened since the last call.
    pub fn take_opened(&mut self) -> Vec<Ino> {
        std::mem::take(&mut self.opened)
    }

    /// Whether a fault is in force.
    pub fn is_faulty(&self) -> bool {
        self.faults.are_active(self.now())
    }

    /// How often each call was made, and failed.
    pub fn census(&self) -> &Census {
        &self.faults.census
    }

    /// Ends the wait that the queue sleeps in, or its next one, with `EINTR`.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// How many descriptors a process has open.
    pub fn open_descriptors(&self, process: usize) -> usize {
        self.processes[process].table.iter().flatten().count()
    }

    /// The watches that the queue's process has: whether an inode has one.
    pub fn is_watched(&self, ino: Ino) -> bool {
        let mut descriptions = self.descriptions.iter().flatten();
        descriptions.any(|it| match &it.kind {
            Kind::Inotify(inotify) => inotify.is_watched(ino),
            _ => false,
        })
    }

    // --- the seam --------------------------------------------------------------------------

    /// Lets no fault happen to the next call: one that takes something away, which cannot fail.
    pub(super) fn spare_next(&mut self) {
        self.spares_next = true;
    }

    /// Begins a call of the library: lets the world act, lets time pass, and fails it if a fault
    /// says so.
    pub(super) fn enter(&mut self, call: Call, sleeps: bool) -> Outcome<()> {
        if let Some(mut world) = self.world.take() {
            world.before_call(self, call);
            self.world = Some(world);
        }
        if self.current != QUEUE {
            return Ok(());
        }
        self.calls += 1;
        self.advance(self.settings.cost);
        if std::mem::take(&mut self.spares_next) {
            return Ok(());
        }
        match self.faults.strike(call, self.now(), sleeps) {
            Some(errno) => {
                self.last_fault = Some(self.now());
                Err(errno)
            }
            None => Ok(()),
        }
    }

    /// Ends a call of the library: hashes it into the trace.
    pub(super) fn leave(&mut self, call: Call, result: Outcome<i64>) {
        let value = match result {
            Ok(value) => value,
            Err(errno) => -i64::from(errno),
        };
        for part in [call as u64, value as u64, self.now()] {
            self.trace = (self.trace ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
        }
        if self.current == QUEUE && call.waits() {
            self.wakeups += 1;
        }
        self.note(|| match result {
            Ok(value) => format!("{} = {value}", call.name()),
            Err(errno) => format!("{}: {}", call.name(), std::io::Error::from_raw_os_error(errno)),
        });
    }

    /// Sleeps until `ready`, a signal, or the deadline. Returns whether it is ready.
    fn sleep(&mut self, deadline: Option<u64>, ready: impl Fn(&Kernel) -> bool) -> Outcome<bool> {
        self.check_low_descriptors();
        loop {
            if ready(self) {
                return Ok(true);
            }
            if std::mem::take(&mut self.interrupted) {
                return Err(EINTR);
            }
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Ok(false);
            }
            let timer = (self.next_timer != u64::MAX).then_some(self.next_timer);
            let Some(mut world) = self.world.take() else {
                let Some(until) = deadline.into_iter().chain(timer).min() else {
                    panic!("the queue waits without a timeout, and nothing else can happen");
                };
                self.advance(until - self.now());
                continue;
            };
            let next = world.next_time(self);
            let others = next.into_iter().chain(deadline).min();
            if let Some(timer) = timer.filter(|timer| others.is_none_or(|others| *timer < others)) {
                self.world = Some(world);
                self.advance(timer - self.now());
                continue;
            }
            match (next, deadline) {
                (Some(next), deadline) if deadline.is_none_or(|deadline| next <= deadline) => {
                    self.advance(next.saturating_sub(self.now()));
                    world.at_time(self);
                }
                (_, Some(deadline)) => {
                    self.advance(deadline - self.now() + self.settings.oversleep)
                }
                (_, None) => panic!("the queue waits without a timeout, and the world has ended"),
            }
            self.world = Some(world);
        }
    }

    fn check_low_descriptors(&self) {
        let table = &self.processes[QUEUE].table;
        if let Some(low) = table.iter().take(3).position(Option::is_some) {
            panic!("the queue sleeps and keeps descriptor {low}");
        }
    }

    /// Lets the queue's process sleep without waiting for anything. Returns early on a signal.
    pub fn rest(&mut self, nanoseconds: u64) {
        let deadline = self.now() + nanoseconds;
        let _ = self.sleep(Some(deadline), |_| false);
    }
}

/// The result of a stat, as far as it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub number: u64,
    /// `st_mode`.
    pub mode: u32,
    /// `st_nlink`.
    pub links: u64,
    /// `st_size`; 0 for a directory, whose size differs between file systems.
    pub size: u64,
    /// `st_mtime`, in nanoseconds.
    pub modified: u64,
    /// `st_ctime`, in nanoseconds.
    pub changed: u64,
}

/// An end of a FIFO, and those that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Read,
    Write,
}

/// Which ends of a FIFO a description has: to read, to write.
fn ends(flags: c_int) -> (bool, bool) {
    let direction = flags & O_ACCMODE;
    (direction != O_WRONLY, direction != O_RDONLY)
}
