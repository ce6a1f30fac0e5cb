//! The entries that the watch reports.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pullcord_platform::file::{self, FileStatus};

use super::core::recent::Recent;
use super::core::reported::Reported;
use super::options::part_name;
use super::turn::{Found, NameSource};
use super::watch_set::events::TargetEvent;
use super::{Origin, PULL_GRACE, Queue, is_hidden};
use crate::watcher::EntryCause;

/// How many reported entries may wait to be returned when a scan reads its next batch. Fewer than are
/// kept in [`Reported`], so that none of them is returned by the scan, too.
const MAX_BUFFERED: usize = if cfg!(pullcord_sim) { 64 } else { 16_384 };

/// The names that the watch has reported.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Reported while a directory was being read, and to be returned soon.
    buffered: VecDeque<(usize, OsString)>,
    pub(super) reported: Reported,
    pub(super) recent: Recent,
    /// The last read of the watch has brought no entry so far.
    pub(super) is_fruitless: bool,
}

impl Arrivals {
    /// Returns whether reported entries wait to be returned.
    pub(super) fn has_buffered(&self) -> bool {
        !self.buffered.is_empty()
    }

    /// Returns whether too many reported entries wait to be returned for another batch, which would add
    /// all events that are pending.
    pub(super) fn is_full(&self) -> bool {
        self.buffered.len() >= MAX_BUFFERED
    }

    /// Forgets the reports about a directory: its path leads elsewhere, or its watch has ended.
    pub(super) fn forget(&mut self, directory: usize) {
        self.buffered.retain(|(other, _)| *other != directory);
        self.reported.forget(directory);
    }

    /// Forgets the reports about all directories: they are scanned from their beginning.
    pub(super) fn forget_all(&mut self) {
        self.buffered.clear();
        self.reported.clear();
    }
}

impl Queue {
    /// Returns whether the watch may have reported an entry that can be returned now.
    #[inline]
    pub(super) fn has_arrivals(&self) -> bool {
        self.arrivals.has_buffered()
            || self.watches.has_buffered_events()
            || self.sources.watch.readable && !self.sources.watch_rests
    }

    /// Returns an entry that the watch has reported. Nearly every entry comes this way. So its functions are
    /// inlined into one, and rare cases have functions of their own.
    #[inline(always)]
    pub(super) fn next_arrival(&mut self, now: Instant) -> Option<Found> {
        while !self.work.is_spent() {
            if self.arrivals.has_buffered() {
                let found = self.next_buffered(now);
                if found.is_some() {
                    return found;
                }
                continue;
            }
            if self.watches.has_buffered_events() {
                let Some(directory) = self.next_reported(now) else { continue };
                if self.accept_last(directory, now) {
                    let (origin, name) = (Origin::Watch, NameSource::Watch);
                    return Some(Found { directory, origin, name });
                }
            } else if !self.sources.watch.readable
                || self.sources.watch_rests
                || !self.read_watch(now)
            {
                return None;
            }
        }
        None
    }

    /// Returns the next of the names that were kept, if its entry is ready.
    #[inline(never)]
    fn next_buffered(&mut self, now: Instant) -> Option<Found> {
        let (directory, name) = self.arrivals.buffered.pop_front()?;
        let is_accepted = self.accept(directory, &name, now);
        is_accepted.then(|| self.keep(directory, &name, Origin::Watch))
    }

    /// Reads the events that were pending when a batch was read, and keeps the entries that they
    /// report. So the scan leaves out the names of the batch that the watch returns. If the turn is over
    /// before all were read, the rest is left for the next call.
    pub(super) fn absorb(&mut self, now: Instant) {
        loop {
            while self.watches.has_buffered_events() {
                if self.work.is_spent() {
                    // The batch waits for these events too.
                    let left = self.scanner.left_to_absorb().max(1);
                    self.scanner.set_left_to_absorb(left);
                    return;
                }
                if let Some(directory) = self.next_absorbed(now) {
                    let name = self.watches.last_name().to_owned();
                    self.arrivals.buffered.push_back((directory, name));
                }
            }
            let left = self.scanner.left_to_absorb();
            if left == 0 {
                return;
            }
            match self.watches.read_events() {
                Ok(read) => {
                    self.note_read(read, now);
                    let left = if read == 0 { 0 } else { left.saturating_sub(read) };
                    self.scanner.set_left_to_absorb(left);
                }
                Err(error) => self.watcher_failed(error, now),
            }
        }
    }

