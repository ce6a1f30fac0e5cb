//! The C API, as `include/pullcord.h` has it. The documentation of the exported items is the text of that
//! header, so it is written for C.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use pullcord::PullOutcome;

use crate::error::{CError, with_last_error};
use crate::handles::Handles;
use crate::open_queue::SharedQueue;
use crate::options::queue_options;

static QUEUES: Handles<SharedQueue> = Handles::new();

/// The number in the name of the shared library. It changes only if a program that was compiled with an
/// older header would no longer run.
pub const PULLCORD_ABI: u32 = 1;

/// An opaque handle to an open queue.
///
/// Every function that takes the handle returns -EBADF if it is NULL or closed. Any thread may use any
/// queue. Calls on the same queue wait for each other; no call waits for pullcord_recv, and pullcord_fd
/// and pullcord_wake wait for none. Only pullcord_recv waits for mail.
#[allow(non_camel_case_types)]
pub struct pullcord_queue {
    _private: (),
}

/// The counters of a queue, since it was opened. Later versions add members at the end.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct pullcord_stats {
    /// Events of the trigger and of the watch.
    pub wakeups: u64,
    /// Calls of read on the trigger.
    pub trigger_reads: u64,
    /// Reads of the trigger that found bytes.
    pub pulls: u64,
    /// How often another FIFO was opened in place of the trigger.
    pub trigger_reopens: u64,
    /// Rounds of scans: each reads all directories that may have new entries.
    pub scans: u64,
    /// Directories that a scan has opened.
    pub directories_read: u64,
    /// Entries that a scan has found.
    pub scan_entries: u64,
    /// Entries that the watch has reported.
    pub watch_entries: u64,
    /// Entries that were requeued, and returned again.
    pub requeued_entries: u64,
    /// How often the watch has lost events.
    pub watch_overflows: u64,
    /// How often the paths of the queue were verified.
    pub verifications: u64,
    /// Warnings that were reported.
    pub warnings: u64,
    /// Warnings that were dropped, since the program did not take them.
    pub dropped_warnings: u64,
    /// Directories of the queue, at present.
    pub directories: u64,
    /// Directories that are not watched reliably, at present. They are scanned at each pull; without a
    /// trigger, every 5 seconds.
    pub unwatched_directories: u64,
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
/// With PULLCORD_DIRECTORY: entries are written in the directory. An entry is returned when it is renamed
/// into the directory, or was not changed for 2 seconds.
pub const PULLCORD_IN_PLACE: u32 = 256;
/// Open the queue even if its trigger or a directory does not exist. They are found within a second of
/// their appearance.
pub const PULLCORD_MAY_BE_MISSING: u32 = 512;
/// Trust the watch on every file system.
pub const PULLCORD_ASSUME_LOCAL: u32 = 1024;
/// Trust the watch on no file system, as if other hosts wrote to each of them.
pub const PULLCORD_ASSUME_SHARED: u32 = 2048;

/// A result of pullcord_pull: the reader is woken.
pub const PULLCORD_DELIVERED: u32 = 0;
/// A result of pullcord_pull: the trigger is full, so a wake-up is already pending.
pub const PULLCORD_PENDING: u32 = 1;
/// A result of pullcord_pull: no process reads the trigger. The reader finds the entry when it starts.
pub const PULLCORD_NO_READER: u32 = 2;

/// Opens a queue. Close it with pullcord_close.
///
/// path: the directory of the queue. options: the constants above, combined with |; 0 for a qmail queue.
/// rescan_interval: how often all directories are scanned even without a pull or a change, in seconds; 0
/// for 1500.
///
/// Returns the queue. Returns NULL on failure: see pullcord_last_error. Never blocks on a local file
/// system. The descriptors of the queue are at least 3, and exec closes them. A child process of fork
/// must not use the queue.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // a C programmer knows the rules for strings
pub unsafe extern "C" fn pullcord_open(
    path: *const c_char,
    options: u32,
    rescan_interval: u32,
) -> *mut pullcord_queue {
    let open = || {
        // SAFETY: the caller passes NULL or a string.
        let path = unsafe { to_path(path) }?;
        let queue = SharedQueue::open(&queue_options(path, options, rescan_interval)?)?;
        Ok(ptr::without_provenance_mut(QUEUES.add(queue)))
    };
    catch_panic(ptr::null_mut(), || {
        open().unwrap_or_else(|error: CError| {
            error.set_last_error();
            ptr::null_mut()
        })
    })
}

