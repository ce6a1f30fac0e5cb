//! The report: one object for each strategy, or one column.

use serde::Serialize;

use super::load::Load;
use crate::latency::Latency;

#[derive(Default, Serialize)]
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
    /// All of this in one sentence.
    pub(super) verdict: String,
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
    table + "\n\n" + &overall(reports)
}

impl Report {
    /// Returns whether it scans without end: for nothing, and more often than the pace of pullcord lets
    /// it, which is 500 times a second.
    fn spins(&self) -> bool {
        self.empty_scans as f64 > 600.0 * self.seconds
    }

    /// Returns the result of a strategy in one sentence.
    pub(super) fn describe(&self) -> String {
        let [scans, pulls, empty, lost, injected] =
            [self.scans, self.pulls, self.empty_scans, self.lost, self.injected]
                .map(indicatif::HumanCount);
        let spins = if self.spins() { "spins" } else { "does not spin" };
        let loss = match self.lost {
            0 => "no entry was lost".into(),
            _ => format!("{lost} of {injected} entries were lost"),
        };
        let strategy = self.strategy;
        format!("{strategy} {spins}: {scans} scans for {pulls} pulls, {empty} for nothing; {loss}.")
    }
}

/// Returns the result of all strategies in one sentence.
fn overall(reports: &[Report]) -> String {
    if let [report] = reports {
        return report.verdict.clone();
    }
    let names = |is_wanted: &dyn Fn(&Report) -> bool| {
        let wanted = reports.iter().filter(|report| is_wanted(report));
        let names = wanted.map(|report| report.strategy).collect::<Vec<_>>().join(", ");
        if names.is_empty() { "none".to_owned() } else { names }
    };
    format!(
        "Spin: {}. Do not spin: {}. Lost entries: {}.",
        names(&Report::spins),
        names(&|report| !report.spins()),
        names(&|report| report.lost > 0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_a_spin_and_a_loss() {
        let good = Report {
            strategy: "pullcord",
            seconds: 5.0,
            pulls: 18_980,
            scans: 14_856,
            empty_scans: 452,
            injected: 18_980,
            lost: 0,
            ..Report::default()
        };
        assert_eq!(
            good.describe(),
            "pullcord does not spin: 14,856 scans for 18,980 pulls, 452 for nothing; \
             no entry was lost."
        );
        let bad =
            Report { strategy: "reopen", scans: 366_977, empty_scans: 352_724, lost: 2, ..good };
        let verdict = bad.describe();
        assert!(verdict.starts_with("reopen spins: 366,977 scans"), "{verdict}");
        assert!(verdict.ends_with("2 of 18,980 entries were lost."), "{verdict}");
    }
}
