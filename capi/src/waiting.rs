//! poll(2): the wait of `pullcord_recv`.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Waits until `fd` is readable, or until `timeout` is over: without one, as long as it takes. It may
/// return earlier.
///
/// # Errors
///
/// Fails with `EINTR` if a signal was handled.
pub(crate) fn wait_readable(fd: RawFd, timeout: Option<Duration>) -> io::Result<()> {
    let mut readable = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives through the call.
    match unsafe { libc::poll(&mut readable, 1, milliseconds(timeout)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Milliseconds, rounded up; -1 means without a timeout. A time that is too long for an int becomes the
/// longest one: the caller waits again.
fn milliseconds(timeout: Option<Duration>) -> c_int {
    timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_and_cut_to_an_int() {
        let after = |timeout| milliseconds(Some(timeout));
        assert_eq!(milliseconds(None), -1);
        assert_eq!(after(Duration::ZERO), 0);
        assert_eq!(after(Duration::from_nanos(1)), 1);
        assert_eq!(after(Duration::from_micros(1001)), 2);
        assert_eq!(after(Duration::MAX), c_int::MAX);
    }
}
