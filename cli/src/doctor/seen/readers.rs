//! The processes that have the trigger open, sampled for some seconds.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::PullOutcome;

use super::entries::Changes;
use super::process::ProcessId;
use super::trigger::{Answer, Trigger, ask, has_bytes};
use super::{Fifo, Holder, Process, Usage, system};
use crate::doctor::layout::Queue;

const INTERVAL: Duration = Duration::from_millis(100);

/// The share of an interval from which a reader counts as busy.
pub(in crate::doctor) const BUSY: f64 = 0.25;

/// The processes around the trigger.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Readers {
    /// The processes that had it open for reading in each search in which they can have had.
    pub(in crate::doctor) readers: Vec<Reader>,
    /// The processes that had it open for writing in the last search and in an earlier one: a writer
    /// has it open for some microseconds only.
    pub(in crate::doctor) writers: Vec<Held>,
    /// Supervisors, which keep it open for a service that they start.
    pub(in crate::doctor) supervisors: Vec<Process>,
    /// The processes that read a FIFO that is not at the path any more.
    pub(in crate::doctor) removed: Vec<Process>,
    /// Processes whose descriptors could not be seen.
    pub(in crate::doctor) hidden: usize,
    /// Why some processes cannot be seen at all.
    pub(in crate::doctor) blind_spots: Vec<&'static str>,
    /// The answer of the FIFO, if it was asked.
    pub(in crate::doctor) answer: Option<Answer>,
    /// How long was looked: from the first sample to the last.
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
    /// It had the trigger open in the last search.
    pub(in crate::doctor) is_present: bool,
    pub(in crate::doctor) samples: Vec<Sample>,
}

