//! The results of a run, as tables for people and as JSON for programs.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;

use crate::{Machine, Spread, arrive, churn, delay, growth, open, queues, ring, scan, wake};

/// All results of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine of the run.
    pub machine: Machine,
    /// A ring of pipes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ring: Vec<ring::Row>,
    /// A sleeping reader of a FIFO.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wake: Vec<wake::Row>,
    /// A message linked into a queue that contains other messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arrive: Vec<arrive::Row>,
    /// A message in one of many queues of a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<queues::Row>,
    /// A directory read to its end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scan: Vec<scan::Row>,
    /// A queue of many directories opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<open::Row>,
    /// A descriptor registered, changed and removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub churn: Vec<churn::Row>,
    /// A wait that ends at its timeout.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delay: Vec<delay::Row>,
    /// How the costs grow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<growth::Row>,
    /// The project's targets, with their results in this run.
    #[serde(skip)]
    pub targets: Vec<Target>,
    /// Notes for the reader of the tables.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A ratio that should not exceed a limit.
#[derive(Clone, Debug)]
pub struct Target {
    /// The two quantities of the ratio.
    pub claim: String,
    /// The ratio over the rounds.
    pub ratio: Spread,
    /// The limit of its median.
    pub most: f64,
}

/// The result of a run for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target is met, and another run would agree.
    Met,
    /// The target is missed, and another run would agree.
    Missed,
    /// The rounds of this run were too few or differ too much to decide.
    Open,
}

impl Target {
    /// Returns whether the target was met, missed, or cannot be decided.
    pub fn verdict(&self) -> Verdict {
        match self.ratio {
            ratio if ratio.no_more <= self.most => Verdict::Met,
            ratio if ratio.no_less > self.most => Verdict::Missed,
            _ => Verdict::Open,
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Open => "open",
        })
    }
}

impl Report {
    pub(crate) fn new(machine: Machine) -> Report {
        Report {
            machine,
            ring: Vec::new(),
            wake: Vec::new(),
            arrive: Vec::new(),
            queues: Vec::new(),
            scan: Vec::new(),
            open: Vec::new(),
            churn: Vec::new(),
            delay: Vec::new(),
            growth: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Prints the tables.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, processors, system, file_system, build, versions } = &self.machine;
        writeln!(f, "{processors} x {processor}; {system}; {file_system}; {build}")?;
        writeln!(f, "{}", versions.join(", "))?;
        let ring = self.ring.iter().map(|row| {
            [
                row.implementation.into(),
                row.fds.to_string(),
                row.active.to_string(),
                figures(row.ns),
                optional(row.vs_raw),
            ]
        });
        table(f, ["ring", "fds", "active", "ns/event", "vs raw"], ring)?;
        let wake = self.wake.iter().map(|row| {
            [
                row.implementation.into(),
                micros(Some(row.p50_us)),
                micros(Some(row.p99_us)),
                row.syscalls.map_or_else(String::new, |calls| calls.to_string()),
                optional(row.vs_raw),
            ]
        });
        table(f, ["wake", "p50 us", "p99 us", "system calls", "vs raw"], wake)?;
        let arrive = self.arrive.iter().map(|row| {
            [
                row.implementation.clone(),
                row.backlog.to_string(),
                figures(row.ns_per_entry),
                micros(row.p50_us),
                micros(row.p99_us),
                optional(row.vs_raw),
            ]
        });
        table(f, ["arrive", "backlog", "ns/entry", "p50 us", "p99 us", "vs raw"], arrive)?;
        let queues = self
            .queues
            .iter()
            .map(|row| by_number(row.implementation, row.queues, row.ns, row.vs_raw));
        table(f, ["queues", "queues", "ns/entry", "vs raw"], queues)?;
        let scan = self
            .scan
            .iter()
            .map(|row| by_number(row.implementation, row.entries, row.ns_per_entry, row.vs_raw));
        table(f, ["scan", "entries", "ns/entry", "vs raw"], scan)?;
        let open = self
            .open
            .iter()
            .map(|row| by_number(row.implementation, row.directories, row.ns_each, row.vs_raw));
        table(f, ["open", "directories", "ns/directory", "vs raw"], open)?;
        let churn = self
            .churn
            .iter()
            .map(|row| [row.implementation.into(), figures(row.ns), optional(row.vs_raw)]);
        table(f, ["churn", "ns", "vs raw"], churn)?;
        let delay = self.delay.iter().map(|row| {
            [
                row.implementation.into(),
                row.timeout_us.to_string(),
                micros(Some(row.p50_us)),
                micros(Some(row.p99_us)),
                row.early.to_string(),
            ]
        });
        table(f, ["delay", "timeout us", "p50 us late", "p99 us late", "early"], delay)?;
        let growth = self.growth.iter().map(|row| {
            let ((least, greatest), (first, last)) = (row.range, row.ns);
            [
                row.implementation.clone(),
                row.cost.into(),
                format!("{least} to {greatest}"),
                format!("{first:.0} to {last:.0}"),
                row.growth.to_string(),
            ]
        });
        table(f, ["growth", "cost of", "number", "ns", ""], growth)?;
        let targets = self.targets.iter().map(|target| {
            let Spread { no_less, median, no_more, .. } = target.ratio;
            [
                target.claim.clone(),
                target.most.to_string(),
                format!("{median:.3} [{no_less:.3}-{no_more:.3}]"),
                target.verdict().to_string(),
            ]
        });
        table(f, ["target", "at most", "measured [in 99 of 100 runs]", ""], targets)?;
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        if self.notes.is_empty() { Ok(()) } else { writeln!(f) }
    }
}

/// A row of a cost that may depend on a number.
fn by_number(name: &str, number: usize, ns: Spread, vs_raw: Option<Spread>) -> [String; 4] {
    [name.into(), number.to_string(), figures(ns), optional(vs_raw)]
}

/// Formats the median, the minimum and the maximum.
fn figures(Spread { min, median, max, .. }: Spread) -> String {
    format!("{median:.0} ({min:.0}-{max:.0})")
}

fn ratio(Spread { min, median, max, .. }: Spread) -> String {
    format!("{median:.3} ({min:.3}-{max:.3})")
}

fn optional(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, ratio)
}

fn micros(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| format!("{:.1}", spread.median))
}

/// Prints a table with the first column aligned left and the others right. Prints nothing if there are no
/// rows.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let mut rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.insert(0, head.map(Into::into));
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    for row in rows {
        let mut line = format!("\n{:<1$}", row[0], widths[0]);
        for (cell, width) in row[1..].iter().zip(&widths[1..]) {
            write!(line, "  {cell:>width$}")?;
        }
        f.write_str(line.trim_end_matches(' '))?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_is_open_if_another_run_could_disagree() {
        let verdict = |most| {
            let ratio = Spread::of((0..101).map(|round| 1.0 + f64::from(round) / 1000.0));
            Target { claim: String::new(), ratio, most }.verdict()
        };
        // The median is 1.05, with an uncertainty of 0.013.
        assert_eq!(verdict(1.07), Verdict::Met);
        assert_eq!(verdict(1.06), Verdict::Open);
        assert_eq!(verdict(1.04), Verdict::Open);
        assert_eq!(verdict(1.03), Verdict::Missed);
    }
}
