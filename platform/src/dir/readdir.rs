//! readdir(3), on every system but Linux: a directory read in batches, without a stat per entry. Its faults,
//! and the remedies:
//! - Entries that are added during the read may be returned or not. A program that must not miss one reads
//!   again.
//! - Its end and its failure differ only in `errno`, which must be zero before the call.
//! - The place and the lifetime of its buffer are not specified: names are copied.

mod entry;

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

pub use entry::{Entry, FileType};

use crate::{OwnedFd, file, libc};

/// The number of names in a batch. It is small in the simulation, whose directories are small.
const BATCH: usize = if cfg!(pullcord_sim) { 8 } else { 1024 };

/// An open directory, read batch by batch.
#[derive(Debug)]
pub struct Dir {
    stream: NonNull<libc::DIR>,
    /// The error that ended a batch with entries. The next call returns it.
    failed: Option<io::Error>,
}

// SAFETY: a DIR belongs to no thread; only one uses it at a time, as `read_batch` takes it by &mut.
unsafe impl Send for Dir {}

impl Dir {
    /// Opens a directory, with `O_RDONLY | O_DIRECTORY` of open(2), and fdopendir(3). Follows a symbolic
    /// link. Never blocks on a FIFO.
    ///
    /// # Errors
    ///
    /// Fails with the error of open(2) or fdopendir(3), such as `ENOTDIR` or `EMFILE`.
    pub fn open(path: &Path) -> io::Result<Dir> {
        let directory = file::open_with(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let number = directory.into_raw_fd();
        // SAFETY: the descriptor is open and ours to give away.
        let Some(stream) = NonNull::new(unsafe { libc::fdopendir(number) }) else {
            let error = io::Error::last_os_error();
            // SAFETY: fdopendir has not taken it, and it has no other owner.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
            return Err(error);
        };
        Ok(Dir { stream, failed: None })
    }

    /// Replaces the batch by the next entries, with some hundred calls of readdir(3). Returns false at the
    /// end of the directory.
    ///
    /// Man pages: [FreeBSD](https://man.freebsd.org/cgi/man.cgi?readdir(3)),
    /// [NetBSD](https://man.netbsd.org/readdir.3), [OpenBSD](https://man.openbsd.org/readdir.3),
    /// [DragonFly](https://man.dragonflybsd.org/?command=readdir&section=3),
    /// [illumos](https://illumos.org/man/3C/readdir),
    /// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/readdir.html).
    ///
    /// # Errors
    ///
    /// Fails with the error of readdir(3), such as `EIO`, after the entries before the error were returned.
    pub fn read_batch(&mut self, batch: &mut Batch) -> io::Result<bool> {
        batch.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while batch.entries.len() < BATCH {
            clear_errno();
            // SAFETY: the stream is open, and used by this thread alone.
            let Some(entry) = NonNull::new(unsafe { libc::readdir(self.stream.as_ptr()) }) else {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    None | Some(0) => break,
                    _ if batch.entries.is_empty() => return Err(error),
                    _ => self.failed = Some(error),
                }
                break;
            };
            // SAFETY: readdir returned the entry, which is valid until the next call on this stream.
            let (name, kind) = unsafe { (name(entry.as_ptr()), kind(entry.as_ptr())) };
            if name != c"." && name != c".." {
                batch.names.extend_from_slice(name.to_bytes());
                batch.entries.push((batch.names.len(), kind));
            }
        }
        Ok(!batch.entries.is_empty())
    }
}

/// The directory itself: for fstat(2), and for looking at its entries.
impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream's descriptor is open for as long as the stream is.
        unsafe { BorrowedFd::borrow_raw(libc::dirfd(self.stream.as_ptr())) }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once, here.
        unsafe { libc::closedir(self.stream.as_ptr()) };
    }
}

/// Some entries of a directory. The buffer is large: use it again for the next directory.
#[derive(Debug, Default)]
pub struct Batch {
    names: Vec<u8>,
    /// The end of each name in `names`, and the type of the entry.
    entries: Vec<(usize, FileType)>,
    read: usize,
}

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Discards the entries that were not returned.
    pub fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
        self.read = 0;
    }

    /// Returns the next entry, without `.` and `..`. Makes no system call.
    #[inline]
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        let &(_, kind) = self.entries.get(self.read)?;
        self.read += 1;
        Some(Entry { name: self.last_name(), file_type: kind })
    }

    /// Returns the name of the entry that was returned last.
    #[inline]
    pub fn last_name(&self) -> &OsStr {
        let end_of = |count: usize| count.checked_sub(1).map_or(0, |last| self.entries[last].0);
        let start = end_of(self.read.saturating_sub(1));
        OsStr::from_bytes(&self.names[start..end_of(self.read)])
    }
}

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "solaris", target_os = "illumos"))] {
        /// Entries have no type there.
        unsafe fn kind(_: *const libc::dirent) -> FileType {
            FileType::of(libc::DT_UNKNOWN)
        }
    } else {
        /// Returns the type of an entry.
        ///
        /// # Safety
        ///
        /// `entry` must be an entry that readdir(3) returned and that is still valid.
        unsafe fn kind(entry: *const libc::dirent) -> FileType {
            // SAFETY: only the type is read, which every entry has.
            FileType::of(unsafe { (&raw const (*entry).d_type).read() })
        }
    }
}

/// Returns the name of an entry.
///
/// # Safety
///
/// `entry` must be an entry that readdir(3) returned and that is valid for `'a`.
unsafe fn name<'a>(entry: *const libc::dirent) -> &'a CStr {
    // SAFETY: the name ends with a NUL byte. The entry is often shorter than a `dirent`, so that there
    // is no reference to it, only a pointer to its field.
    unsafe { CStr::from_ptr((&raw const (*entry).d_name).cast()) }
}

fn clear_errno() {
    // SAFETY: the address of this thread's errno is valid for as long as the thread runs.
    unsafe { *libc::errno() = 0 }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// Under Miri: no byte behind the name is read.
    #[test]
    fn an_entry_that_is_shorter_than_a_dirent_is_read() {
        const NAME: &CStr = c"entry";
        let at = offset_of!(libc::dirent, d_name);
        let length = at + NAME.to_bytes_with_nul().len();
        let mut entry = vec![0u64; length.div_ceil(8)];
        let start = entry.as_mut_ptr().cast::<u8>();
        // SAFETY: there is room for the name behind the other fields.
        unsafe { start.add(at).copy_from(NAME.as_ptr().cast(), NAME.to_bytes_with_nul().len()) };
        // SAFETY: readdir returns it: the fields, and a name that ends with a NUL byte.
        let (name, kind) = unsafe { (name(start.cast()), kind(start.cast())) };
        assert_eq!((name, kind), (NAME, FileType::Unknown));
    }
}
