//! `tokio::io::unix::AsyncFd`, whose `register_with_interest` is unsafe by its own contract: the
//! descriptor must stay the same, and open, while tokio waits for it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the loop is a real one, and takes real descriptors only"
)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A duplicate of a descriptor that tokio polls for readiness to be read.
#[derive(Debug)]
pub struct ReadReadiness(AsyncFd<OwnedFd>);

impl ReadReadiness {
    /// Duplicates the descriptor, and registers the duplicate with the current runtime.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, and with the errors of the runtime's notifier.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime, and in a runtime without I/O.
    pub fn new(source: BorrowedFd<'_>) -> io::Result<ReadReadiness> {
        let source = source.try_clone_to_owned()?;
        // SAFETY: the descriptor is open, and owned by the value that this returns, which only lends
        // it: nothing can close it or put another in its place.
        let registered = unsafe { AsyncFd::register_with_interest(source, Interest::READABLE) };
        registered.map(ReadReadiness).map_err(|e| e.into_parts().1)
    }

    /// Is ready while tokio takes the descriptor for readable. The caller clears that through the guard, or
    /// with [`take`](ReadReadiness::take), *before* it reads: tokio notices an edge at any time, and one that
    /// it notices after the look must not be cleared.
    ///
    /// # Errors
    ///
    /// Fails when the runtime shuts down.
    pub fn poll(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, OwnedFd>>> {
        self.0.poll_read_ready(context)
    }

    /// Returns whether tokio takes the descriptor for readable, and makes it wait for the next edge.
    pub fn take(&self) -> bool {
        let mut is_readable = false;
        let _ = self.0.try_io(Interest::READABLE, |_| {
            is_readable = true;
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        is_readable
    }
}
