//! Writer processes: this same command, started again.

use std::env;
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The writers that run, as their parent sees them. Dropped, they end.
///
/// All of them hold the writing end of one pipe, as their standard output: what comes through it is
/// what they tell, an object a line, and its end is the end of the last of them. So it is a source
/// to wait for.
pub(crate) struct Writers {
    children: Vec<Child>,
    told: Vec<u8>,
    pipe: PipeReader,
    are_done: bool,
}

impl Writers {
    /// Starts the command with each of these lists of arguments, to write into `queue`.
    pub(crate) fn start(
        queue: &Path,
        each: impl IntoIterator<Item = Vec<OsString>>,
    ) -> Result<Writers, Failure> {
        let cannot = |e| Failure::at_start(queue, "start writers", e);
        let (pipe, stdout) = io::pipe().map_err(cannot)?;
        let mut writers = Writers { children: Vec::new(), told: Vec::new(), pipe, are_done: false };
        let command = env::current_exe().map_err(cannot)?;
        for arguments in each {
            let child = Command::new(&command)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(stdout.try_clone().map_err(cannot)?)
                .spawn();
            writers.children.push(child.map_err(cannot)?);
        }
        Ok(writers)
    }

    /// Takes in what they tell: once the pipe is readable.
    pub(crate) fn listen(&mut self) -> Result<(), Failure> {
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

    /// What they have told since this was last asked.
    pub(crate) fn told<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, Failure> {
        let whole = self.told.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.told.drain(..whole).collect();
        let told: serde_json::Result<_> =
            serde_json::Deserializer::from_slice(&lines).into_iter().collect();
        told.map_err(|e| Failure::failed(format!("a writer spoke gibberish: {e}")))
    }

    /// Whether all have ended, and well.
    pub(crate) fn are_done(&self) -> bool {
        self.are_done
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
