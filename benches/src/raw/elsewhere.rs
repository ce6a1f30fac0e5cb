//! The raw loops on systems with only POSIX: directories are read when the trigger is pulled.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::{Qmail, Sink};

/// The system calls that read a directory. They are not counted on these systems.
pub(crate) const READS_DIRECTORY: [libc::c_long; 0] = [];

/// The names of this module's loops in the tables.
pub(crate) const WATCH: &str = "no raw watch";
pub(crate) const WATCH_AND_TRIGGER: &str = "raw trigger+scan";
pub(crate) const LIST: &str = "raw readdir";

pub(crate) use super::readdir as list;

/// Directories that are read when a trigger is pulled.
pub(crate) struct Arrivals(Qmail);

/// The descriptor that another loop waits for.
impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.trigger.as_fd()
    }
}

impl Arrivals {
    pub(crate) fn open(directories: &[PathBuf], trigger: Option<&Path>) -> io::Result<Arrivals> {
        match trigger {
            Some(trigger) => Qmail::open(directories, trigger).map(Arrivals),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        self.0.wake(sink)
    }
}

/// Returns `None`: no method is known that counts system calls without another program.
pub(crate) fn system_calls(
    _: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    Ok(None)
}