/// Waits for the next entry, and writes its path, which is absolute, and a NUL byte.
///
/// buffer: where to write it. size: the size of the buffer; PATH_MAX is enough. timeout: how long to wait
/// for an entry, in milliseconds; 0 does not wait, and a negative number waits without a timeout.
///
/// An entry is returned at least once. Remove it once it is processed.
///
/// Returns 1 for an entry. Returns 0 after the timeout, after pullcord_wake, and once if there is a
/// warning: call pullcord_next_warning until it returns 0 then. Until the program has read that warning,
/// no other one ends a wait. Returns -EINTR if a signal was handled during the wait: it may be called
/// again. Returns -ERANGE if the buffer is too small: the next call returns the same entry. Returns
/// -EINVAL if the buffer is NULL; -EBADF, also if another thread closes the queue during the wait. On a
/// system with neither epoll nor kqueue, a signal does not end the wait, and other calls on the queue
/// may wait for it for half a second.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // a C programmer knows the rules for buffers
pub unsafe extern "C" fn pullcord_recv(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
    timeout: c_int,
) -> c_int {
    // Negative numbers have no absolute value as a time.
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    on(queue, |queue| {
        check_path_buffer(buffer)?;
        // SAFETY: the caller has a buffer of this size, which is not NULL.
        queue.recv(timeout, |path| unsafe { copy_path(path, buffer, size) }).map(c_int::from)
    })
}

/// Returns the only descriptor to wait for, with poll, select, epoll or kqueue, for reading, level- or
/// edge-triggered. No timeout is needed.
///
/// When it is readable, call pullcord_next until it returns 0, and then pullcord_next_warning until it
/// returns 0. The descriptor does not change until the queue is closed. The caller must not read from
/// it or close it.
///
/// Returns the descriptor. Returns -EBADF; -ENOTSUP on a system with neither epoll nor kqueue: there, let
/// a thread call pullcord_recv, or call pullcord_next at least once a second.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_fd(queue: *mut pullcord_queue) -> c_int {
    on(queue, SharedQueue::fd)
}

