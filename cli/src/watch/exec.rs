//! `--exec`: runs a command for each entry. [`jobs`] and [`stop`] decide; this file and [`ending`] perform.

mod command;
mod ending;
mod jobs;
mod report;
mod stop;

use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use pullcord::{OwnedEntry, WatchGrade};
use rustix::process::Pid;

use self::command::CommandLine;
pub(super) use self::ending::Ending;
pub(super) use self::jobs::Counts;
use self::jobs::{Admission, After, Found, Jobs, Left};
use self::report::Run;
use super::Outputs;
use super::format;
use super::known::{File, KnownEntries};
use super::options::{Arguments, ExecArguments};
use crate::failure::Failure;
use crate::mail::Mail;

/// How often the commands that run are looked at without a signal: SIGCHLD may be blocked, if the
/// program that has started this one has blocked it.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command, and retries it for entries for which it has failed.
pub(super) struct Runner<'a> {
    command: CommandLine,
    jobs: Jobs,
    children: Vec<Running>,
    /// Process groups whose first process has ended while all were stopped, and others have not.
    groups: Vec<Pid>,
    grace: Duration,
    outputs: &'a Outputs,
    has_objects: bool,
    /// A child may have ended.
    is_child_due: bool,
    checked: Instant,
    /// No command is started any more.
    is_stopping: bool,
    /// It was reported that the system cannot start the command.
    is_failing: bool,
}

struct Running {
    child: Child,
    entry: OwnedEntry,
    attempt: u32,
    started: Instant,
}

