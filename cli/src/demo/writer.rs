//! The writers: processes that queue messages as qmail-queue does.

use std::env;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pullcord::{Escaped, Pulled};
use serde::{Deserialize, Serialize};

use super::message::{Message, Moment};
use crate::failure::Failure;
use crate::print_json;

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

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let queue = Place::of(&arguments.queue)?;
    let mut share = Share::default();
    for number in (arguments.first..arguments.end).step_by(arguments.step) {
        let pulled = queue.inject(number)?;
        share.injected += 1;
        share.refused += u64::from(pulled == Pulled::NobodyListens);
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
    fn inject(&self, number: u64) -> Result<Pulled, Failure> {
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

/// The writers that run, as their parent sees them. Dropped, they end.
///
/// All of them hold the writing end of one pipe, as their standard output: what comes through it is
/// their shares, and its end is the end of the last of them. So it is a source to wait for.
pub(super) struct Writers {
    children: Vec<Child>,
    told: Vec<u8>,
    pipe: PipeReader,
    are_done: bool,
}

impl Writers {
    pub(super) fn start(queue: &Path, arguments: &super::Arguments) -> Result<Writers, Failure> {
        let cannot = |e| Failure::at_start(queue, "start writers", e);
        let (pipe, stdout) = io::pipe().map_err(cannot)?;
        let mut writers = Writers { children: Vec::new(), told: Vec::new(), pipe, are_done: false };
        let command = env::current_exe().map_err(cannot)?;
        for first in 0..arguments.writers {
            let child = Command::new(&command)
                .arg("demo-writer")
                .arg(queue)
                .args([first, arguments.writers, arguments.messages].map(|n| n.to_string()))
                .stdin(Stdio::null())
                .stdout(stdout.try_clone().map_err(cannot)?)
                .spawn();
            writers.children.push(child.map_err(cannot)?);
        }
        Ok(writers)
    }

    /// Takes in what they say: once the pipe is readable.
    pub(super) fn listen(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; 4096];
        match self.pipe.read(&mut bytes) {
            Ok(0) => {
                self.are_done = true;
                self.reap()
            }
            Ok(count) => {
                self.told.extend(&bytes[..count]);
                Ok(())
            }
            Err(e) => Err(Failure::failed(format!("cannot hear the writers: {e}"))),
        }
    }

    /// Whether all have ended, and well.
    pub(super) fn are_done(&self) -> bool {
        self.are_done
    }

    /// The sum of their shares.
    pub(super) fn total(&self) -> Result<Share, Failure> {
        let shares = serde_json::Deserializer::from_slice(&self.told).into_iter::<Share>();
        let mut total = Share::default();
        for share in shares {
            let share =
                share.map_err(|e| Failure::failed(format!("a writer spoke gibberish: {e}")))?;
            total.injected += share.injected;
            total.refused += share.refused;
        }
        Ok(total)
    }

    fn reap(&mut self) -> Result<(), Failure> {
        for child in &mut self.children {
            let ended = child.wait().map_err(Failure::failed)?;
            if !ended.success() {
                return Err(Failure::failed(format!("a writer died before its end: {ended}")));
            }
        }
        Ok(())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Whoever has ended by itself cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl AsFd for Writers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
