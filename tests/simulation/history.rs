//! A history: the setup of the queue, and the events. It can be pasted as a test.

use std::fmt;

pub(crate) use pullcord::WatchMode;
use pullcord_platform::sim::FsKind;

/// The directories of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// qmail's: `todo`.
    Flat,
    /// qmail's with big-todo: `todo/0` and so on.
    Split(usize),
    /// Postfix's: files that are written in place.
    Maildrop,
    /// Directories that are named one by one.
    Directories(usize),
}

/// How the loop around the queue waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// epoll or kqueue.
    Native,
    Select,
    /// A loop without a notifier: it requests the descriptors for each wait.
    Foreign,
    /// epoll or kqueue inside another one, which waits for it level- or edge-triggered.
    InsideLevel,
    InsideEdge,
}

impl Loop {
    /// Returns whether the queue is part of another loop.
    pub(crate) fn is_inside(self) -> bool {
        matches!(self, Loop::InsideLevel | Loop::InsideEdge)
    }

    /// Returns whether the notifier has a descriptor for another loop. select has none.
    pub(crate) fn has_descriptor(self) -> bool {
        !matches!(self, Loop::Select | Loop::Foreign) && !cfg!(pullcord_sim = "none")
    }
}

/// The way in which the program processes an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumer {
    Removes,
    Leaves,
    /// Requeues it once, for this number of seconds later, and then removes it.
    Requeues(u64),
}

/// A queue, the kernel it is on, and the program around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) layout: Layout,
    pub(crate) trigger: Trigger,
    pub(crate) watch: WatchMode,
    pub(crate) wait: Loop,
    pub(crate) consumer: Consumer,
    pub(crate) fs: FsKind,
    /// The safety rescan, in milliseconds; `u64::MAX` for never.
    pub(crate) rescan: u64,
    pub(crate) batch: usize,
    /// The number of events that a watch can hold.
    pub(crate) events: usize,
    /// The maximum number of watches.
    pub(crate) watches: usize,
    pub(crate) privileged: bool,
    pub(crate) path: PathKind,
    /// As on Linux 5.5 to 5.13: a write into a FIFO that contains bytes causes no edge. On the simulated
    /// BSD, as on NetBSD instead of FreeBSD.
    pub(crate) old_edges: bool,
    /// Both descriptors are registered with the same key.
    pub(crate) equal_keys: bool,
    /// One directory is given twice.
    pub(crate) twice: bool,
    /// Entries are written in place, with this quiet time in milliseconds. Only with `Layout::Directories`.
    pub(crate) in_place: Option<u64>,
}

impl Config {
    /// Returns whether the queue has a watch. One of the simulated kernels has none.
    pub(crate) fn watches_directories(&self) -> bool {
        self.watch != WatchMode::Off && !cfg!(pullcord_sim = "none")
    }
}

/// The place of the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    None,
    /// In a directory of its own.
    Apart,
    /// Among the entries.
    Inside,
    /// As `Apart`, but a supervisor has opened it before the program starts, and passes the descriptor on.
    Inherited,
    /// By a path whose parent is a symbolic link to the first directory's parent.
    Alias,
}

/// The kind of path to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    Absolute,
    /// Through a symbolic link, which an administrator may change.
    Link,
    /// Relative to a current directory, which the program may leave.
    Relative,
}

pub(crate) const PLAIN: Config = Config {
    layout: Layout::Flat,
    trigger: Trigger::Apart,
    watch: WatchMode::Auto,
    wait: Loop::Native,
    consumer: Consumer::Removes,
    fs: FsKind::Ext4,
    rescan: 1_500_000,
    batch: 4,
    events: 16_384,
    watches: usize::MAX,
    privileged: true,
    path: PathKind::Absolute,
    old_edges: false,
    equal_keys: false,
    twice: false,
    in_place: None,
};

/// The time of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// After this number of system calls of the queue, or as soon as it sleeps.
    Calls(u32),
    /// This number of milliseconds after the previous event.
    Time(u64),
}