    #[inline(never)]
    fn next_absorbed(&mut self, now: Instant) -> Option<usize> {
        self.next_reported(now)
    }

    /// Reads all events of the watch, before a pull decides which directories have changed.
    pub(super) fn absorb_all(&mut self, now: Instant) {
        self.scanner.set_left_to_absorb(usize::MAX);
        self.absorb(now);
    }

    /// Reads the watch once. Returns whether there was anything.
    #[inline(never)]
    fn read_watch(&mut self, now: Instant) -> bool {
        match self.watches.read_events() {
            Ok(0) => {
                self.note_read(0, now);
                self.charge_fruitless_read(now);
                false
            }
            Ok(read) => {
                self.note_read(read, now);
                true
            }
            Err(error) => {
                self.watcher_failed(error, now);
                false
            }
        }
    }

    /// Notes a read of the watch, and charges the one before if it has brought no entry.
    #[inline]
    fn note_read(&mut self, read: usize, now: Instant) {
        if read > 0 && std::mem::replace(&mut self.arrivals.is_fruitless, true) {
            self.charge_fruitless_read(now);
        }
        self.sources.watch.readable = self.watches.may_have_more(read);
    }

    /// While a read is unpaid, the watch is not waited for: a user who causes other events cannot keep
    /// the queue busy.
    #[inline(never)]
    fn charge_fruitless_read(&mut self, now: Instant) {
        self.schedule.pacer().charge_empty(now);
        self.sources.watch_rests = !self.schedule.pacer().may_begin(now);
    }

    /// Takes the next event. Returns the directory if it reports an entry, whose name is the watch's
    /// last one.
    #[inline(always)]
    fn next_reported(&mut self, now: Instant) -> Option<usize> {
        self.work.turn.names += 1;
        // The operator `?` costs each arrival four instructions.
        match self.watches.next_event() {
            None => None,
            Some(TargetEvent::EntryAdded { directory, cause, is_directory }) => {
                self.on_entry_added(directory, cause, is_directory, now)
            }
            Some(event) => {
                self.on_unnamed_event(event, now);
                None
            }
        }
    }

    #[inline(never)]
    fn on_unnamed_event(&mut self, event: TargetEvent, now: Instant) {
        match event {
            TargetEvent::EntryAdded { .. } => {}
            TargetEvent::Changed(directory) => {
                // A pull should follow, if there is anyone to pull.
                let delay = if self.has_trigger() { PULL_GRACE } else { Duration::ZERO };
                if self.may_be_read(directory)
                    && self.schedule.mark_dirty_after(directory, delay, now)
                {
                    self.arrivals.is_fruitless = false;
                }
            }
            TargetEvent::Lost(_) if mutant!(WatchLossIgnored) => {}
            TargetEvent::Overflow if mutant!(OverflowIgnored) => {}
            TargetEvent::Lost(directory) => self.verification.rearm(directory),
            TargetEvent::Overflow => self.on_overflow(),
        }
    }

    #[inline(always)]
    fn on_entry_added(
        &mut self,
        directory: usize,
        cause: EntryCause,
        is_directory: bool,
        now: Instant,
    ) -> Option<usize> {
        let name = self.watches.last_name();
        let look = || file::lstat(&self.watches.path(directory).join(name));
        if is_hidden(name) && !mutant!(HiddenReturned) || self.is_trigger(directory, name, look) {
            return None;
        }
        if self.options.has_parts && directory == 0 && !self.is_entry_of_parts(is_directory) {
            return None;
        }
        if self.options.write_method.is_in_place() && !self.is_ready_at_once(cause) {
            let name: Arc<OsStr> = self.watches.last_name().into();
            self.wait_for_quiet(directory, &name, now);
            return None;
        }
        if mutant!(ScanFirst) {
            let name = self.watches.last_name();
            let is_known = self.arrivals.reported.contains(directory, name);
            return (!is_known).then_some(directory);
        }
        if self.schedule.is_dirty(directory) || self.scanner.directory() == Some(directory) {
            self.note_reported(directory);
        }
        Some(directory)
    }

