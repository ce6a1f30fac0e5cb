//! Readiness, epoll(7) and select(2).

use super::*;

/// The bits of poll(2) are those of epoll(7), and this one.
const POLLNVAL: c_int = 0x20;

impl Kernel {
    /// Returns the readiness of the description, in the bits of epoll(7).
    pub(super) fn readiness(&self, number: usize) -> u32 {
        let description = self.description(number);
        let events = match &description.kind {
            Kind::Fifo { ino, without_writer } => {
                let fifo = self.tree.fifo(*ino);
                let (read, write) = ends(description.flags);
                let pipes = self.settings.pipes;
                let mut events = 0;
                if read {
                    events |= if fifo.is_empty() { 0 } else { EPOLLIN };
                    let never = *without_writer == Some(fifo.writer_opens);
                    if fifo.writers == 0 && !never {
                        events |= match pipes {
                            Pipes::Linux => EPOLLHUP,
                            Pipes::FreeBsd => EPOLLIN | EPOLLHUP,
                            Pipes::NetBsd => EPOLLIN,
                        };
                    }
                }
                if write {
                    events |= if fifo.is_full(pipes) { 0 } else { EPOLLOUT };
                    events |= if fifo.readers == 0 { EPOLLERR } else { 0 };
                }
                events
            }
            Kind::Inotify(inotify) => {
                if inotify.is_empty() {
                    0
                } else {
                    EPOLLIN
                }
            }
            Kind::Epoll(epoll) => {
                if epoll.is_ready(&|number| self.readiness(number)) {
                    EPOLLIN
                } else {
                    0
                }
            }
            #[cfg(pullcord_sim = "bsd")]
            Kind::Kqueue(kqueue) => {
                if kqueue.listed() > 0 {
                    EPOLLIN
                } else {
                    0
                }
            }
            Kind::Timer(timer) => {
                if timer.is_expired() {
                    EPOLLIN
                } else {
                    0
                }
            }
            Kind::Directory(_) | Kind::File { .. } => EPOLLIN | EPOLLOUT,
        };
        events as u32
    }

    /// epoll_create1(2).
    pub fn epoll_create(&mut self) -> Outcome<c_int> {
        self.install(Kind::Epoll(Epoll::default()), O_RDWR | O_CLOEXEC, None)
    }