/// Writes the path of the next entry as pullcord_recv does, but never waits for one. Never blocks on a
/// local file system.
///
/// Each call does a bounded amount of work.
///
/// Returns 1 for an entry. Returns 0 if no entry is ready, or if this turn's limit (64 entries) is
/// reached; the descriptor then becomes readable again as soon as there is more. Returns -ERANGE, -EINVAL
/// and -EBADF as pullcord_recv.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_recv
pub unsafe extern "C" fn pullcord_next(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    on(queue, |queue| {
        queue.with(|queue| {
            check_path_buffer(buffer)?;
            // SAFETY: the caller has a buffer of this size, which is not NULL.
            queue.next(|path| unsafe { copy_path(path, buffer, size) }).map(c_int::from)
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
#[allow(clippy::missing_safety_doc)] // as for pullcord_recv
pub unsafe extern "C" fn pullcord_next_warning(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    on(queue, |queue| {
        queue.with(|queue| {
            check_text_buffer(buffer, size)?;
            let Some(warning) = queue.next_warning() else { return Ok(0) };
            // SAFETY: the caller has a buffer of this size, which is not NULL.
            unsafe { copy_text(&warning, buffer, size) };
            Ok(1)
        })
    })
}

/// Returns an entry again after a delay: for an entry that cannot be processed now. Wakes a thread that
/// waits for the descriptor or in pullcord_recv, if that is needed.
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
        // SAFETY: the caller passes NULL or a string.
        let path = unsafe { to_path(path) }?;
        let delay = Duration::from_millis(delay.into());
        queue.with(|queue| queue.requeue(path, delay)).map(|()| 0)
    })
}

/// Ends the wait of another thread: its pullcord_recv returns 0, or the next one does, and the
/// descriptor becomes readable. Must not be called in a signal handler.
///
/// Returns 0. Returns -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_wake(queue: *mut pullcord_queue) -> c_int {
    on(queue, |queue| queue.wake().map(|()| 0))
}

/// Writes the statistics of a queue.
///
/// stats: where to write them. size: sizeof(pullcord_stats). Members that the library does not know are
/// set to 0.
///
/// Returns 0. Returns -EINVAL if stats is NULL; -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_recv
pub unsafe extern "C" fn pullcord_get_stats(
    queue: *mut pullcord_queue,
    stats: *mut pullcord_stats,
    size: usize,
) -> c_int {
    on(queue, |queue| {
        if stats.is_null() {
            return Err(CError::new(libc::EINVAL, "the statistics have no place: a null pointer"));
        }
        let current = queue.with(|queue| Ok(queue.stats()))?;
        let known = size.min(size_of::<pullcord_stats>());
        // SAFETY: the caller has `size` bytes there, of which no more than these are written; the
        // structure is one of integers, without padding.
        unsafe {
            ptr::write_bytes(stats.cast::<u8>(), 0, size);
            ptr::copy_nonoverlapping((&raw const current).cast(), stats.cast::<u8>(), known);
        }
        Ok(0)
    })
}

/// Closes a queue and its descriptors. The entries that were not removed stay in its directories.
///
/// Ends the waits of other threads in pullcord_recv, which returns -EBADF, and waits for calls that run
/// on the queue. Everything is closed when it returns: the queue can be opened again. No other thread
/// may wait for the descriptor.
///
/// Returns 0. Returns -EBADF if the queue is NULL or closed.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_close(queue: *mut pullcord_queue) -> c_int {
    catch_panic(-libc::EIO, || match QUEUES.remove(queue.addr()) {
        Some(queue) => {
            queue.close();
            0
        }
        None => CError::not_open().set_last_error(),
    })
}

/// Pulls a trigger, as a program does that has added an entry. Never blocks, and never causes SIGPIPE.
///
/// path: the FIFO.
///
/// Returns PULLCORD_DELIVERED, PULLCORD_PENDING or PULLCORD_NO_READER; each of them is a success. Returns
/// -EINVAL if path is NULL or not a FIFO, and otherwise the error of open, such as -ENOENT or -EACCES.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_open
pub unsafe extern "C" fn pullcord_pull(path: *const c_char) -> c_int {
    let pull = || {
        // SAFETY: the caller passes NULL or a string.
        let outcome = pullcord::pull(unsafe { to_path(path) }?)?;
        Ok(match outcome {
            PullOutcome::Delivered => PULLCORD_DELIVERED,
            PullOutcome::Pending => PULLCORD_PENDING,
            PullOutcome::NoReader => PULLCORD_NO_READER,
        } as c_int)
    };
    catch_panic(-libc::EIO, || pull().unwrap_or_else(CError::set_last_error))
}

/// Writes the text of the last error of the calling thread, and a NUL byte: "" if there was none. A
/// longer text is cut off. It is one line without a line feed.
///
/// buffer: where to write it. size: the size of the buffer; 1024 is enough for most.
///
/// Returns 1 if there was an error, and 0 if there was none. Returns -EINVAL if the buffer is NULL or its
/// size is 0.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_recv
pub unsafe extern "C" fn pullcord_last_error(buffer: *mut c_char, size: usize) -> c_int {
    catch_panic(-libc::EIO, || {
        if check_text_buffer(buffer, size).is_err() {
            return -libc::EINVAL; // the last error stays as it is
        }
        with_last_error(|text| {
            // SAFETY: the caller has a buffer of this size, which is not NULL.
            unsafe { copy_text(text, buffer, size) };
            c_int::from(!text.is_empty())
        })
    })
}

