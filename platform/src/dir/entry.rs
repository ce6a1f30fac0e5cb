//! An entry of a directory, for both ways to read one.

use std::ffi::OsStr;

use crate::libc;

/// An entry, as a directory describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name: bytes, in no encoding, without `/` and NUL.
    pub name: &'a OsStr,
    /// Its type, if the directory contains it.
    pub file_type: FileType,
}

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Something else.
    Other,
    /// Not in the directory: call fstatat(2).
    Unknown,
}

impl FileType {
    pub(crate) fn of(kind: u8) -> FileType {
        match kind {
            libc::DT_DIR => FileType::Directory,
            libc::DT_LNK => FileType::Symlink,
            libc::DT_UNKNOWN => FileType::Unknown,
            _ => FileType::Other,
        }
    }
}
