//! inotify(7), Linux and Android: a directory watch that names the new entries. Its faults, and the remedies:
//! - Its queue holds 16,384 events (`max_queued_events`). One `IN_Q_OVERFLOW` replaces all events that are
//!   lost.
//! - A mount over a watched directory causes no event. So identities are compared at intervals.
//! - A watch follows the inode, not the path: a renamed directory is still watched at its new place.
//! - An open descriptor of the directory, even with `O_PATH`, delays the event of its removal. So none is
//!   kept open.
//! - A directory has one watch, even if it is added by several paths. Adding it again replaces the mask,
//!   except with `IN_MASK_ADD`.
//! - Watches are limited per user (`max_user_watches`: `ENOSPC`), instances too
//!   (`max_user_instances`: `EMFILE`).
//! - Changes by other hosts on a network file system are not reported.
//! - Events are of variable length, packed one behind the other; 272 bytes always hold one.

mod event;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

pub use event::{EntryCause, WatchEvent, WatchFor, WatchId};

use crate::file::{self, FileId};
use crate::records::{BUFFER_SIZE, InotifyEvent, RecordBuffer};
use crate::{OwnedFd, check_errno, fd, libc, with_c_string};

/// Whether a watch reports [`WatchEvent::EntryAdded`], and not [`WatchEvent::DirectoryChanged`].
pub const REPORTS_NAMES: bool = true;

/// The size of an event with the longest name: 16 bytes, and 255 bytes with a NUL byte.
const LARGEST_EVENT: usize = 272;

/// A watch on any number of directories, with one descriptor.
#[derive(Debug)]
pub struct DirWatcher {
    inotify: OwnedFd,
    events: RecordBuffer<InotifyEvent>,
}

