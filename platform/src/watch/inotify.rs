//! inotify(7), Linux and Android: a directory watch that names what appeared.
//!
//! Its sins, and what is made of them:
//! - Its queue holds 16,384 events (`max_queued_events`); then one `IN_Q_OVERFLOW` stands for all
//!   that is lost.
//! - A directory that is mounted over says nothing at all: who watches compares identities now and
//!   then.
//! - A watch follows the inode, not the path: a renamed directory goes on being watched elsewhere.
//! - An open descriptor on the directory, even `O_PATH`, delays the news of its removal. None is
//!   kept open here.
//! - One directory has one watch, however many paths it was added by, and adding it again replaces
//!   what was asked for, but for `IN_MASK_ADD`.
//! - Watches are limited per user (`max_user_watches`: `ENOSPC`), instances too
//!   (`max_user_instances`: `EMFILE`).
//! - What other hosts change on a network file system is not seen.
//! - Events are of variable length, packed one behind the other; 272 bytes always hold one.

mod change;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use change::{Change, WatchId};

use crate::file::{self, Identity};
use crate::{c_path, checked};

/// Whether [`Change::Appeared`] is what comes, and not [`Change::Changed`].
pub const NAMES_ENTRIES: bool = true;

/// Room for some 2,000 events a read. More gains nothing.
const BUFFER: usize = 64 * 1024;

/// A watch on any number of directories, with one descriptor.
#[derive(Debug)]
pub struct DirWatch {
    inotify: OwnedFd,
    buffer: Box<[u8; BUFFER]>,
    read: usize,
    filled: usize,
}

impl DirWatch {
    /// [inotify_init1(2)](https://man7.org/linux/man-pages/man2/inotify_init.2.html), non-blocking
    /// and closed by exec(2).
    ///
    /// # Errors
    ///
    /// `EMFILE`: this process is out of descriptors, or this user out of inotify instances.
    /// `ENFILE`, `ENOMEM`.
    pub fn open() -> io::Result<DirWatch> {
        // SAFETY: no pointers; what it returns is a descriptor that nobody else owns.
        let inotify = unsafe {
            OwnedFd::from_raw_fd(checked(libc::inotify_init1(
                libc::IN_NONBLOCK | libc::IN_CLOEXEC,
            ))?)
        };
        Ok(DirWatch { inotify, buffer: Box::new([0; BUFFER]), read: 0, filled: 0 })
    }

    /// [inotify_add_watch(2)](https://man7.org/linux/man-pages/man2/inotify_add_watch.2.html):
    /// watches a directory for entries that appear, and with `attributes` for those whose
    /// attributes change. Says which directory it is that is watched now.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: the limit of watches is reached. `NotFound`, `NotADirectory`, `PermissionDenied`.
    pub fn add(&mut self, directory: &Path, attributes: bool) -> io::Result<(WatchId, Identity)> {
        let name = c_path(directory)?;
        let attributes = if attributes { libc::IN_ATTRIB } else { 0 };
        let mask = libc::IN_CREATE
            | libc::IN_MOVED_TO
            | libc::IN_DELETE_SELF
            | libc::IN_MOVE_SELF
            | libc::IN_ONLYDIR
            | libc::IN_MASK_ADD
            | attributes;
        let before = file::followed(directory)?;
        // SAFETY: `name` ends with a NUL byte and lives through the call.
        let id = WatchId(checked(unsafe {
            libc::inotify_add_watch(self.inotify.as_raw_fd(), name.as_ptr(), mask)
        })?);
        // The path may have come to name another directory meanwhile: then it is not known which
        // of the two is watched.
        if file::followed(directory).is_ok_and(|after| after == before) {
            return Ok((id, before));
        }
        self.remove(id);
        Err(io::Error::other("it was replaced at this moment"))
    }

    /// [inotify_rm_watch(2)](https://man7.org/linux/man-pages/man2/inotify_rm_watch.2.html): stops
    /// watching. What was reported before may still come; it is no error if it was lost already.
    pub fn remove(&mut self, id: WatchId) {
        // SAFETY: no pointers. That there is no such watch any more is what was wanted.
        unsafe { libc::inotify_rm_watch(self.inotify.as_raw_fd(), id.0) };
    }

