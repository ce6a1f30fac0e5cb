//! `tokio::io::unix::AsyncFd`, whose `register_with_interest` is unsafe by its own contract: the
//! descriptor stays the same, and open, for as long as tokio waits for it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the loop is a real one, and takes real descriptors only"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor that tokio polls for readiness to be read.
#[derive(Debug)]
pub struct ReadReadiness(AsyncFd<OwnedFd>);

impl ReadReadiness {
    /// Registers it with the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// Those of the runtime's notifier.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and in one without I/O.
    pub fn new(source: OwnedFd) -> io::Result<ReadReadiness> {
        // SAFETY: it is open, and owned by what comes back, which only lends it: nobody can close it
        // or put another in its place.
        let registered = unsafe { AsyncFd::register_with_interest(source, Interest::READABLE) };
        registered.map(ReadReadiness).map_err(|e| e.into_parts().1)
    }

    /// Ready while it is readable, as far as tokio knows: clear that once it is not.
    ///
    /// # Errors
    ///
    /// When the runtime is shutting down.
    pub fn poll(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, OwnedFd>>> {
        self.0.poll_read_ready(context)
    }
}
