//! The entries that were seen, and the reports of the writers.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use pullcord::Escaped;

use super::load::Load;
use super::meter::Meter;
use super::report::Report;
use super::writer::WriterReport;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::message::{Message, Moment};

#[derive(Default)]
pub(super) struct Tally {
    pub(super) wakeups: u64,
    pub(super) scans: u64,
    fruitful_scans: u64,
    last_fruitful: Option<u64>,
    seen: HashSet<u64>,
    latencies: Vec<Duration>,
    served: u64,
    waited: Vec<Duration>,
    injected: u64,
    pulls: u64,
    refused: u64,
    broken: u64,
    full: u64,
}

impl Tally {
    /// Records an entry that was found, and removes it from the queue.
    pub(super) fn see(&mut self, path: &Path) -> Result<(), Failure> {
        let now = Moment::now();
        let failed = |e: io::Error| Failure::failed(format!("{}: {e}", Escaped(path)));
        let Some(message) = path.file_name().and_then(Message::parse) else {
            return Err(failed(io::Error::other("no writer has queued this entry")));
        };
        if self.seen.insert(message.number) {
            self.latencies.push(now.since(message.linked));
            fs::remove_file(path).map_err(failed)?;
        }
        Ok(())
    }

    /// Records that the scan of this number has found the last entry.
    pub(super) fn found_by_scan(&mut self, number: u64) {
        self.fruitful_scans += u64::from(self.last_fruitful.replace(number) != Some(number));
    }

    /// Adds the reports of the writers that were just received.
    pub(super) fn add_reports(&mut self, reports: Vec<WriterReport>) {
        let now = Moment::now();
        self.served += 1;
        for WriterReport { at, injected, pulls, refused, broken, full } in reports {
            self.waited.push(now.since(at));
            self.injected += injected;
            self.pulls += pulls;
            self.refused += refused;
            self.broken += broken;
            self.full += full;
        }
    }

    pub(super) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Returns whether every reported entry was seen.
    pub(super) fn has_all(&self) -> bool {
        self.seen.len() as u64 >= self.injected
    }

    pub(super) fn report(self, strategy: &'static str, load: &Load, meter: &Meter) -> Report {
        let seen = self.seen.len() as u64;
        let (pulls, scans) = (self.pulls, self.scans);
        let mut report = Report {
            strategy,
            scenario: load.scenario.as_str(),
            seconds: meter.elapsed().as_secs_f64(),
            pulls,
            refused: self.refused,
            broken: self.broken,
            full: self.full,
            wakeups: self.wakeups,
            scans,
            empty_scans: scans.saturating_sub(self.fruitful_scans),
            scans_per_pull: scans as f64 / pulls.max(1) as f64,
            cpu_ms: meter.cpu().map(|time| time.as_millis() as u64),
            injected: self.injected,
            seen,
            lost: self.injected.saturating_sub(seen),
            latency_us: Latency::of(self.latencies),
            served: self.served,
            waited_us: Latency::of(self.waited),
            verdict: String::new(),
        };
        report.verdict = report.describe();
        report
    }
}
