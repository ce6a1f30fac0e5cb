//! One turn of a queue: the entries that are ready, in bounded steps.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Instant;

use super::core::appointments::Reason;
use super::{Entry, Origin, Queue, Stats};

/// The most entries that a turn returns.
const MAX_ENTRIES: usize = if cfg!(pullcord_sim) { 8 } else { 64 };
/// The most names that a turn looks at.
const MAX_NAMES: usize = if cfg!(pullcord_sim) { 64 } else { 4096 };
/// The most calls of stat(2), and the most directories that a turn opens.
pub(super) const MAX_LOOKS: usize = if cfg!(pullcord_sim) { 8 } else { 64 };

/// The work that was done: in all, and in this turn.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) stats: Stats,
    pub(super) turn: Turn,
    /// The time that the caller has passed last.
    pub(super) last_time: Instant,
    /// The name of the entry that is returned, if it is in no buffer.
    name: OsString,
    /// Why directories cannot be read at present.
    errors: BTreeMap<usize, String>,
}

/// The work of this turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    has_begun: bool,
    entries: usize,
    pub(super) names: usize,
    pub(super) looks: usize,
    pub(super) opened: usize,
    /// The kind of entries whose turn comes first.
    first: usize,
}

impl Work {
    /// Returns the state before the first turn.
    pub(super) fn new(now: Instant) -> Work {
        Work {
            stats: Stats::default(),
            turn: Turn::default(),
            last_time: now,
            name: OsString::new(),
            errors: BTreeMap::new(),
        }
    }

    /// Ends a turn.
    pub(super) fn end_turn(&mut self) {
        self.turn = Turn { first: self.turn.first, ..Turn::default() };
    }

    /// Returns whether no more may be done in this turn.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        let Turn { entries, names, looks, opened, .. } = self.turn;
        if mutant!(BudgetIgnored) {
            return false;
        }
        entries >= MAX_ENTRIES || names >= MAX_NAMES || looks >= MAX_LOOKS || opened >= MAX_LOOKS
    }

    /// Returns why a directory cannot be read at present.
    pub(super) fn last_error(&self, directory: usize) -> Option<&str> {
        self.errors.get(&directory).map(String::as_str)
    }

    /// Records why a directory cannot be read, or that it can be.
    pub(super) fn set_error(&mut self, directory: usize, error: Option<String>) {
        match error {
            Some(error) => drop(self.errors.insert(directory, error)),
            None => drop(self.errors.remove(&directory)),
        }
    }
}

/// An entry to return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(super) directory: usize,
    pub(super) origin: Origin,
    pub(super) name: NameSource,
}

/// Where the name of an entry is. It is copied only if it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NameSource {
    /// In [`Work`].
    Kept,
    /// In the buffer of the watch, which has just reported it.
    Watch,
    /// In the batch of the scanner, which has just returned it.
    Batch,
}

impl Queue {
    /// Returns the next entry that is ready. `None` ends the turn: no more is ready, or 64 entries
    /// were returned and it is time for the other descriptors of the loop. Does not block on a local
    /// file system; each call and each turn does a bounded amount of work.
    ///
    /// `now` should not go back. If it does, no entry is lost, and none is late by more than an
    /// interval.
    pub fn next_entry(&mut self, now: Instant) -> Option<Entry<'_>> {
        let found = self.next_found(now)?;
        Some(self.entry(found))
    }

    /// Returns the next entry that is ready, without borrowing.
    #[inline]
    pub(crate) fn next_found(&mut self, now: Instant) -> Option<Found> {
        if !self.work.turn.has_begun {
            self.work.turn.has_begun = true;
            self.begin_turn(now);
        }
        let found = self.take_turns(now)?;
        self.work.turn.entries += 1;
        match found.origin {
            Origin::Scan => self.work.stats.scan_entries += 1,
            Origin::Watch => self.work.stats.watch_entries += 1,
            Origin::Requeue => self.work.stats.requeued_entries += 1,
        }
        Some(found)
    }

    /// Returns the entry that [`next_found`](Queue::next_found) has just returned.
    #[inline]
    pub(crate) fn entry(&self, found: Found) -> Entry<'_> {
        let name = match found.name {
            NameSource::Kept => &self.work.name,
            NameSource::Watch => self.watches.last_name(),
            NameSource::Batch => self.scanner.last_name(),
        };
        Entry { directory: self.watches.path(found.directory), name, origin: found.origin }
    }

    /// Returns an entry: new ones, those at their time, and those of a scan take turns, so that none
    /// of them keeps the others waiting.
    #[inline]
    fn take_turns(&mut self, now: Instant) -> Option<Found> {
        // Most of the time there is only one kind of them, whose turn it is.
        let is_due = self.appointments.is_due(now);
        let found = match (self.has_arrivals(), is_due, self.schedule.has_due()) {
            (false, false, false) => return None,
            (true, false, false) => self.next_arrival(now),
            (false, false, true) => self.next_scanned(now),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        self.take_turns_among(now)
    }

    /// After a kind, the next one comes first, in the next turn, too: a kind that uses up a turn and
    /// returns nothing must not keep the others waiting.
    #[inline(never)]
    fn take_turns_among(&mut self, now: Instant) -> Option<Found> {
        const KINDS: usize = 3;
        let first = self.work.turn.first;
        for kind in (first..KINDS).chain(0..first) {
            if self.work.is_spent() {
                return None;
            }
            self.work.turn.first = if mutant!(KindsFixed) { 0 } else { (kind + 1) % KINDS };
            let found = match kind {
                0 if self.has_arrivals() => self.next_arrival_in_turn(now),
                1 if self.appointments.is_due(now) => self.next_appointment(now),
                2 if self.schedule.has_due() => self.next_scanned(now),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    #[inline(never)]
    fn next_arrival_in_turn(&mut self, now: Instant) -> Option<Found> {
        self.next_arrival(now)
    }

    /// Returns an entry whose time has come.
    fn next_appointment(&mut self, now: Instant) -> Option<Found> {
        while !self.work.is_spent() {
            let (directory, name, appointment) = self.appointments.pop_due(now)?;
            let origin = match appointment.reason {
                Reason::Requeued => Origin::Requeue,
                Reason::Quiet { by_scan } => {
                    if !self.is_quiet(directory, &name, appointment, now) {
                        continue;
                    }
                    if by_scan { Origin::Scan } else { Origin::Watch }
                }
            };
            self.scanner.note_returned(directory, &name);
            return Some(self.keep(directory, &name, origin));
        }
        None
    }

    /// Returns an entry whose name is in no buffer.
    pub(super) fn keep(&mut self, directory: usize, name: &OsStr, origin: Origin) -> Found {
        self.work.name.clear();
        self.work.name.push(name);
        Found { directory, origin, name: NameSource::Kept }
    }
}
