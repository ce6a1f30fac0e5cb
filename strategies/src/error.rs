//! The error of a strategy's step.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pullcord::Escaped;

/// The result of a step that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A system call of one of the older strategies that failed.
#[derive(Debug)]
pub struct Error {
    /// The path that the call was made for.
    pub path: PathBuf,
    /// The operation: a verb with its object.
    pub operation: &'static str,
    /// The error of the system call.
    pub source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot {}: {}", Escaped(&self.path), self.operation, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
