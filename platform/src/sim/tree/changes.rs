//! Changes: entries are made, linked, renamed and removed; modes change.

use super::*;

impl Tree {
    pub(super) fn entries_mut(&mut self, ino: Ino) -> &mut Vec<Entry> {
        match &mut self.inodes[ino].node {
            Node::Directory(entries) => entries,
            other => panic!("inode {ino} is not a directory: {other:?}"),
        }
    }

    pub(super) fn insert(&mut self, directory: Ino, name: &[u8], ino: Ino, id: u64) {
        self.next_entry += 1;
        let arrived = self.next_entry;
        let kind = self.kind_of_system(directory);
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
        let hash = hash(name);
        entries.push(Entry { name: name.into(), ino, id, arrived, slot, hash });
        self.path_changed(ino);
        self.modified(directory);
        self.changed(ino);
        // Where it is looked for first.
        self.inodes[ino].parent = directory;
    }

    pub(super) fn take(&mut self, directory: Ino, name: &[u8]) -> Option<Entry> {
        let hash = hash(name);
        let entries = self.entries_mut(directory);
        let at = entries.iter().position(|entry| entry.is_called(name, hash))?;
        let taken = entries.remove(at);
        self.path_changed(taken.ino);
        self.modified(directory);
        Some(taken)
    }

    /// An entry of something else than a directory was removed: its inode has one link less.
    pub(super) fn unlinked(&mut self, directory: Ino, entry: &Entry) {
        self.inodes[entry.ino].links -= 1;
        self.changed(entry.ino);
        if let Some(held) = self.held.iter_mut().find(|held| held.id == entry.id) {
            held.removed = Some((directory, entry.name.clone()));
            self.inodes[directory].pins += 1;
        } else {
            self.entry_is_gone(entry.ino);
        }
        self.forget_if_unused(entry.ino);
    }

    /// Neither a directory nor a description has the entry any more.
    pub(super) fn entry_is_gone(&mut self, ino: Ino) {
        if self.inodes[ino].links == 0 {
            self.changed_itself(ino, SelfChange::Deleted);
        }
    }

    pub(super) fn changed_itself(&mut self, ino: Ino, change: SelfChange) {
        let is_directory = self.is_directory(ino);
        self.notices.push(Notice::Itself { ino, change, is_directory });
    }

    /// Makes a directory, a FIFO, a file or a symbolic link.
    pub(in crate::sim) fn make(
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
    pub(in crate::sim) fn make_in(
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

    pub(super) fn entry_changed(
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
    pub(in crate::sim) fn link(
        &mut self,
        caller: Caller,
        start: Place,
        old: &[u8],
        new: &[u8],
    ) -> Result<(), Errno> {
        let file = self.resolve(caller, start, old, false)?;
        self.link_place(caller, start, file, new)
    }

    pub(super) fn link_place(
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
    pub(in crate::sim) fn link_open(
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
    pub(in crate::sim) fn unlink(
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
    pub(in crate::sim) fn rmdir(
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

    pub(super) fn remove_directory(&mut self, entry: &Entry) {
        let ino = entry.ino;
        self.inodes[ino].last_name = Some(entry.name.clone());
        self.path_changed(ino);
        self.inodes[ino].links = 0;
        self.changed(ino);
        self.changed_itself(ino, SelfChange::Unlinked);
        // Until it is forgotten.
        let parent = self.inodes[ino].parent;
        self.inodes[parent].pins += 1;
        self.forget_if_unused(ino);
    }

    /// rename(2).
    pub(in crate::sim) fn rename(
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

    pub(super) fn is_inside(&self, mut ino: Ino, of: Ino) -> bool {
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
    pub(in crate::sim) fn chmod(&mut self, ino: Ino, mode: u32, entry: Option<u64>) {
        self.path_changed(ino);
        let inode = &mut self.inodes[ino];
        inode.mode = inode.mode & S_IFMT | mode & 0o7777;
        self.changed(ino);
        let is_directory = self.is_directory(ino);
        let named = if is_directory {
            let parent = self.inodes[ino].parent;
            let mut entries = self.entries(parent).iter();
            let entry = entries.find(|entry| entry.ino == ino).map(|entry| entry.name.clone());
            entry.or_else(|| self.inodes[ino].last_name.clone()).map(|name| (parent, name))
        } else {
            entry.and_then(|id| self.find_by_id(ino, id))
        };
        if let Some((directory, name)) = named {
            self.entry_changed(directory, &name, EntryChange::Attributes, is_directory, 0);
        }
        self.changed_itself(ino, SelfChange::Attributes);
    }

    /// A file was written to, or closed: the entry by which it was opened is reported, and no other.
    pub(in crate::sim) fn file_changed(&mut self, by: Use, entry: EntryChange, file: SelfChange) {
        if let Some((directory, name)) = by.entry.and_then(|id| self.find_by_id(by.ino, id)) {
            self.entry_changed(directory, &name, entry, false, 0);
        }
        self.changed_itself(by.ino, file);
    }

    /// Changes the length of a regular file.
    pub(in crate::sim) fn truncate(&mut self, by: Use, size: u64) {
        self.inodes[by.ino].size = size;
        self.modified(by.ino);
    }

    /// The directory and the name of an entry: the last ones, if it was removed and is in use.
    pub(super) fn find_by_id(&self, ino: Ino, id: u64) -> Option<(Ino, Name)> {
        let held = self.held.iter().find(|held| held.id == id);
        if let Some(removed) = held.and_then(|held| held.removed.clone()) {
            return Some(removed);
        }
        let likely = self.inodes[ino].parent;
        if let Some(entry) = self.entries(likely).iter().find(|entry| entry.id == id) {
            return Some((likely, entry.name.clone()));
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
    pub(in crate::sim) fn entry_at(&self, start: Place, path: &[u8]) -> Option<&Entry> {
        let (parent, name) = self.resolve_parent(Caller::Privileged, start, path).ok()?;
        self.find(parent.ino, name)
    }
}
