//! The lines about commands: objects on standard output with `--json`, or else messages about failures.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use pullcord::Escaped;
use serde::Serialize;

use super::jobs::After;
use crate::json;
use crate::watch::format::{self, Names};

/// The start of a command, or its end.
#[derive(Serialize)]
struct Line<'a> {
    run: &'static str,
    #[serde(flatten)]
    names: Names<'a>,
    attempt: u32,
    pid: u32,
    #[serde(flatten)]
    end: Option<End>,
    at: String,
}

#[derive(Serialize)]
struct End {
    exit_code: Option<i32>,
    signal: Option<i32>,
    seconds: f64,
    /// `removed`, `kept`, `again` or `retry`.
    outcome: &'static str,
    retry_seconds: Option<f64>,
}

/// A command that was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) path: &'a Path,
    pub(super) attempt: u32,
    pub(super) pid: u32,
}

impl Run<'_> {
    /// Returns the object about the start.
    pub(super) fn start_line(&self) -> String {
        self.line("start", None)
    }

    /// Returns the object about the end.
    pub(super) fn end_line(&self, status: ExitStatus, took: Duration, after: After) -> String {
        let (outcome, retry) = match after {
            After::Removed => ("removed", None),
            After::Kept(_) => ("kept", None),
            After::Again => ("again", None),
            After::Retry(delay) => ("retry", Some(delay.as_secs_f64())),
        };
        let end = End {
            exit_code: status.code(),
            signal: status.signal(),
            seconds: took.as_secs_f64(),
            outcome,
            retry_seconds: retry,
        };
        self.line("end", Some(end))
    }

    fn line(&self, run: &'static str, end: Option<End>) -> String {
        let (attempt, pid) = (self.attempt, self.pid);
        let line = Line { run, names: Names::of(self.path), attempt, pid, end, at: format::now() };
        json::to_line(&line).expect("numbers and strings only") + "\n"
    }

    /// Returns a message about an end that is not a success; `None` if there is nothing to say.
    pub(super) fn message(
        &self,
        status: ExitStatus,
        after: After,
        is_stopping: bool,
    ) -> Option<String> {
        let path = Escaped(self.path);
        let next = match after {
            After::Retry(_) | After::Again if is_stopping => {
                "it is run after the next start".into()
            }
            After::Retry(delay) => format!("it is run again in {} s", delay.as_secs()),
            After::Again => "it is run again, because the entry has arrived again".into(),
            After::Removed => "the entry is gone".into(),
            After::Kept(_) => return None,
        };
        if status.success() {
            let is_retry = matches!(after, After::Retry(_));
            return is_retry
                .then(|| format!("{path}: the entry has changed while its command ran; {next}"));
        }
        let attempt = self.attempt;
        Some(format!("{path}: the command has failed ({status}) in attempt {attempt}; {next}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_members_and_a_message_tells_the_next_attempt() {
        let run = Run { path: "/q/a".as_ref(), attempt: 2, pid: 4711 };
        let start: serde_json::Value = serde_json::from_str(&run.start_line()).unwrap();
        assert_eq!((&start["run"], &start["id"]), (&"start".into(), &"a".into()));
        assert_eq!(start.as_object().unwrap().len(), 6);
        let failed = ExitStatus::from_raw(3 << 8);
        let retry = After::Retry(Duration::from_secs(4));
        let end = run.end_line(failed, Duration::from_millis(1_500), retry);
        let end: serde_json::Value = serde_json::from_str(&end).unwrap();
        assert_eq!((&end["exit_code"], &end["retry_seconds"]), (&3.into(), &4.0.into()));
        assert!(end["signal"].is_null() && end["outcome"] == "retry", "{end}");
        let message = run.message(failed, retry, false).unwrap();
        assert!(message.contains("attempt 2") && message.contains("in 4 s"), "{message}");
        let message = run.message(failed, retry, true).unwrap();
        assert!(message.contains("after the next start"), "{message}");

        let killed = ExitStatus::from_raw(9);
        let end = run.end_line(killed, Duration::ZERO, After::Again);
        let end: serde_json::Value = serde_json::from_str(&end).unwrap();
        assert!(end["exit_code"].is_null() && end["signal"] == 9, "{end}");
        let succeeded = ExitStatus::from_raw(0);
        assert_eq!(run.message(succeeded, After::Kept(None), false), None);
        assert_eq!(run.message(succeeded, After::Removed, false), None);
        assert!(run.message(succeeded, retry, false).unwrap().contains("has changed"));
    }
}
