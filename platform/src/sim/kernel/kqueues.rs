//! kqueue(2): its calls, and the delivery of notices to its knotes.

use super::*;
use crate::sim::kqueue::{Knote, SourceState};
use crate::sim::libc::{
    EV_ADD, EV_DELETE, EV_DISABLE, EV_ENABLE, EV_ONESHOT, EV_RECEIPT, EVFILT_TIMER, EVFILT_VNODE,
    EVFILT_WRITE, NOTE_ATTRIB, NOTE_DELETE, NOTE_EXTEND, NOTE_LINK, NOTE_MSECONDS, NOTE_NSECONDS,
    NOTE_RENAME, NOTE_REVOKE, NOTE_SECONDS, NOTE_USECONDS, NOTE_WRITE, kevent,
};
use crate::sim::tree::{EntryChange, Notice, SelfChange};

impl Kernel {
    pub(in crate::sim) fn kqueue(&mut self) -> Outcome<c_int> {
        self.install(Kind::Kqueue(Kqueue::default()), O_RDWR, None)
    }

    fn kqueue_mut(&mut self, number: usize) -> Outcome<&mut Kqueue> {
        match &mut self.description_mut(number).kind {
            Kind::Kqueue(kqueue) => Ok(kqueue),
            _ => Err(EBADF),
        }
    }

    /// Returns whether this change restarts a timer that is registered.
    pub(in crate::sim) fn restarts_timer(&mut self, fd: c_int, change: &kevent) -> bool {
        let number = self.description_of(fd);
        let kqueue = number.and_then(|number| self.kqueue_mut(number));
        change.flags & EV_ADD != 0
            && change.filter == EVFILT_TIMER
            && kqueue.is_ok_and(|kqueue| kqueue.has(change.ident, EVFILT_TIMER))
    }

    /// One change. The error that its receipt carries.
    pub(in crate::sim) fn kevent_change(&mut self, fd: c_int, change: kevent) -> Outcome<()> {
        let number = self.description_of(fd)?;
        self.kqueue_mut(number)?;
        let event = kevent { flags: change.flags & !(EV_ADD | EV_RECEIPT), ..change };
        if change.filter == EVFILT_TIMER {
            return self.change_timer(number, event, change.flags);
        }
        let source = self.description_of(change.ident as c_int)?;
        let is_directory = matches!(self.description(source).kind, Kind::Directory(_));
        if change.filter == EVFILT_VNODE && !is_directory {
            return Err(EINVAL);
        }
        if change.flags & EV_ADD != 0 {
            self.kqueue_mut(number)?.add(source, event);
        }
        self.change_knote(number, change)
    }

    /// The part that all filters share. A knote that is ready is listed.
    fn change_knote(&mut self, number: usize, change: kevent) -> Outcome<()> {
        let (ident, filter) = (change.ident, change.filter);
        let kqueue = self.kqueue_mut(number)?;
        if change.flags & EV_DELETE != 0 {
            return if kqueue.delete(ident, filter) { Ok(()) } else { Err(ENOENT) };
        }
        if !kqueue.set_enabled(ident, filter, change.flags & (EV_ENABLE | EV_DISABLE)) {
            return Err(ENOENT);
        }
        self.activate(number, |knote| knote.event.ident == ident && knote.filter == filter);
        Ok(())
    }

    /// `EVFILT_TIMER`.
    fn change_timer(&mut self, number: usize, event: kevent, flags: u16) -> Outcome<()> {
        if flags & EV_ADD != 0 {
            let unit = match event.fflags {
                0 | NOTE_MSECONDS => 1_000_000,
                NOTE_SECONDS => 1_000_000_000,
                NOTE_USECONDS => 1000,
                NOTE_NSECONDS => 1,
                _ => return Err(EINVAL),
            };
            let is_periodic = flags & EV_ONESHOT == 0;
            let count = u64::try_from(event.data).map_err(|_| EINVAL)?;
            let time = count.max(u64::from(is_periodic)).saturating_mul(unit);
            let due = self.now().saturating_add(time);
            let period = if is_periodic { time } else { 0 };
            self.kqueue_mut(number)?.add_timer(event, due, period);
        }
        let changed = self.change_knote(number, kevent { flags, ..event });
        self.find_next_timer();
        self.advance(0);
        changed
    }

