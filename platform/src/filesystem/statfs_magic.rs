//! statfs(2), Linux and Android: the type of a file system, by its magic number.
//!
//! A watch on NFS, 9p, FUSE or CIFS is accepted, and reports only the changes of this host. So a successful
//! call proves nothing.

mod locality;

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

pub use locality::Locality;

use crate::{check_errno, libc, with_c_string};

/// Whether the types of file systems are known here.
pub const KNOWS_TYPES: bool = true;

/// Returns whether this system sees all changes of the file system that `path` is on, with
/// [statfs(2)](https://man7.org/linux/man-pages/man2/statfs.2.html).
///
/// # Errors
///
/// Fails with the error of statfs(2).
pub fn locality(path: &Path) -> io::Result<Locality> {
    let mut raw = MaybeUninit::<libc::statfs64>::uninit();
    // The plain call fails with EOVERFLOW in a 32-bit program if the file system is large.
    with_c_string(path, |name| {
        // SAFETY: the C string lives through the call, and `raw` has room for one statfs.
        check_errno(unsafe { libc::statfs64(name.as_ptr(), raw.as_mut_ptr()) })
    })?;
    // SAFETY: statfs succeeded and has filled it.
    let magic = unsafe { raw.assume_init_ref() }.f_type;
    // The field's type differs between architectures and C libraries; the number has 32 bits.
    #[allow(clippy::unnecessary_cast)]
    Ok(of(magic as u32))
}

/// From the kernel's `magic.h`, and the sources of those that are not in the kernel's tree.
fn of(magic: u32) -> Locality {
    const LOCAL: &[u32] = &[
        0x0000_ef53, // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x2fc1_2fc1, // ZFS
        0xf2f5_2010, // F2FS
        0xca45_1a4e, // bcachefs
        0x3153_464a, // JFS
        0x5265_4973, // reiserfs
        0x0000_3434, // NILFS
        0x0001_1954, // UFS
        0x0000_4d44, // FAT
        0x2011_bab0, // exFAT
    ];
    const REMOTE: &[(u32, &str)] = &[
        (0x0000_6969, "NFS"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x0000_517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x6b41_4653, "AFS"),
        (0x7375_7245, "Coda"),
        (0x7461_636f, "OCFS2"),
        (0x0116_1970, "GFS2"),
        (0x0bd0_0bd0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x786f_4256, "vboxsf"),
    ];
    if LOCAL.contains(&magic) {
        return Locality::Local;
    }
    match REMOTE.iter().find(|(remote, _)| *remote == magic) {
        Some((_, name)) => Locality::Remote((*name).into()),
        None if magic == 0x794c_7630 => Locality::Unknown("overlayfs".into()),
        None => Locality::Unknown(format!("file system type {magic:#x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_remote_and_unknown_types_are_distinguished() {
        assert_eq!(of(0xef53), Locality::Local);
        assert_eq!(of(0x6969), Locality::Remote("NFS".into()));
        assert_eq!(of(1), Locality::Unknown("file system type 0x1".into()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no statfs(2)")]
    fn a_file_system_of_the_kernels_own_is_not_known() {
        assert!(matches!(locality(Path::new("/proc")), Err(_) | Ok(Locality::Unknown(_))));
    }
}
