//! libkqueue on Linux: kqueue(2) from a library, so that the code of the BSDs can be executed where
//! most people develop (`--cfg pullcord_libkqueue`, for tests only; see PORTABILITY.md).
//!
//! What the libc crate declares for systems that have a kqueue, in FreeBSD's types. And a way round
//! libkqueue's one great sin: its kqueue is the writing end of a pipe, which is never readable.

// Named as in <sys/event.h>.
#![allow(non_camel_case_types)]
#![allow(clippy::disallowed_methods, reason = "it looks for the library's own descriptor")]

use std::ffi::{c_int, c_void};
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use crate::libc;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct kevent {
    pub(crate) ident: usize,
    pub(crate) filter: i16,
    pub(crate) flags: u16,
    pub(crate) fflags: u32,
    pub(crate) data: isize,
    pub(crate) udata: *mut c_void,
}

pub(crate) const EVFILT_READ: i16 = -1;
pub(crate) const EVFILT_WRITE: i16 = -2;
pub(crate) const EVFILT_VNODE: i16 = -4;

pub(crate) const EV_ADD: u16 = 0x1;
pub(crate) const EV_DELETE: u16 = 0x2;
pub(crate) const EV_ONESHOT: u16 = 0x10;
pub(crate) const EV_CLEAR: u16 = 0x20;
pub(crate) const EV_RECEIPT: u16 = 0x40;
pub(crate) const EV_ERROR: u16 = 0x4000;
pub(crate) const EV_EOF: u16 = 0x8000;

pub(crate) const NOTE_DELETE: u32 = 0x1;
pub(crate) const NOTE_WRITE: u32 = 0x2;
pub(crate) const NOTE_RENAME: u32 = 0x20;
/// It has none.
pub(crate) const NOTE_REVOKE: u32 = 0;

#[link(name = "kqueue")]
unsafe extern "C" {
    pub(crate) fn kqueue() -> c_int;
    pub(crate) fn kevent(
        queue: c_int,
        changes: *const kevent,
        change_count: c_int,
        events: *mut kevent,
        event_count: c_int,
        timeout: *const libc::timespec,
    ) -> c_int;
}

/// What another loop can wait for in place of this kqueue: the epoll instance that the library keeps
/// for it, and that waits for bytes from the other end of the pipe. proc(5) tells which one that is.
pub(crate) fn waitable(queue: BorrowedFd<'_>) -> BorrowedFd<'_> {
    const BYTES_OR_END: i32 = libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR;
    let pipe = fs::metadata(format!("/proc/self/fd/{}", queue.as_raw_fd())).unwrap().ino();
    let (pipe, events) = (format!("ino:{pipe:x} "), format!("events: {BYTES_OR_END:8x} "));
    let is_it = |line: &str| line.contains(&pipe) && line.contains(&events);
    let number: RawFd = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .find(|number| {
            // Another thread may close it meanwhile.
            let waits_for = fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
            waits_for.is_ok_and(|waits_for| waits_for.lines().any(is_it))
        })
        .expect("libkqueue keeps an epoll instance");
    // SAFETY: the library closes it some time after `queue` was closed, not before.
    unsafe { BorrowedFd::borrow_raw(number) }
}
