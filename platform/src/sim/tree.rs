//! The file systems: inodes, directories, links, mounts. No descriptor, no process and no clock.
//!
//! Each change leaves notices, which the watches then receive.

use std::rc::Rc;

use super::fifo::Fifo;
use super::libc::{
    EACCES, EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM,
    EXDEV,
};
use super::settings::{FsKind, Numbers};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SelfChange {
    Attributes,
    Moved,
    /// The last link is gone, and no description keeps the entry alive that it was reached by.
    Deleted,
    /// A link is gone: what `EVFILT_VNODE` calls deleted.
    Unlinked,
    Unmounted,
}

/// What an inode holds.
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
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) fs: usize,
    pub(super) number: u64,
    pub(super) mode: u32,
    pub(super) links: u32,
    /// How many descriptions are open on it.
    pub(super) opens: u32,
    /// What else keeps a removed directory alive: bind mounts, and removed entries in use.
    pins: u32,
    /// The name that a directory had when it was removed.
    last_name: Option<Name>,
    /// It was removed, and nothing keeps it alive.
    is_gone: bool,
    /// A file that has no name, and may get its first one.
    is_unnamed: bool,
    pub(super) parent: Ino,
    pub(super) node: Node,
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
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: Name,
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
    /// The time that changed inodes get.
    pub(super) now: u64,
}

pub(super) const S_IFMT: u32 = 0o170_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFIFO: u32 = 0o010_000;
pub(super) const S_IFLNK: u32 = 0o120_000;

/// Who asks: what permissions are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Privileged,
    Owner,
}

