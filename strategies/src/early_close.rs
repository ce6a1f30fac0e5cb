//! The loop of 1998 with an earlier close.
//!
//! The trigger is closed when the wait returns, so that a writer that is about to close its end has
//! time to do so. A writer that keeps the trigger open makes the program spin all the same. More
//! pulls are refused, because the trigger is closed for longer.

use std::path::PathBuf;

use pullcord::{Event, Notifier};

use crate::{Reader, Receive, Result, Strategy};

/// Closes the trigger when the wait returns, opens it again before the scan.
#[derive(Debug)]
pub struct EarlyClose(Reader);

impl EarlyClose {
    /// Opens the trigger and registers it.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn start(
        trigger: impl Into<PathBuf>,
        directory: impl Into<PathBuf>,
        notifier: &mut dyn Notifier,
    ) -> Result<EarlyClose> {
        Reader::start(trigger, directory, notifier).map(EarlyClose)
    }
}

impl Strategy for EarlyClose {
    fn woken(&mut self, _: &Event, notifier: &mut dyn Notifier) -> Result<()> {
        self.0.close(notifier)
    }

    fn scan(&mut self, notifier: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()> {
        // It is open still if the scan is due to a timeout.
        let closed = self.0.close(notifier);
        let opened = self.0.open(notifier);
        closed.and(opened).and(self.0.scan(receive))
    }

    fn scan_count(&self) -> u64 {
        self.0.scan_count()
    }
}
