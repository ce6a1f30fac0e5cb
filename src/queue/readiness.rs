//! Whether a reported entry is ready: its writer may still write to it, or may not have made it
//! executable.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pullcord_platform::clock;
use pullcord_platform::file::{self, FileStatus, FileVersion};

use super::core::appointments::{Appointment, Reason};
use super::{Queue, WriteMethod};
use crate::watcher::EntryCause;

impl Queue {
    pub(super) fn is_ready_at_once(&self, cause: EntryCause) -> bool {
        let is_closed = cause == EntryCause::Closed && !mutant!(CloseIgnored);
        let needs_no_quiet = WriteMethod::InPlace { quiet: Duration::ZERO };
        let trusts_close = self.options.write_method == needs_no_quiet || mutant!(CloseTrusted);
        cause == EntryCause::MovedIn || is_closed && trusts_close
    }

    /// Makes an appointment for an entry that is written in place, unless the event is none of a
    /// writer: its file is the one that was returned, or requeued.
    pub(super) fn wait_for_quiet(&mut self, directory: usize, name: &Arc<OsStr>, now: Instant) {
        let appointment = self.appointments.get(directory, name);
        let requeued = appointment.filter(|appointment| appointment.reason == Reason::Requeued);
        if requeued.is_some() || self.arrivals.recent.contains(directory, name) {
            let Some(status) = self.look_at(directory, name, now) else { return };
            if requeued.is_some_and(|requeued| {
                requeued.version.is_some_and(|version| self.is_same(directory, &version, &status))
            }) || self.is_repeat(directory, name, &status)
            {
                return;
            }
        }
        self.arrivals.is_fruitless = false;
        let at = now + self.options.write_method.quiet();
        let reason = Reason::Quiet { by_scan: false };
        self.appointments.make(directory, name, at, Appointment { reason, version: None });
    }

    /// Decides whether the entry that was reported last is returned now.
    #[inline]
    pub(super) fn accept_last(&mut self, directory: usize, now: Instant) -> bool {
        if self.options.write_method != WriteMethod::Atomic {
            return self.accept_last_if_ready(directory, now);
        }
        self.arrivals.is_fruitless = false;
        if !self.appointments.is_empty() && !mutant!(AppointmentKept) {
            self.appointments.cancel(directory, self.watches.last_name());
        }
        true
    }

    #[inline(never)]
    fn accept_last_if_ready(&mut self, directory: usize, now: Instant) -> bool {
        let name = self.watches.last_name().to_owned();
        self.accept(directory, &name, now)
    }

    /// Decides whether a reported entry is returned now.
    pub(super) fn accept(&mut self, directory: usize, name: &OsStr, now: Instant) -> bool {
        if self.options.write_method != WriteMethod::Atomic {
            let Some(status) = self.look_at(directory, name, now) else { return false };
            let is_ready = self.options.write_method.is_in_place() || status.is_executable_file();
            if !is_ready && !mutant!(UnfinishedReturned) {
                // Its fchmod(2) is reported as well, or else a pull makes the scan look at it.
                self.arrivals.reported.remove(directory, name);
                if status.is_regular_file() && !mutant!(UnfinishedForgotten) {
                    self.schedule.set_unfinished(directory);
                    if self.scanner.directory() == Some(directory) {
                        self.scanner.unfinished();
                    }
                }
                return false;
            }
            let shared: Arc<OsStr> = name.into();
            if self.is_repeat(directory, &shared, &status) {
                return false;
            }
            self.record_returned(directory, name, &status);
        }
        self.arrivals.is_fruitless = false;
        self.appointments.cancel(directory, name);
        true
    }

    /// Looks at an entry by its path. Returns `None` if it is gone. If it cannot be looked at, its
    /// directory has failed, and is read again.
    pub(super) fn look_at(
        &mut self,
        directory: usize,
        name: &OsStr,
        now: Instant,
    ) -> Option<FileStatus> {
        self.work.turn.looks += 1;
        match file::lstat(&self.watches.path(directory).join(name)) {
            Ok(status) => Some(status),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.verification.compare(directory);
                None
            }
            Err(error) => {
                // The scan must look at it itself.
                self.arrivals.reported.remove(directory, name);
                if self.scanner.directory() == Some(directory) {
                    self.scanner.failed(error);
                } else if !mutant!(FailedLookIgnored) {
                    self.directory_failed(directory, error, now);
                }
                None
            }
        }
    }

    fn is_repeat(&self, directory: usize, name: &Arc<OsStr>, status: &FileStatus) -> bool {
        let is_same = |version: &FileVersion| self.is_same(directory, version, status);
        self.arrivals.recent.is_repeat(directory, name, is_same, self.watches.reads())
    }

    /// Returns whether a file is unchanged since its version was taken.
    pub(super) fn is_same(
        &self,
        directory: usize,
        version: &FileVersion,
        status: &FileStatus,
    ) -> bool {
        let trusts_numbers = self.watches.trusts_numbers(directory);
        version.is_same(&status.version, trusts_numbers) || mutant!(VersionNotCompared)
    }

    /// Records that an entry is returned whose next event may be none of a writer.
    pub(super) fn record_returned(&mut self, directory: usize, name: &OsStr, status: &FileStatus) {
        let is_settled = status.version.is_settled(clock::wall()) || mutant!(TickTrusted);
        let (version, reads) = (status.version, self.watches.reads());
        self.arrivals.recent.record(directory, name, version, is_settled, reads);
    }

    /// Looks at an entry that is written in place, at the end of its quiet time. Makes another
    /// appointment if it has changed.
    pub(super) fn is_quiet(
        &mut self,
        directory: usize,
        name: &OsStr,
        appointment: Appointment,
        now: Instant,
    ) -> bool {
        let Some(status) = self.look_at(directory, name, now) else { return false };
        if !status.is_regular_file() {
            return true;
        }
        let is_same = |version: FileVersion| self.is_same(directory, &version, &status);
        let is_same = appointment.version.is_some_and(is_same);
        let left = self.quiet_left(directory, &status);
        if is_same || left.is_zero() || mutant!(QuietNotCompared) {
            self.record_returned(directory, name, &status);
            return true;
        }
        let version = Some(status.version);
        self.appointments.make(directory, name, now + left, Appointment { version, ..appointment });
        false
    }

    /// Returns how long an entry that is written in place must be quiet from now on, by the times of its
    /// file. On a file system with another host's clock they prove nothing: all of the quiet time then.
    pub(super) fn quiet_left(&self, directory: usize, status: &FileStatus) -> Duration {
        let quiet = self.options.write_method.quiet();
        if !self.watches.is_local(directory) {
            return quiet;
        }
        let age = status.version.age(clock::wall()).unwrap_or(Duration::ZERO);
        quiet.saturating_sub(age)
    }
}
