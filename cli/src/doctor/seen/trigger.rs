//! Observes the file of the trigger.

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
    /// A file of another type, which the text describes.
    Other(&'static str),
    Missing,
    /// The path cannot be checked.
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

/// The result of opening a FIFO to find out whether a process reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Answer {
    Reader,
    NoReader,
    /// It was probed: it has a reader and is full.
    Full,
    /// This command is not allowed to open it for writing.
    Refused,
}

/// Opens the FIFO for writing, which fails if no process has it open for reading. Writes nothing, so the
/// reader wakes up at most once. Tries again, because a reader may have its trigger closed for a scan.
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

/// Returns whether the FIFO contains bytes. Does not read them.
///
/// Some readers close the FIFO and open it again to empty it. That has no effect while the FIFO is open
/// here. Therefore it is closed again immediately, and this is called only if the reader is already busy.
pub(super) fn has_bytes(fifo: &Path) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fifo = open(fifo, flags, Mode::empty()).ok()?;
    rustix::io::ioctl_fionread(&fifo).ok().map(|bytes| bytes > 0)
}
