//! kqueue(2): its calls, and the delivery of notices to its knotes.

use super::*;
use crate::sim::kqueue::{Knote, SourceState};
use crate::sim::libc::{
    EV_ADD, EV_DELETE, EV_RECEIPT, EVFILT_READ, EVFILT_VNODE, EVFILT_WRITE, NOTE_ATTRIB,
    NOTE_DELETE, NOTE_EXTEND, NOTE_LINK, NOTE_RENAME, NOTE_REVOKE, NOTE_WRITE, kevent,
};
use crate::sim::tree::{EntryChange, Notice, SelfChange};

impl Kernel {
    pub(in crate::sim) fn kqueue(&mut self) -> Outcome<c_int> {
        self.install(Kind::Kqueue(Kqueue::default()), O_RDWR, None)
    }

    /// One change. The error that its receipt carries.
    pub(in crate::sim) fn kevent_change(&mut self, fd: c_int, change: kevent) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let source = change.ident as c_int;
        let description = self.description_of(source)?;
        let is_directory = matches!(self.description(description).kind, Kind::Directory(_));
        if change.filter == EVFILT_VNODE && !is_directory {
            return Err(EINVAL);
        }
        let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind else {
            return Err(EBADF);
        };
        if change.flags & EV_DELETE != 0 {
            let done = kqueue.delete(source, change.filter);
            return if done { Ok(()) } else { Err(ENOENT) };
        }
        if change.flags & EV_ADD != 0 {
            let event = kevent { flags: change.flags & !(EV_ADD | EV_RECEIPT), ..change };
            kqueue.add(source, description, event);
        }
        self.wake(number);
        Ok(())
    }

    /// Waits for events and fetches at most `room`.
    pub(in crate::sim) fn kevent_fetch(
        &mut self,
        fd: c_int,
        room: usize,
        timeout: Option<u64>,
        report: impl FnMut(kevent),
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        if !matches!(self.description(number).kind, Kind::Kqueue(_)) {
            return Err(EBADF);
        }
        if timeout != Some(0) {
            self.wakeups += 1;
        }
        let deadline = timeout.map(|timeout| self.now().saturating_add(timeout));
        self.sleep(deadline, |kernel| kernel.readiness(number).0 != 0)?;
        let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind else {
            return Err(EBADF);
        };
        let mut taken = std::mem::take(kqueue);
        let found = taken.fetch(room, |knote| self.source_state(knote), report);
        self.description_mut(number).kind = Kind::Kqueue(taken);
        Ok(found)
    }

    pub(in crate::sim) fn source_state(&self, knote: &Knote) -> SourceState {
        let description = self.description(knote.description);
        let wakes = description.wakes;
        let pipes = self.settings.pipes;
        match &description.kind {
            Kind::Fifo { ino, without_writer } => {
                let fifo = self.tree.fifo(*ino);
                if knote.filter == EVFILT_WRITE {
                    let end = fifo.readers == 0;
                    return SourceState { data: usize::from(!fifo.is_full(pipes)), end, wakes };
                }
                let never = *without_writer == Some(fifo.writer_opens);
                let end_is_over = pipes == Pipes::NetBsd && fifo.end_was_read;
                let end = fifo.writers == 0 && !never && !end_is_over;
                SourceState { data: fifo.bytes(), end, wakes }
            }
            _ => {
                debug_assert!(knote.filter != EVFILT_READ || !knote.disabled);
                let ready = self.readiness(knote.description).0 != 0;
                SourceState { data: usize::from(ready), end: false, wakes }
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
            let watched = |description: usize| {
                let kind = self.descriptions[description].as_ref().map(|it| &it.kind);
                matches!(kind, Some(Kind::Directory(cursor)) if cursor.ino == ino)
            };
            let Some(Kind::Kqueue(kqueue)) = self.descriptions[number].as_ref().map(|it| &it.kind)
            else {
                continue;
            };
            let hits: Vec<usize> = (0..kqueue.knotes.len())
                .filter(|at| {
                    let knote = &kqueue.knotes[*at];
                    knote.filter == EVFILT_VNODE
                        && knote.event.fflags & notes != 0
                        && watched(knote.description)
                })
                .collect();
            if hits.is_empty() {
                continue;
            }
            if let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind {
                for at in hits {
                    let wanted = kqueue.knotes[at].event.fflags;
                    kqueue.knotes[at].notes |= notes & wanted;
                }
            }
            self.wake(number);
        }
    }
}
