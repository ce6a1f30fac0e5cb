//! The C API, as `include/pullcord.h` has it. The documentation of the exported items is the text of that
//! header, so it is written for C.

mod open_queue;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::boundary::guarded;
use crate::errors::{self, Failure};
use crate::handles::Handles;
use open_queue::OpenQueue;

static QUEUES: Handles<OpenQueue> = Handles::new();

/// An opaque handle to an open queue.
///
/// Every function that takes the handle returns -EBADF if it is NULL or closed. Any thread may use any
/// queue; calls on the same queue wait for each other. No function waits for mail.
#[allow(non_camel_case_types)]
pub struct pullcord_queue {
    _private: (),
}

/// A qmail queue directory: `lock/trigger`, and `todo`, flat or split. This is the default.
pub const PULLCORD_QMAIL: u32 = 0;
/// A Postfix queue directory: the FIFO `public/pickup`, and `maildrop`.
pub const PULLCORD_POSTFIX: u32 = 1;
/// One directory, into which complete entries are linked or renamed; no trigger.
pub const PULLCORD_DIRECTORY: u32 = 2;
/// Do not watch the directories. Each pull causes a scan.
pub const PULLCORD_WATCH_OFF: u32 = 16;
/// Fail if the directories cannot be watched.
pub const PULLCORD_WATCH_REQUIRED: u32 = 32;
/// Read the trigger even if another process reads it. Each pull then reaches only one of the two.
pub const PULLCORD_ALLOW_OTHER_READERS: u32 = 64;
/// Do not open the trigger: for a program that only observes the queue.
pub const PULLCORD_NO_TRIGGER: u32 = 128;

/// Opens a queue. Close it with pullcord_close.
///
/// path: the directory of the queue. options: the constants above, combined with |; 0 for a qmail queue.
/// rescan_interval: how often all directories are scanned even without a pull or a change, in seconds; 0
/// for 1500.
///
/// Returns the queue. Returns NULL on failure: see pullcord_last_error. exec closes its descriptors. A
/// child process of fork must not use it.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // a C programmer knows what a string is
pub unsafe extern "C" fn pullcord_open(
    path: *const c_char,
    options: u32,
    rescan_interval: u32,
) -> *mut pullcord_queue {
    let open = || {
        if path.is_null() {
            return Err(Failure::new(libc::EINVAL, "the path is a null pointer"));
        }
        // SAFETY: it is not null, and C's strings end with a NUL byte.
        let path = unsafe { CStr::from_ptr(path) };
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let queue = OpenQueue::open(path, options, rescan_interval)?;
        Ok(ptr::without_provenance_mut(QUEUES.add(queue)))
    };
    guarded(ptr::null_mut(), || {
        open().unwrap_or_else(|failure| {
            failure.keep();
            ptr::null_mut()
        })
    })
}

/// Returns the only descriptor to wait for, with poll, select, epoll or kqueue, for reading, level- or
/// edge-triggered. No timeout is needed.
///
/// When it is readable, call pullcord_next until it returns 0, and then pullcord_next_warning until it
/// returns 0. The descriptor does not change until the queue is closed. The caller must not read from
/// it or close it.
///
/// Returns the descriptor. Returns -EBADF; -ENOTSUP on a system with neither epoll nor kqueue: there, call
/// pullcord_next at least once a second.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_fd(queue: *mut pullcord_queue) -> c_int {
    on(queue, |queue| queue.fd())
}

/// Writes the path of the next entry, which is absolute, and a NUL byte. Never blocks on a local file
/// system.
///
/// buffer: where to write it. size: the size of the buffer; PATH_MAX is enough.
///
/// Each call does a bounded amount of work. An entry is returned at least once. Remove it once it is
/// processed.
///
/// Returns 1 for an entry. Returns 0 if no entry is ready, or if this turn's limit is reached; the
/// descriptor then becomes readable again as soon as there is more. Returns -ERANGE if the buffer is too
/// small: the next call returns the same entry. Returns -EINVAL if the buffer is NULL; -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // a C programmer knows what a buffer is
pub unsafe extern "C" fn pullcord_next(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    on(queue, |queue| {
        if buffer.is_null() {
            return Err(Failure::new(libc::EINVAL, "the buffer is a null pointer"));
        }
        queue.next(|path| {
            let needed = path.len() + 1;
            if needed > size {
                let words = format!("the path needs {needed} bytes");
                return Err(Failure::new(libc::ERANGE, words));
            }
            // SAFETY: the caller has `size` bytes there, and the path and the NUL byte need no more.
            unsafe { write(path, buffer) };
            Ok(())
        })
    })
}

