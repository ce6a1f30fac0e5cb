//! `EVFILT_VNODE` of kqueue(2), the BSDs and macOS: a directory watch that reports the directory, not the
//! entry. Its faults, and the remedies:
//! - It does not name the entry: a directory that changed must be read.
//! - The consumer's own unlink(2) causes the same event as an arrival.
//! - Changes before a fetch are merged into one event. So nothing overflows.
//! - The notes of a change depend on the system: a rename into a directory adds `NOTE_EXTEND` on FreeBSD, and
//!   is only `NOTE_WRITE` on NetBSD's tmpfs. The code relies on `NOTE_WRITE` only.
//! - On NetBSD's FFS a failed rmdir(2) posts `NOTE_DELETE`. So a lost directory is only a reason to check the
//!   path.
//! - It needs an open descriptor for each directory, so that the file system cannot be unmounted. macOS has
//!   `O_EVTONLY` for this.
//! - A kqueue stays readable until its events are fetched. So they are fetched until none is left.

// The fields' types differ from one system to the next, so that a cast that one needs is useless on another.
#![allow(clippy::unnecessary_cast)]

mod event;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::time::Duration;

pub use event::{EntryCause, WatchEvent, WatchFor, WatchId};

use crate::file::{self, FileId};
use crate::kqueue::{KqueueFd, RawEvent, change};
use crate::{Key, OwnedFd, bsd, libc};

/// Whether a watch reports [`WatchEvent::EntryAdded`], and not [`WatchEvent::DirectoryChanged`].
pub const REPORTS_NAMES: bool = false;

/// The number of events in one fetch. Each directory has at most one.
const ROOM: usize = 64;

/// The flags to open a directory that is only watched.
const WATCH_ONLY: libc::c_int = {
    #[cfg(target_vendor = "apple")]
    {
        libc::O_EVTONLY
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        libc::O_RDONLY
    }
};

/// A watch on any number of directories, with one descriptor to wait for.
#[derive(Debug)]
pub struct DirWatcher {
    kqueue: KqueueFd,
    directories: HashMap<WatchId, OwnedFd>,
    next_id: i32,
    fetched: Vec<RawEvent>,
    read: usize,
    filled: usize,
}

impl DirWatcher {
    /// Opens a watcher without directories, with Opens a watcher without directories, with kqueue(2). Man
    /// pages: [FreeBSD](https://man.freebsd.org/cgi/man.cgi?kqueue(2)),
    /// [NetBSD](https://man.netbsd.org/kqueue.2), [OpenBSD](https://man.openbsd.org/kqueue.2),
    /// [DragonFly](https://man.dragonflybsd.org/?command=kqueue&section=2).
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, `ENFILE` or `ENOMEM`.
    pub fn new() -> io::Result<DirWatcher> {
        let blank = change(0, 0, 0, Key(0));
        let fetched = vec![blank; ROOM];
        let (kqueue, directories) = (KqueueFd::new()?, HashMap::new());
        Ok(DirWatcher { kqueue, directories, next_id: 0, fetched, read: 0, filled: 0 })
    }

    /// Opens the watcher anew. It watches no directory then, and has another descriptor number: not
    /// every system can duplicate a kqueue.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`new`](DirWatcher::new). The old watcher stays open then.
    pub fn reopen(&mut self) -> io::Result<()> {
        // An id of the old watcher must differ from each id of the new one.
        let next_id = self.next_id;
        *self = DirWatcher { next_id, ..DirWatcher::new()? };
        Ok(())
    }

    /// Returns whether a read of this amount may have left events.
    #[inline]
    pub fn may_have_more(&self, read: usize) -> bool {
        read == self.fetched.len()
    }

