//! Watches: inotify(7), and the delivery of notices.

use super::*;

impl Kernel {
    /// Hands all notices to the watches.
    pub(super) fn deliver(&mut self) {
        if self.tree.notices.is_empty() {
            return;
        }
        for notice in std::mem::take(&mut self.tree.notices) {
            for number in 0..self.descriptions.len() {
                let description = self.descriptions[number].as_mut();
                let has_more = match description.map(|it| &mut it.kind) {
                    Some(Kind::Inotify(inotify)) => inotify.notice(&notice),
                    _ => false,
                };
                if has_more {
                    self.wake(number, 0);
                }
            }
            #[cfg(pullcord_sim = "bsd")]
            self.deliver_to_kqueues(&notice);
        }
    }

    /// inotify_init1(2).
    pub fn inotify_init(&mut self, flags: c_int) -> Outcome<c_int> {
        let instances = self.descriptions.iter().flatten();
        let instances = instances.filter(|it| matches!(it.kind, Kind::Inotify(_))).count();
        if instances >= self.settings.instances {
            return Err(EMFILE);
        }
        let inotify = Inotify::new(self.settings.queued_events);
        self.install(Kind::Inotify(inotify), O_RDONLY | flags & (O_NONBLOCK | O_CLOEXEC), None)
    }

    pub(super) fn inotify(&mut self, fd: c_int) -> Outcome<(usize, &mut Inotify)> {
        let number = self.description_of(fd)?;
        match &mut self.description_mut(number).kind {
            Kind::Inotify(inotify) => Ok((number, inotify)),
            _ => Err(EINVAL),
        }
    }

    /// inotify_add_watch(2).
    pub fn inotify_add_watch(&mut self, fd: c_int, path: &[u8], mask: u32) -> Outcome<i32> {
        // `ALL_INOTIFY_BITS` of the kernel.
        if mask & 0xf700_efff == 0 {
            return Err(EINVAL);
        }
        self.inotify(fd)?;
        let place = self.tree.resolve(self.caller(), self.here(), path, true)?;
        if mask & IN_ONLYDIR != 0 && !self.tree.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        if !self.tree.may_read(self.caller(), place.ino) {
            return Err(EACCES);
        }
        self.noticed |= mask;
        let limit = self.settings.watches;
        let (_, inotify) = self.inotify(fd)?;
        if !inotify.is_watched(place.ino) && inotify.watch_count() >= limit {
            inotify.take_id();
            return Err(ENOSPC);
        }
        Ok(inotify.add(place.ino, mask))
    }

    /// inotify_rm_watch(2).
    pub fn inotify_rm_watch(&mut self, fd: c_int, watch: i32) -> Outcome<()> {
        let (number, inotify) = self.inotify(fd)?;
        if !inotify.remove(watch) {
            return Err(EINVAL);
        }
        self.wake(number, 0);
        Ok(())
    }

    /// read(2) from an inotify descriptor: `take` receives each event that fits.
    pub(in crate::sim) fn read_inotify(
        &mut self,
        fd: c_int,
        mut room: usize,
        mut take: impl FnMut(crate::sim::inotify::Event),
    ) -> Outcome<usize> {
        let before = room;
        let mut masks = Vec::new();
        let (_, inotify) = self.inotify(fd)?;
        if inotify.is_empty() {
            return Err(EAGAIN);
        }
        while let Some(event) = inotify.next(room) {
            room -= event.size();
            masks.push(event.mask);
            take(event);
        }
        masks.into_iter().for_each(|mask| self.faults.census.count_event(mask));
        if room == before { Err(EINVAL) } else { Ok(before - room) }
    }

    /// Whether a descriptor is of a directory. Fails with `ENOTDIR` if it is not.
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    pub(in crate::sim) fn is_directory(&self, fd: c_int) -> Outcome<bool> {
        let number = self.description_of(fd)?;
        let is_directory = matches!(self.description(number).kind, Kind::Directory { .. });
        if is_directory { Ok(true) } else { Err(ENOTDIR) }
    }

    pub(in crate::sim) fn is_timer(&self, fd: c_int) -> bool {
        let number = self.description_of(fd);
        number.is_ok_and(|number| matches!(self.description(number).kind, Kind::Timer(_)))
    }

    pub(in crate::sim) fn is_inotify(&self, fd: c_int) -> bool {
        let number = self.description_of(fd);
        number.is_ok_and(|number| matches!(self.description(number).kind, Kind::Inotify(_)))
    }

    /// ioctl(2) with `FIONREAD`. Negative behind the end of a file.
    pub fn bytes_available(&mut self, fd: c_int) -> Outcome<i64> {
        let number = self.description_of(fd)?;
        match &self.description(number).kind {
            Kind::Inotify(inotify) => Ok(inotify.bytes() as i64),
            Kind::Fifo { ino, .. } => Ok(self.tree.fifo(*ino).bytes() as i64),
            Kind::File { ino, position } => {
                Ok(self.tree.inode(*ino).size as i64 - *position as i64)
            }
            Kind::Epoll(_) => Err(EINVAL),
            _ => Err(ENOTTY),
        }
    }
}