/// Writes the text of the next warning, and a NUL byte. A longer text is cut off. A warning is a problem
/// that loses no entry; it is one line without a line feed. Each problem is reported once, and once more
/// after it was mended. At most 64 warnings are kept.
///
/// buffer: where to write it. size: the size of the buffer.
///
/// Returns 1 for a warning. Returns 0 if there is none. Returns -EINVAL if the buffer is NULL or its size
/// is 0; -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_next
pub unsafe extern "C" fn pullcord_next_warning(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    on(queue, |queue| {
        let Some(room) = size.checked_sub(1).filter(|_| !buffer.is_null()) else {
            return Err(Failure::new(libc::EINVAL, "there is no buffer"));
        };
        let Some(warning) = queue.next_warning() else { return Ok(0) };
        let fits = |end: &usize| warning.is_char_boundary(*end);
        let end = (0..=room.min(warning.len())).rev().find(fits).unwrap_or(0);
        // SAFETY: the caller has `size` bytes there, one more than are written before the NUL byte.
        unsafe { write(&warning.as_bytes()[..end], buffer) };
        Ok(1)
    })
}

/// Returns an entry again after a delay: for an entry that cannot be processed now. It makes a loop
/// that waits look again.
///
/// path: as pullcord_next wrote it. delay: in milliseconds.
///
/// Returns 0, also if the entry is gone. Returns -EINVAL if it is not in a directory of this queue;
/// -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_open
pub unsafe extern "C" fn pullcord_requeue(
    queue: *mut pullcord_queue,
    path: *const c_char,
    delay: u32,
) -> c_int {
    on(queue, |queue| {
        if path.is_null() {
            return Err(Failure::new(libc::EINVAL, "the path is a null pointer"));
        }
        // SAFETY: it is not null, and C's strings end with a NUL byte.
        let path = unsafe { CStr::from_ptr(path) };
        queue.requeue(Path::new(OsStr::from_bytes(path.to_bytes())), delay)
    })
}

/// Makes the descriptor readable, to end the wait of another thread. Must not be called in a signal
/// handler.
///
/// Returns 0. Returns -EBADF; on the first call for a queue, -EMFILE or -ENFILE if there is no free
/// descriptor.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_wake(queue: *mut pullcord_queue) -> c_int {
    on(queue, OpenQueue::wake)
}

/// Closes a queue and its descriptors. The entries that were not removed stay in its directories.
///
/// Returns 0. Returns -EBADF if the queue is NULL or closed.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_close(queue: *mut pullcord_queue) -> c_int {
    guarded(-libc::EIO, || if QUEUES.remove(queue.addr()) { 0 } else { not_open().keep() })
}

/// Returns the last error message of the calling thread, without a line feed, or "". Never returns NULL.
/// The pointer is valid until another pullcord function fails in this thread, or the thread exits.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_last_error() -> *const c_char {
    guarded(c"".as_ptr(), errors::last)
}

/// Returns the version of the library, such as "0.1.0". The pointer is always valid.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Writes bytes and a NUL byte into a buffer of C.
///
/// # Safety
///
/// The buffer has room for one byte more than there are, and nothing else uses it.
unsafe fn write(bytes: &[u8], buffer: *mut c_char) {
    // SAFETY: as this function's own contract says.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer, bytes.len());
        *buffer.add(bytes.len()) = 0;
    }
}

/// Runs `body` on an open queue. A failure becomes a negative number, and a text for
/// `pullcord_last_error`.
fn on(
    queue: *mut pullcord_queue,
    body: impl FnOnce(&mut OpenQueue) -> Result<c_int, Failure>,
) -> c_int {
    guarded(-libc::EIO, || {
        let done = QUEUES.with(queue.addr(), body).unwrap_or_else(|| Err(not_open()));
        done.unwrap_or_else(Failure::keep)
    })
}

fn not_open() -> Failure {
    Failure::new(libc::EBADF, "this queue is not open")
}
