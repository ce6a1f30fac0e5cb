//! One kqueue(2): its knotes, and the list of those that may have an event, as FreeBSD keeps them. The
//! kernel says which sources are ready, and calls when a source wakes its waiters.

use std::collections::VecDeque;

use super::libc::{
    EV_CLEAR, EV_DISABLE, EV_DISPATCH, EV_ENABLE, EV_EOF, EV_ONESHOT, EVFILT_READ, EVFILT_TIMER,
    EVFILT_VNODE, EVFILT_WRITE, kevent,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Knote {
    /// A descriptor, or the number of a timer.
    ident: usize,
    pub(super) filter: i16,
    pub(super) description: usize,
    pub(super) event: kevent,
    /// Its number: no other knote of the kqueue ever has the same.
    id: u64,
    disabled: bool,
    /// Whether it has had an event since that was last fetched; and whether it is in the list.
    is_active: bool,
    is_listed: bool,
    /// `EVFILT_VNODE`: the notes that were not fetched yet.
    notes: u32,
    /// `EVFILT_TIMER`: when it expires next, and how often it has.
    due: Option<u64>,
    period: u64,
    expirations: usize,
}

/// The state of a source: readable bytes or room, end of file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SourceState {
    pub(super) data: usize,
    pub(super) end: bool,
}

#[derive(Debug, Default)]
pub(super) struct Kqueue {
    knotes: Vec<Knote>,
    /// The knotes that may have an event, by number, in the order in which they will be asked.
    listed: VecDeque<u64>,
    next_id: u64,
}

impl Kqueue {
    /// `EV_ADD`. The mode of a knote that exists does not change.
    pub(super) fn add(&mut self, description: usize, event: kevent) {
        if let Some(knote) = self.find(event.ident, event.filter) {
            let flags = knote.event.flags;
            knote.event = kevent { flags, ..event };
            return;
        }
        self.next_id += 1;
        self.knotes.push(Knote {
            ident: event.ident,
            filter: event.filter,
            description,
            event,
            id: self.next_id,
            disabled: false,
            is_active: false,
            is_listed: false,
            notes: 0,
            due: None,
            period: 0,
            expirations: 0,
        });
    }

    /// `EV_ADD` of a timer: it begins anew. Times are nanoseconds; a period of 0 is none.
    pub(super) fn add_timer(&mut self, event: kevent, due: u64, period: u64) {
        self.add(usize::MAX, kevent { flags: event.flags | EV_CLEAR, ..event });
        let Some(knote) = self.find(event.ident, EVFILT_TIMER) else { return };
        (knote.due, knote.period, knote.expirations) = (Some(due), period, 0);
        (knote.is_active, knote.is_listed) = (false, false);
        let id = knote.id;
        self.listed.retain(|listed| *listed != id);
    }

    fn find(&mut self, ident: usize, filter: i16) -> Option<&mut Knote> {
        self.knotes.iter_mut().find(|it| it.ident == ident && it.filter == filter)
    }

    pub(super) fn has(&self, ident: usize, filter: i16) -> bool {
        self.knotes.iter().any(|it| it.ident == ident && it.filter == filter)
    }

    /// `EV_ENABLE` and `EV_DISABLE`. False if there is no such knote.
    pub(super) fn set_enabled(&mut self, ident: usize, filter: i16, flags: u16) -> bool {
        let Some(knote) = self.find(ident, filter) else { return false };
        knote.disabled |= flags & EV_DISABLE != 0;
        knote.disabled &= flags & EV_ENABLE == 0;
        true
    }

    /// `EV_DELETE`. False if there is no such knote.
    pub(super) fn delete(&mut self, ident: usize, filter: i16) -> bool {
        let before = self.knotes.len();
        self.drop_all(|it| it.ident == ident && it.filter == filter);
        self.knotes.len() < before
    }

    /// A descriptor was closed: its knotes are gone.
    pub(super) fn forget(&mut self, fd: usize) {
        self.drop_all(|it| it.ident == fd && it.filter != EVFILT_TIMER);
    }

    fn drop_all(&mut self, is_dropped: impl Fn(&Knote) -> bool) {
        self.knotes.retain(|it| !is_dropped(it));
        let knotes = &self.knotes;
        self.listed.retain(|id| knotes.iter().any(|it| it.id == *id));
    }

    pub(super) fn watches(&self, description: usize) -> bool {
        self.knotes.iter().any(|knote| knote.description == description)
    }

