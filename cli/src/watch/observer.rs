//! The loop: takes the entries of a queue, and prints them, counts them, or runs a command for each.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord::{Entry, Events, Origin, OwnedEntry, Queue, QueueOptions};

use super::exec::{Counts, Ending, Runner};
use super::format::{self, LineFormat};
use super::known::{Before, CLOCK_TICK, File, KnownEntries};
use super::metrics::{self, Metrics, Numbers};
use super::options::Arguments;
use super::stats::Statistics;
use super::totals::{Interval, Surveyor, Totals};
use super::{CHILDREN, Outputs, SIGNALS, Waits};
use crate::failure::Failure;
use crate::mail::Mail;

/// Why the command ends.
pub(super) enum End {
    AsAsked,
    BySignal,
    OutputClosed,
}

/// Prints the entries of a queue, or runs a command for each.
pub(super) struct Observer<'a> {
    arguments: &'a Arguments,
    outputs: &'a Outputs,
    format: Option<LineFormat>,
    /// The trigger, which may lie in one of the directories, and is not an entry.
    trigger: Option<PathBuf>,
    /// The entries that were printed, or for which the command has succeeded.
    known: KnownEntries,
    runner: Option<Runner<'a>>,
    surveyor: Surveyor,
    statistics: Option<Statistics>,
    metrics: Option<(Metrics, Interval)>,
    /// In time since 1970.
    started: Duration,
    begun: Instant,
    last: Instant,
    found: u64,
    /// The output was full, or no more commands could be started, before the queue had no more entries.
    is_interrupted: bool,
    /// The queue has returned an entry since it was last waited for, and may have more.
    has_taken: bool,
}

