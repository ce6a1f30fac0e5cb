//! Calls on files: open, read, write, pipes, status, directory reads.

use super::*;

impl Kernel {
    /// open(2).
    pub fn open(&mut self, path: &[u8], flags: c_int, mode: u32) -> Outcome<c_int> {
        let creates = flags & O_CREAT != 0;
        let exclusive = creates && flags & O_EXCL != 0;
        let follow = flags & O_NOFOLLOW == 0 && !exclusive;
        if creates && flags & O_DIRECTORY != 0 {
            return Err(EINVAL);
        }
        self.prepare_open(path)?;
        if let Some(open) = path.strip_prefix(b"/proc/self/fd/").filter(|_| self.settings.proc) {
            let open = std::str::from_utf8(open).ok().and_then(|number| number.parse().ok());
            return self.open_again(open.ok_or(ENOENT)?, flags);
        }
        let mut created = false;
        if creates {
            let absent = self.tree.resolve_absent(self.caller(), self.here(), path, follow)?;
            if let Some((parent, name)) = absent {
                let (name, mode) = (name.to_vec(), S_IFREG | mode & 0o7777);
                self.tree.make_in(self.caller(), parent, &name, mode, Node::File)?;
                created = true;
                self.deliver();
            }
        }
        let spot = self.tree.resolve_spot(self.caller(), self.here(), path, follow)?;
        if exclusive && !created {
            return Err(EEXIST);
        }
        // A file that was just created is opened in spite of its mode.
        let caller = if created { Caller::Privileged } else { self.caller() };
        let inode = self.tree.inode(spot.place.ino);
        if inode.mode & crate::sim::tree::S_IFMT == S_IFLNK {
            return Err(if flags & O_DIRECTORY != 0 { ENOTDIR } else { ELOOP });
        }
        self.open_file(self.tree.use_of(spot), caller, flags, created)
    }

    /// Opens a file that was found.
    fn open_file(
        &mut self,
        by: Use,
        caller: Caller,
        flags: c_int,
        created: bool,
    ) -> Outcome<c_int> {
        let ino = by.ino;
        let (read, write) = ends(flags);
        let truncates = flags & O_TRUNC != 0 && !created;
        let is_directory = self.tree.is_directory(ino);
        if flags & O_DIRECTORY != 0 && !is_directory {
            return Err(ENOTDIR);
        }
        if is_directory && (write || truncates || flags & O_CREAT != 0) {
            return Err(EISDIR);
        }
        if read && !self.tree.may_read(caller, ino)
            || (write || truncates) && !self.tree.may_write(caller, ino)
        {
            return Err(EACCES);
        }
        let kind = match &self.tree.inode(ino).node {
            Node::Directory(_) => Kind::Directory(self.tree.open_directory(ino)),
            Node::Fifo(fifo) => {
                let has_name = by.mount.is_some();
                let alone = read && fifo.writers == 0 && has_name;
                let without_writer = alone.then_some(fifo.writer_opens);
                if flags & O_NONBLOCK == 0 && !write && fifo.writers == 0 && self.current == QUEUE {
                    panic!("open of a FIFO blocks for ever");
                }
                if write && !read && fifo.readers == 0 && has_name {
                    return Err(ENXIO);
                }
                Kind::Fifo { ino, without_writer }
            }
            Node::File => Kind::File { ino, position: 0 },
            Node::Link(_) => return Err(ETXTBSY),
        };
        if is_directory && self.current == QUEUE {
            self.opened.push(ino);
        }
        let is_fifo = matches!(kind, Kind::Fifo { .. });
        let is_file = matches!(kind, Kind::File { .. });
        let fd = self.install(kind, flags, Some(by))?;
        if is_file && truncates {
            self.tree.truncate(by, 0);
            self.report_file(by, IN_MODIFY);
        }
        if is_fifo {
            self.open_fifo(ino, flags);
            if flags & O_DIRECT != 0 && self.settings.pipes == Pipes::Linux {
                // Found only then: those that wait were woken.
                self.close(fd)?;
                return Err(EINVAL);
            }
        }
        Ok(fd)
    }

