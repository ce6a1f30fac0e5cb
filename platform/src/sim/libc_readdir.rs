//! readdir(3) and its kin, where the library reads directories by them.

// The names and the safety are those of the C library.
#![allow(missing_docs, clippy::missing_safety_doc)]

use std::collections::VecDeque;
use std::ffi::{c_char, c_int};

use super::call::Call;
use super::libc::{DIR, DT_UNKNOWN, call, dirent};

/// An open directory stream: a `DIR` of the C library is a pointer to one.
struct Stream {
    fd: c_int,
    buffer: VecDeque<dirent>,
    current: dirent,
}

fn blank() -> dirent {
    // SAFETY: integers only, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

pub unsafe fn fdopendir(fd: c_int) -> *mut DIR {
    let opened: c_int = call(Call::Fdopendir, |kernel| kernel.is_directory(fd).map(c_int::from));
    match opened {
        1 => {
            Box::into_raw(Box::new(Stream { fd, buffer: VecDeque::new(), current: blank() })).cast()
        }
        _ => std::ptr::null_mut(),
    }
}

/// # Safety
///
/// `stream` must come from [`fdopendir`], and not be closed yet.
unsafe fn stream<'a>(stream: *mut DIR) -> &'a mut Stream {
    // SAFETY: as the caller promises.
    unsafe { &mut *stream.cast::<Stream>() }
}

pub unsafe fn readdir(directory: *mut DIR) -> *mut dirent {
    // SAFETY: the caller passes an open stream.
    let stream = unsafe { stream(directory) };
    if stream.buffer.is_empty() {
        let fd = stream.fd;
        let read: c_int = call(Call::Readdir, |kernel| {
            let count = kernel.read_directory(fd, |entry| {
                let mut raw = blank();
                #[cfg(target_os = "linux")]
                {
                    raw.d_ino = entry.number as _;
                }
                #[cfg(not(target_os = "linux"))]
                {
                    raw.d_fileno = entry.number as _;
                }
                raw.d_type = if entry.kind == 0 { DT_UNKNOWN } else { entry.kind };
                for (to, from) in raw.d_name.iter_mut().zip(entry.name.iter()) {
                    *to = *from as c_char;
                }
                stream.buffer.push_back(raw);
                true
            })?;
            Ok(count as c_int)
        });
        if read <= 0 {
            return std::ptr::null_mut();
        }
    }
    match stream.buffer.pop_front() {
        Some(entry) => {
            stream.current = entry;
            &raw mut stream.current
        }
        None => std::ptr::null_mut(),
    }
}

pub unsafe fn dirfd(directory: *mut DIR) -> c_int {
    // SAFETY: the caller passes an open stream.
    unsafe { stream(directory) }.fd
}

pub unsafe fn closedir(directory: *mut DIR) -> c_int {
    // SAFETY: the caller passes an open stream, and does not use it again.
    let stream = unsafe { Box::from_raw(directory.cast::<Stream>()) };
    // SAFETY: the stream owns the descriptor.
    unsafe { super::libc::close(stream.fd) }
}
