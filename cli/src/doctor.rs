//! `pullcord doctor`: finds the problems of a queue and of its reader, while they run.

mod checks;
mod finding;
mod layout;
mod print;
mod seen;

use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pullcord::Escaped;

use crate::failure::Failure;
use finding::{Report, State};
use layout::{Layout, Queue};
use print::Status;

/// Check a queue and its reader while they run, and print the remedy for each problem
///
/// Observes for two seconds the processes that have the trigger open and the changes of the queue. Also
/// checks owners, file systems and limits. Changes nothing, and reads no pulls. If no reader is found
/// among the processes, the command opens the trigger for writing, which shows whether a reader exists.
/// This wakes the reader once.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    /// A queue directory
    queue: PathBuf,
    /// The layout of QUEUE
    #[arg(long, value_enum, default_value_t = Layout::Qmail)]
    layout: Layout,
    /// Seconds to observe: 2 or more, or 0 for one sample, which does not show how the reader runs
    #[arg(long, value_name = "S", default_value_t = checks::ENOUGH_SECONDS, value_parser = seconds)]
    seconds: u64,
    /// Pull the trigger to find out whether a process reads it: this wakes the reader once
    #[arg(long)]
    probe: bool,
    /// Print one line, and exit as a monitoring plugin does
    #[arg(long, conflicts_with = "json")]
    monitor: bool,
    /// Print one object {"queue", "healthy", "checks": [{"check", "state", "message", "why",
    /// "hint"}], "numbers"}; a state is "ok", "warning", "unknown" or "error"
    #[arg(long)]
    json: bool,
}

const MORE: &str = "\
Marks:
  ✓  as it should be
  !  a warning: it works, but may fail soon
  ?  this could not be checked
  ✗  an error

Judged over the whole time:
  spin     a reader that is busy at least half of the time while no entry
           arrives or is taken, with bytes in its trigger in each sample
  stopped  a reader that is stopped in each sample, or waits for a disk
  waiting  an entry that waits for more than a minute and is not taken

Processes are seen on Linux only. Run the command as root, in the container of
the reader. On other systems the command only opens the trigger.

Exit codes:
  0  no errors; there may be warnings (!)
  1  errors (✗)
  2  could not look: there is no such queue, or something (?) could not be seen
With --monitor:
  0  OK, 1  WARNING, 2  CRITICAL: errors, 3  UNKNOWN: could not look, bad usage";

fn seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) if seconds == 0 || (checks::ENOUGH_SECONDS..=86_400).contains(&seconds) => {
            Ok(seconds)
        }
        _ => Err(format!("not 0, or {} to 86400", checks::ENOUGH_SECONDS)),
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.monitor {
        let (status, line) = guarded(|| examine(arguments).map(|report| print::monitor(&report)));
        return print_line(status, &line);
    }
    match examine(arguments).and_then(|report| report_all(arguments, &report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Reports that the arguments of a monitoring plugin cannot be parsed. Its exit code must differ from that
/// of a finished check.
pub(crate) fn monitor_usage(message: &str) -> ExitCode {
    let first = message.lines().next().unwrap_or_default();
    print_line(Status::Unknown, &print::line(Status::Unknown, first, ""))
}

fn print_line(status: Status, line: &str) -> ExitCode {
    // If the line cannot be printed, the failure cannot be reported either.
    let _ = crate::print(line);
    ExitCode::from(status as u8)
}

/// Returns the status and the line of a check, also if the check failed or panicked.
fn guarded(
    look: impl FnOnce() -> Result<(Status, String), Failure> + panic::UnwindSafe,
) -> (Status, String) {
    let unknown = |text: &str| (Status::Unknown, print::line(Status::Unknown, text, ""));
    match panic::catch_unwind(look) {
        Ok(Ok(done)) => done,
        Ok(Err(failure)) => unknown(failure.message()),
        Err(_) => unknown("this command failed: its message is on standard error"),
    }
}

fn examine(arguments: &Arguments) -> Result<Report, Failure> {
    let queue = Queue::find(arguments.layout, &arguments.queue)?;
    let bar = ProgressBar::new(arguments.seconds * 1000);
    bar.set_style(
        ProgressStyle::with_template("looking {bar:40} {percent} %").map_err(Failure::failed)?,
    );
    let progress = |time: Duration| bar.set_position(time.as_millis() as u64);
    let time = Duration::from_secs(arguments.seconds);
    let seen = seen::observe(&queue, time, arguments.probe, progress);
    bar.finish_and_clear();
    let (findings, numbers) = checks::judge(&queue, &seen);
    Ok(Report::new(Escaped(&arguments.queue).to_string(), findings, numbers))
}

fn report_all(arguments: &Arguments, report: &Report) -> Result<(), Failure> {
    if arguments.json {
        crate::print_json(report)?;
    } else {
        crate::print(print::text(report))?;
    }
    match report.worst() {
        State::Ok | State::Warning => Ok(()),
        State::Unknown => Err(Failure::bad_input(format!(
            "{}: {} checks could not be seen",
            report.queue,
            report.count(State::Unknown)
        ))),
        State::Error => Err(Failure::failed(format!(
            "{}: {} checks failed",
            report.queue,
            report.count(State::Error)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitoring_plugin_that_fails_or_panics_is_unknown() {
        let failed = guarded(|| Err(Failure::bad_input("no such queue")));
        assert_eq!(failed, (Status::Unknown, "PULLCORD UNKNOWN - no such queue".into()));
        let (status, line) = guarded(|| panic!("a test panics on purpose"));
        assert_eq!(status, Status::Unknown);
        assert!(line.starts_with("PULLCORD UNKNOWN - "), "{line}");
    }

    #[test]
    fn seconds_are_0_or_enough_to_judge() {
        assert_eq!((seconds("0"), seconds("2"), seconds("60")), (Ok(0), Ok(2), Ok(60)));
        for text in ["1", "-1", "x", "", "0.5", "86401"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
