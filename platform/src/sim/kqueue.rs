//! One kqueue(2): its knotes. The kernel says which sources are ready.

use super::libc::{
    EV_CLEAR, EV_DISPATCH, EV_EOF, EV_ONESHOT, EVFILT_READ, EVFILT_VNODE, EVFILT_WRITE, kevent,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Knote {
    pub(super) fd: i32,
    pub(super) filter: i16,
    pub(super) description: usize,
    pub(super) event: kevent,
    reported: Option<u64>,
    pub(super) disabled: bool,
    /// `EVFILT_VNODE`: the notes that were not fetched yet.
    pub(super) notes: u32,
}

/// The state of a source: readable bytes or room, end of file, how often its waiters were woken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SourceState {
    pub(super) data: usize,
    pub(super) end: bool,
    pub(super) wakes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Kqueue {
    pub(super) knotes: Vec<Knote>,
}

impl Kqueue {
    /// `EV_ADD`. The mode of a knote that exists does not change.
    pub(super) fn add(&mut self, fd: i32, description: usize, event: kevent) {
        let found = self.find(fd, event.filter);
        if let Some(knote) = found {
            let flags = knote.event.flags;
            knote.event = kevent { flags, ..event };
            knote.reported = None;
            return;
        }
        let (filter, reported) = (event.filter, None);
        self.knotes.push(Knote {
            fd,
            filter,
            description,
            event,
            reported,
            disabled: false,
            notes: 0,
        });
    }

    fn find(&mut self, fd: i32, filter: i16) -> Option<&mut Knote> {
        self.knotes.iter_mut().find(|knote| knote.fd == fd && knote.filter == filter)
    }

    /// `EV_DELETE`. False if there is no such knote.
    pub(super) fn delete(&mut self, fd: i32, filter: i16) -> bool {
        let before = self.knotes.len();
        self.knotes.retain(|knote| knote.fd != fd || knote.filter != filter);
        self.knotes.len() < before
    }

    /// A descriptor was closed: its knotes are gone.
    pub(super) fn forget(&mut self, fd: i32) {
        self.knotes.retain(|knote| knote.fd != fd);
    }

    pub(super) fn watches(&self, description: usize) -> bool {
        self.knotes.iter().any(|knote| knote.description == description)
    }

    pub(super) fn is_ready(&self, state: &impl Fn(&Knote) -> SourceState) -> bool {
        self.knotes.iter().any(|knote| knote.ready(state(knote)).is_some())
    }

    /// Fetches at most `room` events.
    pub(super) fn fetch(
        &mut self,
        room: usize,
        state: impl Fn(&Knote) -> SourceState,
        mut report: impl FnMut(kevent),
    ) -> usize {
        let mut found = 0;
        let mut at = 0;
        while at < self.knotes.len() && found < room {
            let now = state(&self.knotes[at]);
            let knote = &mut self.knotes[at];
            let event = knote.ready(now);
            knote.reported = Some(now.wakes);
            let Some(event) = event else {
                at += 1;
                continue;
            };
            report(event);
            found += 1;
            let flags = knote.event.flags;
            if flags & EV_CLEAR != 0 {
                knote.notes = 0;
            }
            knote.disabled |= flags & EV_DISPATCH != 0;
            if flags & EV_ONESHOT != 0 {
                self.knotes.remove(at);
            } else {
                at += 1;
            }
        }
        found
    }
}

impl Knote {
    fn ready(&self, state: SourceState) -> Option<kevent> {
        let mut event = self.event;
        if self.disabled {
            return None;
        }
        if self.filter == EVFILT_VNODE {
            event.fflags = self.notes;
            return (self.notes != 0).then_some(event);
        }
        debug_assert!(matches!(self.filter, EVFILT_READ | EVFILT_WRITE));
        event.data = state.data as isize;
        if state.end {
            event.flags |= EV_EOF;
        }
        let is_stale = self.event.flags & EV_CLEAR != 0 && self.reported == Some(state.wakes);
        (!is_stale && (state.data > 0 || state.end)).then_some(event)
    }
}
