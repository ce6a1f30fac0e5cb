//! Directory watch: reports new entries, so that the caller does not need to read the directory.
//!
//! [`DirWatcher`] is inotify(7) on Linux, and `EVFILT_VNODE` in a kqueue of its own on the BSDs and
//! macOS: one pollable descriptor, any number of directories, no thread.
//!
//! | | Linux, Android | FreeBSD, NetBSD, OpenBSD, DragonFly, macOS | elsewhere |
//! |---|---|---|---|
//! | it says | *this name appeared* | *this directory changed* | cannot be opened: `Unsupported` |
//! | the consumer's own unlink(2) | is not told | looks like an arrival | |
//! | it can overflow | yes, and says so | no: changes are merged | |
//! | it takes | one descriptor, and a watch a directory | one descriptor, and one a directory | |
//! | a directory that is mounted over | is not told | is not told | |
//!
//! # The special problem of trust
//!
//! A watch reports the changes by this kernel. The watch does not report changes by another host on a network
//! file system, or by a FUSE server itself, although adding such a watch succeeds. So [`DirWatcher::watch`]
//! asks statfs(2): it refuses a file system known to be shared, and says of the others whether they are known
//! to be local.
//!
//! # The special problem of the start
//!
//! Add first, then open the directory, then read it: on btrfs, entries linked after the open are never
//! returned. An entry that appears during the read may be returned by the read, by the watch, or by both.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use pullcord_platform::file::{self, FileId};
use pullcord_platform::watch;

pub(crate) use pullcord_platform::filesystem::KNOWS_TYPES;
pub use pullcord_platform::filesystem::{Locality, locality};
pub use pullcord_platform::watch::{EntryCause, REPORTS_NAMES, WatchEvent, WatchFor, WatchId};

use crate::error::{Error, Result};

/// Whether to watch a queue's directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchMode {
    /// Watches those that can be watched. Scans the others, and tries again later to watch them.
    #[default]
    Auto,
    /// Watches none: each pull starts a scan.
    Off,
    /// Watches all: opening a queue that cannot be watched fails.
    Required,
}

/// `auto`, `off` or `required`.
impl fmt::Display for WatchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            WatchMode::Auto => "auto",
            WatchMode::Off => "off",
            WatchMode::Required => "required",
        })
    }
}

/// A watch on any number of directories.
///
/// ```
/// # use pullcord::watcher::{DirWatcher, WatchEvent};
/// # let directory = tempfile::tempdir()?;
/// # let todo = directory.path();
/// # let Ok(mut watcher) = DirWatcher::new() else { return Ok(()) }; // not on every system
/// let Ok(watched) = watcher.watch(todo) else { return Ok(()) }; // not on every file system
/// std::fs::write(todo.join("4711"), "a message")?;
/// watcher.read_events()?;
/// match watcher.next_event() {
///     Some(WatchEvent::EntryAdded { id, name, .. }) => assert!(id == watched.id && name == "4711"),
///     Some(WatchEvent::DirectoryChanged(id)) => assert!(id == watched.id), // somewhere in it
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirWatcher(watch::DirWatcher);

/// A directory that is being watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WatchedDir {
    /// The id in the events of this directory.
    pub id: WatchId,
    /// Whether it is on a file system known to be local, so that each of its changes is reported.
    pub local: bool,
    pub(crate) file_id: FileId,
}

impl WatchedDir {
    /// Whether `path` leads to the directory that is watched. False if the directory was replaced or
    /// mounted over; the watch may not report that. Calls stat(2) once.
    pub fn matches_path(&self, path: &Path) -> bool {
        file::stat_id(path).is_ok_and(|there| there == self.file_id)
    }
}

impl DirWatcher {
    /// Opens a watcher that watches no directory yet. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with `Unsupported` on systems without inotify and kqueue. Fails with `EMFILE` if the
    /// process has no free descriptor; on Linux, also if the user has no free inotify instance.
    /// Fails with `ENFILE` or `ENOMEM` if the system is out of descriptors or memory.
    pub fn new() -> io::Result<DirWatcher> {
        watch::DirWatcher::new().map(DirWatcher)
    }

    /// Watches a directory for new entries. Follows a symbolic link.
    ///
    /// # Errors
    ///
    /// Fails with `Unsupported` on a file system that another host or program may change.
    /// At the limit of watches, fails with `ENOSPC` on Linux; at the limit of descriptors, fails with
    /// `EMFILE` on the other systems. Otherwise fails with the error of open(2).
    pub fn watch(&mut self, directory: impl AsRef<Path>) -> Result<WatchedDir> {
        self.watch_for(directory, WatchFor::Entries)
    }

    /// As [`watch`](DirWatcher::watch), and reports more changes of the entries, on systems that report
    /// names.
    ///
    /// # Errors
    ///
    /// As [`watch`](DirWatcher::watch).
    pub fn watch_for(
        &mut self,
        directory: impl AsRef<Path>,
        watch_for: WatchFor,
    ) -> Result<WatchedDir> {
        let directory = directory.as_ref();
        let locality = locality(directory)
            .map_err(|error| with_context(directory, "watch the directory", error))?;
        self.watch_on(&locality, directory, watch_for)
    }