    /// Watches a directory for changes of its entries, with open(2) and `EVFILT_VNODE` with `EV_CLEAR`.
    /// Attributes of entries cannot be watched. Returns the identity of the watched directory if `is_local`:
    /// on other file systems the numbers of files may change by themselves.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, or with an error of open(2): `NotFound`, `NotADirectory`, `PermissionDenied`.
    pub fn watch(
        &mut self,
        directory: &Path,
        _: WatchFor,
        is_local: bool,
    ) -> io::Result<(WatchId, FileId)> {
        let flags = libc::O_DIRECTORY | libc::O_NONBLOCK | WATCH_ONLY;
        let file = file::open_with(directory, flags)?;
        let identity = file::fstat(&file)?.id;
        let id = WatchId(self.next_id);
        let add = (bsd::EV_ADD as u32) | (bsd::EV_CLEAR as u32);
        let mut add = change(file.as_raw_fd(), bsd::EVFILT_VNODE as i64, add, Key(id.0 as usize));
        add.0.fflags = bsd::NOTE_WRITE | bsd::NOTE_DELETE | bsd::NOTE_RENAME | bsd::NOTE_REVOKE;
        self.kqueue.apply_changes(&[add])?;
        if is_local && !file::stat_id(directory).is_ok_and(|after| after == identity) {
            return Err(io::Error::other("it was replaced at this moment"));
        }
        self.next_id += 1;
        self.directories.insert(id, file);
        Ok((id, identity))
    }

    /// Stops watching, by closing the descriptor. Earlier events may still be returned. Does nothing if the
    /// directory is not watched.
    pub fn unwatch(&mut self, id: WatchId) {
        self.directories.remove(&id);
    }

    /// Reads the pending events with one kevent(2), and discards those of the previous call. Returns the
    /// amount read, in the unit of [`available`](DirWatcher::available), or 0 if there are none. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// Fails with the error of kevent(2); in practice only with `ENOMEM`. Never fails with `EINTR`.
    pub fn read_events(&mut self) -> io::Result<usize> {
        (self.read, self.filled) = (0, 0);
        self.filled = loop {
            match self.kqueue.wait(&mut self.fetched, Some(Duration::ZERO)) {
                // 0 would mean that there are no events: the caller would wait for an edge of others.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                fetched => break fetched?,
            }
        };
        Ok(self.filled)
    }

    /// Returns the next of the events that were read. Makes no system call.
    #[inline]
    pub fn next_event(&mut self) -> Option<WatchEvent<'_>> {
        while self.read < self.filled {
            let event = self.fetched[self.read].0;
            self.read += 1;
            let id = WatchId(event.udata as usize as i32);
            // Another file may have the number by now, but no id is used twice.
            let current = self.directories.get(&id).map(AsRawFd::as_raw_fd);
            if current != Some(event.ident as RawFd) {
                continue;
            }
            let lost = bsd::NOTE_DELETE | bsd::NOTE_RENAME | bsd::NOTE_REVOKE;
            let report = if event.fflags & lost != 0 {
                WatchEvent::WatchLost
            } else {
                WatchEvent::DirectoryChanged
            };
            return Some(report(id));
        }
        None
    }

    /// Returns the name in the last event: always empty.
    pub fn last_name(&self) -> &OsStr {
        OsStr::new("")
    }

    /// Returns whether events were read that [`next_event`](DirWatcher::next_event) has not returned yet.
    #[inline]
    pub fn has_buffered_events(&self) -> bool {
        self.read < self.filled
    }

    /// Returns the largest possible number of events that were not read yet: one for each directory.
    ///
    /// # Errors
    ///
    /// Never fails; the function of inotify may.
    pub fn available(&self) -> io::Result<usize> {
        Ok(self.directories.len())
    }
}

/// Readable until all events are read.
impl AsFd for DirWatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kqueue.as_fd()
    }
}

/// Returns a hint for an administrator about an error of [`DirWatcher::new`] or [`DirWatcher::watch`].
pub fn hint(error: &io::Error) -> Option<String> {
    let out_of_descriptors = error.raw_os_error() == Some(libc::EMFILE);
    out_of_descriptors.then(|| {
        "raise this process's descriptor limit (ulimit -n): each directory takes one".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a descriptor is used again immediately. No state of the old file may remain.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no kqueue(2)")]
    fn a_directory_that_takes_a_removed_ones_number_is_watched() {
        let parent = tempfile::tempdir().unwrap();
        let mut watch = DirWatcher::new().unwrap();
        for round in ["one", "two", "three"] {
            let directory = parent.path().join(round);
            std::fs::create_dir(&directory).unwrap();
            let (id, _) = watch.watch(&directory, WatchFor::Entries, true).unwrap();
            std::fs::write(directory.join("entry"), "").unwrap();
            assert_eq!(watch.read_events().unwrap(), 1, "{round}");
            assert_eq!(watch.next_event(), Some(WatchEvent::DirectoryChanged(id)), "{round}");
            watch.unwatch(id);
        }
    }
}