    /// epoll_ctl(2). `operation`: 1 adds, 2 deletes, 3 modifies.
    pub fn epoll_ctl(
        &mut self,
        fd: c_int,
        operation: c_int,
        source: c_int,
        events: u32,
        data: u64,
    ) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let source_number = self.description_of(source)?;
        if matches!(self.description(source_number).kind, Kind::Directory(_) | Kind::File { .. }) {
            return Err(EPERM);
        }
        let is_epoll = |number: usize| matches!(self.description(number).kind, Kind::Epoll(_));
        if number == source_number || !is_epoll(number) {
            return Err(EINVAL);
        }
        if operation == 1 && is_epoll(source_number) {
            let depth = self.depth_below(source_number, number)?;
            if depth + 1 + self.depth_above(number) > 4 {
                return Err(ELOOP);
            }
        }
        let now = self.readiness(source_number);
        self.registrations += 1;
        let order = self.registrations;
        let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return Err(EINVAL) };
        let event = (events, data);
        let ready = match operation {
            1 => epoll.add(source, source_number, event, order, now).ok_or(EEXIST)?,
            2 if epoll.remove(source, source_number) => false,
            2 => return Err(ENOENT),
            3 => epoll.modify(source, source_number, event, now).ok_or(ENOENT)?,
            _ => return Err(EINVAL),
        };
        if ready {
            self.wake_pollers(&|_, source| source == number, EPOLLIN);
        }
        Ok(())
    }

    /// How deep epoll instances are nested in this one. Fails with `ELOOP` if `outer` is among them.
    pub(super) fn depth_below(&self, number: usize, outer: usize) -> Outcome<u32> {
        if number == outer {
            return Err(ELOOP);
        }
        let Kind::Epoll(epoll) = &self.description(number).kind else { return Ok(0) };
        let mut depth = 0;
        for inner in epoll.registrations() {
            if matches!(self.description(inner.description).kind, Kind::Epoll(_)) {
                depth = depth.max(self.depth_below(inner.description, outer)? + 1);
            }
        }
        Ok(depth)
    }

    /// How deep this epoll instance is nested in others.
    pub(super) fn depth_above(&self, number: usize) -> u32 {
        let outer = self.descriptions.iter().enumerate().filter(|(_, it)| {
            let kind = it.as_ref().map(|it| &it.kind);
            matches!(kind, Some(Kind::Epoll(epoll)) if epoll.watches(number))
        });
        outer.map(|(outer, _)| self.depth_above(outer) + 1).max().unwrap_or(0)
    }

    /// epoll_wait(2), for as many nanoseconds: `report` receives events and data.
    pub(in crate::sim) fn epoll_wait(
        &mut self,
        fd: c_int,
        room: usize,
        timeout: Option<u64>,
        report: impl FnMut(u32, u64),
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        if !matches!(self.description(number).kind, Kind::Epoll(_)) || room == 0 {
            return Err(EINVAL);
        }
        let deadline = timeout.map(|timeout| self.now().saturating_add(timeout));
        if !self.sleep(deadline, |kernel| kernel.readiness(number) != 0)? {
            return Ok(0);
        }
        // It is taken out for a moment, since its sources are in the same table.
        let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return Err(EINVAL) };
        let mut taken = std::mem::take(epoll);
        let found = taken.wait(room, |number| self.readiness(number), report);
        self.description_mut(number).kind = Kind::Epoll(taken);
        Ok(found)
    }

    /// poll(2): for each descriptor the wanted events, and room for those that are.
    pub(in crate::sim) fn poll(
        &mut self,
        wanted: &[(c_int, c_int)],
        found: &mut Vec<c_int>,
        milliseconds: c_int,
    ) -> Outcome<usize> {
        if wanted.len() > self.settings.descriptors {
            return Err(EINVAL);
        }
        let ready = |kernel: &Kernel, (fd, wanted): &(c_int, c_int)| {
            if *fd < 0 {
                return 0;
            }
            let table = &kernel.processes[kernel.current].table;
            match table.get(*fd as usize).copied().flatten() {
                Some((number, _)) => {
                    kernel.readiness(number) as c_int & (*wanted | EPOLLERR | EPOLLHUP)
                }
                None => POLLNVAL,
            }
        };
        let timeout = u64::try_from(milliseconds).ok().map(|ms| ms * 1_000_000);
        let deadline = timeout.map(|timeout| self.now() + timeout);
        self.sleep(deadline, |kernel| wanted.iter().any(|it| ready(kernel, it) != 0))?;
        found.extend(wanted.iter().map(|it| ready(self, it)));
        Ok(found.iter().filter(|events| **events != 0).count())
    }

    /// select(2): the wanted descriptors in, the ready ones out. Returns how many there are.
    pub(in crate::sim) fn select(
        &mut self,
        read: &mut Vec<c_int>,
        write: &mut Vec<c_int>,
        microseconds: Option<u64>,
    ) -> Outcome<usize> {
        let number_of = |kernel: &Kernel, fd: &c_int| -> Outcome<usize> {
            let table = &kernel.processes[kernel.current].table;
            table.get(*fd as usize).copied().flatten().map(|(number, _)| number).ok_or(EBADF)
        };
        for fd in read.iter().chain(write.iter()) {
            number_of(self, fd)?;
        }
        let is_ready = |kernel: &Kernel, fd: &c_int, bits: c_int| {
            number_of(kernel, fd).is_ok_and(|number| kernel.readiness(number) & bits as u32 != 0)
        };
        let (readable, writable) = (EPOLLIN | EPOLLHUP | EPOLLERR, EPOLLOUT | EPOLLERR);
        let deadline = microseconds.map(|microseconds| self.now() + microseconds * 1000);
        self.sleep(deadline, |kernel| {
            read.iter().any(|fd| is_ready(kernel, fd, readable))
                || write.iter().any(|fd| is_ready(kernel, fd, writable))
        })?;
        read.retain(|fd| is_ready(self, fd, readable));
        write.retain(|fd| is_ready(self, fd, writable));
        Ok(read.len() + write.len())
    }
}

#[cfg(all(test, not(any(pullcord_sim = "bsd", pullcord_sim = "none"))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::libc::{ENOSYS, EPERM};
    use crate::sim::{self, Call, Fault};
    use crate::{Epoll, Events, Notifier};

    /// Waits twice for 300 us on a kernel whose sleeps end on time, and on which epoll_pwait2(2) fails
    /// for so long. Returns how long each wait took, and how often each of the two calls was made.
    fn waits(errno: Option<Errno>) -> ([u64; 2], [u64; 2]) {
        let settings = Settings { cost: 0, oversleep: 0, ..Settings::default() };
        let mut kernel = Kernel::new(settings, FsKind::Ext4);
        if let Some(errno) = errno {
            kernel.inject(Fault::Until { call: Call::EpollPwait2, errno, until: u64::MAX });
        }
        sim::boot(kernel);
        let (mut epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(4));
        let took = [(); 2].map(|()| {
            let begun = sim::with(|kernel| kernel.now());
            epoll.wait(&mut events, Some(Duration::from_micros(300))).unwrap();
            sim::with(|kernel| kernel.now()) - begun
        });
        drop(epoll);
        let kernel = sim::halt().unwrap();
        let made = |call| kernel.census().made(call);
        (took, [made(Call::EpollPwait2), made(Call::EpollWait)])
    }

    #[test]
    fn a_wait_of_300_us_is_none_of_a_millisecond() {
        assert_eq!(waits(None), ([300_000; 2], [2, 0]));
    }

    #[test]
    fn a_kernel_or_a_filter_that_refuses_nanoseconds_is_asked_once_and_no_wait_is_early() {
        for errno in [ENOSYS, EPERM] {
            assert_eq!(waits(Some(errno)), ([1_000_000; 2], [1, 2]), "error {errno}");
        }
    }
}