    /// Keeps the name that was reported last: the scan that follows leaves it out.
    #[inline(never)]
    fn note_reported(&mut self, directory: usize) {
        if self.watches.is_local(directory) && !mutant!(ReportNotNoted) {
            self.arrivals.reported.insert(directory, self.watches.last_name());
        }
    }

    /// Returns whether the name that was reported last, in the directory that the parts of a split queue
    /// are in, is one of an entry. Adds the part otherwise.
    #[inline(never)]
    fn is_entry_of_parts(&mut self, is_directory: bool) -> bool {
        if is_directory {
            self.on_part_reported();
            return false;
        }
        // A numbered link that leads to a directory is a part. In a flat queue this would be a call for
        // each message, whose names are numbers too.
        let name = self.watches.last_name();
        if self.watches.len() == 1 || part_name(name).is_none() {
            return true;
        }
        self.work.turn.looks += 1;
        match file::is_directory(&self.watches.path(0).join(name)) {
            Ok(false) => return true,
            Ok(true) => self.on_part_reported(),
            // The scan looks again, until it is known.
            Err(_) => self.schedule.mark_dirty(0),
        }
        false
    }

    /// Returns whether a name is that of the trigger, and so of no entry. The trigger may be given by
    /// another path than its directory: so a FIFO of its name is none either, nor a file of its name
    /// that cannot be looked at.
    #[inline]
    pub(super) fn is_trigger(
        &self,
        directory: usize,
        name: &OsStr,
        look: impl FnOnce() -> io::Result<FileStatus>,
    ) -> bool {
        self.trigger.place().is_some_and(|(parent, trigger)| {
            trigger == name
                && self.is_trigger_in(parent, directory, look)
                && !mutant!(TriggerReturned)
        })
    }

    #[cold]
    #[inline(never)]
    fn is_trigger_in(
        &self,
        parent: &Path,
        directory: usize,
        look: impl FnOnce() -> io::Result<FileStatus>,
    ) -> bool {
        parent == self.watches.path(directory) || look().map_or(true, |status| status.is_fifo())
    }

    /// Adds the part of a split queue that the watch has named last.
    fn on_part_reported(&mut self) {
        if let Some(part) =
            part_name(self.watches.last_name()).filter(|_| !mutant!(PartNotReported))
        {
            // If it was removed and made again, its own watch reports that.
            self.add_part(self.watches.path(0).join(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(directories: &[usize]) -> Arrivals {
        let buffered = directories.iter().map(|directory| (*directory, "1".into()));
        let mut arrivals = Arrivals { buffered: buffered.collect(), ..Arrivals::default() };
        for directory in directories {
            arrivals.reported.insert(*directory, "1".as_ref());
        }
        arrivals
    }

    #[test]
    fn the_reports_of_one_directory_or_of_all_are_forgotten() {
        let mut some = arrivals(&[0, 1, 2, 1]);
        some.forget(1);
        assert_eq!(some.buffered, arrivals(&[0, 2]).buffered);
        let kept = [0, 1, 2].map(|directory| some.reported.contains(directory, "1".as_ref()));
        assert_eq!(kept, [true, false, true]);
        some.forget_all();
        assert!(!some.has_buffered() && !some.reported.contains(0, "1".as_ref()));
    }

    #[test]
    fn entries_that_wait_to_be_returned_delay_the_next_batch_from_a_limit_on() {
        let directories = vec![0; MAX_BUFFERED];
        assert!(!arrivals(&directories[1..]).is_full());
        assert!(arrivals(&directories).is_full());
    }
}
