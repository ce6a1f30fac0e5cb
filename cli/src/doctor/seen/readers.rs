//! The processes that have the trigger open, sampled for some seconds.

use std::thread;
use std::time::{Duration, Instant};

use super::entries::Changes;
use super::searches::Searches;
use super::trigger::{Answer, has_bytes};
use super::{Fifo, Process, Usage, system};
use crate::doctor::layout::Queue;

const INTERVAL: Duration = Duration::from_millis(100);

/// The maximum number of repetitions of the last search, because a reader may have its trigger closed.
const LAST_SEARCHES: usize = 10;

/// The minimum share of an interval with which a reader counts as busy.
pub(in crate::doctor) const BUSY: f64 = 0.25;

/// The processes around the trigger.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Readers {
    /// The processes that had it open for reading in each search during which they existed.
    pub(in crate::doctor) readers: Vec<Reader>,
    /// The processes that had it open for writing in the last search and in an earlier one. A normal
    /// writer has it open for some microseconds only.
    pub(in crate::doctor) writers: Vec<Held>,
    /// Supervisors, which keep it open for a service that they start.
    pub(in crate::doctor) supervisors: Vec<Process>,
    /// The processes that read a FIFO that is no longer at the path.
    pub(in crate::doctor) removed: Vec<Process>,
    /// Processes whose descriptors could not be seen.
    pub(in crate::doctor) hidden: usize,
    /// The reasons why some processes cannot be seen at all.
    pub(in crate::doctor) blind_spots: Vec<&'static str>,
    /// The result of opening the FIFO, if that was tried.
    pub(in crate::doctor) answer: Option<Answer>,
    /// The duration of the observation, from the first sample to the last.
    pub(in crate::doctor) time: Duration,
}

/// A process that keeps the trigger open for writing.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct Held {
    pub(in crate::doctor) process: Process,
    pub(in crate::doctor) is_stopped: bool,
}

/// A process that reads the trigger.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct Reader {
    pub(in crate::doctor) process: Process,
    pub(in crate::doctor) open: u64,
    /// Whether it had the trigger open in the last search.
    pub(in crate::doctor) is_present: bool,
    pub(in crate::doctor) samples: Vec<Sample>,
}

/// One sample of a reader.
#[derive(Clone, Copy, Debug)]
pub(in crate::doctor) struct Sample {
    /// The time since the first sample.
    pub(in crate::doctor) at: Duration,
    pub(in crate::doctor) usage: Usage,
    /// Whether an entry was added to the queue or taken since the last sample.
    pub(in crate::doctor) is_changed: bool,
    /// Whether the trigger contains bytes. `None` if that was not or could not be checked.
    pub(in crate::doctor) has_bytes: Option<bool>,
}

impl Sample {
    /// Returns the share of a processor that was used between two samples: in the whole, and inside
    /// the kernel.
    pub(in crate::doctor) fn share_since(
        &self,
        earlier: &Sample,
        ticks_per_second: f64,
    ) -> (f64, f64) {
        let time = self.at.saturating_sub(earlier.at).as_secs_f64().max(1e-6);
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / ticks_per_second / time;
        let user = share(self.usage.user, earlier.usage.user);
        let system = share(self.usage.system, earlier.usage.system);
        (user + system, system)
    }

    /// Returns the share of the time in which the process did not sleep. On a busy machine this is
    /// more than it used of a processor.
    pub(in crate::doctor) fn demand_since(&self, earlier: &Sample, ticks_per_second: f64) -> f64 {
        let time = self.at.saturating_sub(earlier.at).as_secs_f64().max(1e-6);
        match (self.usage.demand, earlier.usage.demand) {
            (Some(now), Some(then)) => now.saturating_sub(then) as f64 / 1e9 / time,
            _ => self.share_since(earlier, ticks_per_second).0,
        }
    }
}

pub(in crate::doctor) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second().max(1) as f64
}

/// Samples the readers and the directories.
pub(super) struct Sampling<'a> {
    queue: &'a Queue,
    fifo: Option<Fifo>,
    pub(super) readers: Searches,
    pub(super) changes: Changes,
}

impl<'a> Sampling<'a> {
    pub(super) fn new(queue: &'a Queue, fifo: Option<Fifo>) -> Sampling<'a> {
        Sampling { queue, fifo, readers: Searches::default(), changes: Changes::default() }
    }

    /// Observes for this time. If it is zero, takes one sample.
    pub(super) fn run(&mut self, time: Duration, mut progress: impl FnMut(Duration)) {
        self.changes.compare(self.queue);
        let (begun, mut is_half_over) = (Instant::now(), false);
        self.search();
        self.sample(begun, false);
        while begun.elapsed() < time {
            progress(begun.elapsed());
            thread::sleep(INTERVAL.min(time.saturating_sub(begun.elapsed())));
            let is_half = !is_half_over && begun.elapsed() >= time / 2;
            is_half_over |= is_half;
            // A reader with the patch of 2001 closes its trigger in each scan.
            if is_half || !self.readers.has_reader() {
                self.search();
            }
            let is_changed = self.changes.compare(self.queue);
            self.readers.time = begun.elapsed();
            self.sample(begun, is_changed);
        }
        if time.is_zero() {
            return;
        }
        for _ in 0..LAST_SEARCHES {
            self.search();
            if self.readers.is_settled() {
                break;
            }
        }
    }

    fn search(&mut self) {
        let Some(fifo) = &self.fifo else { return };
        let scan = system::scan(fifo);
        self.readers.add(scan);
    }

    fn sample(&mut self, begun: Instant, is_changed: bool) {
        let ticks = ticks_per_second();
        let mut has_bytes_now = None;
        for id in self.readers.reader_ids() {
            let Some(usage) = system::usage(id) else { continue };
            let samples = self.readers.samples.entry(id).or_default();
            let mut sample = Sample { at: begun.elapsed(), usage, is_changed, has_bytes: None };
            let last = samples.last();
            if last.is_some_and(|last| sample.demand_since(last, ticks) >= BUSY)
                && self.fifo.is_some()
            {
                sample.has_bytes = *has_bytes_now.get_or_insert_with(|| {
                    self.fifo.as_ref().and_then(|fifo| has_bytes(&fifo.path))
                });
            }
            samples.push(sample);
        }
    }
}

impl Readers {
    /// Returns a message why some processes could not be seen, or `None`.
    pub(in crate::doctor) fn out_of_sight(&self) -> Option<String> {
        let mut reasons: Vec<String> = self.blind_spots.iter().map(|&spot| spot.into()).collect();
        if self.hidden > 0 {
            reasons.push(format!("the descriptors of {} processes are hidden", self.hidden));
        }
        (!reasons.is_empty()).then(|| reasons.join(", and "))
    }
}