impl<'a> Runner<'a> {
    /// Returns `None` without --exec. Fails if the command cannot be found.
    pub(super) fn new(
        arguments: &Arguments,
        outputs: &'a Outputs,
    ) -> Result<Option<Runner<'a>>, Failure> {
        let ExecArguments { exec, jobs, grace } = &arguments.exec;
        let Some(words) = exec else { return Ok(None) };
        let output = &arguments.output;
        let is_output_used = output.is_json() || output.stats.is_some();
        let limit = usize::from(*jobs);
        Ok(Some(Runner {
            command: CommandLine::new(words, is_output_used)?,
            jobs: Jobs::new(limit, arguments.end.count.map(Into::into)),
            children: Vec::new(),
            groups: Vec::new(),
            grace: *grace,
            outputs,
            has_objects: output.is_json() && output.stats.is_none(),
            is_child_due: false,
            checked: Instant::now(),
            is_stopping: false,
            is_failing: false,
        }))
    }

    /// Returns whether another command may be started now.
    pub(super) fn has_room(&self) -> bool {
        self.jobs.has_room(Instant::now())
    }

    /// Returns how long to wait for a signal before something else must be done.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let now = Instant::now();
        let check = (self.checked + CHECK_INTERVAL).saturating_duration_since(now);
        let check = (!self.children.is_empty()).then_some(check);
        [check, self.jobs.time_to_room(now)].into_iter().flatten().min()
    }

    /// Returns whether no command runs, and no entry waits for another attempt.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_idle()
    }

    /// Returns whether enough commands have succeeded.
    pub(super) fn has_enough(&self) -> bool {
        self.jobs.has_enough()
    }

    pub(super) fn counts(&self) -> Counts {
        self.jobs.counts
    }

    /// Records that SIGCHLD has come.
    pub(super) fn on_child(&mut self) {
        self.is_child_due = true;
    }

    /// Takes an entry that the queue has returned, and runs its command if that is due. Returns whether
    /// the entry is a new one. Fails if the command cannot be started at all.
    pub(super) fn take(
        &mut self,
        entry: OwnedEntry,
        file: Option<File>,
        mail: &mut Mail,
        known: &mut KnownEntries,
    ) -> Result<bool, Failure> {
        let path = entry.path();
        let found = Found {
            path: &path,
            origin: entry.origin,
            file,
            age: file.map_or(Duration::MAX, |file| file.age(format::since_1970())),
            is_done: file.is_some_and(|it| known.is_known(&entry.directory, &entry.name, it)),
        };
        match self.jobs.admit(found) {
            Admission::Skip => Ok(false),
            Admission::Later(delay) => {
                self.requeue(&entry, delay, mail);
                Ok(false)
            }
            Admission::Run { attempt } => {
                self.start(entry, attempt, mail)?;
                Ok(attempt == 1)
            }
        }
    }

    /// An entry that the queue has returned is gone.
    pub(super) fn forget(&mut self, entry: &OwnedEntry, known: &mut KnownEntries) {
        self.jobs.forget(&entry.path());
        known.forget(&entry.directory, &entry.name);
    }

    fn start(&mut self, entry: OwnedEntry, attempt: u32, mail: &mut Mail) -> Result<(), Failure> {
        let path = entry.path();
        match self.command.start(&path, attempt) {
            Ok(child) => {
                if self.has_objects {
                    let run = Run { path: &path, attempt, pid: child.id() };
                    self.outputs.lines.push(run.start_line().as_bytes());
                }
                if self.children.is_empty() {
                    self.checked = Instant::now();
                }
                self.is_failing = false;
                self.children.push(Running { child, entry, attempt, started: Instant::now() });
                Ok(())
            }
            Err(e) if command::is_permanent(&e) => {
                self.jobs.on_not_started(&path, Instant::now());
                Err(Failure::failed(self.command.cannot_start(&e)))
            }
            Err(e) => {
                let delay = self.jobs.on_not_started(&path, Instant::now());
                self.requeue(&entry, delay, mail);
                if !std::mem::replace(&mut self.is_failing, true) {
                    let message = self.command.cannot_start(&e);
                    self.outputs.report(format!("{message}; tried again every second"));
                }
                Ok(())
            }
        }
    }

    /// Looks which commands have ended, if any may have. Returns whether one has.
    pub(super) fn reap(
        &mut self,
        mail: &mut Mail,
        known: &mut KnownEntries,
    ) -> Result<bool, Failure> {
        let now = Instant::now();
        let is_due = std::mem::take(&mut self.is_child_due);
        if self.children.is_empty() || !is_due && now < self.checked + CHECK_INTERVAL {
            return Ok(false);
        }
        self.checked = now;
        let before = self.children.len();
        let mut index = 0;
        while index < self.children.len() {
            match self.children[index].child.try_wait() {
                Ok(None) => index += 1,
                Ok(Some(status)) => {
                    let running = self.children.swap_remove(index);
                    self.on_ended(&running, status, mail, known);
                }
                Err(e) => return Err(Failure::failed(format!("cannot wait for a command: {e}"))),
            }
        }
        Ok(self.children.len() < before)
    }

    fn on_ended(
        &mut self,
        running: &Running,
        status: ExitStatus,
        mail: &mut Mail,
        known: &mut KnownEntries,
    ) {
        let Running { child, entry, attempt, started } = running;
        let path = entry.path();
        let left = match path.symlink_metadata() {
            Ok(metadata) => Left::There(File::from(&metadata)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Left::Gone,
            Err(_) => Left::NotKnown,
        };
        let is_watched = mail
            .queue()
            .status()
            .any(|it| it.path == entry.directory && it.watch == WatchGrade::Names);
        let after = self.jobs.on_ended(&path, status.success(), left, is_watched);
        match after {
            After::Kept(Some(file)) => drop(known.add(&entry.directory, &entry.name, file)),
            _ => known.forget(&entry.directory, &entry.name),
        }
        match after {
            After::Again => self.requeue(entry, Duration::ZERO, mail),
            After::Retry(delay) => self.requeue(entry, delay, mail),
            After::Removed | After::Kept(_) => {}
        }
        let run = Run { path: &path, attempt: *attempt, pid: child.id() };
        if self.has_objects {
            let line = run.end_line(status, started.elapsed(), after);
            self.outputs.lines.push(line.as_bytes());
        } else if let Some(message) = run.message(status, after, self.is_stopping) {
            self.outputs.report(message);
        }
    }

    /// Returns the entry again after this time.
    fn requeue(&mut self, entry: &OwnedEntry, delay: Duration, mail: &mut Mail) {
        // A directory that is no part of the queue any more: if it is one again, a scan returns the entry.
        if let Err(e) = mail.requeue(entry, delay) {
            self.jobs.forget(&entry.path());
            self.outputs.report(e);
        }
    }
}
