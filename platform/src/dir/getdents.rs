//! getdents64(2), Linux and Android: a directory read in batches, without a stat per entry. Its faults, and
//! the remedies:
//! - Entries that are added during the read may be returned or not: 53 of 100 on ext4, none on btrfs. btrfs
//!   does not even return those added between the open and the first read. A program that must not miss one
//!   reads again, or watches.
//! - An ext4 directory that was large once stays slow to read.
//! - The kind of an entry may be "unknown" (old XFS, some FUSE).
//! - It has no wrapper in older C libraries, and is called by number. readdir(3) is the same call
//!   through a buffer of 32 KiB.

mod entry;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

pub use entry::{Entry, FileType};

use crate::records::{DirectoryEntry, RecordBuffer};
use crate::{OwnedFd, file, libc};

/// An open directory, read batch by batch.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens a directory, with `O_RDONLY | O_DIRECTORY` of open(2). Follows a symbolic link. Never blocks on
    /// a FIFO.
    ///
    /// # Errors
    ///
    /// Fails with the error of open(2), such as `ENOTDIR` or `EMFILE`.
    pub fn open(path: &Path) -> io::Result<Dir> {
        file::open_with(path, libc::O_RDONLY | libc::O_DIRECTORY).map(Dir)
    }

    /// Replaces the batch by the next entries, with one
    /// [getdents64(2)](https://man7.org/linux/man-pages/man2/getdents.2.html). Returns false at the end of
    /// the directory.
    ///
    /// # Errors
    ///
    /// Fails with the error of getdents64(2): `EIO`, or `ENOENT` if the directory was removed.
    pub fn read_batch(&mut self, batch: &mut Batch) -> io::Result<bool> {
        let directory = self.0.as_raw_fd();
        let filled = batch.0.fill(|buffer| {
            let (to, room) = (buffer.as_mut_ptr(), buffer.len());
            // SAFETY: the descriptor is open, and there is room for as many bytes as it says.
            unsafe { libc::syscall(libc::SYS_getdents64, directory, to, room) as isize }
        })?;
        Ok(filled > 0)
    }
}

/// The directory itself: for fstat(2), and for looking at its entries.
impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Some entries of a directory. The buffer is large: use it again for the next directory.
#[derive(Debug)]
pub struct Batch(RecordBuffer<DirectoryEntry>);

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Batch {
        Batch(RecordBuffer::new())
    }

    /// Discards the entries that were not returned.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the next entry, without `.` and `..`. Makes no system call.
    #[inline(always)]
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let kind = loop {
            let kind = self.0.next()?;
            if !matches!(self.0.name().as_encoded_bytes(), b"." | b"..") {
                break kind;
            }
        };
        Some(Entry { name: self.0.name(), file_type: kind })
    }

    /// Returns the name of the entry that was returned last.
    #[inline]
    pub fn last_name(&self) -> &OsStr {
        self.0.name()
    }
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}
