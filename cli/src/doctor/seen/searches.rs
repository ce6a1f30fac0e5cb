//! The searches for the processes that have the trigger open, and their result.

use std::collections::BTreeMap;
use std::time::Duration;

use pullcord::PullOutcome;

use super::process::ProcessId;
use super::readers::{Held, Reader, Readers, Sample};
use super::trigger::{Answer, Trigger, ask};
use super::{Holder, Scan, system};
use crate::doctor::layout::Queue;

/// The results of the searches, before they are combined.
#[derive(Default)]
pub(super) struct Searches {
    holders: BTreeMap<ProcessId, (Holder, usize)>,
    pub(super) samples: BTreeMap<ProcessId, Vec<Sample>>,
    last: Vec<ProcessId>,
    hidden: usize,
    pub(super) time: Duration,
}

/// Returns whether this is a supervisor. systemd opens the FIFO of a service for reading and writing and
/// keeps it. In a container, process 1 may be the reader itself. Therefore the name decides, and the
/// process must be root's or number 1.
fn is_supervisor(holder: &Holder) -> bool {
    let process = &holder.process;
    let is_trusted = process.id.number == 1 || process.user == 0;
    process.name == "systemd" && is_trusted && holder.access.reads
}

impl Searches {
    pub(super) fn add(&mut self, scan: Scan) {
        self.hidden = self.hidden.max(scan.hidden);
        self.last = scan.holders.iter().map(|holder| holder.process.id).collect();
        for holder in scan.holders {
            self.holders
                .entry(holder.process.id)
                .and_modify(|(known, count)| {
                    // A child that has executed another program has lost the trigger.
                    *known = holder.clone();
                    *count += 1;
                })
                .or_insert((holder, 1));
        }
    }

    pub(super) fn reader_ids(&self) -> Vec<ProcessId> {
        let readers = self.holders.iter().filter(|(_, (holder, _))| {
            holder.access.reads && !holder.is_removed && !is_supervisor(holder)
        });
        readers.map(|(id, _)| *id).collect()
    }

    /// Returns whether the last search has found a reader, or another search cannot find one.
    pub(super) fn is_settled(&self) -> bool {
        let readers = self.reader_ids();
        readers.is_empty() || readers.iter().any(|id| self.last.contains(id))
    }

    pub(super) fn has_reader(&self) -> bool {
        !self.reader_ids().is_empty()
    }

    /// Combines the searches. Opens the FIFO if no reader was found.
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
                // A child inherits the trigger for a moment. Among several readers, only those of the last
                // search count. A single reader may have the trigger closed at that moment.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::seen::Process;
    use crate::doctor::seen::process::Access;

    fn holder(number: u32, reads: bool, writes: bool) -> Holder {
        let id = ProcessId { number, start: 5 };
        let process = Process { id, name: "x".into(), user: 1, real_user: 1, limit: None };
        Holder { process, access: Access { reads, writes }, is_removed: false, open: 1 }
    }

    fn scan(holders: Vec<Holder>) -> Scan {
        Scan { holders, hidden: 0 }
    }

    #[test]
    fn systemd_is_a_supervisor_and_another_process_1_is_a_reader() {
        let mut searches = Searches::default();
        let mut systemd = holder(1, true, true);
        systemd.process.name = "systemd".into();
        searches.add(scan(vec![systemd.clone()]));
        assert!(!searches.has_reader());
        searches.add(scan(vec![systemd.clone(), holder(7, true, false)]));
        assert_eq!(searches.reader_ids().len(), 1);
        // Any user can give a process this name.
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
    fn a_child_that_has_lost_the_inherited_trigger_is_not_a_reader() {
        let mut searches = Searches::default();
        searches.add(scan(vec![holder(7, true, false), holder(8, true, false)]));
        assert_eq!(searches.reader_ids().len(), 2);
        searches.add(scan(vec![holder(8, false, true)]));
        assert_eq!(searches.reader_ids(), [ProcessId { number: 7, start: 5 }]);
        assert!(!searches.is_settled(), "the reader has its trigger closed");
        searches.add(scan(vec![holder(7, true, false)]));
        assert!(searches.is_settled());
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
