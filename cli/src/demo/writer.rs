//! The writers: processes that queue messages as qmail-queue does.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pullcord::{Escaped, PullOutcome};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::message::{Message, Moment};
use crate::print_json;
use crate::writers::{Lifeline, Writers};

/// Queue a share of the demo's messages
#[derive(clap::Args)]
pub(crate) struct Arguments {
    queue: PathBuf,
    /// The first message of the share. Then every `step`th message below `end` follows
    first: u64,
    step: usize,
    end: u64,
    #[command(flatten)]
    lifeline: Lifeline,
}

/// The work of a writer. The writer prints it as one line on its standard output.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WriterReport {
    pub(super) injected: u64,
    pub(super) refused: u64,
}

/// Starts the writers, each with its share.
pub(super) fn start(queue: &Path, arguments: &super::Arguments) -> Result<Writers, Failure> {
    let shares = (0..arguments.writers).map(|first| {
        let share = [first, arguments.writers, arguments.messages].map(|n| n.to_string());
        let queue = ["demo-writer".into(), OsString::from(queue)];
        queue.into_iter().chain(share.map(OsString::from)).collect()
    });
    Writers::start(queue, shares)
}

/// Returns the sum of the reports.
pub(super) fn total(writers: &mut Writers) -> Result<WriterReport, Failure> {
    let sum = |a: WriterReport, b: WriterReport| WriterReport {
        injected: a.injected + b.injected,
        refused: a.refused + b.refused,
    };
    Ok(writers.take_reports()?.into_iter().fold(WriterReport::default(), sum))
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.lifeline.hold()?;
    let queue = TestQueue::open(&arguments.queue)?;
    let mut report = WriterReport::default();
    for number in (arguments.first..arguments.end).step_by(arguments.step) {
        let pulled = queue.inject(number)?;
        report.injected += 1;
        report.refused += u64::from(pulled == PullOutcome::NoReader);
    }
    print_json(&report)?;
    Ok(())
}

/// The queue, for a writer.
struct TestQueue {
    mess: PathBuf,
    trigger: PathBuf,
    parts: Vec<PathBuf>,
}

impl TestQueue {
    fn open(queue: &Path) -> Result<TestQueue, Failure> {
        let todo = queue.join("todo");
        let parts =
            fs::read_dir(&todo).and_then(|parts| parts.map(|part| Ok(part?.path())).collect());
        let parts: Vec<_> = parts.map_err(|e| failed(&todo, e))?;
        Ok(TestQueue { mess: queue.join("mess"), trigger: queue.join("lock/trigger"), parts })
    }

    /// Writes a message under another name, links it into the queue, pulls the trigger.
    fn inject(&self, number: u64) -> Result<PullOutcome, Failure> {
        let written = self.mess.join(number.to_string());
        let part = &self.parts[number as usize % self.parts.len()];
        fs::write(&written, b"Subject: demo\n\n").map_err(|e| failed(&written, e))?;
        let message = Message { number, linked: Moment::now() };
        let linked = part.join(message.to_string());
        fs::hard_link(&written, &linked).map_err(|e| failed(&linked, e))?;
        let pulled = pullcord::pull(&self.trigger).map_err(Failure::failed)?;
        fs::remove_file(&written).map_err(|e| failed(&written, e))?;
        Ok(pulled)
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::failed(format!("{}: cannot queue a message: {error}", Escaped(path)))
}