    /// As [`watch_for`](DirWatcher::watch_for), for a directory on a file system that is known already.
    pub(crate) fn watch_on(
        &mut self,
        locality: &Locality,
        directory: &Path,
        watch_for: WatchFor,
    ) -> Result<WatchedDir> {
        let added = is_local(locality)
            .and_then(|local| Ok((local, self.0.watch(directory, watch_for, local)?)));
        match added {
            Ok((local, (id, file_id))) => Ok(WatchedDir { id, local, file_id }),
            Err(e) => Err(with_context(directory, "watch the directory", e)),
        }
    }

    /// Opens the watcher anew, under the same descriptor number. It then watches no directory, and a
    /// notifier does not know it any more.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`new`](DirWatcher::new). The old watcher stays open then.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.0.reopen()
    }

    /// Stops watching a directory. Never fails and never blocks. Earlier events may still be returned. Does
    /// nothing if the directory is not watched any more.
    pub fn unwatch(&mut self, watched: &WatchedDir) {
        self.0.unwatch(watched.id);
    }

    /// Reads pending events with one system call. Returns the amount read, in the unit of
    /// [`available`](DirWatcher::available), or 0 if there are none. Never blocks. Discards unread
    /// events of the previous call: call [`next_event`](DirWatcher::next_event) until it returns
    /// `None` first.
    ///
    /// # Errors
    ///
    /// Fails with the error of read(2) or kevent(2); in practice only with `ENOMEM`.
    #[inline]
    pub fn read_events(&mut self) -> io::Result<usize> {
        self.0.read_events()
    }

    /// Returns the next of the events that were read. Makes no system call and does not allocate.
    #[inline(always)]
    pub fn next_event(&mut self) -> Option<WatchEvent<'_>> {
        self.0.next_event()
    }

    /// Returns the name in the last event.
    #[inline]
    pub(crate) fn last_name(&self) -> &OsStr {
        self.0.last_name()
    }

    /// Whether events were read that [`next_event`](DirWatcher::next_event) has not returned yet.
    #[inline]
    pub fn has_buffered_events(&self) -> bool {
        self.0.has_buffered_events()
    }

    /// Returns the most that [`read_events`](DirWatcher::read_events) can read now: bytes on Linux, events on
    /// the BSDs and macOS. Never blocks.
    ///
    /// # Errors
    ///
    /// On Linux, fails with the error of ioctl(2); in practice never.
    pub fn available(&self) -> io::Result<usize> {
        self.0.available()
    }

    /// Returns whether a read that has returned this amount may have left events behind.
    #[inline]
    pub(crate) fn may_have_more(&self, read: usize) -> bool {
        self.0.may_have_more(read)
    }
}

/// Returns whether a file system is known to be local.
///
/// # Errors
///
/// Fails with `Unsupported` if it is known not to be.
fn is_local(locality: &Locality) -> io::Result<bool> {
    match locality {
        Locality::Local => Ok(true),
        Locality::Remote(_) if mutant!(RemoteTrusted) => Ok(true),
        Locality::Remote(name) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{name} does not report changes by other hosts or programs"),
        )),
        _ => Ok(false),
    }
}

/// Readable while there are events to read. Register it level-triggered.
impl AsFd for DirWatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns an error of the watch, with a hint which limit to raise.
pub(crate) fn with_context(path: &Path, operation: &'static str, source: io::Error) -> Error {
    let hint = watch::hint(&source);
    let error = Error::new(path, operation, source);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_file_system_known_to_be_local_is_trusted_and_a_remote_one_is_refused() {
        assert!(is_local(&Locality::Local).unwrap());
        assert!(!is_local(&Locality::Unknown("newfs".into())).unwrap());
        let error = is_local(&Locality::Remote("nfs".into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("nfs"), "{error}");
    }

    #[test]
    fn the_reports_can_be_counted_and_end_with_the_watch() {
        let root = tempfile::tempdir().unwrap();
        let Ok(mut watcher) = DirWatcher::new() else { return };
        let watched = watcher.watch(root.path()).unwrap();
        assert!(watched.matches_path(root.path()));
        assert!(!watched.matches_path(&root.path().join("missing")));
        assert!(!watched.matches_path(Path::new("/")));
        assert_eq!(watcher.available().unwrap(), 0);
        fs::write(root.path().join("1"), "").unwrap();
        assert_ne!(watcher.available().unwrap(), 0);
        assert_ne!(watcher.read_events().unwrap(), 0);
        while watcher.next_event().is_some() {}

        watcher.unwatch(&watched);
        while watcher.read_events().unwrap() > 0 {
            while watcher.next_event().is_some() {}
        }
        fs::write(root.path().join("2"), "").unwrap();
        assert_eq!(watcher.read_events().unwrap(), 0, "nothing is watched");

        watcher.watch(root.path()).unwrap();
        watcher.reopen().unwrap();
        fs::write(root.path().join("3"), "").unwrap();
        assert_eq!(watcher.read_events().unwrap(), 0, "the new watcher watches nothing");
    }
}
