//! Records the received messages and makes the report.

use std::ffi::OsStr;
use std::time::Duration;

use pullcord::{Backend, Escaped, Queue, WatchGrade};
use serde::Serialize;

use super::writer::WriterReport;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::message::{Message, Moment};

/// The received messages, with the time from their link.
pub(super) struct Tally {
    is_seen: Vec<bool>,
    latencies: Vec<Duration>,
    duplicates: u64,
}

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) injected: u64,
    seen: u64,
    pub(super) lost: u64,
    duplicates: u64,
    wakeups: u64,
    scans: u64,
    watch_overflows: u64,
    refused: u64,
    backend: &'static str,
    watch: &'static str,
    /// The time from just before link(2) until the entry was returned.
    latency_us: Latency,
    /// All of this in one sentence.
    verdict: String,
}

impl Tally {
    pub(super) fn new(messages: u64) -> Tally {
        Tally { is_seen: vec![false; messages as usize], latencies: Vec::new(), duplicates: 0 }
    }

    /// Records that a message was returned now. Returns whether that was the first time.
    pub(super) fn see(&mut self, name: &OsStr) -> Result<bool, Failure> {
        let now = Moment::now();
        let message = Message::parse(name);
        let message = message.filter(|message| message.number < self.is_seen.len() as u64);
        let Some(Message { number, linked }) = message else {
            let name = Escaped(name.as_ref());
            return Err(Failure::failed(format!("{name}: no writer has queued this entry")));
        };
        let is_first = !std::mem::replace(&mut self.is_seen[number as usize], true);
        if is_first {
            self.latencies.push(now.since(linked));
        } else {
            self.duplicates += 1;
        }
        Ok(is_first)
    }

    pub(super) fn seen(&self) -> u64 {
        self.latencies.len() as u64
    }

    pub(super) fn has_all(&self) -> bool {
        self.latencies.len() == self.is_seen.len()
    }

    pub(super) fn report(self, backend: Backend, queue: &Queue, total: WriterReport) -> Report {
        let stats = queue.stats();
        let is_watched =
            |directory: &pullcord::DirectoryStatus<'_>| directory.watch > WatchGrade::None;
        let watched = queue.status().filter(is_watched).count();
        let watch = match queue.status().count() - watched {
            0 => "on",
            _ if watched == 0 => "off",
            _ => "partly",
        };
        let (injected, seen) = (total.injected, self.seen());
        let latency_us = Latency::of(self.latencies);
        Report {
            injected,
            seen,
            lost: injected.saturating_sub(seen),
            duplicates: self.duplicates,
            wakeups: stats.wakeups,
            scans: stats.scans,
            watch_overflows: stats.watch_overflows,
            refused: total.refused,
            backend: backend.as_str(),
            watch,
            verdict: verdict(injected, seen, self.duplicates, latency_us.p50),
            latency_us,
        }
    }
}

impl Report {
    pub(super) fn table(&self, writers: u64) -> String {
        let Latency { p50, p99, max } = self.latency_us;
        let rows = [
            ("injected", self.injected),
            ("seen", self.seen),
            ("lost", self.lost),
            ("duplicates", self.duplicates),
            ("wakeups", self.wakeups),
            ("scans", self.scans),
            ("overflows", self.watch_overflows),
            ("refused pulls", self.refused),
        ];
        let mut table =
            format!("{writers} writers; {}, directory watch {}\n\n", self.backend, self.watch);
        for (what, count) in rows {
            table += &format!("{what:14} {count:>10}\n");
        }
        for (what, latency) in [("latency p50", p50), ("p99", p99), ("max", max)] {
            table += &format!("{what:>14} {latency:>10} µs\n");
        }
        table + "\n" + &self.verdict
    }
}

/// Returns the result in one sentence.
fn verdict(injected: u64, seen: u64, duplicates: u64, p50: u64) -> String {
    let [all, lost, twice] =
        [injected, injected.saturating_sub(seen), duplicates].map(indicatif::HumanCount);
    let half = format!("half of them within {} µs", indicatif::HumanCount(p50));
    if seen < injected {
        format!("{lost} of {all} messages were not noticed: they are lost.")
    } else if duplicates > 0 {
        format!("All {all} messages were noticed, {half}, and {twice} were reported again.")
    } else {
        format!("All {all} messages were noticed, each once, {half}.")
    }
}

#[cfg(test)]
mod tests {
    use pullcord::{QueueOptions, WatchMode};

    use super::*;

    #[test]
    fn a_message_not_seen_is_lost_and_one_seen_twice_is_a_duplicate() {
        let mut tally = Tally::new(3);
        let mut is_first = |name| tally.see(OsStr::new(name)).unwrap();
        assert_eq!(["0.17", "2.18", "2.18"].map(&mut is_first), [true, true, false]);
        assert!(!tally.has_all());
        assert!(tally.see(OsStr::new("3.19")).is_err());
        let queue = tempfile::tempdir().unwrap();
        let options = QueueOptions::directories([queue.path()]).watch(WatchMode::Off);
        let queue = options.open().unwrap();
        let total = WriterReport { injected: 3, refused: 0 };
        let report = tally.report(Backend::Select, &queue, total);
        assert_eq!(report.watch, "off");
        assert_eq!((report.seen, report.lost, report.duplicates), (2, 1, 1));
        assert_eq!(report.verdict, "1 of 3 messages were not noticed: they are lost.");
    }

    #[test]
    fn the_verdict_tells_a_success_from_repeats() {
        let all = verdict(2_000, 2_000, 0, 57);
        assert_eq!(all, "All 2,000 messages were noticed, each once, half of them within 57 µs.");
        let again = verdict(2_000, 2_000, 3, 57);
        assert!(again.contains("3 were reported again") && !again.contains("each once"), "{again}");
    }
}
