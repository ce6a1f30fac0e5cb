//! getdents64(2), Linux and Android: a directory read in batches, without a stat per entry.
//!
//! Its sins, and what is made of them:
//! - Entries added while it is read may be returned or not: 53 of 100 on ext4, none on btrfs, where
//!   even those added between the open and the first read are not. Whoever must not miss one looks
//!   again, or watches.
//! - An ext4 directory that was large once stays slow to read for ever.
//! - The kind of an entry may be "unknown" (old XFS, some FUSE).
//! - It has no wrapper in older C libraries, and is called by number. readdir(3) is the same call
//!   through a buffer of 32 KiB.

mod entry;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

pub use entry::{Entry, Kind};

use crate::records::{DirectoryEntry, Records};

/// An open directory, read batch by batch.
#[derive(Debug)]
pub struct Dir {
    directory: OwnedFd,
    batch: Records<DirectoryEntry>,
}

impl Dir {
    /// open(2) with `O_RDONLY | O_DIRECTORY`. Follows a symbolic link.
    ///
    /// # Errors
    ///
    /// Those of open(2), `ENOTDIR` and `EMFILE` among them.
    pub fn open(path: &Path) -> io::Result<Dir> {
        use std::os::unix::fs::OpenOptionsExt;
        let directory =
            std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Dir { directory: directory.into(), batch: Records::new() })
    }

    /// [getdents64(2)](https://man7.org/linux/man-pages/man2/getdents.2.html), once: the next
    /// batch, in place of the last one. False at the directory's end.
    ///
    /// # Errors
    ///
    /// Those of getdents64(2): `EIO`, and `ENOENT` if the directory was removed.
    pub fn refill(&mut self) -> io::Result<bool> {
        let directory = self.directory.as_raw_fd();
        let filled = self.batch.fill(|buffer| {
            let (to, room) = (buffer.as_mut_ptr(), buffer.len());
            // SAFETY: the descriptor is open, and there is room for as many bytes as it says.
            unsafe { libc::syscall(libc::SYS_getdents64, directory, to, room) as isize }
        })?;
        Ok(filled > 0)
    }

    /// The next entry of this batch, `.` and `..` left out. No system call.
    #[inline]
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let kind = loop {
            let kind = self.batch.next()?;
            if !matches!(self.batch.name().as_encoded_bytes(), b"." | b"..") {
                break kind;
            }
        };
        Some(Entry { name: self.batch.name(), kind })
    }

    /// The name of the entry that was last returned, until the next batch.
    #[inline]
    pub fn last_name(&self) -> &OsStr {
        self.batch.name()
    }
}

/// The directory itself: for fstat(2), and for looking at its entries.
impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
