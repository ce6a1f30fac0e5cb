//! SIGINT and SIGTERM as one more source to wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Readable after a signal has requested the end of the command.
pub(crate) struct Signals(UnixStream);

impl Signals {
    /// Catches these signals. Afterwards they no longer end the process.
    pub(crate) fn catch() -> io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        pipe::register(SIGINT, writer.try_clone()?)?;
        pipe::register(SIGTERM, writer)?;
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
