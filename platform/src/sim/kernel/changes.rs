//! Changes to the tree, most of them by other processes than the queue's.

use super::*;

impl Kernel {
    /// mkdir(2).
    pub fn mkdir(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFDIR | mode & 0o7777, Node::Directory(Vec::new()))
    }

    /// mkfifo(3).
    pub fn mkfifo(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFIFO | mode & 0o7777, Node::Fifo(Fifo::default()))
    }

    /// symlink(2).
    pub fn symlink(&mut self, target: &[u8], path: &[u8]) -> Outcome<()> {
        if target.is_empty() {
            return Err(ENOENT);
        }
        self.make(path, S_IFLNK | 0o777, Node::Link(target.into()))
    }

    /// open(2) with `O_CREAT | O_EXCL`, and close(2).
    pub fn create(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFREG | mode, Node::File)?;
        if self.noticed & IN_CLOSE_WRITE != 0 {
            let spot = self.tree.resolve_spot(self.caller(), self.here(), path, false)?;
            self.report_file(self.tree.use_of(spot), IN_CLOSE_WRITE);
        }
        Ok(())
    }

    /// A file was written to, or closed by one that could write: `IN_MODIFY` or `IN_CLOSE_WRITE`.
    pub(super) fn report_file(&mut self, by: Use, event: u32) {
        if self.noticed & event == 0 {
            return;
        }
        let (entry, file) = match event {
            IN_MODIFY => (EntryChange::Modified, SelfChange::Modified),
            _ => (EntryChange::Closed, SelfChange::Closed),
        };
        // The watch of the FIFO itself does.
        let is_silent = event == IN_MODIFY
            && !self.settings.writes_to_fifos_are_reported
            && !self.tree.is_file(by.ino);
        let by = Use { entry: by.entry.filter(|_| !is_silent), ..by };
        self.tree.file_changed(by, entry, file);
        self.deliver();
    }

    /// ftruncate(2).
    pub fn ftruncate(&mut self, fd: c_int, size: i64) -> Outcome<()> {
        let size = u64::try_from(size).map_err(|_| EINVAL)?;
        let number = self.description_of(fd)?;
        let Description { flags, by, kind, .. } = self.description(number);
        let (Kind::File { .. }, Some(by), (_, true)) = (kind, *by, ends(*flags)) else {
            return Err(EINVAL);
        };
        self.tree.truncate(by, size);
        self.report_file(by, IN_MODIFY);
        Ok(())
    }

    pub(super) fn make(&mut self, path: &[u8], mode: u32, node: Node) -> Outcome<()> {
        let made = self.tree.make(self.caller(), self.here(), path, mode, node).map(drop);
        self.deliver();
        made
    }

    /// link(2).
    pub fn link(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        let linked = self.tree.link(self.caller(), self.here(), old, new);
        self.deliver();
        linked
    }

    /// unlink(2).
    pub fn unlink(&mut self, path: &[u8]) -> Outcome<()> {
        let unlinked = self.tree.unlink(self.caller(), self.here(), path);
        self.deliver();
        unlinked
    }

    /// rmdir(2).
    pub fn rmdir(&mut self, path: &[u8]) -> Outcome<()> {
        let posts = self.settings.failed_rmdir_posts_delete;
        let removed = self.tree.rmdir(self.caller(), self.here(), path, posts);
        self.deliver();
        removed
    }

    /// rename(2).
    pub fn rename(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        let renamed = self.tree.rename(self.caller(), self.here(), old, new);
        self.deliver();
        renamed
    }

    /// chmod(2).
    pub fn chmod(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        let spot = self.tree.resolve_spot(self.caller(), self.here(), path, true)?;
        self.tree.chmod(spot.place.ino, mode, spot.entry);
        self.deliver();
        Ok(())
    }

    /// fchmod(2). Only the entry by which the file was opened is reported, not its other names.
    pub fn fchmod(&mut self, fd: c_int, mode: u32) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let by = self.description(number).by.ok_or(EINVAL)?;
        self.tree.chmod(by.ino, mode, by.entry);
        self.deliver();
        Ok(())
    }

    /// A new file system, not mounted yet.
    pub fn add_system(&mut self, kind: FsKind) -> usize {
        self.tree.add_system(kind)
    }

    /// mount(2) of a file system.
    pub fn mount(&mut self, system: usize, path: &[u8]) -> Outcome<()> {
        self.tree.mount(self.caller(), self.here(), system, path)
    }

    /// mount(2) with `MS_BIND`.
    pub fn bind(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        self.tree.bind(self.caller(), self.here(), old, new)
    }

    /// umount2(2), with `MNT_DETACH` if `lazy`.
    pub fn unmount(&mut self, path: &[u8], lazy: bool) -> Outcome<()> {
        let unmounted = self.tree.unmount(self.caller(), self.here(), path, lazy);
        self.deliver();
        unmounted
    }

    /// chdir(2) of a process.
    pub fn chdir(&mut self, process: usize, path: &[u8]) -> Outcome<()> {
        let from = self.processes[process].directory;
        let place = self.tree.resolve(Caller::Privileged, from, path, true)?;
        self.processes[process].directory = place;
        Ok(())
    }

    /// getcwd(3) of the current process.
    pub fn current_directory(&self) -> Outcome<Vec<u8>> {
        self.tree.path_of(self.here())
    }

    /// The number of the entry that a path names, from the current process's directory.
    pub fn entry(&self, path: &[u8]) -> Option<u64> {
        self.tree.entry_at(self.here(), path).map(|entry| entry.id)
    }

    /// The inode that a path leads to, as a privileged process finds it.
    pub fn find(&self, path: &[u8]) -> Outcome<Ino> {
        let place = self.tree.resolve(Caller::Privileged, self.tree.root(), path, true)?;
        Ok(place.ino)
    }
}