impl<'a> Observer<'a> {
    pub(super) fn new(
        arguments: &'a Arguments,
        options: &QueueOptions,
        outputs: &'a Outputs,
        started: Duration,
    ) -> Result<Observer<'a>, Failure> {
        let now = Instant::now();
        let output = &arguments.output;
        let statistics = output
            .stats
            .map(|length| Statistics::new(length, output.is_json(), output.timestamps, now));
        Ok(Observer {
            arguments,
            outputs,
            format: output.line_format(),
            trigger: options.trigger_path().and_then(|path| std::path::absolute(path).ok()),
            known: KnownEntries::default(),
            runner: Runner::new(arguments, outputs)?,
            surveyor: Surveyor::default(),
            statistics,
            metrics: None,
            started,
            begun: now,
            last: now,
            found: 0,
            is_interrupted: false,
            has_taken: false,
        })
    }

    /// Writes the file of --metrics for the first time. Fails if that cannot be written.
    pub(super) fn create_metrics(&mut self, name: &Path, queue: &Queue) -> Result<(), Failure> {
        let output = &self.arguments.output;
        if let Some(path) = &output.metrics {
            let numbers = self.numbers(queue);
            let metrics = Metrics::create(path, name, self.started, &numbers)
                .map_err(|e| Failure::at_start(path, "write the metrics", e))?;
            let length = output.stats.unwrap_or(metrics::DEFAULT_INTERVAL);
            self.metrics = Some((metrics, Interval::new(length, Instant::now())));
        }
        Ok(())
    }

    /// Returns how many entries were found.
    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// Returns how often the command was run.
    pub(super) fn commands(&self) -> Option<Counts> {
        self.runner.as_ref().map(Runner::counts)
    }

    pub(super) fn run(&mut self, mail: &mut Mail, waits: &mut Waits) -> Result<End, Failure> {
        let mut events = Events::with_capacity(4);
        loop {
            if !self.may_take_entries() {
                let timeout = self.time_left();
                waits.for_signals.wait(&mut events, timeout).map_err(Failure::waiting)?;
            } else {
                let at_once = self.is_interrupted.then_some(Duration::ZERO);
                let timeouts = [mail.prepare(&mut *waits.for_all), self.time_left(), at_once];
                let timeout = timeouts.into_iter().flatten().min();
                self.has_taken = false;
                waits.for_all.wait(&mut events, timeout).map_err(Failure::waiting)?;
            }
            for event in &events {
                match event.key {
                    SIGNALS => {
                        waits.signals.take();
                        return Ok(End::BySignal);
                    }
                    CHILDREN => {
                        waits.take_children();
                        self.runner.iter_mut().for_each(Runner::on_child);
                    }
                    _ => mail.handle_event(event),
                }
            }
            if let Some(runner) = &mut self.runner {
                if runner.reap(mail, &mut self.known)? {
                    self.last = Instant::now();
                }
            }
            if let Break(end) = self.take_entries(mail)? {
                return Ok(end);
            }
            while let Some(warning) = mail.next_warning() {
                self.outputs.report(warning);
            }
            for directory in mail.queue().status() {
                self.known.on_scanned(directory.path, directory.scans);
            }
            if !self.outputs.has_reader()? {
                return Ok(End::OutputClosed);
            }
            self.print_intervals(mail.queue());
            let is_done = !self.has_taken && !self.is_interrupted;
            if is_done && self.idle_time_left() == Some(Duration::ZERO) {
                return Ok(End::AsAsked);
            }
            if self.timeout_left() == Some(Duration::ZERO) {
                return Err(Failure::nothing_found("nothing was found within --timeout"));
            }
        }
    }

    /// Waits for the commands that run.
    pub(super) fn stop_commands(
        &mut self,
        ending: Ending,
        mail: &mut Mail,
        waits: &mut Waits,
    ) -> Result<(), Failure> {
        match &mut self.runner {
            Some(runner) => runner.stop(ending, mail, &mut self.known, waits),
            None => Ok(()),
        }
    }

    /// Prints the interval that the end cuts short, and writes the last metrics.
    pub(super) fn finish(&mut self, queue: &Queue) {
        self.print_statistics(queue, Instant::now());
        self.write_metrics(queue);
    }

    /// Returns how long to wait for the next entry before something else must be done.
    fn time_left(&self) -> Option<Duration> {
        let now = Instant::now();
        let statistics = self.statistics.as_ref().and_then(|it| it.interval.left(now));
        let metrics = self.metrics.as_ref().and_then(|(_, interval)| interval.left(now));
        let runner = self.runner.as_ref().and_then(Runner::time_left);
        let times = [self.idle_time_left(), self.timeout_left(), statistics, metrics, runner];
        times.into_iter().flatten().min()
    }

    fn idle_time_left(&self) -> Option<Duration> {
        if !self.runner.as_ref().is_none_or(Runner::is_idle) {
            return None;
        }
        self.arguments.end.idle_exit.map(|limit| limit.saturating_sub(self.last.elapsed()))
    }

    fn timeout_left(&self) -> Option<Duration> {
        let timeout = self.arguments.end.timeout.filter(|_| self.found == 0);
        timeout.map(|limit| limit.saturating_sub(self.begun.elapsed()))
    }

    /// Takes entries until the queue has no more, or no more may be taken.
    fn take_entries(&mut self, mail: &mut Mail) -> Result<ControlFlow<End>, Failure> {
        loop {
            if self.has_enough() {
                return Ok(Break(End::AsAsked));
            }
            self.is_interrupted = !self.may_take_entries();
            if self.is_interrupted {
                return Ok(Continue(()));
            }
            let Some(entry) = mail.next_entry() else { return Ok(Continue(())) };
            self.has_taken = true;
            if self.runner.is_some() {
                let entry = entry.into_owned();
                self.run_command(entry, mail)?;
            } else {
                self.observe(&entry);
            }
        }
    }

    /// Returns whether an entry that the queue returns could be processed now.
    fn may_take_entries(&self) -> bool {
        !self.outputs.lines.is_full() && self.runner.as_ref().is_none_or(Runner::has_room)
    }

    /// Returns whether as many entries as --count says were printed, or processed.
    fn has_enough(&self) -> bool {
        match &self.runner {
            Some(runner) => runner.has_enough(),
            None => self.arguments.end.count.is_some_and(|count| self.found >= count.get()),
        }
    }

    /// Runs the command for an entry, unless it has succeeded for the same file.
    fn run_command(&mut self, entry: OwnedEntry, mail: &mut Mail) -> Result<(), Failure> {
        let path = entry.path();
        if self.trigger.as_ref() == Some(&path) {
            return Ok(());
        }
        let metadata = path.symlink_metadata();
        let file = metadata.as_ref().ok().map(File::from);
        let is_old = file.is_some_and(|file| self.is_old(&entry.directory, file));
        let Some(runner) = &mut self.runner else { return Ok(()) };
        if metadata.is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            runner.forget(&entry, &mut self.known);
            return Ok(());
        }
        if is_old && entry.origin == Origin::Scan {
            return Ok(());
        }
        if runner.take(entry, file, mail, &mut self.known)? {
            self.found += 1;
            self.last = Instant::now();
        }
        Ok(())
    }

    /// Prints an entry, unless it was printed and is still the same.
    fn observe(&mut self, entry: &Entry<'_>) {
        let path = entry.path();
        if self.trigger.as_ref() == Some(&path) {
            return;
        }
        // An entry that is gone by now did appear. An entry that the watch reports is always new.
        let metadata = path.symlink_metadata().ok();
        if let Some(file) = metadata.as_ref().map(File::from) {
            let before = self.known.add(entry.directory, entry.name, file);
            let is_scan = entry.origin == Origin::Scan;
            if is_scan && (before != Before::Unknown || self.is_old(entry.directory, file)) {
                return;
            }
        }
        if let Some(format) = &self.format {
            self.outputs.lines.push(&format.line(entry, &path, metadata.as_ref()));
        }
        self.found += 1;
        self.last = Instant::now();
    }

    /// Returns whether --new-only leaves out an entry of a scan: one that was there at the start.
    fn is_old(&self, directory: &Path, file: File) -> bool {
        self.arguments.output.new_only
            && !self.known.is_scanned(directory)
            && file.age(self.started) > CLOCK_TICK
    }

    /// Prints the intervals that are over.
    fn print_intervals(&mut self, queue: &Queue) {
        let now = Instant::now();
        if self.statistics.as_mut().is_some_and(|it| it.interval.is_over(now)) {
            // The next line is about both intervals.
            if !self.outputs.lines.is_behind() {
                self.print_statistics(queue, now);
            }
        }
        if self.metrics.as_mut().is_some_and(|(_, interval)| interval.is_over(now)) {
            self.write_metrics(queue);
        }
    }

    fn print_statistics(&mut self, queue: &Queue, now: Instant) {
        if self.statistics.is_none() {
            return;
        }
        let Numbers { totals, survey, .. } = self.numbers(queue);
        if let Some(statistics) = &mut self.statistics {
            self.outputs.lines.push(statistics.lines(totals, survey, now).as_bytes());
        }
    }

    fn write_metrics(&mut self, queue: &Queue) {
        if self.metrics.is_none() {
            return;
        }
        let numbers = self.numbers(queue);
        if let Some((metrics, _)) = &mut self.metrics {
            if let Some(message) = metrics.write(&numbers, format::since_1970()) {
                self.outputs.report(message);
            }
        }
    }

    fn numbers(&mut self, queue: &Queue) -> Numbers {
        let has_trigger =
            self.arguments.queue.trigger_fd.is_some() || queue.options().trigger_path().is_some();
        Numbers {
            totals: Totals::now(self.found, self.commands(), has_trigger, queue),
            survey: self.surveyor.survey(&mut self.known, queue, self.trigger.as_deref()),
            unwatched_directories: queue.unwatched_directories(),
        }
    }
}
