//! The entries that a scan finds.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use pullcord_platform::dir::FileType;
use pullcord_platform::file::{self, FileStatus, FileVersion};

use super::core::appointments::{Appointment, Reason};
use super::core::retry::Thing;
use super::core::warnings::Problem;
use super::options::{is_directory, part_name};
use super::turn::{Found, NameSource};
use super::watch_set::Opened;
use super::{Origin, Queue, WatchGrade, WriteMethod, is_hidden};

/// How many entries that a scan has found may wait for their quiet time. The scan pauses meanwhile.
const MAX_WAITING: usize = if cfg!(pullcord_sim) { 16 } else { 4096 };

impl Queue {
    /// Returns an entry that a scan has found, if one is active or due.
    #[inline(always)]
    pub(super) fn next_scanned(&mut self, now: Instant) -> Option<Found> {
        while !self.work.is_spent() {
            let Some(directory) = self.scanner.directory() else {
                if self.open_next(now) {
                    continue;
                }
                return None;
            };
            if self.scanner.left_to_absorb() > 0 {
                self.absorb(now);
                continue;
            }
            if self.is_scan_blocked() {
                return None;
            }
            let Some(file_type) = self.scanner.next_in_batch() else {
                if self.arrivals.is_full() {
                    return None;
                }
                self.read_batch(directory, now);
                continue;
            };
            self.work.turn.names += 1;
            if self.is_entry(directory, file_type, now) {
                self.scanner.found();
                self.schedule.pacer().found();
                return Some(Found { directory, origin: Origin::Scan, name: NameSource::Batch });
            }
        }
        None
    }

    /// Returns whether the scan waits because too many of its entries wait for their quiet time.
    pub(super) fn is_scan_blocked(&self) -> bool {
        self.appointments.scanned() >= MAX_WAITING && self.scanner.directory().is_some()
    }

    /// Opens the next directory that is due, watching it first if it is not watched yet. Returns
    /// false if none is due.
    #[inline(never)]
    fn open_next(&mut self, now: Instant) -> bool {
        let time = self.scanner.time(now);
        let Some(directory) = self.schedule.next_directory(time) else { return false };
        self.work.turn.opened += 1;
        if !mutant!(WatchedLate) {
            self.watch_before_scan(directory, now);
        }
        if !self.watches.is_own(directory) {
            return true;
        }
        let (opened, time) = self.scanner.open(directory, self.watches.path(directory));
        self.schedule.pacer().add_reading(time);
        match opened {
            Err(e) if self.is_lost_part(directory, e.kind()) => {
                self.lose_part(directory);
            }
            Err(error) => self.directory_failed(directory, error, now),
            Ok(file) => {
                self.work.stats.directories_read += 1;
                match self.watches.note_opened(directory, file) {
                    Opened::Expected => {}
                    Opened::Elsewhere if self.watches.is_watched(directory) => {
                        self.verification.rearm(directory);
                    }
                    Opened::Elsewhere => self.forget_entries(directory),
                    Opened::Alias => self.on_alias(directory),
                }
                if mutant!(WatchedLate) {
                    self.watch_before_scan(directory, now);
                }
            }
        }
        true
    }

    fn watch_before_scan(&mut self, directory: usize, now: Instant) {
        let is_wanted = self.watches.is_own(directory) && !self.watches.is_watched(directory);
        if is_wanted && self.can_watch(directory) && !self.retry.is_failing(Thing::Watch(directory))
        {
            self.arm(directory, now);
            // It is opened right now.
            self.schedule.mark_clean(directory);
        }
    }

    /// Reads the next batch, and notes how much the watch has to report by now: an entry of the batch
    /// that it does not name was there before the directory was watched.
    #[inline(never)]
    fn read_batch(&mut self, directory: usize, now: Instant) {
        let (more, time) = self.scanner.read_batch();
        self.schedule.pacer().add_reading(time);
        match more {
            Ok(true) if mutant!(NotAbsorbed) => {}
            Ok(true) => match self.watches.watcher().map_or(Ok(0), |watcher| watcher.available()) {
                Ok(available) => {
                    let buffered = usize::from(self.watches.has_buffered_events());
                    self.scanner.set_left_to_absorb(available.max(buffered));
                }
                Err(error) => self.watcher_failed(error, now),
            },
            Ok(false) => self.finish_scan(now),
            Err(_) if mutant!(PartialScanComplete) => self.finish_scan(now),
            Err(error) => {
                self.scanner.close();
                if self.is_lost_part(directory, error.kind()) {
                    // It was removed while it was read. Whether its path leads to another directory
                    // is found when it is opened again.
                    let time = self.scanner.time(now);
                    self.retry.failed(Thing::Directory(directory), time);
                    return;
                }
                self.directory_failed(directory, error, now);
            }
        }
    }

    fn finish_scan(&mut self, now: Instant) {
        let Some(scanned) = self.scanner.close() else { return };
        let directory = scanned.directory;
        if mutant!(DrainedLate) {
            let _ = self.trigger.drain(now);
        }
        let time = self.scanner.time(now);
        if let Some(error) = scanned.failed.filter(|_| !mutant!(FailedLookForgotten)) {
            return self.directory_failed(directory, error, time);
        }
        self.schedule.on_scanned(directory, scanned.has_unfinished, time);
        if !self.schedule.is_dirty(directory) {
            self.arrivals.reported.forget(directory);
        }
        self.retry.succeeded(Thing::Directory(directory));
        self.warnings.mended(Problem::Read(directory));
        self.work.set_error(directory, None);
        if !self.watches.is_watched(directory) && self.can_watch(directory) {
            // It could not even be looked at, and now it can be read.
            self.retry.failed(Thing::Watch(directory), time);
        }
        self.plan_next_scan(directory, scanned.has_found, time);
    }

