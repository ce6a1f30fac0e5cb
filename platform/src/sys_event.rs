//! `<sys/event.h>` in FreeBSD's types, for builds on Linux in which something else plays the kernel's
//! part: libkqueue, or the simulation.

// Named as in C.
#![allow(non_camel_case_types, missing_docs, dead_code)]

use std::ffi::c_void;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct kevent {
    pub ident: usize,
    pub filter: i16,
    pub flags: u16,
    pub fflags: u32,
    pub data: isize,
    pub udata: *mut c_void,
}

pub const EVFILT_READ: i16 = -1;
pub const EVFILT_WRITE: i16 = -2;
pub const EVFILT_VNODE: i16 = -4;
pub const EVFILT_TIMER: i16 = -7;

pub const EV_ADD: u16 = 0x1;
pub const EV_DELETE: u16 = 0x2;
pub const EV_ONESHOT: u16 = 0x10;
pub const EV_CLEAR: u16 = 0x20;
pub const EV_RECEIPT: u16 = 0x40;
pub const EV_DISPATCH: u16 = 0x80;
pub const EV_ERROR: u16 = 0x4000;
pub const EV_EOF: u16 = 0x8000;

pub const NOTE_DELETE: u32 = 0x1;
pub const NOTE_WRITE: u32 = 0x2;
pub const NOTE_EXTEND: u32 = 0x4;
pub const NOTE_ATTRIB: u32 = 0x8;
pub const NOTE_LINK: u32 = 0x10;
pub const NOTE_RENAME: u32 = 0x20;
/// FreeBSD's. libkqueue has none.
pub const NOTE_REVOKE: u32 = if cfg!(pullcord_libkqueue) { 0 } else { 0x40 };
