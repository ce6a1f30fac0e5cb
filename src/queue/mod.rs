//! The queue: trigger, directory watch and scan put together, so that every entry is returned at
//! least once.
//!
//! [`Queue`] has no loop and no clock. It gives its descriptors and a timeout to the caller's loop,
//! takes events and the time, and returns one entry at a time. Each step is bounded. A
//! [`Receiver`](crate::Receiver) is a queue with a loop of its own.
//!
//! # Guarantees
//!
//! 1. Every entry that appears is returned at least once.
//! 2. It is returned a second time only after a scan that was needed. The caller removes an entry
//!    once it is processed, or remembers the entries that it is processing.
//! 3. An entry whose writer has pulled the trigger is returned immediately after a quiet time; in a
//!    directory that was replaced since the last verification, within
//!    [`verify_interval`](QueueOptions::verify_interval).
//! 4. Without a pull and without a change, no directory is read, except at
//!    [`rescan_interval`](QueueOptions::rescan_interval), at
//!    [`poll_interval`](QueueOptions::poll_interval) where there is neither a trigger nor a reliable
//!    watch, when something is tried again, and where a path leads elsewhere.
//! 5. With a reliable watch ([`WatchGrade::Names`]), the cost of an entry does not depend on the
//!    number of entries in the queue.
//! 6. No input makes it spin. Idle, it makes one system call for each directory and three more in a
//!    `verify_interval`. Failures and missing files cost at most 200 calls a second more. A flood of pulls,
//!    or of events without an entry, causes at most 1,200 wake-ups a second.
//! 7. The work of a turn is bounded: 64 entries, 4,096 names, 64 calls of stat(2), 64 directories.
//! 8. Memory follows the entries that arrived and were not returned yet, and the requeued ones; not
//!    the entries that wait in the directories.
//!
//! It does not guarantee an order. Names may hold any bytes; names that begin with a dot are skipped.

mod arrivals;
mod close;
mod core;
mod directories;
mod entry;
mod options;
mod pulls;
mod readiness;
mod register;
mod scan;
mod scanner;
mod sources;
mod status;
#[cfg(test)]
mod tests;
mod trigger_port;
mod turn;
mod upkeep;
mod warning;
mod watch_set;
mod watching;

use std::io;
use std::time::{Duration, Instant};

use pullcord_platform::clock;
use pullcord_platform::dir::Dir;
use pullcord_platform::file;

pub use self::core::grade::WatchGrade;
pub use entry::{Entry, Origin, OwnedEntry};
pub use options::{QueueOptions, WriteMethod};
pub use register::WaitFds;
pub use status::{DirectoryStatus, Stats};
pub use warning::{Warning, WarningKind};

use self::core::appointments::{Appointment, Appointments, Reason};
use self::core::retry::Retry;
use self::core::schedule::Schedule;
use self::core::verification::Verification;
use self::core::warnings::{Problem, Warnings};
use crate::error::{Error, Result};
use crate::watcher::WatchMode;
use arrivals::Arrivals;
use scanner::Scanner;
use sources::Sources;
use trigger_port::TriggerPort;
use turn::Work;
use watch_set::{Armed, Opened, WatchSet};

/// An open queue. [`QueueOptions::open`] opens it; see the [module](self) for its guarantees.
///
/// On a [`Notifier`](crate::Notifier), call [`register`](Queue::register) once, and then in turns:
/// [`prepare`](Queue::prepare), the notifier's wait, [`handle_event`](Queue::handle_event) for each
/// event, and [`next_entry`](Queue::next_entry) until it returns `None`.
#[derive(Debug)]
pub struct Queue {
    options: QueueOptions,
    trigger: TriggerPort,
    watches: WatchSet,
    sources: Sources,
    scanner: Scanner,
    arrivals: Arrivals,
    schedule: Schedule,
    appointments: Appointments,
    verification: Verification,
    retry: Retry,
    warnings: Warnings<Warning>,
    work: Work,
}

impl Queue {
    /// Opens a queue whose options were checked, and whose paths are absolute.
    fn open(options: QueueOptions) -> Result<Queue> {
        let now = clock::now();
        let mut queue = Queue {
            trigger: TriggerPort::new(options.trigger.clone(), options.other_readers),
            watches: WatchSet::new(&options),
            sources: Sources::default(),
            scanner: Scanner::new(),
            arrivals: Arrivals::default(),
            schedule: Schedule::new(options.rescan_interval, now),
            appointments: Appointments::default(),
            verification: Verification::new(options.verify_interval, now),
            retry: Retry::default(),
            warnings: Warnings::new(),
            work: Work::new(now),
            options,
        };
        queue.open_trigger_first(now)?;
        queue.open_watcher_first(now)?;
        for directory in 0..queue.options.directories.len() {
            queue.add_directory(queue.options.directories[directory].clone());
            queue.open_directory_first(directory, now)?;
        }
        // The first turn finds the paths that were replaced since they were opened.
        queue.verification.begin_pass(false);
        Ok(queue)
    }

