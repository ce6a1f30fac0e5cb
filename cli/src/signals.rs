//! SIGINT and SIGTERM as one more source to wait for.

use std::io::{self, Read};
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

    /// Takes the signals that have come, so that the next one is seen. Blocks until there is one.
    pub(crate) fn take(&self) {
        // The other end is open for as long as the process runs: the read does not fail.
        let _ = (&self.0).read(&mut [0; 64]);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
