//! The parts of the older strategies: a trigger that is opened and closed, and a directory.

use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use pullcord::{Interest, Mode, Notifier};
use pullcord_platform::OwnedFd;
use pullcord_platform::dir::{Batch, Dir};
use pullcord_platform::fifo;

use crate::{Error, Found, Receive, Result, TRIGGER};

/// A trigger, a directory, and the steps that the older strategies consist of.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    trigger: Option<OwnedFd>,
    directory: PathBuf,
    batch: Batch,
    scans: u64,
}

impl Reader {
    /// Opens the trigger at `trigger` and registers it. `directory` is the directory to scan.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn start(
        trigger: impl Into<PathBuf>,
        directory: impl Into<PathBuf>,
        notifier: &mut dyn Notifier,
    ) -> Result<Reader> {
        let mut reader = Reader {
            path: trigger.into(),
            trigger: None,
            directory: directory.into(),
            batch: Batch::new(),
            scans: 0,
        };
        reader.open(notifier)?;
        Ok(reader)
    }

    /// Opens the trigger and registers it, level-triggered, with the key [`TRIGGER`]. After a
    /// failure the trigger is closed, and no pull wakes the program.
    ///
    /// # Errors
    ///
    /// Fails with the error of open(2) or of [`Notifier::register`].
    pub fn open(&mut self, notifier: &mut dyn Notifier) -> Result<()> {
        let trigger = fifo::open_read(&self.path).map_err(|e| self.error("open it", e))?;
        notifier
            .register(&trigger, TRIGGER, Interest::Read, Mode::Level)
            .map_err(|e| self.error("wait for it", e))?;
        self.trigger = Some(trigger);
        Ok(())
    }

    /// Closes the trigger. Pulls are refused until it is opened again.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Notifier::deregister`]; the trigger is closed then, too.
    pub fn close(&mut self, notifier: &mut dyn Notifier) -> Result<()> {
        let Some(trigger) = self.trigger.take() else { return Ok(()) };
        notifier.deregister(&trigger).map_err(|e| self.error("stop waiting for it", e))
    }

    /// Reads the trigger until it is empty, 4,096 bytes at a time. Does not return while writers
    /// write faster than it reads.
    ///
    /// # Errors
    ///
    /// Fails with the error of read(2), except `EAGAIN` and `EINTR`.
    pub fn drain(&self) -> Result<()> {
        let Some(trigger) = &self.trigger else { return Ok(()) };
        let mut bytes = [MaybeUninit::uninit(); 4096];
        loop {
            match fifo::read(trigger, &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error("read it", e)),
            }
        }
    }

    /// Reads the directory once and passes each entry to `receive`.
    ///
    /// # Errors
    ///
    /// Fails with the error of open(2) or of the directory read. The scan is not repeated.
    pub fn scan(&mut self, receive: &mut Receive<'_>) -> Result<()> {
        self.scans += 1;
        let error = |source| failed(&self.directory, "read it", source);
        let mut directory = Dir::open(&self.directory).map_err(error)?;
        while directory.read_batch(&mut self.batch).map_err(error)? {
            while let Some(entry) = self.batch.next_entry() {
                let path = self.directory.join(entry.name);
                if receive(Ok(Found { path: &path, scan: Some(self.scans) })).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns the number of scans, failed ones included.
    pub fn scan_count(&self) -> u64 {
        self.scans
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        failed(&self.path, operation, source)
    }
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> Error {
    Error { path: path.to_owned(), operation, source }
}