impl Tree {
    /// One file system, with an empty root directory.
    pub(super) fn new(kind: FsKind) -> Tree {
        let mut tree = Tree {
            inodes: Vec::new(),
            systems: Vec::new(),
            mounts: Vec::new(),
            held: Vec::new(),
            next_entry: 1,
            next_cookie: 0,
            notices: Vec::new(),
            now: 0,
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
        let changed = self.now;
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
            changed,
        });
        self.inodes.len() - 1
    }

    pub(super) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[ino]
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[ino]
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

    /// The kind of the file system that an inode is on.
    pub fn system(&self, ino: Ino) -> FsKind {
        self.kind_of_system(ino)
    }

    pub(super) fn is_removed(&self, ino: Ino) -> bool {
        self.inodes[ino].links == 0
    }

    pub(super) fn find(&self, directory: Ino, name: &[u8]) -> Option<&Entry> {
        self.entries(directory).iter().find(|entry| *entry.name == *name)
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

    // --- paths -----------------------------------------------------------------------------

    /// The place that is on top of all mounts here.
    fn across_mounts(&self, place: Place, entry: Option<u64>) -> Spot {
        let mut spot = Spot { place, entry };
        'mounted: loop {
            for (number, mount) in self.mounts.iter().enumerate().rev() {
                let is_here = |on: Spot| {
                    // A directory has one entry, which does not change.
                    on.place == spot.place
                        && (on.entry == spot.entry || self.is_directory(on.place.ino))
                };
                if mount.attached && mount.on.is_some_and(is_here) {
                    let place = Place { mount: number, ino: mount.root };
                    spot = Spot { place, entry: mount.entry };
                    continue 'mounted;
                }
            }
            return spot;
        }
    }

    fn parent(&self, mut place: Place) -> Result<Place, Errno> {
        loop {
            let mount = &self.mounts[place.mount];
            if place.ino != mount.root {
                // A directory that was moved out of a bind mount has no parent there.
                let is_connected = self.is_inside(place.ino, mount.root);
                let parent = Place { ino: self.inodes[place.ino].parent, ..place };
                return if is_connected { Ok(parent) } else { Err(ENOENT) };
            }
            match mount.on {
                Some(on) if mount.attached => place = on.place,
                _ => return Ok(place),
            }
        }
    }

    /// The place that `path` leads to from `start`.
    pub(super) fn resolve(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
    ) -> Result<Place, Errno> {
        Ok(self.resolve_spot(caller, start, path, follow)?.place)
    }

    /// The same, with the entry that led to it.
    pub(super) fn resolve_spot(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
    ) -> Result<Spot, Errno> {
        self.walk(caller, start, path, follow, &mut 0)
    }

    /// Where open(2) with `O_CREAT` creates the file that `path` leads to: the directory and the
    /// name there, behind the symbolic links that it follows. `None` if it would create none.
    pub(super) fn resolve_absent<'p>(
        &'p self,
        caller: Caller,
        mut start: Place,
        mut path: &'p [u8],
        follow: bool,
    ) -> Result<Option<(Place, &'p [u8])>, Errno> {
        for _ in 0..=40 {
            if path.is_empty() {
                return Err(ENOENT);
            }
            let (parent, name) = self.resolve_parent(caller, start, path)?;
            if matches!(name, b"" | b"." | b"..") {
                return Ok(None);
            }
            if path.ends_with(b"/") {
                return Err(EISDIR);
            }
            match self.look_up(parent.ino, name) {
                Ok(entry) => match &self.inodes[entry.ino].node {
                    Node::Link(target) if follow => (start, path) = (parent, target),
                    _ => return Ok(None),
                },
                Err(ENOENT) if !self.is_removed(parent.ino) => return Ok(Some((parent, name))),
                Err(errno) => return Err(errno),
            }
        }
        Err(ELOOP)
    }

    fn look_up(&self, directory: Ino, name: &[u8]) -> Result<&Entry, Errno> {
        if self.is_removed(directory) {
            return Err(ENOENT);
        }
        if name.len() > 255 {
            return Err(ENAMETOOLONG);
        }
        self.find(directory, name).ok_or(ENOENT)
    }

    fn walk(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
        links: &mut u32,
    ) -> Result<Spot, Errno> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        if path.len() >= 4096 {
            return Err(ENAMETOOLONG);
        }
        let mut spot = Spot { place: start, entry: None };
        if path[0] == b'/' {
            spot = self.across_mounts(self.root(), None);
        }
        let mut components =
            path.split(|byte| *byte == b'/').filter(|it| !it.is_empty()).peekable();
        let wants_directory = path.ends_with(b"/");
        while let Some(component) = components.next() {
            let is_last = components.peek().is_none();
            let place = spot.place;
            if !self.is_directory(place.ino) {
                return Err(ENOTDIR);
            }
            if !self.may(caller, place.ino, 0o100) {
                return Err(EACCES);
            }
            match component {
                b"." => continue,
                b".." => {
                    spot = self.across_mounts(self.parent(place)?, None);
                    continue;
                }
                _ => {}
            }
            let Entry { ino: child, id, .. } = *self.look_up(place.ino, component)?;
            match &self.inodes[child].node {
                Node::Link(target) if !is_last || follow || wants_directory => {
                    *links += 1;
                    if *links > 40 {
                        return Err(ELOOP);
                    }
                    spot = self.walk(caller, place, &target.clone(), true, links)?;
                }
                _ => spot = self.across_mounts(Place { ino: child, ..place }, Some(id)),
            }
        }
        if wants_directory && !self.is_directory(spot.place.ino) {
            return Err(ENOTDIR);
        }
        Ok(spot)
    }

    /// The directory that the last component of `path` is in, and that component: of any length,
    /// `.` or `..`, or nothing if `path` is the root.
    fn resolve_parent<'p>(
        &self,
        caller: Caller,
        start: Place,
        path: &'p [u8],
    ) -> Result<(Place, &'p [u8]), Errno> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        if path.len() >= 4096 {
            return Err(ENAMETOOLONG);
        }
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = &path[..end];
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match cut {
            None => (&b"."[..], path),
            Some(0) => (&b"/"[..], &path[1..]),
            Some(cut) => (&path[..cut], &path[cut + 1..]),
        };
        let place = self.resolve(caller, start, parent, true)?;
        if !self.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        if !self.may(caller, place.ino, 0o100) {
            return Err(EACCES);
        }
        Ok((place, name))
    }

    /// The directory and the name of an entry to be made. `path` may end with a slash if a
    /// directory is made.
    fn resolve_new<'p>(
        &self,
        caller: Caller,
        start: Place,
        path: &'p [u8],
        is_directory: bool,
    ) -> Result<(Place, &'p [u8]), Errno> {
        let (parent, name) = self.resolve_parent(caller, start, path)?;
        if matches!(name, b"" | b"." | b"..") {
            return Err(EEXIST);
        }
        match self.look_up(parent.ino, name) {
            Ok(_) => Err(EEXIST),
            Err(ENOENT) if path.ends_with(b"/") && !is_directory => Err(ENOENT),
            Err(ENOENT) if !self.is_removed(parent.ino) => Ok((parent, name)),
            Err(errno) => Err(errno),
        }
    }

    fn is_mount_point(&self, entry: &Entry) -> bool {
        let is_here = |on: Spot| {
            on.place.ino == entry.ino
                && (on.entry == Some(entry.id) || self.is_directory(entry.ino))
        };
        self.mounts.iter().any(|mount| mount.attached && mount.on.is_some_and(is_here))
    }

    // --- changes ---------------------------------------------------------------------------

    fn entries_mut(&mut self, ino: Ino) -> &mut Vec<Entry> {
        match &mut self.inodes[ino].node {
            Node::Directory(entries) => entries,
            other => panic!("inode {ino} is not a directory: {other:?}"),
        }
    }

    fn insert(&mut self, directory: Ino, name: &[u8], ino: Ino, id: u64) {
        self.next_entry += 1;
        let arrived = self.next_entry;
        let (now, kind) = (self.now, self.kind_of_system(directory));
        let entries = self.entries_mut(directory);
        let slot = if kind == FsKind::Xfs {
            // The lowest free one.
            let mut taken: Vec<u64> = entries.iter().map(|entry| entry.slot).collect();
            taken.sort_unstable();
            let gap = taken.iter().zip(0..).find(|(taken, slot)| *taken != slot);
            gap.map_or(taken.len() as u64, |(_, slot)| slot)
        } else {
            0
        };
        entries.push(Entry { name: name.into(), ino, id, arrived, slot });
        self.inodes[directory].changed = now;
        self.inodes[ino].changed = now;
    }

    fn take(&mut self, directory: Ino, name: &[u8]) -> Option<Entry> {
        let entries = self.entries_mut(directory);
        let at = entries.iter().position(|entry| *entry.name == *name)?;
        Some(entries.remove(at))
    }

    /// An entry of something else than a directory was removed: its inode has one link less.
    fn unlinked(&mut self, directory: Ino, entry: &Entry) {
        let inode = &mut self.inodes[entry.ino];
        inode.links -= 1;
        inode.changed = self.now;
        if let Some(held) = self.held.iter_mut().find(|held| held.id == entry.id) {
            held.removed = Some((directory, entry.name.clone()));
            self.inodes[directory].pins += 1;
        } else {
            self.entry_is_gone(entry.ino);
        }
        self.forget_if_unused(entry.ino);
    }

    /// Neither a directory nor a description has the entry any more.
    fn entry_is_gone(&mut self, ino: Ino) {
        if self.inodes[ino].links == 0 {
            self.changed_itself(ino, SelfChange::Deleted);
        }
    }

    fn changed_itself(&mut self, ino: Ino, change: SelfChange) {
        let is_directory = self.is_directory(ino);
        self.notices.push(Notice::Itself { ino, change, is_directory });
    }

    /// Makes a directory, a FIFO, a file or a symbolic link.
    pub(super) fn make(
        &mut self,
        caller: Caller,
        start: Place,
        path: &[u8],
        mode: u32,
        node: Node,
    ) -> Result<Ino, Errno> {
        let is_directory = matches!(node, Node::Directory(_));
        let (parent, name) = self.resolve_new(caller, start, path, is_directory)?;
        self.make_in(caller, parent, name, mode, node)
    }

    /// The same, in a directory that has no such entry.
    pub(super) fn make_in(
        &mut self,
        caller: Caller,
        parent: Place,
        name: &[u8],
        mut mode: u32,
        node: Node,
    ) -> Result<Ino, Errno> {
        self.may_change(caller, parent.ino)?;
        let is_directory = matches!(node, Node::Directory(_));
        if is_directory {
            mode = mode & !0o6000 | self.inodes[parent.ino].mode & 0o2000;
        }
        let fs = self.inodes[parent.ino].fs;
        let ino = self.add_inode(fs, mode, node, parent.ino);
        self.inodes[ino].links = 1;
        self.next_entry += 1;
        let id = self.next_entry;
        self.insert(parent.ino, name, ino, id);
        self.entry_changed(parent.ino, name, EntryChange::Created, is_directory, 0);
        Ok(ino)
    }

    fn entry_changed(
        &mut self,
        directory: Ino,
        name: &[u8],
        change: EntryChange,
        is_directory: bool,
        cookie: u32,
    ) {
        let name = name.into();
        self.notices.push(Notice::Entry { directory, name, change, is_directory, cookie });
    }

    /// link(2). Symbolic links are not followed.
    pub(super) fn link(
        &mut self,
        caller: Caller,
        start: Place,
        old: &[u8],
        new: &[u8],
    ) -> Result<(), Errno> {
        let file = self.resolve(caller, start, old, false)?;
        self.link_place(caller, start, file, new)
    }

    fn link_place(
        &mut self,
        caller: Caller,
        start: Place,
        file: Place,
        new: &[u8],
    ) -> Result<(), Errno> {
        let (parent, name) = self.resolve_new(caller, start, new, false)?;
        if file.mount != parent.mount {
            return Err(EXDEV);
        }
        self.may_change(caller, parent.ino)?;
        if self.is_directory(file.ino) {
            return Err(EPERM);
        }
        if self.is_removed(file.ino) && !self.inodes[file.ino].is_unnamed {
            return Err(ENOENT);
        }
        self.inodes[file.ino].is_unnamed = false;
        self.inodes[file.ino].links += 1;
        self.next_entry += 1;
        let id = self.next_entry;
        self.insert(parent.ino, name, file.ino, id);
        self.changed_itself(file.ino, SelfChange::Attributes);
        self.entry_changed(parent.ino, name, EntryChange::Created, false, 0);
        Ok(())
    }

    /// linkat(2) with `AT_EMPTY_PATH`: gives an open file without a name (`O_TMPFILE`) its first one.
    pub(super) fn link_open(
        &mut self,
        caller: Caller,
        start: Place,
        file: Use,
        new: &[u8],
    ) -> Result<(), Errno> {
        let place = Place { mount: file.mount.unwrap_or(0), ino: file.ino };
        self.link_place(caller, start, place, new)
    }

    /// unlink(2).
    pub(super) fn unlink(
        &mut self,
        caller: Caller,
        start: Place,
        path: &[u8],
    ) -> Result<(), Errno> {
        let (parent, name) = self.resolve_parent(caller, start, path)?;
        if matches!(name, b"" | b"." | b"..") {
            return Err(EISDIR);
        }
        let entry = self.look_up(parent.ino, name)?.clone();
        let is_directory = self.is_directory(entry.ino);
        if path.ends_with(b"/") {
            return Err(if is_directory { EISDIR } else { ENOTDIR });
        }
        self.may_change(caller, parent.ino)?;
        if is_directory {
            return Err(EISDIR);
        }
        if self.is_mount_point(&entry) {
            return Err(EBUSY);
        }
        self.take(parent.ino, name);
        self.changed_itself(entry.ino, SelfChange::Attributes);
        self.unlinked(parent.ino, &entry);
        self.entry_changed(parent.ino, name, EntryChange::Removed, false, 0);
        Ok(())
    }

    /// rmdir(2). `failed_posts_delete`: as on NetBSD's FFS.
    pub(super) fn rmdir(
        &mut self,
        caller: Caller,
        start: Place,
        path: &[u8],
        failed_posts_delete: bool,
    ) -> Result<(), Errno> {
        let (parent, name) = self.resolve_parent(caller, start, path)?;
        match name {
            b"" => return Err(EBUSY),
            b"." => return Err(EINVAL),
            b".." => return Err(ENOTEMPTY),
            _ => {}
        }
        let entry = self.look_up(parent.ino, name)?.clone();
        self.may_change(caller, parent.ino)?;
        if !self.is_directory(entry.ino) {
            return Err(ENOTDIR);
        }
        if self.is_mount_point(&entry) {
            return Err(EBUSY);
        }
        if !self.entries(entry.ino).is_empty() {
            if failed_posts_delete {
                self.changed_itself(entry.ino, SelfChange::Unlinked);
            }
            return Err(ENOTEMPTY);
        }
        self.take(parent.ino, name);
        self.remove_directory(&entry);
        self.entry_changed(parent.ino, name, EntryChange::Removed, true, 0);
        Ok(())
    }

    fn remove_directory(&mut self, entry: &Entry) {
        let ino = entry.ino;
        self.inodes[ino].last_name = Some(entry.name.clone());
        self.inodes[ino].links = 0;
        self.inodes[ino].changed = self.now;
        self.changed_itself(ino, SelfChange::Unlinked);
        // Until it is forgotten.
        let parent = self.inodes[ino].parent;
        self.inodes[parent].pins += 1;
        self.forget_if_unused(ino);
    }

    /// rename(2).
    pub(super) fn rename(
        &mut self,
        caller: Caller,
        start: Place,
        old: &[u8],
        new: &[u8],
    ) -> Result<(), Errno> {
        let (from, old_name) = self.resolve_parent(caller, start, old)?;
        let (to, new_name) = self.resolve_parent(caller, start, new)?;
        if from.mount != to.mount {
            return Err(EXDEV);
        }
        let is_special = |name: &[u8]| matches!(name, b"" | b"." | b"..");
        if is_special(old_name) || is_special(new_name) {
            return Err(EBUSY);
        }
        let moved = self.look_up(from.ino, old_name)?.clone();
        let replaced = match self.look_up(to.ino, new_name) {
            Ok(entry) => Some(entry.clone()),
            Err(ENOENT) if !self.is_removed(to.ino) => None,
            Err(errno) => return Err(errno),
        };
        let is_directory = self.is_directory(moved.ino);
        if !is_directory && (old.ends_with(b"/") || new.ends_with(b"/")) {
            return Err(ENOTDIR);
        }
        if is_directory && self.is_inside(to.ino, moved.ino) {
            return Err(EINVAL);
        }
        if let Some(replaced) = &replaced {
            if self.is_directory(replaced.ino) && self.is_inside(from.ino, replaced.ino) {
                return Err(ENOTEMPTY);
            }
            if replaced.ino == moved.ino {
                return Ok(());
            }
        }
        self.may_change(caller, from.ino)?;
        self.may_change(caller, to.ino)?;
        match replaced.as_ref().map(|replaced| self.is_directory(replaced.ino)) {
            Some(false) if is_directory => return Err(ENOTDIR),
            Some(true) if !is_directory => return Err(EISDIR),
            _ => {}
        }
        if is_directory && from.ino != to.ino && !self.may_write(caller, moved.ino) {
            return Err(EACCES);
        }
        if [Some(&moved), replaced.as_ref()].into_iter().flatten().any(|it| self.is_mount_point(it))
        {
            return Err(EBUSY);
        }
        if replaced.as_ref().is_some_and(|replaced| !self.entries(replaced.ino).is_empty()) {
            // POSIX leaves the choice between the two.
            let is_xfs = self.kind_of_system(to.ino) == FsKind::Xfs;
            return Err(if is_xfs { EEXIST } else { ENOTEMPTY });
        }
        self.take(from.ino, old_name);
        self.take(to.ino, new_name);
        self.insert(to.ino, new_name, moved.ino, moved.id);
        if is_directory {
            self.inodes[moved.ino].parent = to.ino;
        }
        self.next_cookie += 1;
        let cookie = self.next_cookie;
        self.entry_changed(from.ino, old_name, EntryChange::MovedFrom, is_directory, cookie);
        self.entry_changed(to.ino, new_name, EntryChange::MovedTo, is_directory, cookie);
        if let Some(replaced) = &replaced {
            self.changed_itself(replaced.ino, SelfChange::Attributes);
        }
        self.changed_itself(moved.ino, SelfChange::Moved);
        match replaced {
            Some(replaced) if is_directory => self.remove_directory(&replaced),
            Some(replaced) => self.unlinked(to.ino, &replaced),
            None => {}
        }
        Ok(())
    }

    fn is_inside(&self, mut ino: Ino, of: Ino) -> bool {
        loop {
            if ino == of {
                return true;
            }
            let parent = self.inodes[ino].parent;
            if parent == ino {
                return false;
            }
            ino = parent;
        }
    }

    /// chmod(2) of an inode that was reached as `entry`. A directory has only one.
    pub(super) fn chmod(&mut self, ino: Ino, mode: u32, entry: Option<u64>) {
        let inode = &mut self.inodes[ino];
        inode.mode = inode.mode & S_IFMT | mode & 0o7777;
        inode.changed = self.now;
        let is_directory = self.is_directory(ino);
        let named = if is_directory {
            let parent = self.inodes[ino].parent;
            let mut entries = self.entries(parent).iter();
            let entry = entries.find(|entry| entry.ino == ino).map(|entry| entry.name.clone());
            entry.or_else(|| self.inodes[ino].last_name.clone()).map(|name| (parent, name))
        } else {
            entry.and_then(|id| self.find_by_id(id))
        };
        if let Some((directory, name)) = named {
            self.entry_changed(directory, &name, EntryChange::Attributes, is_directory, 0);
        }
        self.changed_itself(ino, SelfChange::Attributes);
    }

    /// The directory and the name of an entry: the last ones, if it was removed and is in use.
    fn find_by_id(&self, id: u64) -> Option<(Ino, Name)> {
        let held = self.held.iter().find(|held| held.id == id);
        if let Some(removed) = held.and_then(|held| held.removed.clone()) {
            return Some(removed);
        }
        self.inodes.iter().enumerate().find_map(|(directory, inode)| match &inode.node {
            Node::Directory(entries) => {
                let entry = entries.iter().find(|entry| entry.id == id)?;
                Some((directory, entry.name.clone()))
            }
            _ => None,
        })
    }

    /// The entry that `path` names.
    pub(super) fn entry_at(&self, start: Place, path: &[u8]) -> Option<&Entry> {
        let (parent, name) = self.resolve_parent(Caller::Privileged, start, path).ok()?;
        self.find(parent.ino, name)
    }

    // --- use -------------------------------------------------------------------------------

    /// A file without a name that belongs to a directory (`O_TMPFILE`), as a description uses it.
    pub(super) fn make_unnamed(
        &mut self,
        caller: Caller,
        directory: Place,
        mode: u32,
    ) -> Result<Use, Errno> {
        self.may_change(caller, directory.ino)?;
        let fs = self.inodes[directory.ino].fs;
        let ino = self.add_inode(fs, mode, Node::File, directory.ino);
        self.inodes[ino].is_unnamed = true;
        self.next_entry += 1;
        Ok(Use { ino, mount: Some(directory.mount), entry: Some(self.next_entry) })
    }

    /// How a description uses what was found.
    pub(super) fn use_of(&self, spot: Spot) -> Use {
        let entry = spot.entry.filter(|_| !self.is_directory(spot.place.ino));
        Use { ino: spot.place.ino, mount: Some(spot.place.mount), entry }
    }

    /// A description was opened.
    pub(super) fn hold(&mut self, by: Use) {
        self.inodes[by.ino].opens += 1;
        self.systems[self.inodes[by.ino].fs].opens += 1;
        if let Some(mount) = by.mount {
            self.mounts[mount].opens += 1;
        }
        self.hold_entry(by);
    }

    fn hold_entry(&mut self, by: Use) {
        let Some(id) = by.entry else { return };
        if let Some(held) = self.held.iter_mut().find(|held| held.id == id) {
            held.count += 1;
            return;
        }
        // Until it gets a name, a file belongs to its directory as if it had been removed from it.
        let Inode { is_unnamed, parent, .. } = self.inodes[by.ino];
        let removed = is_unnamed.then(|| (parent, b"#"[..].into()));
        self.inodes[parent].pins += u32::from(is_unnamed);
        self.held.push(Held { id, ino: by.ino, count: 1, removed });
    }

    /// A description was closed.
    pub(super) fn release(&mut self, by: Use) {
        let fs = self.inodes[by.ino].fs;
        self.inodes[by.ino].opens -= 1;
        self.systems[fs].opens -= 1;
        self.release_entry(by);
        self.forget_if_unused(by.ino);
        if let Some(mount) = by.mount {
            self.mounts[mount].opens -= 1;
            self.end_if_unused(mount);
        }
        self.shut_down_if_unused(fs);
    }

    fn release_entry(&mut self, by: Use) {
        let Some(at) = self.held.iter().position(|held| Some(held.id) == by.entry) else { return };
        self.held[at].count -= 1;
        if self.held[at].count > 0 {
            return;
        }
        let held = self.held.swap_remove(at);
        if let Some((directory, _)) = held.removed {
            self.entry_is_gone(held.ino);
            self.unpin(directory);
        }
    }

    fn unpin(&mut self, directory: Ino) {
        self.inodes[directory].pins -= 1;
        self.forget_if_unused(directory);
    }

    fn forget_if_unused(&mut self, ino: Ino) {
        let is_directory = self.is_directory(ino);
        let inode = &mut self.inodes[ino];
        if inode.links > 0 || inode.opens > 0 || inode.pins > 0 || inode.is_gone {
            return;
        }
        inode.is_gone = true;
        let (fs, number, parent) = (inode.fs, inode.number, inode.parent);
        self.systems[fs].free.push(number);
        if is_directory {
            self.changed_itself(ino, SelfChange::Deleted);
            self.unpin(parent);
        }
    }

    // --- mounts ----------------------------------------------------------------------------

    /// mount(2) of a file system on a directory.
    pub(super) fn mount(
        &mut self,
        caller: Caller,
        start: Place,
        fs: usize,
        path: &[u8],
    ) -> Result<(), Errno> {
        let on = self.resolve_spot(caller, start, path, true)?;
        let root = Use { ino: self.systems[fs].root, mount: None, entry: None };
        self.mount_on(root, on)
    }

    /// mount(2) with `MS_BIND`.
    pub(super) fn bind(
        &mut self,
        caller: Caller,
        start: Place,
        old: &[u8],
        path: &[u8],
    ) -> Result<(), Errno> {
        if old.len() >= 4096 {
            return Err(EINVAL);
        }
        let on = self.resolve_spot(caller, start, path, true)?;
        if old.is_empty() {
            return Err(EINVAL);
        }
        let old = self.use_of(self.resolve_spot(caller, start, old, true)?);
        if self.was_removed(old) {
            return Err(ENOENT);
        }
        self.mount_on(old, on)
    }

    /// Whether what was found is the root of a mount, and its entry was removed elsewhere.
    fn was_removed(&self, it: Use) -> bool {
        let removed = |held: &Held| Some(held.id) == it.entry && held.removed.is_some();
        self.is_removed(it.ino) || self.held.iter().any(removed)
    }

    fn mount_on(&mut self, root: Use, on: Spot) -> Result<(), Errno> {
        if self.was_removed(self.use_of(on)) {
            return Err(ENOENT);
        }
        if self.is_directory(root.ino) != self.is_directory(on.place.ino) {
            return Err(ENOTDIR);
        }
        self.systems[self.inodes[root.ino].fs].mounts += 1;
        self.inodes[root.ino].pins += 1;
        self.hold_entry(root);
        let Use { ino, entry, .. } = root;
        self.mounts.push(Mount { root: ino, entry, on: Some(on), attached: true, opens: 0 });
        Ok(())
    }

    /// umount2(2).
    pub(super) fn unmount(
        &mut self,
        caller: Caller,
        start: Place,
        path: &[u8],
        lazy: bool,
    ) -> Result<(), Errno> {
        let place = self.resolve(caller, start, path, true)?;
        let mount = &self.mounts[place.mount];
        if mount.root != place.ino || mount.on.is_none() {
            return Err(EINVAL);
        }
        let mut children = self.mounts.iter();
        let is_child =
            |it: &Mount| it.attached && it.on.is_some_and(|on| on.place.mount == place.mount);
        if !lazy && (mount.opens > 0 || children.any(is_child)) {
            return Err(EBUSY);
        }
        self.detach(place.mount);
        Ok(())
    }

    fn detach(&mut self, number: usize) {
        let children: Vec<_> = (0..self.mounts.len())
            .filter(|it| {
                self.mounts[*it].attached
                    && self.mounts[*it].on.is_some_and(|on| on.place.mount == number)
            })
            .collect();
        children.into_iter().for_each(|child| self.detach(child));
        self.mounts[number].attached = false;
        let fs = self.inodes[self.mounts[number].root].fs;
        self.systems[fs].mounts -= 1;
        self.end_if_unused(number);
        self.shut_down_if_unused(fs);
    }

    /// A mount that is detached and not used any more gives up its root.
    fn end_if_unused(&mut self, number: usize) {
        let Mount { root: ino, entry, attached, opens, .. } = self.mounts[number];
        if attached || opens > 0 {
            return;
        }
        self.release_entry(Use { ino, mount: None, entry });
        self.unpin(ino);
    }

    fn shut_down_if_unused(&mut self, fs: usize) {
        let system = &self.systems[fs];
        if system.mounts > 0 || system.opens > 0 {
            return;
        }
        for ino in 0..self.inodes.len() {
            if self.inodes[ino].fs == fs && self.inodes[ino].links > 0 {
                self.changed_itself(ino, SelfChange::Unmounted);
            }
        }
    }

    // --- reading a directory ---------------------------------------------------------------

    /// A cursor before the first entry.
    pub(super) fn open_directory(&self, ino: Ino) -> Cursor {
        let horizon = self.next_entry;
        Cursor { ino, dots: false, position: 0, begun: false, horizon }
    }

    /// The next entries, at most `room`, for which `fits` says so.
    pub(super) fn read_directory(
        &mut self,
        cursor: &mut Cursor,
        room: usize,
        mut fits: impl FnMut(&Listed) -> bool,
    ) -> Result<usize, Errno> {
        if self.is_removed(cursor.ino) {
            return Err(ENOENT);
        }
        let kind = self.kind_of_system(cursor.ino);
        if !cursor.begun && kind != FsKind::Btrfs {
            cursor.horizon = self.next_entry;
        }
        cursor.begun = true;
        let mut count = 0;
        if !cursor.dots {
            for name in [&b"."[..], b".."] {
                let number = self.inodes[cursor.ino].number;
                count += usize::from(fits(&Listed { name: name.into(), number, kind: 4 }));
            }
            cursor.dots = true;
        }
        let Node::Directory(entries) = &self.inodes[cursor.ino].node else {
            return Err(ENOTDIR);
        };
        let is_new = |entry: &Entry| entry.arrived > cursor.horizon;
        let key = |(at, entry): (usize, &Entry)| -> Option<u64> {
            match kind {
                FsKind::Ext4 => Some(hash(&entry.name) | 1),
                FsKind::Xfs => (!is_new(entry) || hash(&entry.name).is_multiple_of(64))
                    .then_some(entry.slot + 1),
                FsKind::Btrfs => (!is_new(entry)).then_some(entry.arrived),
                FsKind::Tmpfs => (!is_new(entry)).then_some(u64::MAX - entry.arrived),
                FsKind::Unknown | FsKind::Renumbering => Some(entry.arrived),
                FsKind::Remote => Some(at as u64 + 1),
            }
        };
        let ahead = |pair: (usize, &Entry)| key(pair).filter(|key| *key > cursor.position);
        let mut found: Vec<(u64, usize)> = entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| Some((ahead((at, entry))?, at)))
            .collect();
        found.sort_unstable();
        let mut position = cursor.position;
        for (key, at) in found.into_iter().take(room) {
            let entry = &entries[at];
            let inode = &self.inodes[entry.ino];
            let known = !matches!(kind, FsKind::Unknown | FsKind::Renumbering);
            let listed = Listed {
                name: entry.name.clone(),
                number: inode.number,
                kind: if known { (inode.mode >> 12) as u8 } else { 0 },
            };
            if !fits(&listed) {
                break;
            }
            (position, count) = (key, count + 1);
        }
        cursor.position = position;
        Ok(count)
    }
}

/// FNV-1a. The order of an ext4 directory, and the same on every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 1
}
