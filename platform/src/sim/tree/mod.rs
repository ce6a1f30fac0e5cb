//! The file systems: inodes, directories, links, mounts. No descriptor, no process and no clock.
//!
//! Each change leaves notices, which the watches then receive.

mod changes;
mod mounts;
mod paths;
mod reading;
mod uses;

use std::cell::RefCell;
use std::rc::Rc;

use super::clock::Clock;
use super::fifo::Fifo;
use super::libc::{
    EACCES, EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM,
    EXDEV,
};
use super::settings::{FsKind, Numbers};
use paths::KnownPaths;

/// An error number.
pub type Errno = i32;

/// An inode, by its place in the table. Never used again, unlike its number.
pub type Ino = usize;

/// A name in a directory.
pub type Name = Rc<[u8]>;

/// A place that a path leads to: an inode, and the mount that it was reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The mount, by its place in the table.
    pub mount: usize,
    /// The inode.
    pub ino: Ino,
}

/// A change that a watch may report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Something happened to an entry of a directory.
    /// Both halves of a move have one cookie.
    Entry { directory: Ino, name: Name, change: EntryChange, is_directory: bool, cookie: u32 },
    /// Something happened to an inode itself.
    Itself { ino: Ino, change: SelfChange, is_directory: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryChange {
    Created,
    Removed,
    MovedFrom,
    MovedTo,
    Attributes,
    Modified,
    /// By a description that was open for writing.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SelfChange {
    Attributes,
    Modified,
    Closed,
    Moved,
    /// The last link is gone, and no description keeps the entry alive that it was reached by.
    Deleted,
    /// A link is gone: `EVFILT_VNODE` reports that as deleted.
    Unlinked,
    Unmounted,
}

/// The contents of an inode.
#[derive(Debug)]
pub(super) enum Node {
    Directory(Vec<Entry>),
    Fifo(Fifo),
    File,
    Link(Name),
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// The inode that it names.
    pub ino: Ino,
    /// Its number: no other entry ever has the same. A renamed entry keeps it.
    pub id: u64,
    /// When it came into this directory, counted in entries.
    arrived: u64,
    /// Its slot (XFS).
    slot: u64,
    /// The hash of its name.
    hash: u64,
}

impl Entry {
    /// Whether this is its name. The hashes are compared first.
    fn is_called(&self, name: &[u8], hash: u64) -> bool {
        self.hash == hash && *self.name == *name
    }
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) fs: usize,
    pub(super) number: u64,
    pub(super) mode: u32,
    pub(super) links: u32,
    /// How many descriptions are open on it.
    pub(super) opens: u32,
    /// Other uses that keep a removed directory alive: bind mounts, and removed entries in use.
    pins: u32,
    /// The name that a directory had when it was removed.
    last_name: Option<Name>,
    /// It was removed, and nothing keeps it alive.
    is_gone: bool,
    /// A file that has no name, and may get its first one.
    is_unnamed: bool,
    pub(super) parent: Ino,
    pub(super) node: Node,
    /// Of a regular file: no contents are kept.
    pub(super) size: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
}

#[derive(Debug)]
struct FileSystem {
    kind: FsKind,
    root: Ino,
    next_number: u64,
    free: Vec<u64>,
    /// How many descriptions are open on it.
    opens: u32,
    mounts: u32,
    stats: u64,
}

#[derive(Debug)]
struct Mount {
    root: Ino,
    /// The entry of `root`, if a file was bound.
    entry: Option<u64>,
    /// Where it is; `None` for the first.
    on: Option<Spot>,
    attached: bool,
    /// How many descriptions were opened by it.
    opens: u32,
}

/// A place, and the entry that led to it; `None` after `.`, `..` and for the root of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) entry: Option<u64>,
}

/// How an inode was reached that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) ino: Ino,
    /// `None` for a pipe.
    pub(super) mount: Option<usize>,
    /// `None` for a directory, and for a pipe.
    pub(super) entry: Option<u64>,
}

