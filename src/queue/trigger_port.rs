//! The trigger of a queue, as far as it can be opened.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pullcord_platform::OwnedFd;

use crate::error::{Error, Result};
use crate::trigger::{DrainOutcome, OtherReaders, Trigger, path_of};

/// How often a trigger is emptied that is not waited for, at most.
const EMPTY_INTERVAL: Duration = Duration::from_secs(1);

/// The FIFO that is pulled.
#[derive(Clone, Debug)]
pub(super) enum TriggerSource {
    /// It is opened by its path.
    Path(PathBuf),
    /// Opened by another process.
    Descriptor(Arc<OwnedFd>),
}

impl TriggerSource {
    /// Returns the path, or one that names the descriptor in messages.
    fn path(&self) -> PathBuf {
        match self {
            TriggerSource::Path(path) => path.clone(),
            TriggerSource::Descriptor(fd) => path_of(fd.as_fd()),
        }
    }
}

impl PartialEq for TriggerSource {
    fn eq(&self, other: &TriggerSource) -> bool {
        match (self, other) {
            (TriggerSource::Path(one), TriggerSource::Path(other)) => one == other,
            (TriggerSource::Descriptor(one), TriggerSource::Descriptor(other)) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }
}

impl Eq for TriggerSource {}

#[derive(Debug)]
pub(super) struct TriggerPort {
    source: Option<TriggerSource>,
    /// The path, for messages.
    path: PathBuf,
    /// The directory and the name of the path.
    place: Option<(PathBuf, OsString)>,
    other_readers: OtherReaders,
    trigger: Option<Trigger>,
    /// The time at which it is emptied next; `None` means at the next turn.
    empty_at: Option<Instant>,
}

impl TriggerPort {
    /// Returns a port whose trigger is not open yet. Without a source there is no trigger.
    pub(super) fn new(source: Option<TriggerSource>, other_readers: OtherReaders) -> TriggerPort {
        let path = source.as_ref().map_or_else(PathBuf::new, TriggerSource::path);
        let place = match &source {
            Some(TriggerSource::Path(path)) => path.parent().zip(path.file_name()),
            _ => None,
        };
        let place = place.map(|(directory, name)| (directory.to_owned(), name.to_owned()));
        TriggerPort { source, path, place, other_readers, trigger: None, empty_at: None }
    }

    /// Opens the trigger, or the FIFO that its path names now. Does nothing without a source.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Trigger::open`], [`Trigger::from_fd`] and [`Trigger::reopen`]; an open
    /// trigger stays open then.
    pub(super) fn open(&mut self) -> Result<()> {
        match (&self.source, &mut self.trigger) {
            (None, _) => {}
            (Some(_), Some(trigger)) => trigger.reopen()?,
            (Some(TriggerSource::Path(path)), none) => {
                *none = Some(Trigger::open(path, self.other_readers)?);
            }
            (Some(TriggerSource::Descriptor(fd)), none) => *none = Some(Trigger::from_fd(fd)?),
        }
        Ok(())
    }

    /// Returns the directory and the name of the path; `None` if it is not known.
    pub(super) fn place(&self) -> Option<(&Path, &OsStr)> {
        self.place.as_ref().map(|(directory, name)| (&**directory, &**name))
    }

    /// Returns whether the queue has a trigger, open or not.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.source.is_some()
    }

    /// Returns whether the trigger is open.
    pub(super) fn is_open(&self) -> bool {
        self.trigger.is_some()
    }

    /// Returns whether the path names another FIFO than the open one, or none. False if none is open.
    ///
    /// # Errors
    ///
    /// Fails if the path cannot be looked at.
    pub(super) fn is_replaced(&self) -> io::Result<bool> {
        let trigger = self.trigger.as_ref().filter(|_| !mutant!(TriggerNotCompared));
        trigger.map_or(Ok(false), Trigger::check_path)
    }

    /// Reads the bytes, with one read(2).
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Trigger::drain`].
    pub(super) fn drain(&mut self, now: Instant) -> Result<DrainOutcome> {
        self.empty_at = now.checked_add(EMPTY_INTERVAL);
        self.trigger.as_mut().map_or(Ok(DrainOutcome::Empty), Trigger::drain)
    }

    /// Returns how many bytes the last drain has read.
    pub(super) fn drained(&self) -> usize {
        self.trigger.as_ref().map_or(0, Trigger::drained)
    }

    /// Puts a byte into the trigger, if it is open.
    ///
    /// # Errors
    ///
    /// Fails with the error of write(2).
    pub(super) fn put_back(&self) -> Result<()> {
        self.trigger.as_ref().map_or(Ok(()), Trigger::put_back)
    }

    /// Returns whether it is time to empty the trigger while it is not waited for. Never while other
    /// readers are allowed: the pulls may be theirs.
    pub(super) fn should_empty(&self, now: Instant) -> bool {
        self.trigger.is_some()
            && self.other_readers == OtherReaders::Reject
            && self.empty_at.is_none_or(|at| at <= now)
    }

    /// Forgets the time of the last drain: the clock jumped back.
    pub(super) fn on_jump(&mut self) {
        self.empty_at = None;
    }

    /// Returns the descriptor to wait for, if the trigger is open.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.trigger.as_ref().map(AsFd::as_fd)
    }

    /// Returns the path, or an empty one without a trigger.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns an error of the trigger.
    pub(super) fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::new(self.path(), operation, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_that_is_not_waited_for_is_emptied_once_an_interval_unless_others_read_it() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("trigger");
        Trigger::create(&fifo, 0o622).unwrap();
        let now = Instant::now();
        let open = |other_readers| {
            let source = Some(TriggerSource::Path(fifo.clone()));
            let mut port = TriggerPort::new(source, other_readers);
            assert!(!port.should_empty(now), "it is not open yet");
            port.open().unwrap();
            port
        };
        let mut alone = open(OtherReaders::Reject);
        assert!(alone.should_empty(now));
        assert_eq!(alone.drain(now).unwrap(), DrainOutcome::Empty);
        assert!(!alone.should_empty(now + EMPTY_INTERVAL / 2));
        assert!(alone.should_empty(now + EMPTY_INTERVAL));
        alone.on_jump();
        assert!(alone.should_empty(now));
        drop(alone);
        assert!(!open(OtherReaders::Allow).should_empty(now));
    }
}
