//! Opens a file with open(2). Identifies a file: an open one with fstat(2), a path with lstat(2).
//!
//! fstat(2):
//! [Linux](https://man7.org/linux/man-pages/man2/fstat.2.html),
//! [FreeBSD](https://man.freebsd.org/cgi/man.cgi?fstat(2)),
//! [NetBSD](https://man.netbsd.org/fstat.2),
//! [OpenBSD](https://man.openbsd.org/fstat.2),
//! [DragonFly](https://man.dragonflybsd.org/?command=fstat&section=2),
//! [illumos](https://illumos.org/man/2/fstat).

// The widths of the fields differ from one system to the next, so that a cast that one needs is useless on
// another.
#![allow(clippy::unnecessary_cast)]

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use crate::{OwnedFd, check_errno, fd, libc, with_c_string};

cfg_if::cfg_if! {
    if #[cfg(target_os = "netbsd")] {
        fn mtime_nanoseconds(raw: &sys_stat) -> i64 {
            raw.st_mtimensec as i64
        }
        fn ctime_nanoseconds(raw: &sys_stat) -> i64 {
            raw.st_ctimensec as i64
        }
    } else {
        fn mtime_nanoseconds(raw: &sys_stat) -> i64 {
            raw.st_mtime_nsec as i64
        }
        fn ctime_nanoseconds(raw: &sys_stat) -> i64 {
            raw.st_ctime_nsec as i64
        }
    }
}

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "linux", target_os = "android"))] {
        // The plain calls fail with EOVERFLOW in a 32-bit program if the inode number has more than
        // 32 bits.
        use libc::{fstat64 as sys_fstat, fstatat64 as sys_fstatat, stat64 as sys_stat};
    } else {
        use libc::{fstat as sys_fstat, fstatat as sys_fstatat, stat as sys_stat};
    }
}

/// Identifies a file: its device and its inode number. An inode number is used again after its file
/// is removed, so compare only files that both exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

/// The status of a file: its identity, type and permissions.
#[derive(Clone, Copy, Debug)]
pub struct FileStatus {
    /// The identity of the file.
    pub id: FileId,
    /// Its type and permission bits, `st_mode`.
    pub mode: u32,
    /// The state of its content and attributes.
    pub version: FileVersion,
}

/// A state of a file. If two are equal, the file is the same and unchanged, within the precision of the file
/// system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    id: FileId,
    size: i64,
    /// Seconds and nanoseconds since 1970, of the last change of its content, and of its attributes.
    mtime: (i64, i64),
    ctime: (i64, i64),
}

/// A path that is only compared must not keep an automount alive.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_AUTOMOUNT: libc::c_int = libc::AT_NO_AUTOMOUNT;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_AUTOMOUNT: libc::c_int = 0;

/// The coarsest clock tick that a file system with nanoseconds stamps its files with.
const TICK: Duration = Duration::from_millis(10);
/// The coarsest time stamp of a file system without nanoseconds: FAT's.
const COARSE_TICK: Duration = Duration::from_secs(2);

impl FileVersion {
    /// Returns whether the file is unchanged since the other version was taken. Where the numbers of
    /// files change by themselves, `trusts_numbers` must be false.
    pub fn is_same(&self, other: &FileVersion, trusts_numbers: bool) -> bool {
        let id = if trusts_numbers { self.id } else { other.id };
        FileVersion { id, ..*self } == *other
    }

    /// Returns how long ago the file was last changed, if the wall clock shows `now`; `None` if that is
    /// in the future.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        let (seconds, nanoseconds) = self.mtime.max(self.ctime);
        let Ok(seconds) = u64::try_from(seconds) else { return Some(now) };
        now.checked_sub(Duration::new(seconds, nanoseconds.clamp(0, 999_999_999) as u32))
    }

    /// Returns whether a change from now on would give the file another version, if the wall clock
    /// shows `now`: whether its last change is more than a clock tick ago.
    pub fn is_settled(&self, now: Duration) -> bool {
        let tick = if self.ctime.1 == 0 { COARSE_TICK } else { TICK };
        self.age(now).is_some_and(|age| age > tick)
    }
}

impl FileStatus {
    /// Returns whether it is a FIFO.
    pub fn is_fifo(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFIFO)
    }

    /// Returns whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFDIR)
    }

    /// Returns whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFLNK)
    }

    /// Returns whether it is a regular file.
    pub fn is_regular_file(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFREG)
    }

    /// Returns whether every backend must refuse to wait for it, because it is always ready.
    pub(crate) fn is_always_ready(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFREG) || self.is_directory()
    }

    /// Returns whether it is a regular file that its owner may execute. Postfix sets this bit when a message
    /// is complete.
    pub fn is_executable_file(&self) -> bool {
        self.is(libc::S_IFMT, libc::S_IFREG) && self.is(libc::S_IXUSR, libc::S_IXUSR)
    }

    fn is(&self, mask: libc::mode_t, wanted: libc::mode_t) -> bool {
        self.mode & mask as u32 == wanted as u32
    }

    fn of(raw: &sys_stat) -> FileStatus {
        let device = if mutant!(DeviceNotCompared) { 0 } else { raw.st_dev as u64 };
        let inode = if mutant!(InodeNotCompared) { 0 } else { raw.st_ino as u64 };
        let id = FileId { device, inode };
        let mtime = (raw.st_mtime as i64, mtime_nanoseconds(raw));
        let ctime = (raw.st_ctime as i64, ctime_nanoseconds(raw));
        let version = FileVersion { id, size: raw.st_size as i64, mtime, ctime };
        FileStatus { id, mode: raw.st_mode as u32, version }
    }
}

