//! What both ways to read a directory have in common: an entry, and which are none.

use std::ffi::OsStr;

use crate::libc;

/// What a directory says of one of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name: bytes, in no encoding, without `/` and NUL.
    pub name: &'a OsStr,
    /// What it is, where the file system says so for nothing.
    pub file_type: FileType,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Something else.
    Other,
    /// The file system does not say: ask fstatat(2).
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