    /// read(2), once: takes in what has happened, in place of what was taken in before. Returns
    /// how much that was, in the unit of [`backlog`](DirWatch::backlog); 0 if nothing happened.
    /// Never blocks.
    ///
    /// # Errors
    ///
    /// Those of read(2), `ENOMEM` at the most; `EINTR` counts as nothing.
    pub fn fill(&mut self) -> io::Result<usize> {
        (self.read, self.filled) = (0, 0);
        // SAFETY: the descriptor is open, and the buffer has room for BUFFER bytes.
        let count = unsafe {
            libc::read(self.inotify.as_raw_fd(), self.buffer.as_mut_ptr().cast(), BUFFER)
        };
        if count == -1 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.filled = count as usize;
        Ok(self.filled)
    }

    /// The next thing that happened, of what was taken in. No system call.
    #[inline]
    pub fn next_change(&mut self) -> Option<Change<'_>> {
        loop {
            let record = parse(&self.buffer[self.read..self.filled])?;
            let name = self.read + record.name.start..self.read + record.name.end;
            self.read += record.length;
            let (id, has) = (WatchId(record.watch), |bits| record.mask & bits != 0);
            if has(libc::IN_Q_OVERFLOW) {
                return Some(Change::Overflow);
            }
            if has(libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_UNMOUNT | libc::IN_IGNORED)
            {
                return Some(Change::Lost(id));
            }
            // Without a name it is the directory's own attributes that changed.
            if !name.is_empty() {
                return Some(Change::Appeared(id, OsStr::from_bytes(&self.buffer[name])));
            }
        }
    }

    /// Whether something that was taken in has not been asked for yet.
    #[inline]
    pub fn has_more(&self) -> bool {
        self.read < self.filled
    }

    /// `FIONREAD` of [ioctl(2)](https://man7.org/linux/man-pages/man2/ioctl.2.html): how much has
    /// happened that was not taken in, in bytes.
    ///
    /// # Errors
    ///
    /// None is expected of an inotify descriptor.
    pub fn backlog(&self) -> io::Result<usize> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int, and `bytes` is one.
        checked(unsafe { libc::ioctl(self.inotify.as_raw_fd(), libc::FIONREAD, &mut bytes) })?;
        Ok(bytes as usize)
    }
}

/// Readable while something has happened that was not taken in.
impl AsFd for DirWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// What to do about an error of [`DirWatch::open`] or [`DirWatch::add`], in an administrator's
/// words: which limit it is, what it is now, how to raise it.
pub fn advice(error: &io::Error) -> Option<String> {
    let limit = match error.raw_os_error() {
        Some(libc::ENOSPC) => "max_user_watches",
        Some(libc::EMFILE) => "max_user_instances",
        _ => return None,
    };
    let now = fs::read_to_string(format!("/proc/sys/fs/inotify/{limit}")).unwrap_or_default();
    let now = if now.is_empty() { "not known" } else { now.trim() };
    Some(format!("raise fs.inotify.{limit} (now {now}) with sysctl(8)"))
}

/// One `inotify_event` at the beginning of a buffer.
struct Record {
    length: usize,
    watch: i32,
    mask: u32,
    name: Range<usize>,
}

/// Parses `wd` (4 bytes), `mask` (4), `cookie` (4), `len` (4), and `len` bytes of a name that ends
/// at the first NUL byte. None of what is not all of that.
#[inline]
fn parse(events: &[u8]) -> Option<Record> {
    const HEADER: usize = 16;
    // Names are padded to a multiple of this, so that they end within the last of them.
    const PADDING: usize = 16;
    let (header, rest) = events.split_first_chunk::<HEADER>()?;
    let field =
        |at| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (watch, mask, padded) = (field(0) as i32, field(4), field(12) as usize);
    let name = rest.get(..padded)?;
    let last = padded.saturating_sub(PADDING);
    let count = match name.get(last..)? {
        [] => 0,
        end => last + end.iter().position(|byte| *byte == 0)?,
    };
    Some(Record { length: HEADER + padded, watch, mask, name: HEADER..HEADER + count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_endless_is_no_event() {
        let mut event = [0u8; 24];
        event[..4].copy_from_slice(&7i32.to_ne_bytes());
        event[12..16].copy_from_slice(&8u32.to_ne_bytes());
        event[16..20].copy_from_slice(b"name");
        let record = parse(&event).unwrap();
        assert_eq!((record.watch, record.name, record.length), (7, 16..20, 24));
        for cut in 0..24 {
            assert!(parse(&event[..cut]).is_none(), "{cut} bytes");
        }
        event[20..].copy_from_slice(b"long");
        assert!(parse(&event).is_none(), "a name without an end");
        event[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(parse(&event).is_none(), "a name of 4 GiB");
    }
}
