//! The error of a strategy's step.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pullcord::Escaped;

/// The result of a step that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A step that failed.
#[derive(Debug)]
pub enum Error {
    /// A system call of one of the older strategies.
    Step {
        /// The path that the call was made for.
        path: PathBuf,
        /// The operation: a verb with its object.
        operation: &'static str,
        /// The error of the system call.
        source: io::Error,
    },
    /// An error of pullcord's queue.
    Queue(pullcord::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Step { path, operation, source } => {
                write!(f, "{}: cannot {operation}: {source}", Escaped(path))
            }
            Error::Queue(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Step { source, .. } => Some(source),
            Error::Queue(error) => Some(error),
        }
    }
}

impl From<pullcord::Error> for Error {
    fn from(error: pullcord::Error) -> Error {
        Error::Queue(error)
    }
}
