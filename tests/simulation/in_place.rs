//! Files that are written in the directories of the queue: their writers, and when such a file may be returned
//! and must be.

use std::collections::BTreeMap;
use std::time::Duration;

use libc::{O_APPEND, O_CREAT, O_EXCL, O_WRONLY};
use pullcord::WriteMethod;
use pullcord_platform::sim::{Ino, Kernel, Name};

use crate::history::{Config, Op};
use crate::oracle::MS;
use crate::random::Make;

/// The operations of the writers, for random histories.
pub(crate) const OPS: &[Make] = &[
    |rng| Op::Create(rng.below(3), rng.below(4)),
    |rng| Op::Append(rng.below(3), rng.below(4)),
    |rng| Op::Finish(rng.below(3), rng.below(4)),
];

/// How many entries that a scan has found wait for their quiet time at once. Here the library has this lower limit.
pub(crate) const MOST_WAITING: u64 = 16;

/// The library knows so many of the entries that it has returned. The close of an older one is an arrival.
pub(crate) const MOST_RECENT: u64 = 64;

/// How exact the times of files are.
pub(crate) const TICK: u64 = 4 * MS;

/// The open files of the writers, by directory and name.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<(usize, usize), i32>);

impl Files {
    /// Creates a file, and keeps it open.
    pub(crate) fn create(&mut self, kernel: &mut Kernel, key: (usize, usize), path: &[u8]) {
        if !self.0.contains_key(&key) {
            let opened = kernel.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644);
            self.0.extend(opened.ok().map(|fd| (key, fd)));
        }
    }

    /// Writes at the end of a file, and keeps it open. Opens it first if it is closed.
    pub(crate) fn append(&mut self, kernel: &mut Kernel, key: (usize, usize), path: &[u8]) {
        let open = self.0.get(&key).copied();
        let opened = open.or_else(|| kernel.open(path, O_WRONLY | O_APPEND, 0).ok());
        if let Some(fd) = opened {
            self.0.insert(key, fd);
            let _ = kernel.write(fd, 10);
        }
    }

    /// Closes a file. Returns false if it was not open.
    pub(crate) fn finish(&mut self, kernel: &mut Kernel, key: (usize, usize)) -> bool {
        self.0.remove(&key).is_some_and(|fd| kernel.close(fd).is_ok())
    }
}

/// The write method of a configuration, if it is not the one of its layout.
pub(crate) fn write_method(config: &Config) -> Option<WriteMethod> {
    config.in_place.map(|quiet| WriteMethod::InPlace { quiet: Duration::from_millis(quiet) })
}

/// How long a file must be unchanged, in nanoseconds. 0 for other queues.
pub(crate) fn quiet(config: &Config) -> u64 {
    match config.in_place {
        None => 0,
        Some(0) => WriteMethod::DEFAULT_QUIET.as_nanos() as u64,
        Some(quiet) => quiet * MS,
    }
}

/// What the oracle knows about the files that are written in place.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The times and the size of each entry, and since when it has them.
    versions: BTreeMap<u64, ((u64, u64, u64), u64)>,
    /// When an event has made a name ready at once.
    at_once: BTreeMap<(Ino, Name), u64>,
    /// When the last writer has closed an entry.
    closed: BTreeMap<u64, u64>,
    /// When the clock of the system was set last.
    clock_set: Option<u64>,
}

impl Written {
    /// An entry was seen at this time. Returns whether it has changed since it was last seen.
    pub(crate) fn saw(&mut self, id: u64, version: (u64, u64, u64), now: u64) -> bool {
        let known = self.versions.entry(id).or_insert((version, now));
        let has_changed = known.0 != version;
        if has_changed {
            *known = (version, now);
            self.closed.remove(&id);
        }
        has_changed
    }

    /// A file was renamed to this name, or closed by a writer.
    pub(crate) fn ready_at_once(&mut self, directory: Ino, name: &[u8], now: u64) {
        self.at_once.insert((directory, name.into()), now);
    }

    pub(crate) fn closed(&mut self, id: u64, now: u64) {
        self.closed.insert(id, now);
    }

    /// The times of files prove nothing about those that were written before.
    pub(crate) fn clock_was_set(&mut self, now: u64) {
        self.clock_set = Some(now);
    }

    /// Since when an entry is unchanged.
    pub(crate) fn unchanged_since(&self, id: u64) -> u64 {
        self.versions.get(&id).map_or(0, |(_, since)| *since)
    }

    /// Since when there was no event that renews the quiet time: a write, or a close.
    pub(crate) fn untouched_since(&self, id: u64) -> u64 {
        self.unchanged_since(id).max(self.closed_since(id).unwrap_or(0))
    }

    /// When the writer of an entry has closed it, without a change afterwards.
    pub(crate) fn closed_since(&self, id: u64) -> Option<u64> {
        self.closed.get(&id).copied()
    }

    /// Returns whether the clock was set after the entry was written, so that its times prove nothing.
    pub(crate) fn is_dated_wrongly(&self, id: u64) -> bool {
        self.clock_set.is_some_and(|set| set + TICK >= self.unchanged_since(id))
    }

    /// When an event has made a name ready at once.
    pub(crate) fn ready_since(&self, directory: Ino, name: &Name) -> Option<u64> {
        self.at_once.get(&(directory, name.clone())).copied()
    }

    /// Returns whether an entry that is returned now was not quiet for so long.
    pub(crate) fn is_early(&self, id: u64, quiet: u64, now: u64) -> bool {
        now + TICK < self.unchanged_since(id) + quiet && !self.is_dated_wrongly(id)
    }
}
