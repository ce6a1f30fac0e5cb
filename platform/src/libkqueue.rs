//! libkqueue on Linux: kqueue(2) from a library, so that the code of the BSDs can be executed where
//! most people develop (`--cfg pullcord_libkqueue`, for tests only; see PORTABILITY.md).
//!
//! The library's functions, and a way round its one great sin: its kqueue is the writing end of a
//! pipe, which is never readable.

#![allow(clippy::disallowed_methods, reason = "it looks for the library's own descriptor")]

use std::ffi::c_int;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use crate::libc;

pub(crate) use crate::sys_event::*;

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

/// Returns the descriptor that another loop can wait for in place of this kqueue. It is the epoll instance of
/// the library, which waits for bytes from the other end of the pipe. proc(5) shows which one that is.
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