/// Opens a file for reading, with open(2). Follows a symbolic link. Blocks on a FIFO until a process opens it
/// for writing.
///
/// # Errors
///
/// Fails with the error of open(2), except `EINTR`: an interrupted call is repeated.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    open_with(path, libc::O_RDONLY)
}

/// Opens a file with these flags and `O_CLOEXEC` of open(2). Repeats an interrupted call.
pub(crate) fn open_with(path: &Path, flags: libc::c_int) -> io::Result<OwnedFd> {
    // A 32-bit program opens a file of 2 GiB and more only with this flag.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = flags | libc::O_LARGEFILE;
    loop {
        // SAFETY: the C string lives through the call, which returns a descriptor without an owner.
        match with_c_string(path, |name| unsafe {
            fd::own(libc::open(name.as_ptr(), flags | libc::O_CLOEXEC))
        }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            opened => return opened,
        }
    }
}

/// Returns the status of an open file, with fstat(2). Never blocks on a local file system.
///
/// # Errors
///
/// Fails with the error of fstat(2), such as `EIO`.
pub fn fstat(file: impl AsFd) -> io::Result<FileStatus> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the descriptor is open for the length of the borrow, and `raw` has room for one stat.
    check_errno(unsafe { sys_fstat(file.as_fd().as_raw_fd(), raw.as_mut_ptr()) })?;
    // SAFETY: fstat succeeded and has filled it.
    Ok(FileStatus::of(unsafe { raw.assume_init_ref() }))
}

/// Returns the status of `name` in an open directory, with fstatat(2). Does not follow a symbolic link.
///
/// # Errors
///
/// Fails with the error of fstatat(2): `NotFound` if the entry does not exist.
pub fn fstatat(directory: impl AsFd, name: &OsStr) -> io::Result<FileStatus> {
    let directory = directory.as_fd().as_raw_fd();
    status_of(directory, Path::new(name), libc::AT_SYMLINK_NOFOLLOW)
}

/// Returns the status of the file at `path`, with lstat(2). Does not follow a symbolic link.
///
/// # Errors
///
/// Fails with the error of lstat(2): `NotFound` if the path does not exist.
pub fn lstat(path: &Path) -> io::Result<FileStatus> {
    status_of(libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW)
}

/// Returns the identity of the file at `path`, with stat(2). Follows symbolic links. Does not trigger an
/// automount (`AT_NO_AUTOMOUNT`, where the system has it).
///
/// # Errors
///
/// Fails with the error of stat(2): `NotFound` if the path leads nowhere.
pub fn stat_id(path: &Path) -> io::Result<FileId> {
    status_of(libc::AT_FDCWD, path, NO_AUTOMOUNT).map(|status| status.id)
}

/// Returns whether `path` leads to a directory. Follows symbolic links. A path that leads nowhere, or
/// that this process may not follow, leads to no directory.
///
/// # Errors
///
/// Fails with an error of stat(2) that does not depend on the path, such as `EIO` or `ENOMEM`.
pub fn is_directory(path: &Path) -> io::Result<bool> {
    const NOWHERE: [libc::c_int; 5] =
        [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::EACCES, libc::ENAMETOOLONG];
    match status_of(libc::AT_FDCWD, path, 0) {
        Ok(status) => Ok(status.is_directory()),
        Err(e) if e.raw_os_error().is_some_and(|number| NOWHERE.contains(&number)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// fstatat(2).
fn status_of(directory: libc::c_int, path: &Path, flags: libc::c_int) -> io::Result<FileStatus> {
    let mut raw = MaybeUninit::uninit();
    with_c_string(path, |name| {
        // SAFETY: the C string lives through the call, and `raw` has room for one stat. A number that
        // is not an open directory is an error, not undefined.
        check_errno(unsafe { sys_fstatat(directory, name.as_ptr(), raw.as_mut_ptr(), flags) })
    })?;
    // SAFETY: fstatat succeeded and has filled it.
    Ok(FileStatus::of(unsafe { raw.assume_init_ref() }))
}

/// Describes the type of the file at `path` for an error message: "a symbolic link", "a directory".
pub fn describe_file_type(path: &Path) -> &'static str {
    let Ok(status) = lstat(path) else { return "missing" };
    match status.mode as libc::mode_t & libc::S_IFMT {
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFDIR => "a directory",
        libc::S_IFIFO => "a FIFO",
        libc::S_IFSOCK => "a socket",
        libc::S_IFBLK | libc::S_IFCHR => "a device",
        _ => "a regular file",
    }
}