    fn open_trigger_first(&mut self, now: Instant) -> Result<()> {
        match self.trigger.open() {
            Err(e) if self.options.must_exist || e.kind() != io::ErrorKind::NotFound => Err(e),
            Err(e) => {
                self.trigger_failed(e, now);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn open_watcher_first(&mut self, now: Instant) -> Result<()> {
        match self.watches.open() {
            Err(e) if self.options.watch == WatchMode::Required => {
                Err(crate::watcher::with_context(self.options.first_path(), "watch the queue", e))
            }
            Err(e) => {
                self.watcher_failed(e, now);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Watches a directory for the first time, and checks that it can be read.
    fn open_directory_first(&mut self, directory: usize, now: Instant) -> Result<()> {
        let armed = if mutant!(WatchedLate) {
            Armed::Unwatchable(None)
        } else {
            self.watches.arm(directory)
        };
        let is_required = self.options.watch == WatchMode::Required;
        match armed {
            Armed::Unreachable(e) if !self.may_be_missing(directory, e.kind()) => return Err(e),
            Armed::Unwatchable(Some(e)) | Armed::Failed(e) if is_required => return Err(e),
            armed => self.on_armed(directory, armed, now),
        }
        if !self.watches.is_watched(directory) && self.watches.is_own(directory) {
            let path = self.watches.path(directory);
            let opened = Dir::open(path).and_then(|dir| file::fstat(&dir));
            match opened {
                Ok(status) => {
                    if self.watches.note_opened(directory, status.id) == Opened::Alias {
                        self.on_alias(directory);
                    }
                }
                Err(e) if self.is_lost_part(directory, e.kind()) => {
                    self.lose_part(directory);
                }
                Err(e) if self.may_be_missing(directory, e.kind()) => {}
                Err(e) => return Err(Error::new(path, "read the directory", e)),
            }
        }
        Ok(())
    }

    /// Returns whether a directory may be missing when the queue is opened: if the options permit that, or
    /// if it is a part, which another process may have removed since its name was read.
    fn may_be_missing(&self, directory: usize, kind: io::ErrorKind) -> bool {
        kind == io::ErrorKind::NotFound && !self.options.must_exist
            || self.is_lost_part(directory, kind)
    }

    /// Returns the entry again, once `not_before` has come: for an entry that cannot be processed
    /// now. A scan skips it until then, as long as the file stays the same. The entry is returned
    /// earlier if the watch reports it, or if a scan finds another file of its name.
    ///
    /// The queue keeps this in memory only: after a restart, the first scan returns the entry. Makes
    /// one call of lstat(2); if that fails, the next scan that finds the entry returns it. An entry that is
    /// gone by then is returned all the same.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if the entry is in none of the queue's directories.
    pub fn requeue(&mut self, entry: &OwnedEntry, not_before: Instant) -> Result<()> {
        let path = entry.path();
        let name = entry.name.as_encoded_bytes();
        let is_name = !name.is_empty() && !name.contains(&b'/') && !is_hidden(&entry.name);
        let Some(directory) = self.watches.find(&entry.directory).filter(|_| is_name) else {
            let why = "the path is not in a directory of this queue";
            let error = io::Error::new(io::ErrorKind::InvalidInput, why);
            return Err(Error::new(path, "requeue the entry", error));
        };
        // If it is not known, the next scan that meets the entry returns it.
        let version = file::lstat(&path).ok().map(|status| status.version);
        let appointment = Appointment { reason: Reason::Requeued, version };
        self.appointments.make(directory, &entry.name, not_before, appointment);
        Ok(())
    }

    /// Returns the next warning, or `None`. Makes no system call.
    pub fn next_warning(&mut self) -> Option<Warning> {
        self.warnings.next()
    }

    /// Returns the counters of the queue since it was opened.
    pub fn stats(&self) -> Stats {
        let scans = self.schedule.rounds();
        Stats { scans, dropped_warnings: self.warnings.dropped(), ..self.work.stats }
    }

    /// Returns how each directory is watched and read. Directories that are the same as another one,
    /// and removed parts, are left out.
    pub fn status(&self) -> impl Iterator<Item = DirectoryStatus<'_>> {
        (0..self.watches.len()).filter(|directory| self.watches.is_own(*directory)).map(
            |directory| {
                let (scans, last_scan) = self.schedule.scans(directory);
                DirectoryStatus {
                    path: self.watches.path(directory),
                    watch: self.watches.grade(directory),
                    reason: self.watches.reason(directory),
                    scans,
                    last_scan,
                    last_error: self.work.last_error(directory),
                }
            },
        )
    }

    /// Returns the number of directories with [`WatchGrade::None`]: their changes are found by pulls or by
    /// polling. Makes no system call.
    pub fn unwatched_directories(&self) -> usize {
        self.status().filter(|status| status.watch == WatchGrade::None).count()
    }

    /// Returns whether every directory has a reliable watch. The trigger is not waited for then.
    pub fn is_fully_watched(&self) -> bool {
        self.watches.all_reliable()
    }

    /// Returns whether a round of scans is active. Between two rounds, every dirty directory has been read,
    /// except those whose failure was reported.
    pub fn is_scanning(&self) -> bool {
        self.schedule.is_round_active()
    }

    /// Returns the options that the queue was opened with, with absolute paths.
    pub fn options(&self) -> &QueueOptions {
        &self.options
    }

    /// Returns whether a warning was added since the last call.
    pub(crate) fn take_warning_news(&mut self) -> bool {
        self.warnings.take_news()
    }

    /// Reports that the notifier cannot wait.
    pub(crate) fn wait_failed(&mut self, error: io::Error) {
        let error = Error::new(self.options.first_path(), "wait for the queue", error);
        self.warn(Problem::Wait, WarningKind::Registration, error);
    }

    /// Records that the notifier can wait: the next failure is reported again.
    pub(crate) fn wait_succeeded(&mut self) {
        self.warnings.mended(Problem::Wait);
    }

    /// Reports a problem, unless it was reported and not mended since.
    fn warn(&mut self, problem: Problem, kind: WarningKind, error: Error) {
        let number = error.raw_os_error();
        let is_new = self.warnings.report(problem, number, || Warning::new(kind, error));
        self.work.stats.warnings += u64::from(is_new);
    }
}

/// How long a change is left alone when a pull should follow it. A writer that was killed between
/// the two delays its own entry by as much.
const PULL_GRACE: Duration = Duration::from_secs(1);

/// Returns whether a name is none of an entry.
fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