    /// open(2) of `/proc/self/fd/N`: its open file is opened once more.
    fn open_again(&mut self, open: c_int, flags: c_int) -> Outcome<c_int> {
        let table = &self.processes[self.current].table;
        let found = usize::try_from(open).ok().and_then(|fd| table.get(fd).copied().flatten());
        let (number, _) = found.ok_or(ENOENT)?;
        if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
            return Err(EEXIST);
        }
        if flags & O_NOFOLLOW != 0 {
            return Err(if flags & O_DIRECTORY != 0 { ENOTDIR } else { ELOOP });
        }
        match self.description(number).by {
            Some(by) => self.open_file(by, self.caller(), flags, false),
            None if flags & O_DIRECTORY != 0 => Err(ENOTDIR),
            None => Err(ENXIO),
        }
    }

    /// The error of an open that does not depend on the file at the path.
    pub(super) fn prepare_open(&self, path: &[u8]) -> Outcome<()> {
        match path.len() {
            0 => Err(ENOENT),
            1..4096 => self.free_descriptor(0).map(drop),
            _ => Err(ENAMETOOLONG),
        }
    }

    /// open(2) with `O_TMPFILE`: a file without a name in a directory.
    pub fn open_unnamed(&mut self, directory: &[u8], mode: u32) -> Outcome<c_int> {
        self.prepare_open(directory)?;
        let place = self.tree.resolve(self.caller(), self.here(), directory, true)?;
        if !self.tree.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        let by = self.tree.make_unnamed(self.caller(), place, S_IFREG | mode & 0o7777)?;
        self.install(Kind::File { ino: by.ino, position: 0 }, O_RDWR, Some(by))
    }

    /// linkat(2) of an open file, with `AT_EMPTY_PATH`.
    pub fn link_open(&mut self, fd: c_int, path: &[u8]) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let by = self.description(number).by.ok_or(ENOENT)?;
        let linked = self.tree.link_open(self.caller(), self.here(), by, path);
        self.deliver();
        linked
    }

    pub(super) fn open_fifo(&mut self, ino: Ino, flags: c_int) {
        let (read, write) = ends(flags);
        let fifo = self.tree.fifo_mut(ino);
        fifo.readers += u32::from(read);
        fifo.writers += u32::from(write);
        let first = write && fifo.writers == 1 || read && fifo.readers == 1;
        if write {
            fifo.writer_opens += 1;
            fifo.end_was_read = false;
        }
        if first {
            self.wake_fifo(ino, End::Read, 0);
            if self.settings.pipes != Pipes::Linux {
                self.wake_fifo(ino, End::Write, 0);
            }
        }
    }

    pub(super) fn close_fifo(&mut self, ino: Ino, flags: c_int) {
        let (read, write) = ends(flags);
        let fifo = self.tree.fifo_mut(ino);
        fifo.readers -= u32::from(read);
        fifo.writers -= u32::from(write);
        let one_sided = (fifo.writers == 0) != (fifo.readers == 0);
        fifo.discard_if_closed();
        if one_sided {
            self.wake_fifo(ino, End::Read, 0);
            self.wake_fifo(ino, End::Write, 0);
        }
    }

    /// Wakes all that wait for one end of a FIFO. `key` has the events that it is for, or is 0 for
    /// all.
    pub(super) fn wake_fifo(&mut self, ino: Ino, end: End, key: c_int) {
        let is_end = |it: &Description| {
            let (read, write) = ends(it.flags);
            let is_that_end = if end == End::Read { read } else { write };
            is_that_end && matches!(it.kind, Kind::Fifo { ino: its, .. } if its == ino)
        };
        #[cfg(pullcord_sim = "bsd")]
        for number in 0..self.descriptions.len() {
            if self.descriptions[number].as_ref().is_some_and(is_end) {
                self.wake_kqueues(number);
            }
        }
        self.wake_pollers(&|kernel, number| is_end(kernel.description(number)), key);
    }

    /// Wakes all that wait for a description, and in turn those that wait for a waiting epoll or kqueue.
    /// `key` has the events that it is for, or is 0 for all.
    pub(super) fn wake(&mut self, number: usize, key: c_int) {
        #[cfg(pullcord_sim = "bsd")]
        self.wake_kqueues(number);
        self.wake_pollers(&|_, source| source == number, key);
    }

    /// Calls the epoll instances that wait for these sources: the latest registration first.
    pub(super) fn wake_pollers(&mut self, is_source: &dyn Fn(&Kernel, usize) -> bool, key: c_int) {
        let mut before = u64::MAX;
        loop {
            let mut latest: Option<(usize, u64)> = None;
            for (number, description) in self.descriptions.iter().enumerate() {
                let Some(Kind::Epoll(epoll)) = description.as_ref().map(|it| &it.kind) else {
                    continue;
                };
                for registration in epoll.registrations() {
                    let order = registration.order;
                    if order < before
                        && latest.is_none_or(|(_, latest)| order > latest)
                        && is_source(self, registration.description)
                    {
                        latest = Some((number, order));
                    }
                }
            }
            let Some((number, order)) = latest else { return };
            before = order;
            let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return };
            if epoll.wake(order, key as u32) {
                self.wake_pollers(&|_, source| source == number, EPOLLIN);
            }
        }
    }

    /// read(2) from a FIFO, a pipe or a file. Returns how many bytes there were.
    pub fn read(&mut self, fd: c_int, room: usize) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let description = self.description(number);
        let flags = description.flags;
        match description.kind {
            Kind::Fifo { .. } if !ends(flags).0 => Err(EBADF),
            Kind::Fifo { ino, without_writer } => {
                let pipes = self.settings.pipes;
                let fifo = self.tree.fifo_mut(ino);
                let was_full = fifo.is_full(pipes);
                let count = fifo.read(room);
                let never = without_writer == Some(fifo.writer_opens);
                if count == 0 && room > 0 && (fifo.writers > 0 || never && pipes == Pipes::FreeBsd)
                {
                    if flags & O_NONBLOCK == 0 && self.current == QUEUE {
                        panic!("a read blocks for ever");
                    }
                    return Err(EAGAIN);
                }
                fifo.end_was_read |= count == 0;
                if was_full && !fifo.is_full(pipes) {
                    self.wake_fifo(ino, End::Write, EPOLLOUT);
                }
                Ok(count)
            }
            Kind::Directory(_) => Err(EISDIR),
            Kind::File { .. } if !ends(flags).0 => Err(EBADF),
            Kind::File { ino, position } => {
                let left = self.tree.inode(ino).size.saturating_sub(position);
                let count = left.min(room as u64);
                let position = position + count;
                self.description_mut(number).kind = Kind::File { ino, position };
                Ok(count as usize)
            }
            _ => Err(EINVAL),
        }
    }

    /// write(2) to a FIFO, a pipe or a file. Returns how many bytes were written.
    pub fn write(&mut self, fd: c_int, count: usize) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let description = self.description(number);
        let (flags, by) = (description.flags, description.by);
        match description.kind {
            _ if flags & O_ACCMODE == O_RDONLY => Err(EBADF),
            Kind::Fifo { ino, .. } => {
                let packet = flags & O_DIRECT != 0 && self.settings.pipes == Pipes::Linux;
                let fifo = self.tree.fifo_mut(ino);
                let was_empty = fifo.is_empty();
                let written = fifo.write(count, packet, self.settings.pipes);
                // Linux wakes the readers even if nothing was written.
                let wakes = match written {
                    Ok(0) => false,
                    Ok(_) => was_empty || self.settings.edge_at_each_write,
                    Err(_) => {
                        self.settings.pipes == Pipes::Linux && self.settings.edge_at_each_write
                    }
                };
                if wakes {
                    self.wake_fifo(ino, End::Read, EPOLLIN);
                }
                // A pipe without a name has no entry.
                if let (Ok(1..), Some(by @ Use { entry: Some(_), .. })) = (&written, by) {
                    self.tree.modified(ino);
                    self.report_file(by, IN_MODIFY);
                }
                match written {
                    Ok(count) => Ok(count),
                    Err(WriteError::NoReader) => Err(EPIPE),
                    Err(WriteError::Full) => Err(EAGAIN),
                }
            }
            Kind::File { .. } if count == 0 => Ok(0),
            Kind::File { ino, position } => {
                let size = self.tree.inode(ino).size;
                let begin = if flags & O_APPEND != 0 { size } else { position };
                let position = begin + count as u64;
                self.description_mut(number).kind = Kind::File { ino, position };
                self.tree.inode_mut(ino).size = size.max(position);
                self.tree.modified(ino);
                self.report_file(by.expect("a file was reached by something"), IN_MODIFY);
                Ok(count)
            }
            _ => Err(EINVAL),
        }
    }

    /// pipe2(2).
    pub fn pipe(&mut self, flags: c_int) -> Outcome<[c_int; 2]> {
        let root = self.tree.root().ino;
        let fs = self.tree.inode(root).fs;
        let ino = self.tree.add_inode(fs, S_IFIFO | 0o600, Node::Fifo(Fifo::default()), root);
        self.tree.inode_mut(ino).links = 1;
        let end = |kernel: &mut Kernel, flags| {
            let kind = Kind::Fifo { ino, without_writer: None };
            let by = Use { ino, mount: None, entry: None };
            let fd = kernel.install(kind, flags, Some(by))?;
            kernel.open_fifo(ino, flags);
            Ok(fd)
        };
        let reader = end(self, O_RDONLY | flags & (O_NONBLOCK | O_CLOEXEC))?;
        match end(self, O_WRONLY | flags & (O_NONBLOCK | O_CLOEXEC | O_DIRECT)) {
            Ok(writer) => Ok([reader, writer]),
            Err(errno) => {
                self.close(reader)?;
                Err(errno)
            }
        }
    }

    /// The next entries of an open directory, one call of getdents64(2).
    pub(in crate::sim) fn read_directory(
        &mut self,
        fd: c_int,
        fits: impl FnMut(&Listed) -> bool,
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let Kind::Directory(cursor) = &self.description(number).kind else { return Err(ENOTDIR) };
        let mut cursor = cursor.clone();
        let count = self.tree.read_directory(&mut cursor, self.settings.batch, fits)?;
        self.description_mut(number).kind = Kind::Directory(cursor);
        self.advance(count as u64 * self.settings.cost_of_entry);
        Ok(count)
    }

    /// The inode and mode behind a descriptor.
    pub(in crate::sim) fn fstat(&mut self, fd: c_int) -> Outcome<Stat> {
        let number = self.description_of(fd)?;
        let ino = match &self.description(number).kind {
            Kind::Directory(cursor) => cursor.ino,
            Kind::Fifo { ino, .. } | Kind::File { ino, .. } => *ino,
            _ => {
                return Ok(Stat {
                    device: 14,
                    number: number as u64,
                    mode: 0o600,
                    ..Stat::default()
                });
            }
        };
        Ok(self.stat_inode(ino))
    }

    /// fstatat(2). `directory` is `None` for the current one.
    pub(in crate::sim) fn fstatat(
        &mut self,
        directory: Option<c_int>,
        path: &[u8],
        follow: bool,
    ) -> Outcome<Stat> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        let start = match directory {
            Some(fd) if path[0] != b'/' => {
                let number = self.description_of(fd)?;
                let description = self.description(number);
                if !matches!(description.kind, Kind::Directory(_)) {
                    return Err(ENOTDIR);
                }
                let by = description.by.expect("a directory was reached by something");
                Place { ino: by.ino, mount: by.mount.expect("a directory is on a mount") }
            }
            _ => self.here(),
        };
        let place = self.tree.resolve(self.caller(), start, path, follow)?;
        Ok(self.stat_inode(place.ino))
    }

    pub(super) fn stat_inode(&mut self, ino: Ino) -> Stat {
        let (device, number) = self.tree.identity(ino);
        let inode = self.tree.inode(ino);
        let links = u64::from(inode.links);
        Stat {
            device,
            number,
            mode: inode.mode,
            links,
            size: self.tree.size(ino),
            modified: inode.modified,
            changed: inode.changed,
        }
    }

    /// The kind of the file system that a path is on.
    pub(in crate::sim) fn statfs(&self, path: &[u8]) -> Outcome<FsKind> {
        let place = self.tree.resolve(self.caller(), self.here(), path, true)?;
        Ok(self.tree.kind_of_system(place.ino))
    }
}
