//! A script: the calls that both kernels make, and their results.

use std::fmt;

/// How many descriptors a script can name.
pub(crate) const SLOTS: usize = 8;

/// A place for a descriptor. A call that returns one puts it into a slot; others name the slot.
pub(crate) type Slot = usize;

/// One call. Paths are relative to the directory of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `mode` is `None` for open(2) with two arguments.
    Open {
        slot: Slot,
        path: String,
        flags: i32,
        mode: Option<u32>,
    },
    Close(Slot),
    /// `F_DUPFD_CLOEXEC`.
    Duplicate {
        from: Slot,
        to: Slot,
        lowest: i32,
    },
    /// dup3(2), or dup2(2) without flags. An empty slot stands for a number that is free.
    Replace {
        old: Slot,
        new: Slot,
        flags: Option<i32>,
    },
    /// open(2) of the file of a slot, by its name in /proc.
    Reopen {
        slot: Slot,
        from: Slot,
        flags: i32,
    },
    /// `F_SETFL`, always with `O_NONBLOCK`.
    SetFlags {
        slot: Slot,
        flags: i32,
    },
    /// `F_GETFL`.
    GetFlags(Slot),
    /// `F_GETFD`.
    GetDescriptorFlags(Slot),
    /// Duplicates a descriptor until none is free.
    Exhaust(Slot),
    /// Closes the descriptors that `Exhaust` made.
    Recover,
    Pipe {
        reader: Slot,
        writer: Slot,
        flags: i32,
    },
    Read {
        slot: Slot,
        room: usize,
    },
    Write {
        slot: Slot,
        count: usize,
    },
    /// ftruncate(2).
    Truncate {
        slot: Slot,
        size: i64,
    },
    /// `FIONREAD`.
    Available(Slot),
    /// Some milliseconds, between two ticks of the time stamps.
    Pause,

    /// timerfd_create(2).
    Timer {
        slot: Slot,
        flags: i32,
    },
    /// timerfd_settime(2).
    SetTimer {
        slot: Slot,
        flags: i32,
        time: Expiry,
        /// In hours.
        interval: i64,
    },

    Fstat(Slot),
    Stat {
        directory: Option<Slot>,
        path: String,
        follow: bool,
        /// Other flags.
        flags: i32,
    },
    Statfs(String),
    Link {
        old: String,
        new: String,
    },
    /// linkat(2) of an open file.
    LinkOpen {
        slot: Slot,
        path: String,
    },
    Rename {
        old: String,
        new: String,
    },
    Unlink(String),
    Rmdir(String),
    Symlink {
        target: String,
        path: String,
    },
    Mkdir {
        path: String,
        mode: u32,
    },
    Mkfifo {
        path: String,
        mode: u32,
    },
    Fchmod {
        slot: Slot,
        mode: u32,
    },
    Chmod {
        path: String,
        mode: u32,
    },
    /// Reads a directory: this number of batches, or to the end.
    List {
        slot: Slot,
        room: usize,
        batches: Option<usize>,
    },

    /// inotify_init1(2), under a limit.
    Watcher {
        slot: Slot,
        limit: Limit,
    },
    /// inotify_add_watch(2).
    Watch {
        slot: Slot,
        path: String,
        mask: u32,
        limit: Limit,
    },
    Unwatch {
        slot: Slot,
        watch: i32,
    },

    /// epoll_create1(2).
    Poller(Slot),
    /// epoll_ctl(2).
    Control {
        poller: Slot,
        operation: i32,
        source: Slot,
        events: u32,
    },
    /// epoll_wait(2) with a zero timeout.
    Wait {
        poller: Slot,
        room: i32,
    },
    /// epoll_pwait2(2) with a timeout of zero seconds and as many nanoseconds: none, or too many.
    WaitPrecisely {
        poller: Slot,
        room: i32,
        nanoseconds: i64,
    },
    /// poll(2) with a zero timeout: the wanted events of each.
    Poll(Vec<(Slot, i16)>),
    /// select(2) with a zero timeout.
    Select {
        read: Vec<Slot>,
        write: Vec<Slot>,
    },

    /// mount(2) of a tmpfs.
    Mount(String),
    /// mount(2) with `MS_BIND`.
    Bind {
        old: String,
        new: String,
    },
    Unmount {
        path: String,
        lazy: bool,
    },
}

/// The time at which a timer expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It is stopped.
    Never,
    /// At once: a pause follows.
    Soon,
    /// After the script.
    Later,
    /// With a billion nanoseconds, or a negative second.
    Invalid(bool),
}

/// A limit of inotify(7) during one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The limit is not changed.
    Usual,
    /// `max_queued_events`.
    Events(usize),
    /// `max_user_watches` is 0.
    NoWatches,
    /// `max_user_instances` is 0.
    NoInstances,
}