impl DirWatcher {
    /// Opens a watcher without directories, with
    /// [inotify_init1(2)](https://man7.org/linux/man-pages/man2/inotify_init.2.html). The descriptor is
    /// non-blocking and closed by exec(2).
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE` if the process has no free descriptor, or the user no free inotify instance. Fails
    /// with `ENFILE` or `ENOMEM` if the system has none.
    pub fn new() -> io::Result<DirWatcher> {
        Ok(DirWatcher { inotify: open()?, events: RecordBuffer::new() })
    }

    /// Opens the watcher anew, under the same descriptor number. It watches no directory then.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`new`](DirWatcher::new) and of dup3(2). The old watcher stays open
    /// then.
    pub fn reopen(&mut self) -> io::Result<()> {
        fd::replace(&self.inotify, &open()?)?;
        self.events.clear();
        Ok(())
    }

    /// Watches a directory for new entries, and with `attributes` for entries whose attributes change, with
    /// [inotify_add_watch(2)](https://man7.org/linux/man-pages/man2/inotify_add_watch.2.html). Returns the
    /// identity of the watched directory if `is_local`: on other file systems the numbers of files may change
    /// by themselves.
    ///
    /// # Errors
    ///
    /// Fails with `ENOSPC` if the limit of watches is reached. Otherwise fails with `NotFound`,
    /// `NotADirectory` or `PermissionDenied`.
    pub fn watch(
        &mut self,
        directory: &Path,
        watch_for: WatchFor,
        is_local: bool,
    ) -> io::Result<(WatchId, FileId)> {
        let more = match watch_for {
            WatchFor::Entries => 0,
            WatchFor::EntriesAndAttributes => libc::IN_ATTRIB,
            WatchFor::EntriesAndCloses => libc::IN_CLOSE_WRITE,
        };
        let mask = libc::IN_CREATE
            | libc::IN_MOVED_TO
            | libc::IN_DELETE_SELF
            | libc::IN_MOVE_SELF
            | libc::IN_ONLYDIR
            | libc::IN_MASK_ADD
            | more;
        let before = file::stat_id(directory)?;
        let inotify = self.inotify.as_raw_fd();
        let added = with_c_string(directory, |name| {
            // SAFETY: the C string lives through the call.
            check_errno(unsafe { libc::inotify_add_watch(inotify, name.as_ptr(), mask) })
        });
        let id = WatchId(added?);
        // The path may lead to another directory by now. Then it is not known which of the two is watched.
        if !is_local || file::stat_id(directory).is_ok_and(|after| after == before) {
            return Ok((id, before));
        }
        self.unwatch(id);
        Err(io::Error::other("it was replaced at this moment"))
    }

    /// Stops watching, with
    /// [inotify_rm_watch(2)](https://man7.org/linux/man-pages/man2/inotify_rm_watch.2.html). Earlier events
    /// may still be returned. Does nothing if the watch is lost already.
    pub fn unwatch(&mut self, id: WatchId) {
        // Android's takes an unsigned number. SAFETY: no pointers. If the watch does not exist any more, the
        // error does not matter.
        unsafe { libc::inotify_rm_watch(self.inotify.as_raw_fd(), id.0 as _) };
    }

    /// Reads the pending events with one read(2), and discards those of the previous call. Returns the amount
    /// read, in the unit of [`available`](DirWatcher::available), or 0 if there are none. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with the error of read(2); in practice only with `ENOMEM`. Never fails with `EINTR`.
    #[inline]
    pub fn read_events(&mut self) -> io::Result<usize> {
        let inotify = self.inotify.as_raw_fd();
        loop {
            let filled = self.events.fill(|buffer| {
                let (to, room) = (buffer.as_mut_ptr().cast(), buffer.len());
                // SAFETY: the descriptor is open, and there is room for as many bytes as it says.
                unsafe { libc::read(inotify, to, room) }
            });
            match filled {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                // 0 would mean that there are no events: the caller would wait for an edge of others.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                filled => return filled,
            }
        }
    }

    /// Returns the next of the events that were read. Makes no system call.
    #[inline(always)]
    pub fn next_event(&mut self) -> Option<WatchEvent<'_>> {
        const LOST: u32 =
            libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_UNMOUNT | libc::IN_IGNORED;
        let event = loop {
            if !self.events.has_more() {
                return None;
            }
            // Bytes that are not an event may replace any number of events.
            let Some(event) = self.events.next() else { return Some(WatchEvent::Overflow) };
            if event.mask & (libc::IN_Q_OVERFLOW | LOST) != 0 {
                return Some(match event.mask & libc::IN_Q_OVERFLOW {
                    0 => WatchEvent::WatchLost(WatchId(event.watch)),
                    _ => WatchEvent::Overflow,
                });
            }
            // Without a name, the attributes of the directory itself changed.
            if !self.events.name().is_empty() {
                break event;
            }
        };
        Some(WatchEvent::EntryAdded {
            id: WatchId(event.watch),
            name: self.events.name(),
            cause: match event.mask {
                mask if mask & libc::IN_CREATE != 0 => EntryCause::Created,
                mask if mask & libc::IN_MOVED_TO != 0 => EntryCause::MovedIn,
                mask if mask & libc::IN_ATTRIB != 0 => EntryCause::AttributesChanged,
                _ => EntryCause::Closed,
            },
            is_directory: event.mask & libc::IN_ISDIR != 0,
        })
    }

    /// Returns the name in the last event, until more events are read.
    #[inline]
    pub fn last_name(&self) -> &OsStr {
        self.events.name()
    }

    /// Returns whether a read of this amount may have left events: whether another event might not have
    /// fitted.
    #[inline]
    pub fn may_have_more(&self, read: usize) -> bool {
        read + LARGEST_EVENT > BUFFER_SIZE
    }

    /// Returns whether events were read that [`next_event`](DirWatcher::next_event) has not returned yet.
    #[inline]
    pub fn has_buffered_events(&self) -> bool {
        self.events.has_more()
    }

    /// Returns the size of the events that were not read yet, in bytes, with `FIONREAD` of
    /// [ioctl(2)](https://man7.org/linux/man-pages/man2/ioctl.2.html).
    ///
    /// # Errors
    ///
    /// Fails with the error of ioctl(2); in practice never.
    pub fn available(&self) -> io::Result<usize> {
        fd::available(&self.inotify)
    }
}

/// Readable while events wait.
impl AsFd for DirWatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Returns a hint for an administrator about an error of [`DirWatcher::new`] or [`DirWatcher::watch`]: the
/// limit, its value, and how to raise it.
pub fn hint(error: &io::Error) -> Option<String> {
    let limit = match error.raw_os_error() {
        Some(libc::ENOSPC) => "max_user_watches",
        Some(libc::EMFILE) => "max_user_instances",
        _ => return None,
    };
    let now = small_file(&format!("/proc/sys/fs/inotify/{limit}"));
    let is_out_of_descriptors = now.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EMFILE));
    if is_out_of_descriptors && error.raw_os_error() == Some(libc::EMFILE) {
        // The file of the limit cannot be opened either, so the process has reached its own limit.
        return None;
    }
    let now = now.unwrap_or_default();
    let now = if now.is_empty() { "not known" } else { now.trim() };
    Some(format!("raise fs.inotify.{limit} (now {now}) with sysctl(8)"))
}

/// inotify_init1(2).
fn open() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the returned descriptor has no other owner.
    unsafe { fd::own(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC)) }
}

/// Reads a file of one line: open(2), read(2), close(2).
fn small_file(path: &str) -> io::Result<String> {
    let file = file::open(Path::new(path))?;
    let mut line = [0u8; 64];
    let (to, room) = (line.as_mut_ptr().cast(), line.len());
    let read = loop {
        // SAFETY: the descriptor is open, and there is room for as many bytes as it says.
        match unsafe { libc::read(file.as_raw_fd(), to, room) } {
            -1 => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => continue,
                e => return Err(e),
            },
            read => break read as usize,
        }
    };
    String::from_utf8(line[..read].to_vec()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no inotify(7)")]
    fn invalid_bytes_count_as_an_overflow() {
        let mut watch = DirWatcher::new().unwrap();
        let filled = watch.events.fill(|buffer| {
            buffer[..20].fill(0xff);
            20
        });
        assert_eq!(filled.unwrap(), 20);
        assert_eq!(watch.next_event(), Some(WatchEvent::Overflow));
        assert_eq!(watch.next_event(), None);
    }
}
