//! The C API, as `include/pullcord.h` has it: what is written here for C is the header's text.

mod door;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::boundary::{Wanted, guarded};
use crate::errors::{self, Failure};
use crate::handles::Handles;
use door::Door;

static QUEUES: Handles<Door> = Handles::new();

/// An open queue. Not to be looked into.
///
/// A null pointer, and one to a queue that was closed, do no harm to any function here: it returns
/// -EBADF. Any thread may use any queue; calls on the same one wait for each other.
#[allow(non_camel_case_types)]
pub struct pullcord_queue {
    _private: (),
}

/// A qmail queue directory: `lock/trigger`, and `todo`, flat or split. The default.
pub const PULLCORD_QMAIL: u32 = 0;
/// Postfix's queue directory: the FIFO `public/pickup`, and `maildrop`.
pub const PULLCORD_POSTFIX: u32 = 1;
/// One directory whose entries arrive complete, by link or rename; no trigger.
pub const PULLCORD_DIRECTORY: u32 = 2;
/// Do not watch the directories: every pull scans.
pub const PULLCORD_WATCH_OFF: u32 = 16;
/// Refuse to open a queue that cannot be watched.
pub const PULLCORD_WATCH_REQUIRED: u32 = 32;
/// Read the trigger even if somebody else does: each pull then goes to one of the two.
pub const PULLCORD_SHARE: u32 = 64;
/// Do not open the trigger: for who only looks on.
pub const PULLCORD_NO_TRIGGER: u32 = 128;

/// Opens a queue.
///
/// path: the queue's directory, absolute, or as seen from the current directory for as long as the
/// queue is open.
/// options: the constants above, or-ed; 0 for a qmail queue.
/// tick: how often everything is scanned for safety's sake, in seconds; 0 for 1500.
///
/// The variable PULLCORD_BACKEND may name what the descriptors are waited for with: epoll, kqueue or
/// select; the best if it is not set.
///
/// Returns the queue, or null: see pullcord_last_error. Close it with pullcord_close. Its
/// descriptors are closed by exec; a child of fork must not use it.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // the header's reader knows what a string is
pub unsafe extern "C" fn pullcord_open(
    path: *const c_char,
    options: u32,
    tick: u32,
) -> *mut pullcord_queue {
    let open = || {
        if path.is_null() {
            return Err(Failure::new(libc::EINVAL, "the path is a null pointer"));
        }
        // SAFETY: it is not null, and C's strings end with a NUL byte.
        let path = unsafe { CStr::from_ptr(path) };
        let door = Door::open(Path::new(OsStr::from_bytes(path.to_bytes())), options, tick)?;
        Ok(ptr::without_provenance_mut(QUEUES.add(door)))
    };
    guarded(ptr::null_mut(), || {
        open().unwrap_or_else(|failure| {
            failure.keep();
            ptr::null_mut()
        })
    })
}

/// The one descriptor to wait for: readable when pullcord_next may have something.
///
/// For poll, select, epoll and kqueue, for reading, level-triggered. It stays the same until the
/// queue is closed, and is not to be read from, nor closed.
///
/// Returns the descriptor; -EBADF; -ENOTSUP where the system has neither epoll nor kqueue: there,
/// use pullcord_prepare_select.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_descriptor(queue: *mut pullcord_queue) -> c_int {
    on(queue, |door| door.descriptor())
}

/// Begins a turn: to be called before each wait.
///
/// Returns the deadline: how many milliseconds to wait at most, in poll's way; 0 when there is work
/// at once. Or a negative errno: -EBADF, or that of epoll_ctl or kevent, after which it may be
/// called again.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_prepare(queue: *mut pullcord_queue) -> c_int {
    on(queue, Door::prepare)
}

