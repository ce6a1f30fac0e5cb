//! Prints a report for people, and one for a monitoring system.

use anstyle::{AnsiColor, Style};

use super::finding::{Finding, Report, State};

/// Returns the report in lines, with colours.
pub(super) fn text(report: &Report) -> String {
    let width = report.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Finding { check, state, message, why, hint } in &report.checks {
        let (mark, colour) = match state {
            State::Ok => ('✓', AnsiColor::Green),
            State::Warning => ('!', AnsiColor::Yellow),
            State::Unknown => ('?', AnsiColor::Magenta),
            State::Error => ('✗', AnsiColor::Red),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        lines.push(format!("{style}{mark}{style:#} {check:width$}  {message}"));
        lines.extend(why.iter().map(|why| format!("  {:width$}    {why}", "")));
        lines.extend(hint.iter().map(|hint| format!("  {:width$}  → {hint}", "")));
    }
    lines.join("\n")
}

/// The exit codes of monitoring plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Status {
    pub(super) fn of(worst: State) -> Status {
        match worst {
            State::Ok => Status::Ok,
            State::Warning => Status::Warning,
            State::Unknown => Status::Unknown,
            State::Error => Status::Critical,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Critical => "CRITICAL",
            Status::Unknown => "UNKNOWN",
        }
    }
}

/// Returns one line: the status, the findings of that status, and the numbers as performance data.
pub(super) fn monitor(report: &Report) -> (Status, String) {
    let worst = report.worst();
    let status = Status::of(worst);
    let mut findings = report.checks.iter().filter(|check| check.state == worst);
    let text = if worst == State::Ok {
        let shown = findings.filter(|check| matches!(check.check, "reader" | "waiting"));
        shown.map(|check| check.message.clone()).collect::<Vec<_>>().join("; ")
    } else {
        let mut text = findings
            .by_ref()
            .map(|check| format!("{}: {}", check.check, check.message))
            .collect::<Vec<_>>()
            .join("; ");
        let others = report.checks.len() - report.count(State::Ok) - report.count(worst);
        if others > 0 {
            text += &format!("; {others} more");
        }
        text
    };
    let numbers = &report.numbers;
    let mut data = format!(
        "entries={};;;0 oldest={}s;60;1500;0 taken={};;;0",
        numbers.entries, numbers.oldest_seconds, numbers.taken
    );
    if let Some(percent) = numbers.reader_cpu_percent {
        data += &format!(" reader_cpu={percent}%;50;;0");
    }
    if let Some(percent) = numbers.disk_free_percent {
        data += &format!(" disk_free={percent}%;5:;1:;0;100");
    }
    (status, line(status, &format!("{}: {text}", report.queue), &data))
}

/// Returns the line of a plugin. A vertical bar begins the performance data, and must not be in the
/// text.
pub(super) fn line(status: Status, text: &str, data: &str) -> String {
    let text = text.replace('|', "/").replace('\n', " ");
    let bar = if data.is_empty() { "" } else { " | " };
    format!("PULLCORD {} - {text}{bar}{data}", status.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Numbers;

    fn report(checks: Vec<Finding>) -> Report {
        let numbers = Numbers {
            entries: 3,
            oldest_seconds: 61,
            taken: 7,
            reader_cpu_percent: Some(12),
            disk_free_percent: Some(40),
        };
        Report::new("/q|x".into(), checks, numbers)
    }

    #[test]
    fn the_worst_state_decides_and_the_line_is_one_line_with_one_bar() {
        let ok = Finding::ok("reader", "read by a|b\nc");
        let warning = Finding::warning("waiting", "late");
        let unknown = Finding::unknown("trigger", "hidden");
        let error = Finding::error("spin", "spins");
        for (checks, status, begin) in [
            (vec![ok.clone()], Status::Ok, "PULLCORD OK - /q/x: read by a/b c | entries=3;;;0 "),
            (
                vec![ok.clone(), warning.clone()],
                Status::Warning,
                "PULLCORD WARNING - /q/x: waiting: late | ",
            ),
            (
                vec![warning.clone(), unknown.clone()],
                Status::Unknown,
                "PULLCORD UNKNOWN - /q/x: trigger: hidden; 1 more | ",
            ),
            (
                vec![ok, warning, unknown, error],
                Status::Critical,
                "PULLCORD CRITICAL - /q/x: spin: spins; 2 more | ",
            ),
        ] {
            let (found, line) = monitor(&report(checks));
            assert_eq!(found, status);
            assert!(line.starts_with(begin), "{line}");
            assert_eq!((line.lines().count(), line.matches('|').count()), (1, 1), "{line}");
        }
    }

    #[test]
    fn the_exit_codes_are_those_of_monitoring_plugins() {
        let codes =
            [State::Ok, State::Warning, State::Error, State::Unknown].map(|s| Status::of(s) as u8);
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn performance_data_has_labels_values_units_and_limits() {
        let (_, line) = monitor(&report(vec![Finding::ok("reader", "x")]));
        let (_, data) = line.split_once(" | ").unwrap();
        assert_eq!(
            data,
            "entries=3;;;0 oldest=61s;60;1500;0 taken=7;;;0 reader_cpu=12%;50;;0 disk_free=40%;5:;1:;0;100"
        );
    }
}
