//! The behaviours in which kernels and file systems differ.

/// The pipes of one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pipes {
    /// 16 pages; packets; `read` without a writer returns 0.
    Linux,
    /// 32 KiB; `read` returns `EAGAIN` if no writer ever came.
    FreeBsd,
    /// 4 KiB; a hang-up is gone after a `read` that returned 0.
    NetBsd,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FsKind {
    /// In the order of a hash; a new entry is returned if its hash lies ahead of the reader.
    Ext4,
    /// In the order of slots, which are used again; of the entries that come after the first read few are returned.
    Xfs,
    /// In the order of creation; no entry that came after the open is returned.
    Btrfs,
    /// Newest first; no entry that came after the first read is returned.
    Tmpfs,
    /// Type not known, entry types not known, every new entry is returned.
    Unknown,
    /// Known to be remote; positions shift when an entry is removed.
    Remote,
    /// Type not known, and a file has another inode number at each stat.
    Renumbering,
}

/// How a file system assigns inode numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// The number that became free last is used next.
    MostRecent,
    /// The lowest free number is used next.
    Lowest,
    /// No number is used twice.
    Never,
}

impl FsKind {
    /// Every kind.
    pub const ALL: [FsKind; 7] = [
        FsKind::Ext4,
        FsKind::Xfs,
        FsKind::Btrfs,
        FsKind::Tmpfs,
        FsKind::Unknown,
        FsKind::Remote,
        FsKind::Renumbering,
    ];

    /// Whether every change is made by this kernel, and this is known of the type.
    pub fn is_local(self) -> bool {
        matches!(self, FsKind::Ext4 | FsKind::Xfs | FsKind::Btrfs | FsKind::Tmpfs)
    }

    /// `f_type` of statfs(2) on Linux.
    #[cfg_attr(any(pullcord_sim = "bsd", pullcord_sim = "none"), allow(dead_code))]
    pub(super) fn magic(self) -> u32 {
        match self {
            FsKind::Ext4 => 0xef53,
            FsKind::Xfs => 0x5846_5342,
            FsKind::Btrfs => 0x9123_683e,
            FsKind::Tmpfs => 0x0102_1994,
            FsKind::Unknown => 0x794c_7630,
            FsKind::Remote => 0x6969,
            FsKind::Renumbering => 0x1234_5678,
        }
    }

    /// `f_fstypename` of statfs(2) on the BSDs.
    #[cfg_attr(not(pullcord_sim = "bsd"), allow(dead_code))]
    pub(super) fn bsd_name(self) -> &'static str {
        match self {
            FsKind::Ext4 => "ufs",
            FsKind::Xfs => "zfs",
            FsKind::Btrfs => "hammer2",
            FsKind::Tmpfs => "tmpfs",
            FsKind::Unknown => "unionfs",
            FsKind::Remote => "nfs",
            FsKind::Renumbering => "newfs",
        }
    }

    pub(super) fn numbers(self) -> Numbers {
        match self {
            FsKind::Ext4 | FsKind::Xfs => Numbers::MostRecent,
            FsKind::Unknown | FsKind::Remote => Numbers::Lowest,
            FsKind::Btrfs | FsKind::Tmpfs | FsKind::Renumbering => Numbers::Never,
        }
    }
}

/// Limits, costs and quirks of one simulated kernel. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How pipes behave.
    pub pipes: Pipes,
    /// How many entries one directory read returns at most.
    pub batch: usize,
    /// `max_queued_events` of inotify(7).
    pub queued_events: usize,
    /// `max_user_watches`.
    pub watches: usize,
    /// `max_user_instances`.
    pub instances: usize,
    /// `RLIMIT_NOFILE` of each process.
    pub descriptors: usize,
    /// Whether a write into a pipe that holds bytes makes an edge (Linux: not on 5.5 to 5.13).
    pub edge_at_each_write: bool,
    /// Whether the queue's process may open and search everything.
    pub privileged: bool,
    /// Whether descriptors 0 to 2 are closed when the queue's process starts.
    pub low_descriptors: bool,
    /// NetBSD FFS: a rmdir(2) that fails posts `NOTE_DELETE`.
    pub failed_rmdir_posts_delete: bool,
    /// Whether a use of a closed descriptor panics, or fails with `EBADF` as on a real kernel.
    pub strict: bool,
    /// Whether the watch of a directory reports a write into a FIFO in it (Linux: not since 6.17).
    pub writes_to_fifos_are_reported: bool,
    /// Whether a descriptor can be opened again as `/proc/self/fd/N`.
    pub proc: bool,
    /// The time stamps of files go on once in so many nanoseconds.
    pub tick: u64,
    /// They are multiples of this: 1, or of file systems without nanoseconds 1 or 2 seconds.
    pub grain: u64,
    /// The time that every call takes.
    pub cost: u64,
    /// The time that a directory read takes for each entry.
    pub cost_of_entry: u64,
    /// How much later than asked for a sleep ends.
    pub oversleep: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            pipes: Pipes::Linux,
            batch: 8,
            queued_events: 16_384,
            watches: usize::MAX,
            instances: 128,
            descriptors: 1024,
            edge_at_each_write: true,
            privileged: true,
            low_descriptors: false,
            failed_rmdir_posts_delete: false,
            strict: true,
            writes_to_fifos_are_reported: false,
            proc: !cfg!(pullcord_sim = "bsd"),
            tick: 4_000_000,
            grain: 1,
            cost: 400,
            cost_of_entry: 200,
            oversleep: 50_000,
        }
    }
}
