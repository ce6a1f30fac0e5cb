//! The report: one object for each strategy, or one column.

use serde::Serialize;

use super::load::Load;
use crate::latency::Latency;

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) strategy: &'static str,
    pub(super) scenario: &'static str,
    /// The duration of the load.
    pub(super) seconds: f64,
    pub(super) pulls: u64,
    pub(super) refused: u64,
    pub(super) broken: u64,
    pub(super) full: u64,
    pub(super) wakeups: u64,
    pub(super) scans: u64,
    pub(super) empty_scans: u64,
    pub(super) scans_per_pull: f64,
    pub(super) cpu_ms: Option<u64>,
    pub(super) injected: u64,
    pub(super) seen: u64,
    pub(super) lost: u64,
    /// The time from just before link(2) until the entry was seen.
    pub(super) latency_us: Latency,
    /// How often another descriptor in the same notifier was served, and the waiting time of its messages.
    pub(super) served: u64,
    pub(super) waited_us: Latency,
}

/// Returns the text of a cell.
type Cell = fn(&Report) -> String;

const ROWS: [(&str, Cell); 21] = [
    ("pulls", |report| report.pulls.to_string()),
    ("  refused", |report| report.refused.to_string()),
    ("  broken", |report| report.broken.to_string()),
    ("  full", |report| report.full.to_string()),
    ("wakeups", |report| report.wakeups.to_string()),
    ("scans", |report| report.scans.to_string()),
    ("  empty", |report| report.empty_scans.to_string()),
    ("  per second", |report| format!("{:.1}", report.scans as f64 / report.seconds)),
    ("  per pull", |report| format!("{:.2}", report.scans_per_pull)),
    ("cpu ms", |report| report.cpu_ms.map_or_else(|| "?".into(), |ms| ms.to_string())),
    ("injected", |report| report.injected.to_string()),
    ("seen", |report| report.seen.to_string()),
    ("lost", |report| report.lost.to_string()),
    ("latency µs p50", |report| report.latency_us.p50.to_string()),
    ("           p99", |report| report.latency_us.p99.to_string()),
    ("           max", |report| report.latency_us.max.to_string()),
    ("others served", |report| report.served.to_string()),
    ("  waited µs p50", |report| report.waited_us.p50.to_string()),
    ("            p99", |report| report.waited_us.p99.to_string()),
    ("            max", |report| report.waited_us.max.to_string()),
    ("seconds", |report| format!("{:.1}", report.seconds)),
];

pub(super) fn table(load: &Load, reports: &[Report]) -> String {
    let mut table = format!("{load}\n\n{:16}", "");
    for report in reports {
        table += &format!(" {:>12}", report.strategy);
    }
    for (what, cell) in ROWS {
        table += &format!("\n{what:16}");
        for report in reports {
            table += &format!(" {:>12}", cell(report));
        }
    }
    table
}