/// Returns the version of the library, such as "1.0.0". The pointer is always valid.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Runs `body`. A panic ends here, and the caller receives `otherwise`. No panic is known.
fn catch_panic<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Runs `body` on an open queue. An error becomes a negative number, and a text for
/// `pullcord_last_error`.
fn on(
    queue: *mut pullcord_queue,
    body: impl FnOnce(&SharedQueue) -> Result<c_int, CError>,
) -> c_int {
    catch_panic(-libc::EIO, || {
        let queue = QUEUES.get(queue.addr()).ok_or_else(CError::not_open);
        queue.and_then(|queue| body(&queue)).unwrap_or_else(CError::set_last_error)
    })
}

/// Borrows a path of C.
///
/// # Safety
///
/// `path` must be NULL, or a string that no thread changes during the call.
unsafe fn to_path<'a>(path: *const c_char) -> Result<&'a Path, CError> {
    if path.is_null() {
        return Err(CError::new(libc::EINVAL, "the path is a null pointer"));
    }
    // SAFETY: it is not NULL, and a string ends with a NUL byte.
    let path = unsafe { CStr::from_ptr(path) };
    Ok(Path::new(OsStr::from_bytes(path.to_bytes())))
}

fn check_path_buffer(buffer: *mut c_char) -> Result<(), CError> {
    if buffer.is_null() {
        return Err(CError::new(libc::EINVAL, "the buffer is a null pointer"));
    }
    Ok(())
}

/// Writes a path and a NUL byte into a buffer of C, or fails with `ERANGE` and writes nothing.
///
/// # Safety
///
/// `buffer` must have room for `size` bytes.
unsafe fn copy_path(path: &[u8], buffer: *mut c_char, size: usize) -> Result<(), CError> {
    let needed = path.len() + 1;
    if needed > size {
        return Err(CError::new(libc::ERANGE, format_args!("the path needs {needed} bytes")));
    }
    // SAFETY: there is room for the path and the NUL byte.
    unsafe { write(path, buffer) };
    Ok(())
}

fn check_text_buffer(buffer: *mut c_char, size: usize) -> Result<(), CError> {
    if buffer.is_null() || size == 0 {
        return Err(CError::new(libc::EINVAL, "there is no buffer for the text"));
    }
    Ok(())
}

/// Writes as much of a text as fits, and a NUL byte, into a buffer of C.
///
/// # Safety
///
/// `buffer` must have room for `size` bytes, which is not 0.
unsafe fn copy_text(text: &str, buffer: *mut c_char, size: usize) {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=text.len().min(size - 1)).rev().find(fits).unwrap_or(0);
    // SAFETY: there is room for one byte more than there are before the NUL byte.
    unsafe { write(&text.as_bytes()[..end], buffer) };
}

/// Writes bytes and a NUL byte into a buffer of C.
///
/// # Safety
///
/// The buffer has room for one byte more than there are, and no other thread uses it.
unsafe fn write(bytes: &[u8], buffer: *mut c_char) {
    // SAFETY: as this function's own contract says.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer, bytes.len());
        *buffer.add(bytes.len()) = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_number() {
        assert_eq!(catch_panic(-libc::EIO, || panic!("a test")), -libc::EIO);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (size, expected) in [(1, c""), (2, c"a"), (3, c"a"), (4, c"a\u{fc}"), (9, c"a\u{fc}b")]
        {
            let mut buffer = [1 as c_char; 9];
            // SAFETY: the buffer has as much room, or more.
            let copied = unsafe {
                copy_text("a\u{fc}b", buffer.as_mut_ptr(), size);
                CStr::from_ptr(buffer.as_ptr())
            };
            assert_eq!(copied, expected, "{size}");
        }
    }
}
