//! Problems that a queue reports while it goes on.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::Error;

/// A problem that loses no entry: the queue goes on, and tries again.
///
/// Displayed, it is one line: the path, the operation that failed, the reason, and a hint.
#[derive(Debug)]
pub struct Warning {
    kind: WarningKind,
    error: Error,
}

/// The kind of problem that a [`Warning`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// The trigger cannot be opened or read. Until it can be, directories without a reliable watch
    /// are polled.
    Trigger,
    /// The notifier refused the trigger or the watch. Until it accepts them, the queue looks at them
    /// itself, at least once a second.
    Registration,
    /// A directory cannot be read. It is tried again at least once a second.
    Unreadable,
    /// A directory, or the whole queue, cannot be watched. It is scanned instead.
    Unwatched,
    /// A directory is the same as another one of the queue. Its entries are returned with the path of
    /// the other one.
    Alias,
    /// A directory is scanned at the poll interval, since neither a trigger nor a reliable watch
    /// reports its entries.
    Polled,
}

impl Warning {
    pub(super) fn new(kind: WarningKind, error: Error) -> Warning {
        Warning { kind, error }
    }

    /// Returns the kind of the problem.
    pub fn kind(&self) -> WarningKind {
        self.kind
    }

    /// Returns the path that it concerns.
    pub fn path(&self) -> &Path {
        self.error.path()
    }

    /// Returns the kind of the system's error.
    pub fn io_kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// Returns the system's error number, if a system call has failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.error.raw_os_error()
    }

    /// Returns the remedy, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.error.hint()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Warning {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_all_that_its_error_has() {
        let no_descriptor = || io::Error::from_raw_os_error(24);
        let error = || Error::new("/todo", "read the directory", no_descriptor());
        let warning = Warning::new(WarningKind::Unreadable, error());
        assert_eq!(warning.kind(), WarningKind::Unreadable);
        assert_eq!(warning.path(), Path::new("/todo"));
        assert_eq!(warning.io_kind(), no_descriptor().kind());
        assert_eq!(warning.raw_os_error(), Some(24));
        assert!(warning.hint().is_some_and(|hint| hint.contains("ulimit")), "{warning}");
        assert_eq!(warning.to_string(), error().to_string());
        let source = std::error::Error::source(&warning).unwrap();
        assert_eq!(source.to_string(), no_descriptor().to_string());
    }
}
