//! How the command fails: one line on standard error, and an exit code.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use pullcord::Escaped;
use rustix::io::Errno;

/// The exit codes but 0; `--help` lists them.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Failed = 1,
    BadInput = 2,
    NobodyListens = 3,
}

#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Something went wrong on the way, or mail was lost.
    pub(crate) fn failed(message: impl Display) -> Failure {
        Failure { exit: Exit::Failed, message: message.to_string() }
    }

    /// What was given cannot be worked on; nothing was changed.
    pub(crate) fn bad_input(message: impl Display) -> Failure {
        Failure { exit: Exit::BadInput, message: message.to_string() }
    }

    /// The pull found no reader.
    pub(crate) fn nobody_listens(message: impl Display) -> Failure {
        Failure { exit: Exit::NobodyListens, message: message.to_string() }
    }

    /// A start that failed for want of something the system has too little of.
    pub(crate) fn at_start(path: &Path, attempt: impl Display, error: io::Error) -> Failure {
        let advice = match Errno::from_io_error(&error) {
            Some(Errno::MFILE) => "; raise this process's descriptor limit (ulimit -n)",
            Some(Errno::NFILE) => "; the whole system is out of descriptors: raise its limit",
            _ => "",
        };
        Failure::bad_input(format!("{}: cannot {attempt}: {error}{advice}", Escaped(path)))
    }

    /// A wait that failed.
    pub(crate) fn waiting(error: io::Error) -> Failure {
        Failure::failed(format!("cannot wait any longer: {error}"))
    }

    /// Says it, and gives the code to end with.
    pub(crate) fn report(self) -> ExitCode {
        crate::say(self.message);
        ExitCode::from(self.exit as u8)
    }
}
