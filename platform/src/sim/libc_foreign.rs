//! The constants that the simulated kernel takes from Linux and that the C library of another system lacks:
//! the simulation of another kernel is compiled there, too.

#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use std::ffi::{c_int, c_long, c_ulong};

use real_libc::timespec;

pub type off64_t = real_libc::off_t;
pub type stat64 = real_libc::stat;

#[derive(Clone, Copy, Debug)]
pub struct epoll_event {
    pub events: u32,
    pub u64: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct itimerspec {
    pub it_interval: timespec,
    pub it_value: timespec,
}

pub const AT_EMPTY_PATH: c_int = 0x1000;
pub const AT_NO_AUTOMOUNT: c_int = 0x800;
pub const EPOLLIN: c_int = 0x1;
pub const EPOLLOUT: c_int = 0x4;
pub const EPOLLERR: c_int = 0x8;
pub const EPOLLHUP: c_int = 0x10;
pub const EPOLLONESHOT: c_int = 1 << 30;
pub const EPOLLET: c_int = 1 << 31;
pub const IN_MODIFY: u32 = 0x2;
pub const IN_ATTRIB: u32 = 0x4;
pub const IN_CLOSE_WRITE: u32 = 0x8;
pub const IN_MOVED_FROM: u32 = 0x40;
pub const IN_MOVED_TO: u32 = 0x80;
pub const IN_CREATE: u32 = 0x100;
pub const IN_DELETE: u32 = 0x200;
pub const IN_DELETE_SELF: u32 = 0x400;
pub const IN_MOVE_SELF: u32 = 0x800;
pub const IN_UNMOUNT: u32 = 0x2000;
pub const IN_Q_OVERFLOW: u32 = 0x4000;
pub const IN_IGNORED: u32 = 0x8000;
pub const IN_ONLYDIR: u32 = 0x0100_0000;
pub const IN_MASK_ADD: u32 = 0x2000_0000;
pub const IN_ISDIR: u32 = 0x4000_0000;
pub const MNT_DETACH: c_int = 0x2;
pub const MS_BIND: c_ulong = 0x1000;
/// A bit that the other flags of open(2) leave free.
pub const O_DIRECT: c_int = 0x1_0000;
pub const O_TMPFILE: c_int = 1 << 30;
pub const SYS_getdents64: c_long = 217;
pub const TFD_TIMER_ABSTIME: c_int = 0x1;
