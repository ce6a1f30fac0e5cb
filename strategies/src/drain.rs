//! The patch of 2001.
//!
//! The bytes are read, so that a writer that keeps the trigger open does no harm. The trigger is
//! closed all the same, so that a pull in that moment is refused. The read has no limit, and each
//! pull causes a scan.

use std::path::PathBuf;

use pullcord::Notifier;

use crate::{Reader, Receive, Result, Strategy};

/// Reads the trigger until it is empty, closes it, opens it again, scans.
#[derive(Debug)]
pub struct Drain(Reader);

impl Drain {
    /// Opens the trigger and registers it.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn start(
        trigger: impl Into<PathBuf>,
        directory: impl Into<PathBuf>,
        notifier: &mut dyn Notifier,
    ) -> Result<Drain> {
        Reader::start(trigger, directory, notifier).map(Drain)
    }
}

impl Strategy for Drain {
    fn scan(&mut self, notifier: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()> {
        let drained = self.0.drain();
        let closed = self.0.close(notifier);
        let opened = self.0.open(notifier);
        drained.and(closed).and(opened).and(self.0.scan(receive))
    }

    fn scan_count(&self) -> u64 {
        self.0.scan_count()
    }
}
