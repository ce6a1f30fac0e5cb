//! Errors for an administrator: the path, the failure, and the remedy.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An operation on a path that failed.
///
/// It is displayed as one line: the path, the operation, the reason, and the remedy. Control characters
/// in the path are escaped.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    operation: &'static str,
    source: io::Error,
    hint: Option<Cow<'static, str>>,
}

/// The result of an operation on a path.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(
        path: impl Into<PathBuf>,
        operation: &'static str,
        source: io::Error,
    ) -> Error {
        let hint = default_hint(&source).map(Cow::Borrowed);
        Error { path: path.into(), operation, source, hint }
    }

    /// Replaces the default hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the failure of the system.
    pub(crate) fn cause(&self) -> &io::Error {
        &self.source
    }

    /// Returns whether it makes no sense to try again. A system call that fails with `ENOTSUP` may succeed later.
    pub(crate) fn is_lasting(&self) -> bool {
        self.kind() == io::ErrorKind::Unsupported && self.raw_os_error().is_none()
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns the remedy, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the system's error number, if a system call failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// Returns a hint for the errors that depend little on the operation.
fn default_hint(source: &io::Error) -> Option<&'static str> {
    match source.raw_os_error() {
        Some(EMFILE) => return Some("raise this process's descriptor limit (ulimit -n)"),
        Some(ENFILE) => return Some("the whole system is out of descriptors: raise its limit"),
        _ => {}
    }
    match source.kind() {
        io::ErrorKind::NotFound => Some("check the path"),
        io::ErrorKind::NotADirectory => Some("name the directory itself"),
        io::ErrorKind::PermissionDenied => Some("run as the queue's owner, or as root"),
        _ => None,
    }
}

/// The same number on every Unix; std has no words for these two.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot {}: {}", Escaped(&self.path), self.operation, self.source)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Keeps the kind and the whole message; `raw_os_error` of the new error is `None`.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

/// A path that cannot write to a terminal: a user who may add a file to a queue may choose any name. Control
/// characters, backslashes and bytes that are not UTF-8 become `\n`, `\\`, `\xff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Escaped<'a>(pub &'a Path);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::fmt::Write as _;
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if is_printable(c) => f.write_char(c)?,
                    c => write!(f, "{}", c.escape_default())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal only shows this character: it is not a control character, and does not change
/// the direction of the text or break a line.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn an_error_is_one_line_with_the_path_the_reason_and_the_advice() {
        let error = Error::new("/var/q\nueue", "read it", io::ErrorKind::NotFound.into());
        assert_eq!(
            error.to_string(),
            "/var/q\\nueue: cannot read it: entity not found; check the path"
        );
    }

    #[test]
    fn an_error_has_the_hint_of_its_cause_unless_it_is_given_another_one() {
        let error = |number| Error::new("/queue", "read it", io::Error::from_raw_os_error(number));
        for (number, hint) in [
            (EMFILE, Some("raise this process's descriptor limit (ulimit -n)")),
            (ENFILE, Some("the whole system is out of descriptors: raise its limit")),
            (2, Some("check the path")),
            (20, Some("name the directory itself")),
            (13, Some("run as the queue's owner, or as root")),
            (5, None),
        ] {
            assert_eq!(error(number).hint(), hint);
            assert_eq!(error(number).raw_os_error(), Some(number));
            assert_eq!(
                error(number).with_hint("look at the disk").hint(),
                Some("look at the disk")
            );
        }
        let own = Error::new("/queue", "read it", io::ErrorKind::InvalidInput.into());
        assert_eq!((own.hint(), own.raw_os_error()), (None, None));
    }

    #[test]
    fn an_io_error_made_of_an_error_keeps_the_kind_and_the_message() {
        let error = || Error::new("/queue", "read it", io::Error::from_raw_os_error(EMFILE));
        let (kind, message) = (error().kind(), error().to_string());
        let converted = io::Error::from(error());
        assert_eq!((converted.kind(), converted.to_string()), (kind, message));
        let source = error();
        let source = std::error::Error::source(&source).expect("the error of the system");
        assert!(source.is::<io::Error>());
    }

    #[test]
    fn a_hostile_name_is_shown_and_does_nothing() {
        for (name, shown) in [
            (&b"4711"[..], "4711"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"a\\b", "a\\\\b"),
            (b"\xff\xc3\xa9", "\\xff\u{e9}"),
            ("\u{202e}gpj".as_bytes(), "\\u{202e}gpj"),
        ] {
            assert_eq!(Escaped(Path::new(OsStr::from_bytes(name))).to_string(), shown);
        }
    }
}
