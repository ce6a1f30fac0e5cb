//! libkqueue on Linux: kqueue(2) from a library, so that the code of the BSDs can be executed where
//! most people develop (`--cfg pullcord_libkqueue`, for tests only; see PORTABILITY.md).
//!
//! What the libc crate declares for systems that have a kqueue, in FreeBSD's types.

// Named as in <sys/event.h>.
#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};

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