/// A script, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Whether the modes of files apply to the process.
    pub(crate) as_owner: bool,
    pub(crate) ops: Vec<Op>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its return value, or `errno`. A descriptor counts from the first free one of the script.
    pub(crate) returned: Result<i64, i32>,
    pub(crate) detail: Detail,
}

/// The results of a call besides its return value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Nothing,
    /// The call was not made, on either kernel, or is not compared: one of `exceptions`.
    Exception(&'static str),
    /// More numbers.
    Numbers(Vec<i64>),
    Stat {
        /// Type and permission bits.
        mode: u32,
        /// Hard links; 0 for a directory, whose count differs between file systems.
        links: u64,
        /// The size of a regular file or a symbolic link.
        size: i64,
        /// How many pauses there were before the last modification, and before the last change of
        /// its status.
        times: Option<[usize; 2]>,
        /// The slots that have the same file open.
        same: Vec<Slot>,
    },
    Watched(Vec<Noticed>),
    /// The data and the events of each source, in order.
    Waited(Vec<(u64, u32)>),
    Selected {
        read: Vec<Slot>,
        write: Vec<Slot>,
    },
    /// Compared separately: see `readings`.
    Listed(Listing),
}

/// An event of inotify(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noticed {
    pub(crate) watch: i32,
    pub(crate) mask: u32,
    pub(crate) cookie: u32,
    pub(crate) name: String,
}

/// The entries that one or more reads of a directory returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Names and `d_type`.
    pub(crate) entries: Vec<(String, u8)>,
    /// Whether the last read returned 0.
    pub(crate) ended: bool,
}

impl Script {
    /// Returns whether the script mounts a file system.
    pub(crate) fn mounts(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Mount(_) | Op::Bind { .. }))
    }
}

impl Op {
    /// The system call that it makes.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Op::Open { .. } => "open",
            Op::Close(_) => "close",
            Op::Duplicate { .. } => "F_DUPFD_CLOEXEC",
            Op::Replace { .. } => "dup3",
            Op::Reopen { .. } => "open in /proc",
            Op::SetFlags { .. } => "F_SETFL",
            Op::GetFlags(_) => "F_GETFL",
            Op::GetDescriptorFlags(_) => "F_GETFD",
            Op::Exhaust(_) | Op::Recover => "descriptors",
            Op::Pipe { .. } => "pipe2",
            Op::Read { .. } => "read",
            Op::Write { .. } => "write",
            Op::Truncate { .. } => "ftruncate",
            Op::Available(_) => "FIONREAD",
            Op::Pause => "clock_gettime",
            Op::Timer { .. } => "timerfd_create",
            Op::SetTimer { .. } => "timerfd_settime",
            Op::Fstat(_) => "fstat",
            Op::Stat { .. } => "fstatat",
            Op::Statfs(_) => "statfs",
            Op::Link { .. } => "link",
            Op::LinkOpen { .. } => "linkat",
            Op::Rename { .. } => "rename",
            Op::Unlink(_) => "unlink",
            Op::Rmdir(_) => "rmdir",
            Op::Symlink { .. } => "symlink",
            Op::Mkdir { .. } => "mkdir",
            Op::Mkfifo { .. } => "mkfifo",
            Op::Fchmod { .. } => "fchmod",
            Op::Chmod { .. } => "fchmodat",
            Op::List { .. } => "getdents64",
            Op::Watcher { .. } => "inotify_init1",
            Op::Watch { .. } => "inotify_add_watch",
            Op::Unwatch { .. } => "inotify_rm_watch",
            Op::Poller(_) => "epoll_create1",
            Op::Control { .. } => "epoll_ctl",
            Op::Wait { .. } => "epoll_wait",
            Op::WaitPrecisely { .. } => "epoll_pwait2",
            Op::Poll(_) => "poll",
            Op::Select { .. } => "select",
            Op::Mount(_) | Op::Bind { .. } => "mount",
            Op::Unmount { .. } => "umount2",
        }
    }
}

impl Outcome {
    pub(crate) fn new(returned: Result<i64, i32>) -> Outcome {
        Outcome { returned, detail: Detail::Nothing }
    }

    pub(crate) fn with(self, detail: impl FnOnce() -> Detail) -> Outcome {
        let detail = if self.returned.is_ok() { detail() } else { Detail::Nothing };
        Outcome { detail, ..self }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returned {
            Ok(value) => write!(f, "{value}")?,
            Err(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(errno))?,
        }
        match &self.detail {
            Detail::Nothing => Ok(()),
            Detail::Stat { mode, links, size, times, same } => {
                write!(f, " mode {mode:o}, {links} links, {size} bytes, times {times:?}, ")?;
                write!(f, "same as {same:?}")
            }
            Detail::Watched(events) => events.iter().try_for_each(|event| {
                let Noticed { watch, mask, cookie, name } = event;
                write!(f, " [{watch}: {mask:#x} {name:?} {cookie}]")
            }),
            other => write!(f, " {other:x?}"),
        }
    }
}
