//! Where there is nothing but POSIX: directories are read when the trigger is pulled.

use std::io;
use std::path::{Path, PathBuf};

use super::{Qmail, Sink};

/// The system calls by which a directory is read: they are not counted here.
pub(crate) const READS_DIRECTORY: [libc::c_long; 0] = [];

/// What the loops of this module are made of, for the tables.
pub(crate) const WATCH: &str = "no raw watch";
pub(crate) const WATCH_AND_TRIGGER: &str = "raw trigger+scan";
pub(crate) const LIST: &str = "raw readdir";

pub(crate) use super::readdir as list;

/// Directories that are read when a trigger is pulled.
pub(crate) struct Arrivals(Qmail);

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

/// No way of counting them is known that works without another program.
pub(crate) fn system_calls(
    _: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    Ok(None)
}
