//! An open queue: the calls on it, and the wait for it.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pullcord::{OwnedEntry, QueueOptions, Receiver, Waker, Warning};

use crate::api::pullcord_stats;
use crate::error::CError;
use crate::handles::lock;
use crate::waiting::wait_readable;

/// The longest wait inside the receiver, where there is no descriptor to wait for: other threads' calls
/// on the queue wait that long.
const MAX_WAIT_LOCKED: Duration = Duration::from_millis(500);

/// A queue that several threads may use. A thread that waits does not hold the lock.
pub(crate) struct SharedQueue {
    /// `None` once it is closed.
    queue: Mutex<Option<OpenQueue>>,
    /// `None` on a system with neither epoll nor kqueue.
    fd: Option<RawFd>,
    /// Locked for reading while a thread waits for `fd`, and for writing before it is closed.
    waiting: RwLock<()>,
    waker: Waker,
    is_woken: AtomicBool,
    is_closing: AtomicBool,
}

/// The queue, used by one thread at a time.
pub(crate) struct OpenQueue {
    mail: Receiver,
    path: Vec<u8>,
    /// `path` is that of an entry that was not returned yet: the caller's buffer was too small.
    is_pending: bool,
    /// The next warning, once `recv` has ended for it.
    warning: Option<Warning>,
}

/// The result of a look into the queue.
enum Found {
    Entry,
    Warning,
    Nothing,
}

impl SharedQueue {
    pub(crate) fn open(options: &QueueOptions) -> Result<SharedQueue, CError> {
        let mut mail = options.receiver()?;
        let waker = mail.waker()?;
        Ok(SharedQueue {
            fd: mail.pollable_fd().map(|fd| fd.as_raw_fd()),
            queue: Mutex::new(Some(OpenQueue {
                mail,
                path: Vec::new(),
                is_pending: false,
                warning: None,
            })),
            waiting: RwLock::new(()),
            waker,
            is_woken: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        })
    }

    pub(crate) fn fd(&self) -> Result<c_int, CError> {
        let none = || CError::new(libc::ENOTSUP, "this system has neither epoll nor kqueue");
        self.fd.ok_or_else(none)
    }

    /// Runs `body` while no other thread uses the queue.
    pub(crate) fn with<R>(
        &self,
        body: impl FnOnce(&mut OpenQueue) -> Result<R, CError>,
    ) -> Result<R, CError> {
        let mut queue = lock(&self.queue);
        // The wake of `close` must not be read by a call that comes later.
        let closing = self.is_closing.load(Ordering::Acquire);
        let queue = queue.as_mut().filter(|_| !closing).ok_or_else(CError::not_open)?;
        body(queue)
    }

    /// Passes the path of the next entry to `copy`, and waits for it. Returns false after the timeout,
    /// after [`wake`](SharedQueue::wake), and once if there is a warning.
    pub(crate) fn recv(
        &self,
        timeout: Option<Duration>,
        mut copy: impl FnMut(&[u8]) -> Result<(), CError>,
    ) -> Result<bool, CError> {
        // A time that the clock cannot represent never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut is_over = false;
        loop {
            let found = self.with(|queue| {
                let is_entry = queue.next(&mut copy)?;
                Ok(if is_entry { Found::Entry } else { queue.take_warning() })
            })?;
            match found {
                Found::Entry => return Ok(true),
                Found::Warning => return Ok(false),
                Found::Nothing => {}
            }
            if is_over || self.is_woken.swap(false, Ordering::AcqRel) {
                return Ok(false);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // A turn of `next` may have ended with entries left: the last look is the one after this.
            is_over = left.is_some_and(|left| left.is_zero());
            if self.wait(left, &mut copy)? {
                return Ok(true);
            }
        }
    }

    /// Waits until there may be something to return. Without a descriptor, this is done by the receiver,
    /// which returns an entry then: true.
    fn wait(
        &self,
        timeout: Option<Duration>,
        copy: &mut impl FnMut(&[u8]) -> Result<(), CError>,
    ) -> Result<bool, CError> {
        let Some(fd) = self.fd else {
            let timeout = timeout.unwrap_or(MAX_WAIT_LOCKED).min(MAX_WAIT_LOCKED);
            return self.with(|queue| queue.recv(timeout, copy));
        };
        let _waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_closing.load(Ordering::Acquire) {
            return Err(CError::not_open());
        }
        wait_readable(fd, timeout)?;
        Ok(false)
    }

    /// Ends the `recv` that waits, or the next one. Makes the descriptor readable.
    pub(crate) fn wake(&self) -> Result<(), CError> {
        self.is_woken.store(true, Ordering::Release);
        Ok(self.waker.wake()?)
    }

    /// Closes the queue, after it has ended the waits. A call that runs on the queue ends first; a later
    /// one fails.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        // This ends a wait inside the receiver, which holds the lock.
        let _ = self.waker.wake();
        let mut queue = lock(&self.queue);
        // This ends the waits for the descriptor. From now on, no thread reads the waker.
        let _ = self.waker.wake();
        let _waiting = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        *queue = None;
    }
}

