//! Errors as C wants them: a number now, the words on request.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::fmt::Display;
use std::io;

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// What went wrong: an `errno`, and words.
pub(crate) struct Failure {
    number: c_int,
    words: String,
}

impl Failure {
    pub(crate) fn new(number: c_int, words: impl Display) -> Failure {
        Failure { number, words: words.to_string() }
    }

    /// Keeps the words for `pullcord_last_error`, and gives the number to be returned, which is
    /// negative.
    pub(crate) fn keep(self) -> c_int {
        // No message of ours holds a NUL byte: those in paths are escaped.
        let words = CString::new(self.words).unwrap_or_default();
        LAST.with_borrow_mut(|last| *last = words);
        -self.number
    }
}

/// The last failure's words in this thread, until its next one.
pub(crate) fn last() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Failure {
        Failure::new(number(e.raw_os_error(), e.kind()), e)
    }
}

impl From<pullcord::Error> for Failure {
    fn from(e: pullcord::Error) -> Failure {
        Failure::new(number(e.raw_os_error(), e.kind()), e)
    }
}

/// The system's own number, or the one that says the same.
fn number(raw: Option<i32>, kind: io::ErrorKind) -> c_int {
    use io::ErrorKind::*;
    raw.unwrap_or(match kind {
        InvalidInput => libc::EINVAL,
        ResourceBusy => libc::EBUSY,
        Unsupported => libc::ENOTSUP,
        NotFound => libc::ENOENT,
        NotADirectory => libc::ENOTDIR,
        OutOfMemory => libc::ENOMEM,
        _ => libc::EIO,
    })
}
