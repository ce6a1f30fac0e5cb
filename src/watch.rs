//! The directory watch: what appears in a directory is told, and the directory need not be read.
//!
//! [`DirWatch`] is inotify(7) on Linux, and `EVFILT_VNODE` in a kqueue of its own on the BSDs and
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
//! A watch sees what this kernel does. What another host does to a network file system, or a FUSE
//! server behind the kernel's back, it does not see, and that it could be added proves nothing. So
//! [`DirWatch::add`] asks statfs(2): it refuses a file system known to be shared, and says of the
//! others whether they are known to be local.
//!
//! # The special problem of the start
//!
//! Add first, then open the directory, then read it: on btrfs, entries linked after the open are
//! never returned. What appears while it is read may be returned by the reading, by the watch, or
//! by both.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use pullcord_platform::file::{self, Identity};
use pullcord_platform::watch;

pub use pullcord_platform::filesystem::{Locality, locality};
pub use pullcord_platform::watch::{Change, NAMES_ENTRIES, WatchId};

use crate::error::{Error, Result};

/// Whether a queue's directories are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Watch {
    /// Those that can be; the others are scanned, and tried again now and then.
    #[default]
    Auto,
    /// None: every pull scans.
    Off,
    /// All: a queue that cannot be watched is not opened.
    Required,
}

/// A watch on any number of directories.
///
/// ```
/// # use pullcord::watch::{Change, DirWatch};
/// # let directory = tempfile::tempdir()?;
/// # let todo = directory.path();
/// # let Ok(mut watch) = DirWatch::open() else { return Ok(()) }; // not on every system
/// let Ok(watched) = watch.add(todo) else { return Ok(()) }; // not on every file system
/// std::fs::write(todo.join("4711"), "a message")?;
/// watch.fill()?;
/// match watch.next_change() {
///     Some(Change::Appeared(id, name)) => assert!(id == watched.id && name == "4711"),
///     Some(Change::Changed(id)) => assert!(id == watched.id), // somewhere in it
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirWatch(watch::DirWatch);

/// A directory that is being watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// What changes of it are reported with.
    pub id: WatchId,
    /// Whether it is on a file system known to be local, so that every change of it is reported.
    pub local: bool,
    identity: Identity,
}

impl Watched {
    /// Whether `path` leads to the directory that is watched: not if it was replaced, or mounted
    /// over, of which nothing may have been reported. One call of stat(2).
    pub fn is_at(&self, path: &Path) -> bool {
        file::followed(path).is_ok_and(|there| there == self.identity)
    }

    pub(crate) fn is(&self, identity: Identity) -> bool {
        self.identity == identity
    }
}

impl DirWatch {
    /// Opens a watch on nothing yet.
    ///
    /// # Errors
    ///
    /// `Unsupported` where there is no such facility; `EMFILE` when this process is out of
    /// descriptors, or (Linux) this user out of inotify instances; `ENFILE`, `ENOMEM`.
    pub fn open() -> io::Result<DirWatch> {
        watch::DirWatch::open().map(DirWatch)
    }

    /// Watches a directory for entries that appear. A symbolic link is followed.
    ///
    /// # Errors
    ///
    /// `Unsupported` on a file system whose changes may come from elsewhere; `ENOSPC` (Linux) when
    /// the limit of watches is reached, `EMFILE` (elsewhere) when that of descriptors is; those of
    /// open(2).
    pub fn add(&mut self, directory: impl AsRef<Path>) -> Result<Watched> {
        self.watch(directory.as_ref(), false)
    }

    /// As [`add`](DirWatch::add), for entries whose attributes change too: an entry appears again
    /// by that, where entries are named.
    ///
    /// # Errors
    ///
    /// As [`add`](DirWatch::add).
    pub fn add_with_attributes(&mut self, directory: impl AsRef<Path>) -> Result<Watched> {
        self.watch(directory.as_ref(), true)
    }

    fn watch(&mut self, directory: &Path, attributes: bool) -> Result<Watched> {
        let local = match locality(directory) {
            Ok(Locality::Local) => Ok(true),
            Ok(Locality::Unknown(_)) => Ok(false),
            Ok(Locality::Remote(name)) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{name} does not tell what other hosts or programs change"),
            )),
            Err(e) => Err(e),
        };
        let added = local.and_then(|local| Ok((local, self.0.add(directory, attributes)?)));
        match added {
            Ok((local, (id, identity))) => Ok(Watched { id, local, identity }),
            Err(e) => Err(explain(directory, "watch the directory", e)),
        }
    }

    /// Stops watching a directory. What it reported before may still come.
    pub fn remove(&mut self, watched: &Watched) {
        self.0.remove(watched.id);
    }

    /// Takes in what has happened, in one system call; first ask for what was taken in before,
    /// which is gone then. Returns how much it was, in the unit of [`backlog`](DirWatch::backlog),
    /// and 0 if there is no more. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of read(2) and kevent(2); none is expected but `ENOMEM`.
    pub fn fill(&mut self) -> io::Result<usize> {
        self.0.fill()
    }

    /// The next change of what was taken in. No system call, and no allocation.
    #[inline]
    pub fn next_change(&mut self) -> Option<Change<'_>> {
        self.0.next_change()
    }

    /// The name that the last change has told.
    #[inline]
    pub(crate) fn last_name(&self) -> &OsStr {
        self.0.last_name()
    }

    /// Whether something that was taken in has not been asked for yet.
    #[inline]
    pub fn has_more(&self) -> bool {
        self.0.has_more()
    }

    /// How much there is to be taken in at this moment, at the most: a unit of the system's own.
    ///
    /// # Errors
    ///
    /// Those of ioctl(2) on Linux; none is expected.
    pub fn backlog(&self) -> io::Result<usize> {
        self.0.backlog()
    }
}

/// Readable while there is something to take in. Register it level-triggered.
impl AsFd for DirWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An error of the watch, with the limit to raise where it is one.
pub(crate) fn explain(path: &Path, attempt: &'static str, cause: io::Error) -> Error {
    let advice = watch::advice(&cause);
    let error = Error::new(path, attempt, cause);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}
