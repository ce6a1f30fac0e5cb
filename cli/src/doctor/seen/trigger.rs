//! The file that is the trigger, and questions to it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::{Fifo, device_numbers};
use crate::doctor::layout::Queue;

/// The file at the path of the trigger.
#[derive(Debug)]
pub(in crate::doctor) enum Trigger {
    Fifo {
        inode: u64,
        device: u64,
    },
    Socket,
    /// Something else, in words.
    Other(&'static str),
    Missing,
    /// The path cannot be looked at.
    Hidden(io::Error),
}

pub(in crate::doctor) fn look(queue: &Queue) -> Trigger {
    match queue.trigger.symlink_metadata() {
        Ok(metadata) => kind(&metadata),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Trigger::Missing,
        Err(e) => Trigger::Hidden(e),
    }
}

fn kind(metadata: &Metadata) -> Trigger {
    let file_type = metadata.file_type();
    if file_type.is_fifo() {
        Trigger::Fifo { inode: metadata.ino(), device: metadata.dev() }
    } else if file_type.is_socket() {
        Trigger::Socket
    } else if file_type.is_symlink() {
        Trigger::Other("a symbolic link")
    } else if file_type.is_dir() {
        Trigger::Other("a directory")
    } else {
        Trigger::Other("a file")
    }
}

impl Trigger {
    /// Returns the FIFO, if it is one.
    pub(super) fn fifo(&self, queue: &Queue) -> Option<Fifo> {
        let Trigger::Fifo { inode, device } = *self else { return None };
        let (home, name) = (queue.trigger.parent()?, queue.trigger.file_name()?);
        let path = fs::canonicalize(home).ok()?.join(name);
        Some(Fifo { path, inode, device: device_numbers(device) })
    }
}

/// The answer of a FIFO to the question whether a process reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Answer {
    Reader,
    NoReader,
    /// Probed: there is a reader, and the FIFO is full.
    Full,
    /// It may not be opened for writing.
    Refused,
}

/// Opens the FIFO for writing, which fails if no process has it open for reading. Writes nothing: the
/// reader wakes up once at most. A reader that has its trigger closed for a scan is asked again.
pub(super) fn ask(fifo: &Path) -> Answer {
    const ATTEMPTS: usize = 5;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..ATTEMPTS {
        match ask_once(fifo) {
            Answer::NoReader => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
    ask_once(fifo)
}

fn ask_once(fifo: &Path) -> Answer {
    match open(
        fifo,
        OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(_) => Answer::Reader,
        Err(Errno::NXIO) => Answer::NoReader,
        Err(_) => Answer::Refused,
    }
}

/// Returns whether the FIFO contains bytes. Takes none.
///
/// While it is open here, a reader that closes it and opens it again to empty it does not: so it is
/// closed again at once, and this is called only if the reader is busy anyway.
pub(super) fn has_bytes(fifo: &Path) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fifo = open(fifo, flags, Mode::empty()).ok()?;
    rustix::io::ioctl_fionread(&fifo).ok().map(|bytes| bytes > 0)
}