/// One look at a reader.
#[derive(Clone, Copy, Debug)]
pub(in crate::doctor) struct Sample {
    /// Since the first look.
    pub(in crate::doctor) at: Duration,
    pub(in crate::doctor) usage: Usage,
    /// Something was added to the queue or taken since the last sample.
    pub(in crate::doctor) is_changed: bool,
    /// The trigger contains bytes; `None` if that was not looked at, or could not be.
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

/// The results of the searches, before they are put together.
#[derive(Default)]
pub(super) struct Searches {
    holders: BTreeMap<ProcessId, (Holder, usize)>,
    samples: BTreeMap<ProcessId, Vec<Sample>>,
    last: Vec<ProcessId>,
    hidden: usize,
    time: Duration,
}

impl<'a> Sampling<'a> {
    pub(super) fn new(queue: &'a Queue, fifo: Option<Fifo>) -> Sampling<'a> {
        Sampling { queue, fifo, readers: Searches::default(), changes: Changes::default() }
    }

    /// Looks for this long: once, if it is zero.
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
        if !time.is_zero() {
            self.search();
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

/// systemd opens the FIFO of a service for reading and writing, and keeps it. In a container, process
/// 1 may be the reader itself: so the name counts, of a process of root's or of number 1.
fn is_supervisor(holder: &Holder) -> bool {
    let process = &holder.process;
    let is_trusted = process.id.number == 1 || process.user == 0;
    process.name == "systemd" && is_trusted && holder.access.reads
}

impl Searches {
    fn add(&mut self, scan: super::Scan) {
        self.hidden = self.hidden.max(scan.hidden);
        self.last = scan.holders.iter().map(|holder| holder.process.id).collect();
        for holder in scan.holders {
            self.holders
                .entry(holder.process.id)
                .and_modify(|(known, count)| {
                    // Its last descriptors decide, and reading is never forgotten.
                    let reads = known.access.reads || holder.access.reads;
                    *known = holder.clone();
                    known.access.reads = reads;
                    *count += 1;
                })
                .or_insert((holder, 1));
        }
    }

    fn reader_ids(&self) -> Vec<ProcessId> {
        let readers = self.holders.iter().filter(|(_, (holder, _))| {
            holder.access.reads && !holder.is_removed && !is_supervisor(holder)
        });
        readers.map(|(id, _)| *id).collect()
    }

    fn has_reader(&self) -> bool {
        !self.reader_ids().is_empty()
    }

    /// Puts the searches together. Asks the FIFO if no reader was found.
    pub(super) fn finish(mut self, queue: &Queue, trigger: &Trigger, probe: bool) -> Readers {
        let mut readers = Readers {
            hidden: self.hidden,
            blind_spots: system::blind_spots(),
            time: self.time,
            ..Readers::default()
        };
        if !matches!(trigger, Trigger::Fifo { .. }) {
            return readers;
        }
        let found = self.reader_ids();
        for (id, (holder, seen)) in std::mem::take(&mut self.holders) {
            let is_last = self.last.contains(&id);
            if is_supervisor(&holder) {
                readers.supervisors.push(holder.process);
            } else if holder.is_removed {
                if holder.access.reads && is_last {
                    readers.removed.push(holder.process);
                }
            } else if found.contains(&id) {
                // A child inherits the trigger for a moment: a second reader must be there until
                // the end. A single one may have it closed at that moment.
                if found.len() == 1 || is_last {
                    let Holder { process, open, .. } = holder;
                    let samples = self.samples.remove(&id).unwrap_or_default();
                    readers.readers.push(Reader { process, open, is_present: is_last, samples });
                }
            } else if holder.access.writes && is_last && seen > 1 {
                let usage = system::usage(id);
                let is_stopped = usage.is_some_and(|usage| matches!(usage.state, 'T' | 't'));
                readers.writers.push(Held { process: holder.process, is_stopped });
            }
        }
        if probe {
            readers.answer = Some(match pullcord::pull(&queue.trigger) {
                Ok(PullOutcome::Delivered) => Answer::Reader,
                Ok(PullOutcome::Pending) => Answer::Full,
                Ok(PullOutcome::NoReader) => Answer::NoReader,
                Err(_) => Answer::Refused,
            });
        } else if readers.readers.is_empty() {
            readers.answer = Some(ask(&queue.trigger));
        }
        readers
    }
}

impl Readers {
    /// Returns why not every process could be seen, in words; nothing if every one could.
    pub(in crate::doctor) fn out_of_sight(&self) -> Option<String> {
        let mut reasons: Vec<String> = self.blind_spots.iter().map(|&spot| spot.into()).collect();
        if self.hidden > 0 {
            reasons.push(format!("the descriptors of {} processes are hidden", self.hidden));
        }
        (!reasons.is_empty()).then(|| reasons.join(", and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::seen::process::Access;

    fn holder(number: u32, reads: bool, writes: bool) -> Holder {
        let id = ProcessId { number, start: 5 };
        let process = Process { id, name: "x".into(), user: 1, real_user: 1, limit: None };
        Holder { process, access: Access { reads, writes }, is_removed: false, open: 1 }
    }

    fn scan(holders: Vec<Holder>) -> super::super::Scan {
        super::super::Scan { holders, hidden: 0 }
    }

    #[test]
    fn systemd_is_a_supervisor_and_no_reader_and_another_process_1_is_one() {
        let mut searches = Searches::default();
        let mut systemd = holder(1, true, true);
        systemd.process.name = "systemd".into();
        searches.add(scan(vec![systemd.clone()]));
        assert!(!searches.has_reader());
        searches.add(scan(vec![systemd.clone(), holder(7, true, false)]));
        assert_eq!(searches.reader_ids().len(), 1);
        // Any user can call a process so.
        systemd.process.id.number = 8;
        assert!(!is_supervisor(&systemd));
        assert!(!is_supervisor(&holder(1, true, true)), "the reader of a container");
    }

    #[test]
    fn a_writer_counts_if_it_is_seen_twice_and_at_the_end() {
        let writers = |searched: &[&[u32]]| {
            let mut searches = Searches::default();
            for numbers in searched {
                searches
                    .add(scan(numbers.iter().map(|&number| holder(number, false, true)).collect()));
            }
            let trigger = Trigger::Fifo { inode: 1, device: 1 };
            let queue = Queue {
                layout: crate::doctor::layout::Layout::Qmail,
                root: "/nowhere".into(),
                trigger: "/nowhere/lock/trigger".into(),
                directories: vec!["/nowhere/todo".into()],
            };
            let readers = searches.finish(&queue, &trigger, false);
            readers.writers.iter().map(|held| held.process.id.number).collect::<Vec<_>>()
        };
        assert_eq!(writers(&[&[7, 8], &[8], &[8, 9]]), [8]);
        assert_eq!(writers(&[&[], &[8], &[8]]), [8], "it came while this command looked");
        assert_eq!(writers(&[&[8], &[8], &[]]), [] as [u32; 0], "it has closed it");
        assert_eq!(writers(&[&[8]]), [] as [u32; 0], "looked once");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut searches = Searches::default();
        searches.add(scan(vec![holder(7, true, false)]));
        let mut other = holder(7, true, false);
        other.process.id.start = 6;
        searches.add(scan(vec![other]));
        assert_eq!(searches.reader_ids().len(), 2);
        assert_eq!(searches.last, [ProcessId { number: 7, start: 6 }]);
    }
}