/// As pullcord_prepare, for a loop around select, on every system: puts what is to be waited for into
/// the set, and raises nfds to its highest descriptor plus one.
///
/// Returns what pullcord_prepare does; besides, -EINVAL for a null pointer, and -EMFILE for a
/// descriptor that does not fit into a set.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // the header's reader knows what a pointer is
pub unsafe extern "C" fn pullcord_prepare_select(
    queue: *mut pullcord_queue,
    nfds: *mut c_int,
    rfds: *mut libc::fd_set,
) -> c_int {
    // SAFETY: the caller's own, which it does not touch before this returns.
    let wanted = unsafe { Wanted::new(nfds, rfds) };
    on(queue, |door| match wanted {
        Some(mut wanted) => door.prepare_select(&mut wanted),
        None => Err(Failure::new(libc::EINVAL, "nfds or rfds is a null pointer")),
    })
}

/// The next entry: its path, which begins with that of the queue, and a NUL byte.
///
/// buffer: where to put it. size: the bytes there; PATH_MAX is enough.
///
/// To be called after each wait until it returns 0, whatever the wait has found; each call does a
/// bounded amount of work. An entry is handed out at least once; remove it when it is dealt with.
///
/// Returns 1: an entry. 0: no more in this turn. Or a negative errno: -ERANGE, the buffer is too
/// small, and the same entry comes again; -EINVAL, it is a null pointer; -EBADF. Any other says what
/// went wrong with the queue, once: go on, nothing is lost by it.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // the header's reader knows what a buffer is
pub unsafe extern "C" fn pullcord_next(
    queue: *mut pullcord_queue,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    on(queue, |door| {
        if buffer.is_null() {
            return Err(Failure::new(libc::EINVAL, "the buffer is a null pointer"));
        }
        let Some(path) = door.next()? else { return Ok(0) };
        if path.len() >= size {
            let needed = path.len() + 1;
            return Err(Failure::new(libc::ERANGE, format_args!("the path takes {needed} bytes")));
        }
        // SAFETY: the caller has `size` bytes there, which is more than the path has, and nobody
        // else has ours.
        unsafe {
            ptr::copy_nonoverlapping(path.as_ptr().cast(), buffer, path.len());
            *buffer.add(path.len()) = 0;
        }
        door.handed_out();
        Ok(1)
    })
}

/// Has an entry handed out again: for what could not be dealt with now.
///
/// path: as pullcord_next gave it. delay: in milliseconds.
///
/// Returns 0; -EINVAL if it is not of an entry in this queue; -EBADF.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc)] // as for pullcord_open
pub unsafe extern "C" fn pullcord_requeue(
    queue: *mut pullcord_queue,
    path: *const c_char,
    delay: u32,
) -> c_int {
    on(queue, |door| {
        if path.is_null() {
            return Err(Failure::new(libc::EINVAL, "the path is a null pointer"));
        }
        // SAFETY: it is not null, and C's strings end with a NUL byte.
        let path = unsafe { CStr::from_ptr(path) };
        door.requeue(Path::new(OsStr::from_bytes(path.to_bytes())), delay)
    })
}

/// Closes a queue and its descriptors. What it has handed out is the caller's to deal with.
///
/// Returns 0; -EBADF if it is closed already, or null.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_close(queue: *mut pullcord_queue) -> c_int {
    guarded(-libc::EIO, || if QUEUES.remove(queue.addr()) { 0 } else { not_open().keep() })
}

/// What went wrong last in this thread, in one line without a line feed; "" if nothing has. Never
/// null. Good until the next function here that fails in this thread, or the thread's end.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_last_error() -> *const c_char {
    guarded(c"".as_ptr(), errors::last)
}

/// The library's version, such as "0.1.0". Good for ever.
// SAFETY: the prefix makes the name ours.
#[unsafe(no_mangle)]
pub extern "C" fn pullcord_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Runs `body` on an open queue; what fails becomes a number, and words to be asked for.
fn on(queue: *mut pullcord_queue, body: impl FnOnce(&mut Door) -> Result<c_int, Failure>) -> c_int {
    guarded(-libc::EIO, || {
        let done = QUEUES.with(queue.addr(), body).unwrap_or_else(|| Err(not_open()));
        done.unwrap_or_else(Failure::keep)
    })
}

fn not_open() -> Failure {
    Failure::new(libc::EBADF, "this queue is not open")
}