/// An entry of something else than a directory that is in use by descriptions or bind mounts.
#[derive(Debug)]
struct Held {
    id: u64,
    ino: Ino,
    count: u32,
    /// The directory that it was removed from, and its name there.
    removed: Option<(Ino, Name)>,
}

/// How far a directory was read.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) ino: Ino,
    dots: bool,
    position: u64,
    begun: bool,
    /// The last entry that can be returned, where the file system fixes that.
    horizon: u64,
}

/// An entry as a directory read returns it.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    pub(super) name: &'a [u8],
    pub(super) number: u64,
    /// `d_type`.
    pub(super) kind: u8,
}

/// All file systems, and where they are mounted.
#[derive(Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    systems: Vec<FileSystem>,
    mounts: Vec<Mount>,
    held: Vec<Held>,
    next_entry: u64,
    next_cookie: u32,
    pub(super) notices: Vec<Notice>,
    pub(super) clock: Clock,
    /// How often the result of a path may have changed, and how often that of one that does not lead
    /// to a regular file.
    version: u64,
    shape: u64,
    known_paths: RefCell<KnownPaths>,
}

pub(super) const S_IFMT: u32 = 0o170_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFIFO: u32 = 0o010_000;
pub(super) const S_IFLNK: u32 = 0o120_000;

/// The rights of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Privileged,
    Owner,
}

impl Tree {
    /// One file system, with an empty root directory.
    pub(super) fn new(kind: FsKind, clock: Clock) -> Tree {
        let mut tree = Tree {
            inodes: Vec::new(),
            systems: Vec::new(),
            mounts: Vec::new(),
            held: Vec::new(),
            next_entry: 1,
            next_cookie: 0,
            notices: Vec::new(),
            clock,
            version: 0,
            shape: 0,
            known_paths: RefCell::default(),
        };
        let system = tree.add_system(kind);
        let root = tree.systems[system].root;
        tree.systems[system].mounts = 1;
        tree.mounts.push(Mount { root, entry: None, on: None, attached: true, opens: 0 });
        tree
    }

    pub(super) fn root(&self) -> Place {
        Place { mount: 0, ino: self.mounts[0].root }
    }

    /// A new file system that is not mounted yet. Returns its number.
    pub(super) fn add_system(&mut self, kind: FsKind) -> usize {
        let fs = self.systems.len();
        let (next_number, free) = (1000, Vec::new());
        let root = self.inodes.len();
        self.systems.push(FileSystem {
            kind,
            root,
            next_number,
            free,
            opens: 0,
            mounts: 0,
            stats: 0,
        });
        self.add_inode(fs, S_IFDIR | 0o755, Node::Directory(Vec::new()), root);
        self.inodes[root].links = 1;
        fs
    }

    pub(super) fn add_inode(&mut self, fs: usize, mode: u32, node: Node, parent: Ino) -> Ino {
        let system = &mut self.systems[fs];
        let free = match system.kind.numbers() {
            Numbers::MostRecent => system.free.pop(),
            Numbers::Lowest => {
                let lowest = (0..system.free.len()).min_by_key(|at| system.free[*at]);
                lowest.map(|at| system.free.swap_remove(at))
            }
            Numbers::Never => None,
        };
        let number = free.unwrap_or_else(|| {
            system.next_number += 1;
            system.next_number
        });
        let now = self.clock.stamp();
        self.inodes.push(Inode {
            fs,
            number,
            mode,
            links: 0,
            opens: 0,
            pins: 0,
            last_name: None,
            is_gone: false,
            is_unnamed: false,
            parent,
            node,
            size: 0,
            modified: now,
            changed: now,
        });
        self.inodes.len() - 1
    }

