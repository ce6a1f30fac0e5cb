//! An open queue, as C sees it.

use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{OtherReaders, OwnedEntry, QueueOptions, Receiver, WatchMode};

use super::{
    PULLCORD_ALLOW_OTHER_READERS, PULLCORD_DIRECTORY, PULLCORD_NO_TRIGGER, PULLCORD_POSTFIX,
    PULLCORD_QMAIL, PULLCORD_WATCH_OFF, PULLCORD_WATCH_REQUIRED,
};
use crate::errors::Failure;

const LAYOUTS: u32 = 15;
const KNOWN: u32 = LAYOUTS
    | PULLCORD_WATCH_OFF
    | PULLCORD_WATCH_REQUIRED
    | PULLCORD_ALLOW_OTHER_READERS
    | PULLCORD_NO_TRIGGER;

pub(super) struct OpenQueue {
    mail: Receiver,
    path: Vec<u8>,
    /// `path` is that of an entry that was not returned yet: the caller's buffer was too small.
    is_pending: bool,
}

impl OpenQueue {
    pub(super) fn open(
        path: &Path,
        options: u32,
        rescan_interval: u32,
    ) -> Result<OpenQueue, Failure> {
        let mail = queue_options(path, options, rescan_interval)?.receiver()?;
        Ok(OpenQueue { mail, path: Vec::new(), is_pending: false })
    }

    pub(super) fn fd(&self) -> Result<c_int, Failure> {
        let none = || Failure::new(libc::ENOTSUP, "this system has neither epoll nor kqueue");
        self.mail.pollable_fd().map(|fd| fd.as_raw_fd()).ok_or_else(none)
    }

    /// Passes the path of the next entry to `copy`. If that fails, the entry comes again.
    pub(super) fn next(
        &mut self,
        copy: impl FnOnce(&[u8]) -> Result<(), Failure>,
    ) -> Result<c_int, Failure> {
        if !self.is_pending {
            let Some(entry) = self.mail.try_recv() else { return Ok(0) };
            self.path.clear();
            self.path.extend_from_slice(entry.path().as_os_str().as_bytes());
        }
        self.is_pending = true;
        copy(&self.path)?;
        self.is_pending = false;
        Ok(1)
    }

    pub(super) fn next_warning(&mut self) -> Option<String> {
        self.mail.next_warning().map(|warning| warning.to_string())
    }

    pub(super) fn requeue(&mut self, path: &Path, delay: u32) -> Result<c_int, Failure> {
        let no_entry = || Failure::new(libc::EINVAL, "the path is not that of an entry");
        let entry = OwnedEntry::from_path(path).ok_or_else(no_entry)?;
        let delay = Duration::from_millis(delay.into());
        self.mail.requeue(&entry, Instant::now() + delay)?;
        Ok(0)
    }

    pub(super) fn wake(&mut self) -> Result<c_int, Failure> {
        self.mail.waker()?.wake()?;
        Ok(0)
    }
}

fn queue_options(path: &Path, options: u32, rescan_interval: u32) -> Result<QueueOptions, Failure> {
    let has = |option| options & option != 0;
    if options & !KNOWN != 0 || has(PULLCORD_WATCH_OFF) && has(PULLCORD_WATCH_REQUIRED) {
        let words = format!("these options do not exist, or exclude each other: {options}");
        return Err(Failure::new(libc::EINVAL, words));
    }
    let mut queue = match options & LAYOUTS {
        PULLCORD_QMAIL => QueueOptions::qmail(path)?,
        PULLCORD_POSTFIX => QueueOptions::postfix(path)?,
        PULLCORD_DIRECTORY => QueueOptions::directories([path]),
        other => {
            return Err(Failure::new(libc::EINVAL, format_args!("there is no layout {other}")));
        }
    };
    if has(PULLCORD_WATCH_OFF) {
        queue = queue.watch(WatchMode::Off);
    }
    if has(PULLCORD_WATCH_REQUIRED) {
        queue = queue.watch(WatchMode::Required);
    }
    if has(PULLCORD_ALLOW_OTHER_READERS) {
        queue = queue.other_readers(OtherReaders::Allow);
    }
    if has(PULLCORD_NO_TRIGGER) {
        queue = queue.without_trigger();
    }
    if rescan_interval != 0 {
        queue = queue.rescan_interval(Duration::from_secs(rescan_interval.into()));
    }
    Ok(queue)
}
