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
use crate::writers::Writers;

/// Queue a share of the demo's messages
#[derive(clap::Args)]
pub(crate) struct Arguments {
    queue: PathBuf,
    /// The first message of the share; from there on every `step`th, below `end`
    first: u64,
    step: usize,
    end: u64,
}

/// What a writer has done, told in one line on its standard output.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Share {
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

/// The sum of their shares.
pub(super) fn total(writers: &mut Writers) -> Result<Share, Failure> {
    let sum = |a: Share, b: Share| Share {
        injected: a.injected + b.injected,
        refused: a.refused + b.refused,
    };
    Ok(writers.told()?.into_iter().fold(Share::default(), sum))
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let queue = Place::of(&arguments.queue)?;
    let mut share = Share::default();
    for number in (arguments.first..arguments.end).step_by(arguments.step) {
        let pulled = queue.inject(number)?;
        share.injected += 1;
        share.refused += u64::from(pulled == PullOutcome::NoReader);
    }
    print_json(&share)?;
    Ok(())
}

/// The queue, as one sees it who adds to it.
struct Place {
    mess: PathBuf,
    trigger: PathBuf,
    parts: Vec<PathBuf>,
}

impl Place {
    fn of(queue: &Path) -> Result<Place, Failure> {
        let todo = queue.join("todo");
        let parts =
            fs::read_dir(&todo).and_then(|parts| parts.map(|part| Ok(part?.path())).collect());
        let parts: Vec<_> = parts.map_err(|e| failed(&todo, e))?;
        Ok(Place { mess: queue.join("mess"), trigger: queue.join("lock/trigger"), parts })
    }

    /// Writes the message under another name, links it to where it belongs, pulls the trigger.
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