impl OpenQueue {
    /// Passes the path of the next entry to `copy`. If that fails, the entry comes again. Returns false
    /// if no entry is ready, or at the end of a turn.
    pub(crate) fn next(
        &mut self,
        copy: impl FnOnce(&[u8]) -> Result<(), CError>,
    ) -> Result<bool, CError> {
        if !self.is_pending {
            let Some(entry) = self.mail.try_recv() else { return Ok(false) };
            let path = entry.path();
            self.keep(&path);
        }
        self.copy_kept(copy)
    }

    /// As [`next`](OpenQueue::next), after a wait.
    fn recv(
        &mut self,
        timeout: Duration,
        copy: impl FnOnce(&[u8]) -> Result<(), CError>,
    ) -> Result<bool, CError> {
        let Some(entry) = self.mail.recv_timeout(timeout)? else { return Ok(false) };
        let path = entry.path();
        self.keep(&path);
        self.copy_kept(copy)
    }

    fn keep(&mut self, path: &Path) {
        self.path.clear();
        self.path.extend_from_slice(path.as_os_str().as_bytes());
        self.is_pending = true;
    }

    fn copy_kept(
        &mut self,
        copy: impl FnOnce(&[u8]) -> Result<(), CError>,
    ) -> Result<bool, CError> {
        copy(&self.path)?;
        self.is_pending = false;
        Ok(true)
    }

    /// Takes a warning from the receiver. Only one: the receiver limits how many it keeps, and a program
    /// that reads no warnings is disturbed once.
    fn take_warning(&mut self) -> Found {
        if self.warning.is_none() {
            self.warning = self.mail.next_warning();
            if self.warning.is_some() {
                return Found::Warning;
            }
        }
        Found::Nothing
    }

    pub(crate) fn next_warning(&mut self) -> Option<String> {
        let warning = self.warning.take().or_else(|| self.mail.next_warning());
        warning.map(|warning| warning.to_string())
    }

    pub(crate) fn requeue(&mut self, path: &Path, delay: Duration) -> Result<(), CError> {
        let no_entry = || CError::new(libc::EINVAL, "the path is not that of an entry");
        let entry = OwnedEntry::from_path(path).ok_or_else(no_entry)?;
        Ok(self.mail.requeue(&entry, Instant::now() + delay)?)
    }

    pub(crate) fn stats(&self) -> pullcord_stats {
        let queue = self.mail.queue();
        let stats = queue.stats();
        pullcord_stats {
            wakeups: stats.wakeups,
            trigger_reads: stats.trigger_reads,
            pulls: stats.pulls,
            trigger_reopens: stats.trigger_reopens,
            scans: stats.scans,
            directories_read: stats.directories_read,
            scan_entries: stats.scan_entries,
            watch_entries: stats.watch_entries,
            requeued_entries: stats.requeued_entries,
            watch_overflows: stats.watch_overflows,
            verifications: stats.verifications,
            warnings: stats.warnings,
            dropped_warnings: stats.dropped_warnings,
            directories: queue.status().count() as u64,
            unwatched_directories: queue.unwatched_directories() as u64,
        }
    }
}
