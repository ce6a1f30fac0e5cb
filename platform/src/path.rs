//! Paths as the C strings that system calls take.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that needs no allocation, and its NUL byte.
const ROOM: usize = 384;

/// A path that ends with a NUL byte.
pub(crate) struct CPath {
    /// The path, if it fits. A queue's paths are compared again and again, and no allocation is
    /// allowed there.
    short: [u8; ROOM],
    /// The path, if it does not fit.
    long: Option<CString>,
}

impl CPath {
    /// Returns a pointer to the first byte, valid for as long as this lives and is not moved.
    pub(crate) fn as_ptr(&self) -> *const c_char {
        match &self.long {
            Some(long) => long.as_ptr(),
            None => self.short.as_ptr().cast(),
        }
    }
}

/// Returns `path` as a C string.
///
/// # Errors
///
/// Fails with `InvalidInput` if `path` holds a NUL byte.
pub(crate) fn to_c_string(path: &Path) -> io::Result<CPath> {
    let bytes = path.as_os_str().as_bytes();
    let has_nul = || io::Error::new(io::ErrorKind::InvalidInput, "a path cannot hold a NUL byte");
    let mut path = CPath { short: [0; ROOM], long: None };
    if bytes.len() < ROOM {
        path.short[..bytes.len()].copy_from_slice(bytes);
        CStr::from_bytes_with_nul(&path.short[..=bytes.len()]).map_err(|_| has_nul())?;
    } else {
        path.long = Some(CString::new(bytes).map_err(|_| has_nul())?);
    }
    Ok(path)
}

/// Returns the path with the current directory before it, if it is relative. Does not follow symbolic
/// links, and asks the system only about a relative path.
///
/// # Errors
///
/// Fails with `InvalidInput` for an empty path, and with the error of getcwd(3).
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    #[cfg(pullcord_sim)]
    if path.is_relative() {
        return absolute(&crate::sim::current_directory()?.join(path));
    }
    #[allow(clippy::disallowed_methods, reason = "it asks the system only about a relative path")]
    std::path::absolute(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_length_ends_with_a_nul_byte_and_holds_no_other() {
        for length in [0, 1, ROOM - 2, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM] {
            let path = "p".repeat(length);
            let name = to_c_string(Path::new(&path)).unwrap();
            // SAFETY: it ends with a NUL byte, which the test checks, and the room behind a short one is
            // zero.
            let name = unsafe { CStr::from_ptr(name.as_ptr()) };
            assert_eq!(name.to_bytes(), path.as_bytes());
            let error = to_c_string(Path::new(&format!("{path}\0"))).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{length} bytes");
        }
    }
}