    /// Plans the scan after this one, where nothing reports new entries, or where removals during the
    /// scan may have hidden other entries: on a file system that is not known to be local.
    fn plan_next_scan(&mut self, directory: usize, has_found: bool, now: Instant) {
        let Some(interval) = self.options.poll_interval else { return };
        let is_polled = self.watches.grade(directory) == WatchGrade::None && !self.has_trigger();
        let is_polled = is_polled && !mutant!(NotPolled);
        let may_hide = self.watches.is_shared(directory)
            && self.schedule.wants_follow_up(directory, has_found);
        if is_polled || may_hide && !mutant!(NotFollowedUp) {
            self.schedule.mark_dirty_after(directory, interval, now);
        }
    }

    /// Decides whether a name of the batch is an entry to return now.
    #[inline(always)]
    fn is_entry(&mut self, directory: usize, file_type: FileType, now: Instant) -> bool {
        let name = self.scanner.last_name();
        if mutant!(ScanFirst) {
            self.arrivals.reported.insert(directory, name);
            return !is_hidden(name);
        }
        if is_hidden(name) && !mutant!(HiddenReturned)
            || self.arrivals.reported.contains(directory, name)
            || self.scanner.was_returned(name)
            || self.is_trigger(directory, name, || self.scanner.look())
        {
            return false;
        }
        if self.options.has_parts && directory == 0 && !self.is_mail(file_type) {
            return false;
        }
        self.appointments.is_empty() && self.options.write_method == WriteMethod::Atomic
            || self.is_ready(directory, now)
    }

    /// Looks at an entry of the batch, and decides whether to return it now.
    fn is_ready(&mut self, directory: usize, now: Instant) -> bool {
        let appointment = self.appointments.get(directory, self.scanner.last_name());
        let appointment = appointment.filter(|_| !mutant!(RequeuedScanned));
        if appointment.is_none() && self.options.write_method == WriteMethod::Atomic {
            return true;
        }
        let status = match self.look_at_scanned() {
            Ok(status) => status,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                self.scanner.failed(error);
                return false;
            }
        };
        if let Some(Appointment { reason, version }) = appointment {
            let waits = matches!(reason, Reason::Quiet { .. });
            let is_same = |version: FileVersion| self.is_same(directory, &version, &status);
            if waits || version.is_some_and(is_same) {
                return false;
            }
        }
        match self.options.write_method {
            WriteMethod::Atomic => {}
            WriteMethod::OwnerExecutable => {
                if !status.is_executable_file() {
                    if status.is_regular_file() {
                        self.scanner.unfinished();
                    }
                    return false;
                }
                let name = self.scanner.last_name().to_owned();
                self.record_returned(directory, &name, &status);
            }
            WriteMethod::InPlace { .. } => {
                let name = self.scanner.last_name().to_owned();
                let left = self.quiet_left(directory, &status);
                let is_quiet = left.is_zero() || mutant!(YoungScanned);
                if status.is_regular_file() && !is_quiet {
                    let reason = Reason::Quiet { by_scan: true };
                    let version = Some(status.version);
                    let appointment = Appointment { reason, version };
                    self.appointments.make(directory, &name, now + left, appointment);
                    return false;
                }
                self.record_returned(directory, &name, &status);
            }
        }
        self.appointments.cancel(directory, self.scanner.last_name());
        true
    }

    /// Looks at an entry of the batch. The time counts as reading: where many entries are unfinished, a scan
    /// spends most of its time here.
    fn look_at_scanned(&mut self) -> io::Result<FileStatus> {
        self.work.turn.looks += 1;
        let (status, time) = self.scanner.measure_look();
        self.schedule.pacer().add_reading(time);
        status
    }

    /// Decides whether a name in qmail's `todo` is a message. Adds it to the queue's directories if it
    /// is a part.
    #[inline(never)]
    fn is_mail(&mut self, file_type: FileType) -> bool {
        let may_be_part = part_name(self.scanner.last_name()).is_some();
        if file_type == FileType::Symlink && !may_be_part {
            return true;
        }
        let is_directory = is_directory(file_type, || {
            // A link may lead nowhere. Any other entry that cannot be looked at is not known.
            match self.look_at_scanned() {
                Ok(status) if status.is_symlink() => file::is_directory(&self.scanned_path()),
                status => status.map(|status| status.is_directory()),
            }
        });
        let is_directory = match is_directory {
            Ok(is_directory) => is_directory,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                self.scanner.failed(error);
                return false;
            }
        };
        if is_directory && may_be_part && !mutant!(PartNotScanned) {
            self.add_part(self.scanned_path());
        }
        !is_directory || mutant!(DirectoryReturned)
    }

    /// Returns the path of a name in qmail's `todo`.
    fn scanned_path(&self) -> PathBuf {
        self.watches.path(0).join(self.scanner.last_name())
    }

    /// Records that a directory cannot be read. It is tried again.
    pub(super) fn directory_failed(&mut self, directory: usize, error: io::Error, now: Instant) {
        let time = self.scanner.time(now);
        self.schedule.mark_clean(directory);
        if !mutant!(Forgetful) {
            self.retry.failed(Thing::Directory(directory), time);
        }
        let error = crate::Error::new(self.watches.path(directory), "read the directory", error);
        self.work.set_error(directory, Some(error.to_string()));
        self.warn(Problem::Read(directory), super::WarningKind::Unreadable, error);
    }
}
