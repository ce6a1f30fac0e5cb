//! Descriptors of processes, and the descriptions that they share.

use super::*;

impl Kernel {
    pub(super) fn caller(&self) -> Caller {
        if self.current == QUEUE && !self.settings.privileged {
            Caller::Owner
        } else {
            Caller::Privileged
        }
    }

    pub(super) fn here(&self) -> Place {
        self.processes[self.current].directory
    }

    /// The description of a descriptor of the current process.
    pub(super) fn description_of(&self, fd: c_int) -> Outcome<usize> {
        let table = &self.processes[self.current].table;
        let found = usize::try_from(fd).ok().and_then(|fd| table.get(fd).copied().flatten());
        match found {
            Some((description, _)) => Ok(description),
            None if self.settings.strict && self.current == QUEUE => {
                panic!("descriptor {fd} is used, and is not open")
            }
            None => Err(EBADF),
        }
    }

    pub(in crate::sim) fn description(&self, number: usize) -> &Description {
        self.descriptions[number].as_ref().expect("an open description")
    }

    pub(super) fn description_mut(&mut self, number: usize) -> &mut Description {
        self.descriptions[number].as_mut().expect("an open description")
    }

    pub(super) fn free_descriptor(&self, from: usize) -> Outcome<usize> {
        let lowest = if self.settings.low_descriptors && self.current == QUEUE { 0 } else { 3 };
        let table = &self.processes[self.current].table;
        let from = from.max(lowest);
        let free = (from..).find(|fd| table.get(*fd).is_none_or(Option::is_none));
        let free = free.unwrap_or(usize::MAX);
        if free < self.settings.descriptors { Ok(free) } else { Err(EMFILE) }
    }

    pub(super) fn set_descriptor(&mut self, fd: usize, description: usize, cloexec: bool) {
        let table = &mut self.processes[self.current].table;
        if table.len() <= fd {
            table.resize(fd + 1, None);
        }
        table[fd] = Some((description, cloexec));
    }

    /// Gives a new description its first descriptor.
    pub(super) fn install(&mut self, kind: Kind, flags: c_int, by: Option<Use>) -> Outcome<c_int> {
        let fd = self.free_descriptor(0)?;
        let cloexec = flags & O_CLOEXEC != 0;
        let flags = flags & (O_ACCMODE | O_NONBLOCK | O_DIRECT | O_APPEND);
        if let Some(by) = by {
            self.tree.hold(by);
        }
        let description = Description { references: 1, flags, by, kind };
        let slot = self.descriptions.iter().position(Option::is_none);
        let number = slot.unwrap_or_else(|| {
            self.descriptions.push(None);
            self.descriptions.len() - 1
        });
        self.descriptions[number] = Some(description);
        self.set_descriptor(fd, number, cloexec);
        Ok(fd as c_int)
    }

    /// close(2).
    pub fn close(&mut self, fd: c_int) -> Outcome<()> {
        let number = self.description_of(fd)?;
        self.processes[self.current].table[fd as usize] = None;
        #[cfg(pullcord_sim = "bsd")]
        for at in 0..self.processes[self.current].table.len() {
            // A kqueue is not inherited, so that it belongs to one process.
            let Some((kqueue, _)) = self.processes[self.current].table[at] else { continue };
            if let Kind::Kqueue(kqueue) = &mut self.description_mut(kqueue).kind {
                kqueue.forget(fd as usize);
            }
        }
        let description = self.description_mut(number);
        description.references -= 1;
        if description.references > 0 {
            return Ok(());
        }
        let (by, flags) = (description.by, description.flags);
        if let Some(by) = by.filter(|_| ends(flags).1) {
            self.report_file(by, IN_CLOSE_WRITE);
        }
        let closed = self.descriptions[number].take().expect("it was open");
        for other in self.descriptions.iter_mut().flatten() {
            if let Kind::Epoll(epoll) = &mut other.kind {
                epoll.forget(number);
            }
        }
        if let Kind::Fifo { ino, .. } = closed.kind {
            self.close_fifo(ino, closed.flags);
        }
        if let Some(by) = closed.by {
            self.tree.release(by);
        }
        if self.next_timer != u64::MAX {
            self.find_next_timer();
        }
        self.deliver();
        Ok(())
    }

    /// Passes a descriptor of a process on to another one, which gets a number of its own for it.
    pub fn pass(&mut self, from: usize, fd: c_int, to: usize) -> Outcome<c_int> {
        let number = self.act(from, |kernel| kernel.description_of(fd))?;
        self.act(to, |kernel| {
            let passed = kernel.free_descriptor(3)?;
            kernel.description_mut(number).references += 1;
            kernel.set_descriptor(passed, number, false);
            Ok(passed as c_int)
        })
    }

    /// dup3(2).
    pub fn dup3(&mut self, old: c_int, new: c_int, flags: c_int) -> Outcome<c_int> {
        if flags & !O_CLOEXEC != 0 || old == new {
            return Err(EINVAL);
        }
        let at = usize::try_from(new).map_err(|_| EBADF)?;
        if at >= self.settings.descriptors {
            return Err(EBADF);
        }
        let number = self.description_of(old)?;
        self.description_mut(number).references += 1;
        if self.processes[self.current].table.get(at).is_some_and(Option::is_some) {
            self.close(new)?;
        }
        self.set_descriptor(at, number, flags & O_CLOEXEC != 0);
        Ok(new)
    }

    /// dup2(2).
    pub fn dup2(&mut self, old: c_int, new: c_int) -> Outcome<c_int> {
        if old == new {
            return self.description_of(old).map(|_| old);
        }
        self.dup3(old, new, 0)
    }

    /// Ends a process: all its descriptors are closed.
    pub fn kill(&mut self, process: usize) {
        self.act(process, |kernel| {
            for fd in 0..kernel.processes[process].table.len() {
                if kernel.processes[process].table[fd].is_some() {
                    let _ = kernel.close(fd as c_int);
                }
            }
        });
    }

    /// fcntl(2).
    pub fn fcntl(&mut self, fd: c_int, command: c_int, argument: c_int) -> Outcome<c_int> {
        let number = self.description_of(fd)?;
        match command {
            F_DUPFD_CLOEXEC => {
                let lowest = usize::try_from(argument).map_err(|_| EINVAL)?;
                if lowest >= self.settings.descriptors {
                    return Err(EINVAL);
                }
                let fd = self.free_descriptor(lowest)?;
                self.description_mut(number).references += 1;
                self.set_descriptor(fd, number, true);
                Ok(fd as c_int)
            }
            F_GETFD => {
                let (_, cloexec) = self.processes[self.current].table[fd as usize].expect("open");
                Ok(c_int::from(cloexec))
            }
            F_SETFD => {
                let cloexec = argument & FD_CLOEXEC != 0;
                self.set_descriptor(fd as usize, number, cloexec);
                Ok(0)
            }
            F_GETFL => Ok(self.description(number).flags),
            F_SETFL => {
                let flags = &mut self.description_mut(number).flags;
                *flags = *flags & O_ACCMODE | argument & !O_ACCMODE;
                Ok(0)
            }
            _ => Err(EINVAL),
        }
    }
}
