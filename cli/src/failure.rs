//! Failures of the command: one line on standard error, and an exit code.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use pullcord::Escaped;
use rustix::io::Errno;

/// The exit codes; `--help` and the manual page list them from here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    BadInput = 2,
    NoReader = 3,
    NothingFound = 4,
}

impl Exit {
    pub(crate) const ALL: [Exit; 5] =
        [Exit::Done, Exit::Failed, Exit::BadInput, Exit::NoReader, Exit::NothingFound];

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => {
                "success: pulled (or a pull was pending), no message lost, or ended as asked"
            }
            Exit::Failed => "failure, or messages were lost",
            Exit::BadInput => "bad input or usage; nothing was changed",
            Exit::NoReader => "no process reads the trigger",
            Exit::NothingFound => "watch --timeout has passed with nothing found",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The command failed while it ran, or mail was lost.
    pub(crate) fn failed(message: impl Display) -> Failure {
        Failure { exit: Exit::Failed, message: message.to_string() }
    }

    /// The arguments cannot be used; nothing was changed.
    pub(crate) fn bad_input(message: impl Display) -> Failure {
        Failure { exit: Exit::BadInput, message: message.to_string() }
    }

    /// No process reads the trigger that was pulled.
    pub(crate) fn no_reader(message: impl Display) -> Failure {
        Failure { exit: Exit::NoReader, message: message.to_string() }
    }

    /// The time of --timeout has passed.
    pub(crate) fn nothing_found(message: impl Display) -> Failure {
        Failure { exit: Exit::NothingFound, message: message.to_string() }
    }

    /// The command cannot start, for example because the system is out of descriptors.
    pub(crate) fn at_start(path: &Path, operation: impl Display, error: io::Error) -> Failure {
        let hint = match Errno::from_io_error(&error) {
            Some(Errno::MFILE) => "; raise this process's descriptor limit (ulimit -n)",
            Some(Errno::NFILE) => "; the whole system is out of descriptors: raise its limit",
            _ => "",
        };
        Failure::bad_input(format!("{}: cannot {operation}: {error}{hint}", Escaped(path)))
    }

    /// The notifier cannot wait.
    pub(crate) fn waiting(error: io::Error) -> Failure {
        Failure::failed(format!("cannot wait any longer: {error}"))
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints the message, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        crate::report(self.message);
        ExitCode::from(self.exit as u8)
    }
}
