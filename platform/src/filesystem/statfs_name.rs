//! statfs(2), or statvfs(2) on NetBSD: the type of a file system, by its name.

mod locality;

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

pub use locality::Locality;

use crate::{check_errno, libc, with_c_string};

#[cfg(not(target_os = "netbsd"))]
use libc::statfs;
#[cfg(target_os = "netbsd")]
use libc::statvfs as statfs;

/// Whether the types of file systems are known here.
pub const KNOWS_TYPES: bool = true;

/// Returns whether this system sees all changes of the file system that `path` is on, with statfs(2).
///
/// Man pages: [FreeBSD](https://man.freebsd.org/cgi/man.cgi?statfs(2)),
/// [NetBSD](https://man.netbsd.org/statvfs.2), [OpenBSD](https://man.openbsd.org/statfs.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=statfs&section=2).
///
/// # Errors
///
/// Fails with the error of statfs(2).
pub fn locality(path: &Path) -> io::Result<Locality> {
    let mut raw = MaybeUninit::<statfs>::zeroed();
    // SAFETY: the C string lives through the call, and `raw` has room for one statfs.
    with_c_string(path, |name| check_errno(unsafe { statfs(name.as_ptr(), raw.as_mut_ptr()) }))?;
    // SAFETY: it was zeroed, and statfs has filled it; the name ends with a NUL byte.
    let name = unsafe { CStr::from_ptr(raw.assume_init_ref().f_fstypename.as_ptr()) };
    Ok(of(&name.to_string_lossy()))
}

fn of(name: &str) -> Locality {
    const LOCAL: &[&str] = &[
        "ufs", "ffs", "lfs", "zfs", "tmpfs", "mfs", "hammer", "hammer2", "apfs", "hfs", "ext2fs",
        "msdosfs", "msdos", "exfat",
    ];
    const REMOTE: &[&str] = &["nfs", "smb", "cifs", "fuse", "puffs", "p9fs", "webdav", "afs"];
    if LOCAL.contains(&name) {
        Locality::Local
    } else if REMOTE.iter().any(|remote| name.contains(remote)) {
        Locality::Remote(name.into())
    } else {
        Locality::Unknown(name.into())
    }
}
