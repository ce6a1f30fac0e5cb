//! Starts writer processes, which run this same command.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Child, Command};
use std::thread;

use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The option of a writer that is to end with the process that has started it.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Lifeline {
    /// End once standard input is at end-of-file
    #[arg(long)]
    lifeline: bool,
}

impl Lifeline {
    /// Waits in a thread for the end of the process that holds the other end, and ends this one then.
    pub(crate) fn hold(&self) -> Result<(), Failure> {
        if self.lifeline {
            let wait = || {
                // Nothing is written into it, so that the copy ends at end-of-file or with an error.
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                process::exit(1);
            };
            let waiting = thread::Builder::new().name("lifeline".into()).spawn(wait);
            waiting.map_err(|e| Failure::failed(format!("cannot start a thread: {e}")))?;
        }
        Ok(())
    }
}

/// The running writers. They end when this is dropped.
///
/// All writers share one end of a socket pair as their standard output. They write reports into it,
/// one object per line, each with one write(2). The other end is at end-of-file when the last writer
/// has ended.
///
/// They also share one end of another socket pair as their standard input. Nothing is ever written into
/// the other end: it is at end-of-file when this process is gone, also after SIGKILL.
pub(crate) struct Writers {
    children: Vec<Child>,
    _lifeline: UnixStream,
    received: Vec<u8>,
    reports: UnixStream,
    are_done: bool,
}

impl Writers {
    /// Starts the command once with each of these lists of arguments. The writers write into `queue`.
    pub(crate) fn start(
        queue: &Path,
        each: impl IntoIterator<Item = Vec<OsString>>,
    ) -> Result<Writers, Failure> {
        let cannot = |e| Failure::at_start(queue, "start writers", e);
        let (reports, stdout) = UnixStream::pair().map_err(cannot)?;
        let (lifeline, stdin) = UnixStream::pair().map_err(cannot)?;
        let [stdin, stdout] = [stdin, stdout].map(OwnedFd::from);
        let mut writers = Writers {
            children: Vec::new(),
            _lifeline: lifeline,
            received: Vec::new(),
            reports,
            are_done: false,
        };
        let command = env::current_exe().map_err(cannot)?;
        for arguments in each {
            let child = Command::new(&command)
                .args(arguments)
                .arg("--lifeline")
                .stdin(stdin.try_clone().map_err(cannot)?)
                .stdout(stdout.try_clone().map_err(cannot)?)
                .spawn();
            writers.children.push(child.map_err(cannot)?);
        }
        Ok(writers)
    }

    /// Reads reports once. Call it when the descriptor is readable.
    pub(crate) fn read_reports(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; 4096];
        match self.reports.read(&mut bytes) {
            Ok(0) => {
                self.are_done = true;
                self.reap()
            }
            Ok(count) => {
                self.received.extend(&bytes[..count]);
                Ok(())
            }
            Err(e) => Err(Failure::failed(format!("cannot read the reports of the writers: {e}"))),
        }
    }

    /// Returns the reports that were read since the last call.
    pub(crate) fn take_reports<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, Failure> {
        let whole = self.received.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.received.drain(..whole).collect();
        let reports: serde_json::Result<_> =
            serde_json::Deserializer::from_slice(&lines).into_iter().collect();
        reports
            .map_err(|e| Failure::failed(format!("a writer process sent an invalid report: {e}")))
    }

    /// Returns whether all writers have ended successfully.
    pub(crate) fn are_done(&self) -> bool {
        self.are_done
    }

    fn reap(&mut self) -> Result<(), Failure> {
        for child in &mut self.children {
            let ended = child.wait().map_err(Failure::failed)?;
            if !ended.success() {
                return Err(Failure::failed(format!("a writer process failed: {ended}")));
            }
        }
        Ok(())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Fails for a writer that has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl AsFd for Writers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }
}
