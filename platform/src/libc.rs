//! The C library. Every system call of this crate is made through this module, so that a test can
//! replace the operating system by replacing one file.
//!
//! A variadic function is called with the same number of arguments everywhere: open(2) with two,
//! fcntl(2) and ioctl(2) with three, syscall(2) with four. A function of Rust can then stand in its
//! place. A call with more arguments has a function of its own here.

// Only readdir(3) needs the address of errno.
#![allow(unused_imports)]

pub(crate) use real_libc::*;

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "freebsd", target_vendor = "apple"))] {
        pub(crate) use real_libc::__error as errno;
    } else if #[cfg(any(target_os = "netbsd", target_os = "openbsd", target_os = "android"))] {
        pub(crate) use real_libc::__errno as errno;
    } else if #[cfg(any(target_os = "solaris", target_os = "illumos"))] {
        pub(crate) use real_libc::___errno as errno;
    } else {
        pub(crate) use real_libc::__errno_location as errno;
    }
}

unsafe extern "C" {
    /// The libc crate declares the variant that ends at FD_SETSIZE on macOS.
    #[cfg_attr(target_vendor = "apple", link_name = "select$DARWIN_EXTSN")]
    pub(crate) fn select(
        nfds: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        except: *mut fd_set,
        timeout: *mut timeval,
    ) -> c_int;
}

/// epoll_pwait2(2), without a mask. The wrapper of the C library is younger than the call, and its time has
/// another width on 32 bits. Fails with `ENOSYS` on Android, which ends programs that make a call that it
/// does not know.
///
/// # Safety
///
/// As for epoll_wait(2).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) unsafe fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    seconds: i64,
    nanoseconds: i64,
) -> c_int {
    cfg_if::cfg_if! {
        if #[cfg(all(target_os = "linux", not(target_env = "uclibc"), not(miri)))] {
            let timeout = [seconds, nanoseconds];
            let no_mask: *const sigset_t = std::ptr::null();
            // SAFETY: as the caller promises; `timeout` is a `struct __kernel_timespec`, and lives through
            // the call.
            unsafe {
                syscall(SYS_epoll_pwait2, epoll, events, room, &raw const timeout, no_mask, 0) as c_int
            }
        } else {
            let _ = (epoll, events, room, seconds, nanoseconds);
            // SAFETY: the address of this thread's errno is valid for as long as the thread runs.
            unsafe { *errno() = ENOSYS };
            -1
        }
    }
}
