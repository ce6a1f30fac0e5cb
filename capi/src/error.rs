//! Errors for C: a function returns a number, and `pullcord_last_error` the text.

use std::cell::RefCell;
use std::ffi::c_int;
use std::fmt::Display;
use std::io;

thread_local! {
    static LAST: RefCell<String> = RefCell::default();
}

/// An error: an `errno`, and a text.
#[derive(Debug)]
pub(crate) struct CError {
    errno: c_int,
    message: String,
}

impl CError {
    pub(crate) fn new(errno: c_int, message: impl Display) -> CError {
        CError { errno, message: message.to_string() }
    }

    /// The error of a call with a handle that is not open.
    pub(crate) fn not_open() -> CError {
        CError::new(libc::EBADF, "this queue is not open")
    }

    /// Keeps the text for `pullcord_last_error`. Returns the number that C receives, which is negative.
    pub(crate) fn set_last_error(self) -> c_int {
        // In a destructor of thread-local data there may be no place for it any more.
        let _ = LAST.try_with(|last| *last.borrow_mut() = self.message);
        -self.errno
    }
}

/// Passes the text of the last error of this thread to `read`: an empty one if there was none.
pub(crate) fn with_last_error<R>(read: impl FnOnce(&str) -> R) -> R {
    let text = LAST.try_with(|last| last.borrow().clone());
    read(&text.unwrap_or_default())
}

impl From<io::Error> for CError {
    fn from(e: io::Error) -> CError {
        CError::new(errno(e.raw_os_error(), e.kind()), e)
    }
}

impl From<pullcord::Error> for CError {
    fn from(e: pullcord::Error) -> CError {
        CError::new(errno(e.raw_os_error(), e.kind()), e)
    }
}

/// Returns the system's own number, or the number with the same meaning.
fn errno(raw: Option<i32>, kind: io::ErrorKind) -> c_int {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_last_error() {
        assert_eq!(CError::not_open().set_last_error(), -libc::EBADF);
        let other = std::thread::spawn(|| with_last_error(str::to_owned));
        assert_eq!(other.join().unwrap(), "");
        assert!(with_last_error(|text| text.contains("not open")));
    }

    #[test]
    fn an_error_without_a_number_gets_one() {
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "busy");
        assert_eq!(CError::from(error).set_last_error(), -libc::EBUSY);
        let error = io::Error::from_raw_os_error(libc::ELOOP);
        assert_eq!(CError::from(error).set_last_error(), -libc::ELOOP);
    }
}
