//! The C library. Every system call of this crate is made through this module, so that a test can
//! replace the operating system by replacing one file.
//!
//! A variadic function is called with the same number of arguments everywhere: open(2) with two,
//! fcntl(2) and ioctl(2) with three, syscall(2) with four. A function of Rust can then stand in its
//! place.

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