    /// Asks the knotes of a kqueue for which `is_source` says so, and wakes those that wait for the
    /// kqueue if one of them is ready.
    fn activate(&mut self, number: usize, is_source: impl Fn(&Knote) -> bool) {
        // It is taken out for a moment, since its sources are in the same table.
        let Ok(kqueue) = self.kqueue_mut(number) else { return };
        let mut taken = std::mem::take(kqueue);
        let is_new = taken.activate(is_source, |knote| self.source_state(knote));
        self.description_mut(number).kind = Kind::Kqueue(taken);
        if is_new {
            self.wake(number, 0);
        }
    }

    /// A source wakes the kqueues that wait for it, and in turn those that wait for them.
    pub(super) fn wake_kqueues(&mut self, source: usize) {
        for number in 0..self.descriptions.len() {
            let kind = self.descriptions[number].as_ref().map(|it| &it.kind);
            if matches!(kind, Some(Kind::Kqueue(kqueue)) if kqueue.watches(source)) {
                self.activate(number, |knote| knote.description == source);
            }
        }
    }

    /// Waits for events and fetches at most `room`.
    pub(in crate::sim) fn kevent_fetch(
        &mut self,
        fd: c_int,
        room: usize,
        timeout: Option<u64>,
        mut report: impl FnMut(kevent),
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        self.kqueue_mut(number)?;
        if timeout != Some(0) {
            self.wakeups += 1;
        }
        let deadline = timeout.map(|timeout| self.now().saturating_add(timeout));
        loop {
            let is_ready = self.sleep(deadline, |kernel| kernel.readiness(number) != 0)?;
            let mut taken = std::mem::take(self.kqueue_mut(number)?);
            let found = taken.fetch(room, |knote| self.source_state(knote), &mut report);
            self.description_mut(number).kind = Kind::Kqueue(taken);
            // A listed knote may have no event any more: then it goes on to wait.
            if found > 0 || !is_ready {
                return Ok(found);
            }
        }
    }

    pub(in crate::sim) fn source_state(&self, knote: &Knote) -> SourceState {
        let Some(Some(description)) = self.descriptions.get(knote.description) else {
            return SourceState::default();
        };
        let pipes = self.settings.pipes;
        match &description.kind {
            Kind::Fifo { ino, without_writer } => {
                let fifo = self.tree.fifo(*ino);
                if knote.filter == EVFILT_WRITE {
                    let end = fifo.readers == 0;
                    return SourceState { data: usize::from(!fifo.is_full(pipes)), end };
                }
                let never = *without_writer == Some(fifo.writer_opens);
                let end_is_over = pipes == Pipes::NetBsd && fifo.end_was_read;
                let end = fifo.writers == 0 && !never && !end_is_over;
                SourceState { data: fifo.bytes(), end }
            }
            Kind::Kqueue(kqueue) => SourceState { data: kqueue.listed(), end: false },
            _ => {
                let is_ready = self.readiness(knote.description) != 0;
                SourceState { data: usize::from(is_ready), end: false }
            }
        }
    }

