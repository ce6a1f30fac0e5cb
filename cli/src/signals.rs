//! Signals as one more source to wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Readable once one of its signals has come.
pub(crate) struct Signals(UnixStream);

impl Signals {
    /// Catches SIGINT and SIGTERM: they do not end the process any more.
    pub(crate) fn catch() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM])
    }

    /// Catches SIGCHLD: a child process has ended.
    pub(crate) fn of_children() -> io::Result<Signals> {
        Signals::of(&[SIGCHLD])
    }

    fn of(signals: &[i32]) -> io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        for signal in signals {
            pipe::register(*signal, writer.try_clone()?)?;
        }
        Ok(Signals(reader))
    }

    /// Reads the pending signals, so that the next one is reported. Blocks until there is one.
    pub(crate) fn take(&self) {
        // The other end stays open as long as the process runs, so the read does not fail.
        let _ = (&self.0).read(&mut [0; 64]);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
