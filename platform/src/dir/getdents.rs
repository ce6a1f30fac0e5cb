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
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use entry::{Entry, Kind};

/// What one system call can return: some 2,000 entries. More gains nothing.
const BATCH: usize = 64 * 1024;

/// An open directory, read batch by batch.
#[derive(Debug)]
pub struct Dir {
    directory: OwnedFd,
    batch: Box<[u8; BATCH]>,
    read: usize,
    filled: usize,
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
        Ok(Dir { directory: directory.into(), batch: Box::new([0; BATCH]), read: 0, filled: 0 })
    }

    /// [getdents64(2)](https://man7.org/linux/man-pages/man2/getdents.2.html), once: the next
    /// batch, in place of the last one. False at the directory's end.
    ///
    /// # Errors
    ///
    /// Those of getdents64(2): `EIO`, and `ENOENT` if the directory was removed.
    pub fn refill(&mut self) -> io::Result<bool> {
        self.read = 0;
        self.filled = 0;
        // SAFETY: the descriptor is open, and the buffer has room for BATCH bytes.
        let count = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                self.directory.as_raw_fd(),
                self.batch.as_mut_ptr(),
                BATCH,
            )
        };
        if count == -1 {
            return Err(io::Error::last_os_error());
        }
        self.filled = count as usize;
        Ok(self.filled > 0)
    }

    /// The next entry of this batch, `.` and `..` left out. No system call.
    #[inline]
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        loop {
            let record = parse(&self.batch[self.read..self.filled])?;
            let name = self.read + record.name.start..self.read + record.name.end;
            self.read += record.length;
            if !matches!(&self.batch[name.clone()], b"." | b"..") {
                return Some(Entry {
                    name: OsStr::from_bytes(&self.batch[name]),
                    kind: record.kind,
                });
            }
        }
    }
}

/// The directory itself: for fstat(2), and for looking at its entries.
impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// One `linux_dirent64` at the beginning of a buffer.
struct Record {
    length: usize,
    name: Range<usize>,
    kind: Kind,
}

/// Parses `d_ino` (8 bytes), `d_off` (8), `d_reclen` (2), `d_type` (1), and `d_name` up to a NUL
/// byte. None of what is not all of that.
#[inline]
fn parse(records: &[u8]) -> Option<Record> {
    const LENGTH: usize = 16;
    const KIND: usize = 18;
    const NAME: usize = 19;
    // Records are aligned to so many bytes, so that a name ends within the last of them.
    const ALIGNMENT: usize = 8;
    let length = records.get(LENGTH..)?.first_chunk::<2>()?;
    let length = usize::from(u16::from_ne_bytes(*length));
    let last = length.checked_sub(ALIGNMENT)?.max(NAME);
    let end = last + records.get(last..length)?.iter().position(|byte| *byte == 0)?;
    Some(Record { length, name: NAME..end, kind: Kind::of(records[KIND]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_or_endless_is_no_record() {
        let mut record = [0u8; 24];
        record[16..18].copy_from_slice(&24u16.to_ne_bytes());
        record[19..23].copy_from_slice(b"name");
        assert_eq!(parse(&record).unwrap().name, 19..23);
        for cut in 0..24 {
            assert!(parse(&record[..cut]).is_none(), "{cut} bytes");
        }
        for length in [0, 18, 19, 23] {
            record[16..18].copy_from_slice(&u16::to_ne_bytes(length));
            assert!(parse(&record).is_none(), "a record of {length} bytes");
        }
    }
}