/// One operation. Numbers of directories, names and writers wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A complete message is linked: directory, name.
    Link(usize, usize),
    /// A complete message is renamed into a directory.
    RenameIn(usize, usize),
    /// A message in `todo` itself of a split queue.
    LinkAbove(usize),
    /// A writer opens the trigger, writes a byte, closes it.
    Open(usize),
    Write(usize),
    Close(usize),
    /// A writer opens the trigger, writes a byte and closes it.
    Pull,
    /// A writer makes packets of its writes.
    Packets(usize),
    /// A writer fills the trigger.
    Fill(usize),
    /// A hostile writer pulls before each call of the queue, for this number of milliseconds.
    Flood(u64),
    /// A hostile writer creates and removes a hidden file before each call, in the first directory.
    FloodEvents(u64),
    /// A file is created that is not ready; is made ready; is created under another name and made
    /// ready by a descriptor, which no watch reports.
    Unready(usize, usize),
    Ready(usize, usize),
    ReadySilently(usize, usize),
    /// Creates many files that never become ready.
    ManyUnready(usize),
    /// A writer creates a file and keeps it open; writes to it, and opens it first if it is closed; closes it.
    Create(usize, usize),
    Append(usize, usize),
    Finish(usize, usize),
    /// Another program removes an entry.
    Unlink(usize, usize),
    /// A directory is renamed away and created again.
    Replace(usize),
    /// A directory is emptied, removed and created again. It may get the same inode number.
    Remake(usize),
    /// A directory is renamed away; comes back.
    Remove(usize),
    Restore(usize),
    /// A FIFO in the place of a directory.
    PutFifo(usize),
    /// Two directories change places.
    Exchange(usize, usize),
    /// The whole queue is renamed away and another one is created.
    ReplaceHome,
    /// A file system is mounted over a directory; over the queue as a whole; and unmounted.
    MountOver(usize),
    MountOverHome,
    Unmount(bool),
    /// The symbolic link by which the queue is named gets another target.
    SwapLink,
    /// The permission bits of a directory.
    Forbid(usize),
    Allow(usize),
    /// The directory above the queue cannot be read.
    ForbidHome,
    ReplaceTrigger,
    RemoveTrigger,
    MakeTrigger,
    /// A split queue gets one more directory; a flat one gets its first.
    AddPart,
    /// A message in the first directory inside `todo` of a flat queue.
    LinkInside(usize),
    /// One directory is mounted over another as well.
    Bind(usize, usize),
    /// Another program tries to remove a directory that is not empty.
    FailedRmdir(usize),
    /// Another reader opens the trigger, reads a byte, closes it.
    OtherReader,
    OtherReads,
    OtherLeaves,
    /// This number of files is created and removed beside the queue.
    Noise(usize),
    /// This number of files with hidden names is created in a directory.
    Hidden(usize, usize),
    /// The next calls fail: the error, the number of calls.
    FailNext(usize, u32),
    /// All calls of one kind fail for a time: the call, the error, the milliseconds.
    FailFor(usize, usize, u64),
    Signal,
    /// The process is stopped for this number of milliseconds.
    Freeze(u64),
    /// The clock of the system is set forward or back by this number of milliseconds. The time stamps of
    /// files follow it.
    SetClock(i64),
    /// The program passes a time once that is wrong by this number of milliseconds.
    WrongTime(i64),
    /// The program reports the trigger as ready, without a reason.
    Spurious,
    /// The program registers the queue again, at the next turns.
    RegisterAgain(u32),
    /// The program changes its current directory.
    Chdir,
    /// The program ends, and starts again.
    Restart,
    /// The program requeues the next entry for this number of milliseconds later, and again each time.
    RequeueAgain(u64, u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) gap: Gap,
    pub(crate) op: Op,
}

/// Returns an event after this number of calls.
pub(crate) const fn calls(calls: u32, op: Op) -> Event {
    Event { gap: Gap::Calls(calls), op }
}

/// Returns an event after this number of milliseconds.
pub(crate) const fn time(milliseconds: u64, op: Op) -> Event {
    Event { gap: Gap::Time(milliseconds), op }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gap {
            Gap::Calls(gap) => write!(f, "calls({gap}, Op::{:?})", self.op),
            Gap::Time(gap) => write!(f, "time({gap}, Op::{:?})", self.op),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) config: Config,
    pub(crate) events: Vec<Event>,
}

/// Prints Rust code that can be pasted as a test. It has only the settings that differ from `PLAIN`.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(Config {{ ")?;
        macro_rules! differing {
            ($($field:ident $prefix:literal,)*) => {
                $(if self.config.$field != PLAIN.$field {
                    write!(f, concat!(stringify!($field), ": ", $prefix, "{:?}, "), self.config.$field)?;
                })*
            };
        }
        differing! {
            layout "Layout::",
            trigger "Trigger::",
            watch "WatchMode::",
            wait "Loop::",
            consumer "Consumer::",
            fs "FsKind::",
            rescan "",
            batch "",
            events "",
            watches "",
            privileged "",
            path "PathKind::",
            old_edges "",
            equal_keys "",
            twice "",
            in_place "",
        }
        write!(f, "..PLAIN }}, &{:?})", self.events)
    }
}
