//! The loop of 1998.
//!
//! A FIFO loses its bytes when no process has it open. While a writer has it open, a close and a
//! re-open remove nothing: the trigger stays readable, and the program scans without a pause.

use std::path::PathBuf;

use pullcord::Notifier;

use crate::{Reader, Receive, Result, Strategy};

/// Closes the trigger, opens it again, scans.
#[derive(Debug)]
pub struct Reopen(Reader);

impl Reopen {
    /// Opens the trigger and registers it.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn start(
        trigger: impl Into<PathBuf>,
        directory: impl Into<PathBuf>,
        notifier: &mut dyn Notifier,
    ) -> Result<Reopen> {
        Reader::start(trigger, directory, notifier).map(Reopen)
    }
}

impl Strategy for Reopen {
    fn scan(&mut self, notifier: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()> {
        let closed = self.0.close(notifier);
        let opened = self.0.open(notifier);
        closed.and(opened).and(self.0.scan(receive))
    }

    fn scan_count(&self) -> u64 {
        self.0.scan_count()
    }
}