    pub(in crate::sim) fn deliver_to_kqueues(&mut self, notice: &Notice) {
        let (ino, notes) = match notice {
            Notice::Entry { directory, change, is_directory, .. } => {
                let notes = match change {
                    EntryChange::Created | EntryChange::Removed if *is_directory => {
                        NOTE_WRITE | NOTE_LINK
                    }
                    EntryChange::Created | EntryChange::Removed => NOTE_WRITE,
                    // FreeBSD; plain NOTE_WRITE on NetBSD's tmpfs.
                    EntryChange::MovedFrom | EntryChange::MovedTo => NOTE_WRITE | NOTE_EXTEND,
                    EntryChange::Attributes | EntryChange::Modified | EntryChange::Closed => return,
                };
                (*directory, notes)
            }
            Notice::Itself { ino, change, .. } => {
                let notes = match change {
                    SelfChange::Attributes => NOTE_ATTRIB,
                    SelfChange::Moved => NOTE_RENAME,
                    SelfChange::Unlinked => NOTE_DELETE,
                    SelfChange::Unmounted => NOTE_REVOKE,
                    SelfChange::Deleted | SelfChange::Modified | SelfChange::Closed => return,
                };
                (*ino, notes)
            }
        };
        for number in 0..self.descriptions.len() {
            // As above.
            let Some(Kind::Kqueue(kqueue)) =
                self.descriptions[number].as_mut().map(|it| &mut it.kind)
            else {
                continue;
            };
            let mut taken = std::mem::take(kqueue);
            let is_new = taken.note(notes, |description| {
                let kind = self.descriptions[description].as_ref().map(|it| &it.kind);
                matches!(kind, Some(Kind::Directory(cursor)) if cursor.ino == ino)
            });
            self.description_mut(number).kind = Kind::Kqueue(taken);
            if is_new {
                self.wake(number, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::libc::{EV_CLEAR, EVFILT_READ};

    const MS: u64 = 1_000_000;

    fn boot() -> Kernel {
        let settings = Settings { pipes: Pipes::FreeBsd, ..Settings::default() };
        Kernel::new(settings, FsKind::Ext4)
    }

    fn change(ident: c_int, filter: i16, flags: u16, data: isize) -> kevent {
        let udata = std::ptr::null_mut();
        kevent { ident: ident as usize, filter, flags, fflags: 0, data, udata }
    }

    /// The events that a kqueue has now: `ident` and `data`.
    fn events(kernel: &mut Kernel, queue: c_int) -> Vec<(usize, isize)> {
        let mut found = Vec::new();
        let take = |event: kevent| found.push((event.ident, event.data));
        kernel.kevent_fetch(queue, 8, Some(0), take).unwrap();
        found
    }

    #[test]
    fn a_kqueue_stays_readable_in_another_until_it_is_asked() {
        for (mode, again) in [(0, 1), (EV_CLEAR, 0)] {
            let mut kernel = boot();
            let [reader, writer] = kernel.pipe(O_NONBLOCK).unwrap();
            let (inner, outer) = (kernel.kqueue().unwrap(), kernel.kqueue().unwrap());
            kernel.kevent_change(inner, change(reader, EVFILT_READ, EV_ADD, 0)).unwrap();
            kernel.kevent_change(outer, change(inner, EVFILT_READ, EV_ADD | mode, 0)).unwrap();
            assert_eq!(events(&mut kernel, outer), []);
            kernel.write(writer, 1).unwrap();
            assert_eq!(events(&mut kernel, outer), [(inner as usize, 1)]);
            // The source is drained, and nobody has asked the inner one.
            kernel.read(reader, 9).unwrap();
            assert_eq!(events(&mut kernel, outer).len(), again);
            kernel.write(writer, 1).unwrap();
            assert_eq!(events(&mut kernel, outer).len(), again, "no new edge");
            kernel.read(reader, 9).unwrap();
            assert_eq!(events(&mut kernel, inner), [], "it has nothing");
            assert_eq!(events(&mut kernel, outer), []);
            kernel.write(writer, 3).unwrap();
            assert_eq!(events(&mut kernel, outer).len(), 1, "a new edge");
            assert_eq!(events(&mut kernel, inner), [(reader as usize, 3)]);
        }
    }

    #[test]
    fn an_edge_comes_with_each_write_and_with_each_add() {
        let mut kernel = boot();
        let [reader, writer] = kernel.pipe(O_NONBLOCK).unwrap();
        let queue = kernel.kqueue().unwrap();
        let add = change(reader, EVFILT_READ, EV_ADD | EV_CLEAR, 0);
        kernel.kevent_change(queue, add).unwrap();
        kernel.write(writer, 1).unwrap();
        assert_eq!(events(&mut kernel, queue), [(reader as usize, 1)]);
        assert_eq!(events(&mut kernel, queue), []);
        kernel.write(writer, 1).unwrap();
        assert_eq!(events(&mut kernel, queue), [(reader as usize, 2)]);
        kernel.kevent_change(queue, add).unwrap();
        assert_eq!(events(&mut kernel, queue), [(reader as usize, 2)]);
        // The number is another description's now, and the knote is gone.
        kernel.dup2(writer, reader).unwrap();
        kernel.write(writer, 1).unwrap_err();
        assert_eq!(events(&mut kernel, queue), []);
        let delete = change(reader, EVFILT_READ, EV_DELETE, 0);
        assert_eq!(kernel.kevent_change(queue, delete), Err(ENOENT));
    }

    #[test]
    fn timers_expire_once_or_again_and_again() {
        let mut kernel = boot();
        let (queue, outer) = (kernel.kqueue().unwrap(), kernel.kqueue().unwrap());
        kernel.kevent_change(outer, change(queue, EVFILT_READ, EV_ADD | EV_CLEAR, 0)).unwrap();
        let once = |data| change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, data);
        kernel.kevent_change(queue, once(5)).unwrap();
        kernel.advance(4 * MS);
        // Added again, it begins anew.
        kernel.kevent_change(queue, once(5)).unwrap();
        kernel.advance(4 * MS);
        assert_eq!(events(&mut kernel, outer), []);
        kernel.advance(MS);
        assert_eq!(events(&mut kernel, outer), [(queue as usize, 1)]);
        assert_eq!(events(&mut kernel, queue), [(7, 1)]);
        let delete = change(7, EVFILT_TIMER, EV_DELETE, 0);
        assert_eq!(kernel.kevent_change(queue, delete), Err(ENOENT), "it is gone");

        let periodic = kevent { fflags: NOTE_USECONDS, ..change(7, EVFILT_TIMER, EV_ADD, 2000) };
        kernel.kevent_change(queue, periodic).unwrap();
        kernel.advance(7 * MS);
        assert_eq!(events(&mut kernel, queue), [(7, 3)]);
        assert_eq!(events(&mut kernel, queue), []);
        kernel.advance(MS);
        kernel.kevent_change(queue, once(5)).unwrap();
        assert_eq!(events(&mut kernel, queue), [], "an expiration is forgotten with the add");
        kernel.kevent_change(queue, delete).unwrap();
        kernel.advance(99 * MS);
        assert_eq!(events(&mut kernel, queue), []);
        assert_eq!(kernel.kevent_change(queue, once(-1)), Err(EINVAL));
    }

    #[test]
    fn a_registered_timer_is_restarted_and_needs_no_memory() {
        let mut kernel = boot();
        let queue = kernel.kqueue().unwrap();
        let add = |data| change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, data);
        assert!(!kernel.restarts_timer(queue, &add(5)), "it is registered first");
        kernel.kevent_change(queue, add(5)).unwrap();
        assert!(!kernel.restarts_timer(queue, &change(8, EVFILT_TIMER, EV_ADD, 5)), "another one");
        assert!(!kernel.restarts_timer(queue, &change(7, EVFILT_TIMER, EV_DELETE, 5)));
        kernel.advance(5 * MS);
        assert_eq!(kernel.readiness(kernel.description_of(queue).unwrap()), EPOLLIN as u32);
        assert!(kernel.restarts_timer(queue, &add(9)), "its event was not fetched");
        kernel.kevent_change(queue, add(9)).unwrap();
        assert_eq!(kernel.readiness(kernel.description_of(queue).unwrap()), 0, "it is discarded");
        kernel.advance(9 * MS);
        assert_eq!(events(&mut kernel, queue), [(7, 1)]);
        assert!(!kernel.restarts_timer(queue, &add(9)), "the fetch has removed it");
    }

    #[test]
    fn a_timer_ends_a_wait() {
        let mut kernel = boot();
        let queue = kernel.kqueue().unwrap();
        kernel.kevent_change(queue, change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 30)).unwrap();
        let begin = kernel.now();
        assert_eq!(kernel.kevent_fetch(queue, 1, None, |_| {}), Ok(1));
        assert_eq!(kernel.now() - begin, 30 * MS);
    }
}
