//! Mounts: over, bind, unmount, and the end of a file system.

use super::*;

impl Tree {
    /// mount(2) of a file system on a directory.
    pub(in crate::sim) fn mount(
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
    pub(in crate::sim) fn bind(
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

    /// Whether a place is the root of a mount, and its entry was removed elsewhere.
    pub(super) fn was_removed(&self, it: Use) -> bool {
        let removed = |held: &Held| Some(held.id) == it.entry && held.removed.is_some();
        self.is_removed(it.ino) || self.held.iter().any(removed)
    }

    pub(super) fn mount_on(&mut self, root: Use, on: Spot) -> Result<(), Errno> {
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
        self.path_changed(ino);
        self.mounts.push(Mount { root: ino, entry, on: Some(on), attached: true, opens: 0 });
        Ok(())
    }

    /// umount2(2).
    pub(in crate::sim) fn unmount(
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

    pub(super) fn detach(&mut self, number: usize) {
        let children: Vec<_> = (0..self.mounts.len())
            .filter(|it| {
                self.mounts[*it].attached
                    && self.mounts[*it].on.is_some_and(|on| on.place.mount == number)
            })
            .collect();
        children.into_iter().for_each(|child| self.detach(child));
        self.path_changed(self.mounts[number].root);
        self.mounts[number].attached = false;
        let fs = self.inodes[self.mounts[number].root].fs;
        self.systems[fs].mounts -= 1;
        self.end_if_unused(number);
        self.shut_down_if_unused(fs);
    }

    /// A mount that is detached and not used any more gives up its root.
    pub(super) fn end_if_unused(&mut self, number: usize) {
        let Mount { root: ino, entry, attached, opens, .. } = self.mounts[number];
        if attached || opens > 0 {
            return;
        }
        self.release_entry(Use { ino, mount: None, entry });
        self.unpin(ino);
    }

    pub(super) fn shut_down_if_unused(&mut self, fs: usize) {
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
}