    pub(super) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[ino]
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[ino]
    }

    /// The data of an inode have changed.
    pub(super) fn modified(&mut self, ino: Ino) {
        let now = self.clock.stamp();
        let inode = &mut self.inodes[ino];
        (inode.modified, inode.changed) = (now, now);
    }

    /// The status of an inode has changed.
    pub(super) fn changed(&mut self, ino: Ino) {
        self.inodes[ino].changed = self.clock.stamp();
    }

    /// `st_size`; 0 for a directory, whose size differs between file systems.
    pub(super) fn size(&self, ino: Ino) -> u64 {
        match &self.inodes[ino].node {
            Node::Link(target) => target.len() as u64,
            _ => self.inodes[ino].size,
        }
    }

    pub(super) fn fifo(&self, ino: Ino) -> &Fifo {
        match &self.inodes[ino].node {
            Node::Fifo(fifo) => fifo,
            other => panic!("inode {ino} is not a FIFO: {other:?}"),
        }
    }

    pub(super) fn fifo_mut(&mut self, ino: Ino) -> &mut Fifo {
        match &mut self.inodes[ino].node {
            Node::Fifo(fifo) => fifo,
            other => panic!("inode {ino} is not a FIFO: {other:?}"),
        }
    }

    pub(super) fn kind_of_system(&self, ino: Ino) -> FsKind {
        self.systems[self.inodes[ino].fs].kind
    }

    /// Device and inode number, as a stat returns them now.
    pub(super) fn identity(&mut self, ino: Ino) -> (u64, u64) {
        let (fs, number) = (self.inodes[ino].fs, self.inodes[ino].number);
        let system = &mut self.systems[fs];
        system.stats += 1;
        let shift = if system.kind == FsKind::Renumbering { system.stats << 32 } else { 0 };
        (fs as u64 + 40, number + shift)
    }

    /// The entries of a directory, in the order of their creation.
    pub fn entries(&self, ino: Ino) -> &[Entry] {
        match &self.inodes[ino].node {
            Node::Directory(entries) => entries,
            _ => &[],
        }
    }

    /// Another path leads to an inode than before, or it has other rights.
    fn path_changed(&mut self, ino: Ino) {
        self.version += 1;
        self.shape += u64::from(!self.is_file(ino));
    }

    /// How often entries, modes or mounts have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether an inode is a regular file.
    pub fn is_file(&self, ino: Ino) -> bool {
        matches!(self.inodes[ino].node, Node::File)
    }

    /// The type of an inode, as a directory read returns it.
    pub fn entry_type(&self, ino: Ino) -> u8 {
        (self.inodes[ino].mode >> 12) as u8
    }

    /// Whether an inode is a directory.
    pub fn is_directory(&self, ino: Ino) -> bool {
        matches!(self.inodes[ino].node, Node::Directory(_))
    }

    /// The permission bits of an inode.
    pub fn mode(&self, ino: Ino) -> u32 {
        self.inodes[ino].mode & 0o7777
    }

    /// The version of a file: `st_mtime`, `st_ctime`, `st_size`.
    pub fn file_version(&self, ino: Ino) -> (u64, u64, u64) {
        let Inode { modified, changed, size, .. } = self.inodes[ino];
        (modified, changed, size)
    }

    /// Whether an inode has no links. A bind mount may still lead to it.
    pub fn is_removed(&self, ino: Ino) -> bool {
        self.inodes[ino].links == 0
    }

    pub(super) fn find(&self, directory: Ino, name: &[u8]) -> Option<&Entry> {
        let hash = hash(name);
        self.entries(directory).iter().find(|entry| entry.is_called(name, hash))
    }

    fn may(&self, caller: Caller, ino: Ino, bits: u32) -> bool {
        caller == Caller::Privileged || self.inodes[ino].mode & bits == bits
    }

    /// Whether entries of a directory may be added and removed.
    fn may_change(&self, caller: Caller, directory: Ino) -> Result<(), Errno> {
        if self.may(caller, directory, 0o300) { Ok(()) } else { Err(EACCES) }
    }

    pub(super) fn may_read(&self, caller: Caller, ino: Ino) -> bool {
        self.may(caller, ino, 0o400)
    }

    pub(super) fn may_write(&self, caller: Caller, ino: Ino) -> bool {
        self.may(caller, ino, 0o200)
    }
}

/// FNV-1a. The order of an ext4 directory, and the same on every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 1
}
