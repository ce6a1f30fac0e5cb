//! The result of a check: its state, the observation, its meaning and the remedy.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Warning,
    /// This could not be checked.
    Unknown,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    /// The observation.
    pub(super) message: String,
    /// The consequence.
    pub(super) why: Option<&'static str>,
    /// The remedy.
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, state: State::Ok, message: message.into(), why: None, hint: None }
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { state: State::Warning, ..Finding::ok(check, message) }
    }

    pub(super) fn unknown(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { state: State::Unknown, ..Finding::ok(check, message) }
    }

    pub(super) fn error(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { state: State::Error, ..Finding::ok(check, message) }
    }

    pub(super) fn why(self, why: &'static str) -> Finding {
        Finding { why: Some(why), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Finding {
        Finding { hint: Some(hint.into()), ..self }
    }
}

/// Numbers for graphs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Numbers {
    pub(super) entries: u64,
    /// The age of the oldest entry in seconds, 0 without entries.
    pub(super) oldest_seconds: u64,
    /// The minimum number of entries that were taken during the observation.
    pub(super) taken: u64,
    /// The share of one processor that the busiest reader used, in percent.
    pub(super) reader_cpu_percent: Option<u64>,
    /// The free space of the fullest file system, in percent.
    pub(super) disk_free_percent: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) queue: String,
    pub(super) healthy: bool,
    pub(super) checks: Vec<Finding>,
    pub(super) numbers: Numbers,
}

impl Report {
    pub(super) fn new(queue: String, checks: Vec<Finding>, numbers: Numbers) -> Report {
        let healthy = checks.iter().all(|check| check.state < State::Unknown);
        Report { queue, healthy, checks, numbers }
    }

    pub(super) fn worst(&self) -> State {
        self.checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    pub(super) fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}
