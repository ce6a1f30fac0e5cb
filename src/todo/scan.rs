//! The scan's part: one directory after the other, batch by batch.

use std::io;
use std::time::{Duration, Instant};

use pullcord_platform::dir::Dir;
use pullcord_platform::{clock, file};

use super::Todo;
use super::queue::Arrival;
use crate::error::Error;
use crate::queue::is_hidden;

/// A directory being read.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) directory: usize,
    open: Dir,
}

impl Todo {
    /// Opens the next directory that is due; false if there is none.
    pub(super) fn begin_scan(&mut self, now: Instant) -> bool {
        let first = !self.agenda.round_is_on();
        // Where the reading took long, it is later than the caller knows.
        let Some(directory) = self.agenda.begin(now + self.turn.spent) else {
            self.reported.clear();
            return false;
        };
        self.counters.scans += u64::from(first);
        let begun = clock::now();
        let opened = Dir::open(&self.queue.directories[directory]);
        self.spent(clock::now() - begun);
        match opened {
            Ok(open) => {
                if mutant!(WatchedLate) {
                    self.lookout.arm(now, &mut self.troubles);
                }
                self.counters.directories += 1;
                self.check_watched(directory, &open, now);
                self.scan = Some(Scan { directory, open });
            }
            Err(e) => self.directory_failed(directory, e, now),
        }
        true
    }

    fn spent(&mut self, time: Duration) {
        self.agenda.spent(time);
        self.turn.spent += time;
    }

    /// What is being read should be what is being watched.
    fn check_watched(&mut self, directory: usize, open: &Dir, now: Instant) {
        let Some(watched) = self.lookout.watched(directory) else { return };
        if !file::fstat(open).is_ok_and(|status| watched.is(status.id)) {
            self.agenda.is_dirty_now(directory);
            self.compare_identities(now);
        }
    }

    /// The next entry of the directory that is open, if it is one to be handed out; if this batch
    /// is at its end, the next one is read.
    pub(super) fn scan_on(&mut self, now: Instant) -> Option<usize> {
        if self.changed && !self.turn.absorbed {
            self.absorb(now);
        }
        let scan = self.scan.as_ref()?;
        let directory = scan.directory;
        let Some(entry) = self.batch.next_entry() else {
            self.read_on(now);
            return None;
        };
        self.turn.looked_at += 1;
        if mutant!(ScanFirst) {
            let names = self.reported.entry(directory).or_default();
            names.insert(entry.name.to_owned());
            return (!is_hidden(entry.name)).then_some(directory);
        }
        let reported = self.reported.get(&directory);
        if is_hidden(entry.name) || reported.is_some_and(|names| names.contains(entry.name)) {
            return None;
        }
        if self.queue.arrival == Arrival::Unfinished {
            let status = file::fstatat(&scan.open, entry.name);
            if !status.is_ok_and(|status| status.is_executable_file()) {
                return None;
            }
            self.held.remove(&(directory, entry.name.to_owned()));
        }
        Some(directory)
    }

    /// Reads the next batch of the directory that is open, and then what the watch has named by
    /// this time: what of the batch it has not named was there before it was armed.
    fn read_on(&mut self, now: Instant) {
        let Some(scan) = &mut self.scan else { return };
        let directory = scan.directory;
        let begun = clock::now();
        let more = scan.open.read_batch(&mut self.batch);
        self.spent(clock::now() - begun);
        match more {
            Ok(true) if mutant!(NotAbsorbed) => return,
            Ok(true) => return self.absorb(now),
            Ok(false) => {
                self.agenda.read(directory);
                if mutant!(DrainedLate) {
                    let _ = self.trigger.as_mut().map(|trigger| trigger.drain());
                }
                self.said[directory] = None;
            }
            Err(e) => self.directory_failed(directory, e, now),
        }
        self.scan = None;
    }

    /// Remembers that a directory has to be read again, and says why unless it was said.
    fn directory_failed(&mut self, directory: usize, error: io::Error, now: Instant) {
        if !mutant!(Forgetful) {
            self.agenda.failed(directory, now);
        }
        let number = error.raw_os_error();
        if self.said[directory] != number {
            self.said[directory] = number;
            let path = &self.queue.directories[directory];
            self.troubles.push_back(Error::new(path, "read the directory", error));
        }
    }
}
