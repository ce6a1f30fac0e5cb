//! Paths as the C strings that system calls take.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that needs no allocation, and its NUL byte.
const ROOM: usize = 384;

/// Makes a call with `path` as a C string. A short path is copied to the stack: a queue's paths are
/// compared again and again, and no allocation is allowed there. `call` must read `errno`, since freeing a
/// long path may change it.
///
/// # Errors
///
/// Fails with `InvalidInput` if `path` holds a NUL byte. Otherwise fails with the error of the call.
pub(crate) fn with_c_string<T>(
    path: &Path,
    call: impl FnOnce(&CStr) -> io::Result<T>,
) -> io::Result<T> {
    let bytes = path.as_os_str().as_bytes();
    let has_nul = || io::Error::new(io::ErrorKind::InvalidInput, "a path cannot hold a NUL byte");
    let (mut short, long);
    let name = if bytes.len() < ROOM {
        short = [0; ROOM];
        short[..bytes.len()].copy_from_slice(bytes);
        CStr::from_bytes_with_nul(&short[..=bytes.len()]).map_err(|_| has_nul())?
    } else {
        long = CString::new(bytes).map_err(|_| has_nul())?;
        &long
    };
    call(name)
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
            let name = with_c_string(Path::new(&path), |name| Ok(name.to_owned())).unwrap();
            assert_eq!(name.to_bytes(), path.as_bytes());
            let refused = with_c_string(Path::new(&format!("{path}\0")), |_| Ok(()));
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{length} bytes");
        }
    }
}
