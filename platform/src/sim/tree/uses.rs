//! Inodes that are in use: opened by a description, or the directory of a process.

use super::*;

impl Tree {
    /// A file without a name that belongs to a directory (`O_TMPFILE`), as a description uses it.
    pub(in crate::sim) fn make_unnamed(
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

    /// How a description uses a place.
    pub(in crate::sim) fn use_of(&self, spot: Spot) -> Use {
        let entry = spot.entry.filter(|_| !self.is_directory(spot.place.ino));
        Use { ino: spot.place.ino, mount: Some(spot.place.mount), entry }
    }

    /// A description was opened.
    pub(in crate::sim) fn hold(&mut self, by: Use) {
        self.inodes[by.ino].opens += 1;
        self.systems[self.inodes[by.ino].fs].opens += 1;
        if let Some(mount) = by.mount {
            self.mounts[mount].opens += 1;
        }
        self.hold_entry(by);
    }

    pub(super) fn hold_entry(&mut self, by: Use) {
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
    pub(in crate::sim) fn release(&mut self, by: Use) {
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

    pub(super) fn release_entry(&mut self, by: Use) {
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

    pub(super) fn unpin(&mut self, directory: Ino) {
        self.inodes[directory].pins -= 1;
        self.forget_if_unused(directory);
    }

    pub(super) fn forget_if_unused(&mut self, ino: Ino) {
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
}
