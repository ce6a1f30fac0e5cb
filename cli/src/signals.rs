//! SIGINT and SIGTERM as one more source to wait for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Readable once a signal has asked the command to end.
pub(crate) struct Signals(UnixStream);

impl Signals {
    /// Catches these signals: they do not end the process any more.
    pub(crate) fn catch() -> io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        pipe::register(SIGINT, writer.try_clone()?)?;
        pipe::register(SIGTERM, writer)?;
        Ok(Signals(reader))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