    /// A source wakes its waiters, or a knote was added: those that have an event are listed. Returns
    /// whether one was added to the list, so that those that wait for this kqueue are woken.
    pub(super) fn activate(
        &mut self,
        is_source: impl Fn(&Knote) -> bool,
        state: impl Fn(&Knote) -> SourceState,
    ) -> bool {
        let mut is_new = false;
        for knote in self.knotes.iter_mut().filter(|it| is_source(it)) {
            knote.is_active |= knote.event_now(state(knote)).is_some();
            if knote.is_active && !knote.disabled && !knote.is_listed {
                knote.is_listed = true;
                self.listed.push_back(knote.id);
                is_new = true;
            }
        }
        is_new
    }

    /// Something has happened to directories: they are told by `is_directory`. Returns whether a knote
    /// was added to the list.
    pub(super) fn note(&mut self, notes: u32, is_directory: impl Fn(usize) -> bool) -> bool {
        let mut is_hit = false;
        for knote in &mut self.knotes {
            let wanted = notes & knote.event.fflags;
            if knote.filter == EVFILT_VNODE && wanted != 0 && is_directory(knote.description) {
                knote.notes |= wanted;
                is_hit = true;
            }
        }
        is_hit && self.activate(|it| it.filter == EVFILT_VNODE, |_| SourceState::default())
    }

    /// When its next timer expires.
    pub(super) fn due(&self) -> Option<u64> {
        self.knotes.iter().filter_map(|it| it.due).min()
    }

    /// Lets the timers expire that are due. Returns whether a knote was added to the list.
    pub(super) fn expire(&mut self, now: u64) -> bool {
        for knote in &mut self.knotes {
            let Some(due) = knote.due.filter(|due| *due <= now) else { continue };
            let missed = (now - due).checked_div(knote.period);
            knote.expirations += 1 + missed.unwrap_or(0) as usize;
            knote.due = missed.map(|missed| due + (missed + 1) * knote.period);
        }
        self.activate(|it| it.filter == EVFILT_TIMER, |_| SourceState::default())
    }

    /// Whether another one that waits for this kqueue sees it readable. That is so until it is asked,
    /// even if its sources have nothing any more.
    pub(super) fn listed(&self) -> usize {
        self.listed.len()
    }

    /// Fetches at most `room` events.
    pub(super) fn fetch(
        &mut self,
        room: usize,
        state: impl Fn(&Knote) -> SourceState,
        mut report: impl FnMut(kevent),
    ) -> usize {
        let mut found = 0;
        for _ in 0..self.listed.len() {
            if found == room {
                break;
            }
            let Some(id) = self.listed.pop_front() else { break };
            let Some(at) = self.knotes.iter().position(|it| it.id == id) else { continue };
            let knote = &mut self.knotes[at];
            knote.is_listed = false;
            if knote.disabled {
                continue;
            }
            let flags = knote.event.flags;
            let event = knote.event_now(state(knote));
            // A one-shot knote is not asked again: it reports the earlier state.
            let stale = (flags & EV_ONESHOT != 0).then_some(knote.event);
            let Some(event) = event.or(stale) else {
                knote.is_active = false;
                continue;
            };
            report(event);
            found += 1;
            if flags & EV_ONESHOT != 0 {
                self.knotes.remove(at);
                continue;
            }
            if flags & EV_CLEAR != 0 {
                (knote.notes, knote.expirations) = (0, 0);
            }
            knote.disabled |= flags & EV_DISPATCH != 0;
            if flags & (EV_CLEAR | EV_DISPATCH) != 0 {
                knote.is_active = false;
            } else {
                knote.is_listed = true;
                self.listed.push_back(id);
            }
        }
        found
    }
}

impl Knote {
    /// Its event, if its source has one now.
    fn event_now(&self, state: SourceState) -> Option<kevent> {
        let mut event = self.event;
        match self.filter {
            EVFILT_VNODE => {
                event.fflags = self.notes;
                (self.notes != 0).then_some(event)
            }
            EVFILT_TIMER => {
                event.data = self.expirations as isize;
                (self.expirations != 0).then_some(event)
            }
            _ => {
                debug_assert!(matches!(self.filter, EVFILT_READ | EVFILT_WRITE));
                event.data = state.data as isize;
                event.flags |= if state.end { EV_EOF } else { 0 };
                (state.data > 0 || state.end).then_some(event)
            }
        }
    }
}
