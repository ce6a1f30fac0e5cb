//! `--stats`: one line about each interval.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::format;
use super::known::Survey;
use super::totals::{Interval, Totals};
use crate::json;

/// The header is printed again after so many lines.
const LINES_PER_HEADER: u64 = 20;

pub(super) struct Statistics {
    pub(super) interval: Interval,
    before: Totals,
    begun: Instant,
    lines: u64,
    is_json: bool,
    has_time: bool,
}

/// The counters of an interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    arrivals: u64,
    /// Arrivals per second.
    rate: f64,
    waiting: u64,
    oldest_seconds: Option<f64>,
    pulls: Option<u64>,
    wakeups: u64,
    scans: u64,
    cpu_ms: Option<u64>,
    #[serde(flatten)]
    commands: Option<Commands>,
}

/// The counters of the commands of --exec in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Commands {
    runs: u64,
    failures: u64,
    /// At the end of the interval.
    running: u64,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    at: &'a str,
    seconds: f64,
    #[serde(flatten)]
    row: &'a Row,
}

impl Statistics {
    pub(super) fn new(length: Duration, is_json: bool, has_time: bool, now: Instant) -> Statistics {
        Statistics {
            interval: Interval::new(length, now),
            before: Totals::default(),
            begun: now,
            lines: 0,
            is_json,
            has_time,
        }
    }

    /// Returns the lines about the interval that ends now.
    pub(super) fn lines(&mut self, totals: Totals, survey: Survey, now: Instant) -> String {
        let took = now - self.begun;
        let row = Row::between(&self.before, &totals, survey, took);
        (self.before, self.begun) = (totals, now);
        let at = format::now();
        if self.is_json {
            let row = JsonRow { at: &at, seconds: took.as_secs_f64(), row: &row };
            return json::to_line(&row).expect("numbers and strings only") + "\n";
        }
        let time = |text: &str| if self.has_time { format!("{text:27} ") } else { String::new() };
        let mut lines = String::new();
        if self.lines % LINES_PER_HEADER == 0 {
            lines = format!("{}{}\n", time("time"), row.header());
        }
        self.lines += 1;
        lines + &format!("{}{}\n", time(&at), row.columns())
    }
}

impl Row {
    fn between(before: &Totals, after: &Totals, survey: Survey, took: Duration) -> Row {
        let arrivals = after.found - before.found;
        let seconds = took.as_secs_f64();
        Row {
            arrivals,
            rate: if seconds > 0.0 { arrivals as f64 / seconds } else { 0.0 },
            waiting: survey.waiting,
            oldest_seconds: survey.oldest.map(|oldest| oldest.as_secs_f64()),
            pulls: after.pulls.map(|pulls| pulls - before.pulls.unwrap_or(0)),
            wakeups: after.queue.wakeups - before.queue.wakeups,
            scans: after.queue.scans - before.queue.scans,
            cpu_ms: after.cpu.map(|cpu| {
                let used = cpu.saturating_sub(before.cpu.unwrap_or_default());
                used.as_millis() as u64
            }),
            commands: after.commands.map(|after| {
                let before = before.commands.unwrap_or_default();
                Commands {
                    runs: after.started - before.started,
                    failures: after.failed - before.failed,
                    running: after.running,
                }
            }),
        }
    }

    fn header(&self) -> String {
        let header = format!(
            "{:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6}",
            "arrivals", "rate", "waiting", "oldest", "pulls", "wakes", "scans", "cpu"
        );
        match self.commands {
            None => header,
            Some(_) => header + &format!(" {:>7} {:>7} {:>7}", "runs", "failed", "running"),
        }
    }

    fn columns(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "-".into(), |n| n.to_string());
        let oldest = self.oldest_seconds.map_or_else(|| "-".into(), |age| format!("{age:.1}"));
        let columns = format!(
            "{:>8} {:>8.1} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6}",
            self.arrivals,
            self.rate,
            self.waiting,
            oldest,
            number(self.pulls),
            self.wakeups,
            self.scans,
            number(self.cpu_ms)
        );
        match self.commands {
            None => columns,
            Some(Commands { runs, failures, running }) => {
                columns + &format!(" {runs:>7} {failures:>7} {running:>7}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(found: u64, pulls: Option<u64>, cpu_ms: u64) -> Totals {
        let cpu = Some(Duration::from_millis(cpu_ms));
        Totals { found, pulls, cpu, ..Totals::default() }
    }

    #[test]
    fn a_row_has_the_differences_and_not_the_sums() {
        let (before, after) = (totals(100, Some(7), 30), totals(150, Some(9), 35));
        let survey = Survey { waiting: 3, oldest: Some(Duration::from_millis(1_500)) };
        let row = Row::between(&before, &after, survey, Duration::from_secs(2));
        assert_eq!((row.arrivals, row.rate, row.waiting), (50, 25.0, 3));
        assert_eq!((row.pulls, row.cpu_ms, row.oldest_seconds), (Some(2), Some(5), Some(1.5)));
        assert_eq!(
            row.columns().split_whitespace().collect::<Vec<_>>(),
            ["50", "25.0", "3", "1.5", "2", "0", "0", "5"]
        );
        let unread = Row::between(&before, &totals(100, None, 35), survey, Duration::ZERO);
        assert_eq!(unread.columns().split_whitespace().nth(4), Some("-"));
    }

    #[test]
    fn the_header_is_as_wide_as_its_columns_and_comes_again() {
        let now = Instant::now();
        let mut statistics = Statistics::new(Duration::from_secs(1), false, false, now);
        let lines: String = (1..=2 * LINES_PER_HEADER)
            .map(|n| statistics.lines(totals(n, None, 0), Survey::default(), now))
            .collect();
        assert_eq!(lines.matches("arrivals").count(), 2);
        let widths: Vec<_> = lines.lines().map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    }
}
