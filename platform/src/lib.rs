//! The operating system for [pullcord](https://docs.rs/pullcord): one file for each kernel facility, with
//! safe functions on owned and borrowed descriptors.
//!
//! All `unsafe` code of the library is here, and this crate does not know mail. Programs use the crate
//! `pullcord`. The interface of this crate may change in each version.
//!
//! | file | facility | where |
//! |---|---|---|
//! | `libc` | the C library: every system call is made through this module | everywhere |
//! | `fd` | descriptors: their owner, and their numbers | everywhere |
//! | `inherited` | descriptors that were passed on through exec(2) | everywhere |
//! | `notifier` | the types of every backend: key, interest, mode, event | |
//! | `epoll` | epoll(7) | Linux, Android |
//! | `kqueue` | kqueue(2) | FreeBSD, NetBSD, OpenBSD, DragonFly, macOS |
//! | `select` | select(2) | everywhere |
//! | `clock` | the time | everywhere |
//! | `pipe` | pipe2(2) | everywhere |
//! | `timer` | timerfd(2), or `EVFILT_TIMER` | Linux and Android, or where kqueue is |
//! | `waker` | ends another thread's wait | everywhere |
//! | `fifo` | mkfifo(2), open(2), read(2) and write(2) on named pipes | everywhere |
//! | `dir` | getdents64(2), or readdir(3) | Linux and Android, or elsewhere |
//! | `records` | the parsers of the buffers of getdents64(2) and inotify(7) | Linux and Android |
//! | `file` | open(2); fstat(2): which file is this? | everywhere |
//! | `watch` | inotify(7), or `EVFILT_VNODE` | Linux and Android, or where kqueue is |
//! | `filesystem` | statfs(2): whose changes can be seen from here? | everywhere but illumos |
//! | `tokio` | a descriptor in tokio's loop | with the feature `tokio` |

// docs.rs shows on which system, and with which feature, an item exists.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// Every question to the system goes through `libc`, every look at the time through `clock`: clippy.toml lists
// the calls that would not. Tests may ask for themselves.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
// Errors are returned, never printed.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(unix))]
compile_error!(
    "pullcord runs on Unix only: it is made of FIFOs, select(2), epoll(7) and kqueue(2)"
);

#[macro_use]
mod mutants;

pub mod always_writable;
pub mod clock;
mod fd;
pub mod fifo;
pub mod file;
#[cfg(not(pullcord_sim))]
pub mod inherited;
#[cfg(not(pullcord_sim))]
mod libc;
mod notifier;
mod path;
mod pipe;
mod select;
#[cfg(pullcord_sim)]
pub mod sim;
#[cfg(any(pullcord_libkqueue, pullcord_sim = "bsd"))]
mod sys_event;
mod timeout;
#[cfg(feature = "tokio")]
pub mod tokio;
mod waker;

#[cfg(pullcord_sim)]
use sim::libc;

pub use fd::OwnedFd;
pub use notifier::{Event, Events, Interest, Key, Mode, Notifier};
pub use path::absolute;
pub use select::Select;
pub use waker::Waker;

use path::with_c_string;

// Which file is compiled on which system is said here and nowhere else.
cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", pullcord_libkqueue))] {
        mod epoll;
        pub use epoll::Epoll;
        mod kqueue;
        pub use kqueue::Kqueue;
        mod libkqueue;
        use libkqueue as bsd;
        #[path = "dir/readdir.rs"]
        pub mod dir;
        #[path = "timer/timerfd.rs"]
        pub mod timer;
        #[path = "watch/vnode.rs"]
        pub mod watch;
        #[path = "filesystem/statfs_magic.rs"]
        pub mod filesystem;

        /// Compiles its items only where a notifier has a descriptor of its own: here they are.
        #[macro_export]
        macro_rules! if_pollable {
            ($($item:item)*) => { $($item)* };
        }

        /// The backends that exist here, best first.
        pub const BACKENDS: &[BackendInfo] =
            &[Epoll::INFO, Kqueue::INFO, Select::INFO];
    } else if #[cfg(all(
        any(target_os = "linux", target_os = "android"),
        not(any(pullcord_sim = "bsd", pullcord_sim = "none")),
    ))] {
        mod epoll;
        pub use epoll::Epoll;
        #[path = "dir/getdents.rs"]
        pub mod dir;
        pub mod records;
        #[path = "timer/timerfd.rs"]
        pub mod timer;
        #[path = "watch/inotify.rs"]
        pub mod watch;
        #[path = "filesystem/statfs_magic.rs"]
        pub mod filesystem;

        /// Compiles its items only where a notifier has a descriptor of its own: here they are.
        #[macro_export]
        macro_rules! if_pollable {
            ($($item:item)*) => { $($item)* };
        }

        /// The backends that exist here, best first.
        pub const BACKENDS: &[BackendInfo] = &[Epoll::INFO, Select::INFO];
    } else if #[cfg(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_vendor = "apple",
        pullcord_sim = "bsd",
    ))] {
        mod kqueue;
        pub use kqueue::Kqueue;
        use crate::libc as bsd;
        #[path = "dir/readdir.rs"]
        pub mod dir;
        #[path = "timer/kqueue_timer.rs"]
        pub mod timer;
        #[path = "watch/vnode.rs"]
        pub mod watch;
        #[path = "filesystem/statfs_name.rs"]
        pub mod filesystem;

        /// Compiles its items only where a notifier has a descriptor of its own: here they are.
        #[macro_export]
        macro_rules! if_pollable {
            ($($item:item)*) => { $($item)* };
        }

        /// The backends that exist here, best first.
        pub const BACKENDS: &[BackendInfo] = &[Kqueue::INFO, Select::INFO];
    } else {
        #[path = "dir/readdir.rs"]
        pub mod dir;
        #[path = "timer/unsupported.rs"]
        pub mod timer;
        #[path = "watch/unsupported.rs"]
        pub mod watch;
        #[path = "filesystem/unsupported.rs"]
        pub mod filesystem;

        /// Compiles its items only where a notifier has a descriptor of its own: here they are not.
        #[macro_export]
        macro_rules! if_pollable {
            ($($item:item)*) => {};
        }

        /// The backends that exist here, best first.
        pub const BACKENDS: &[BackendInfo] = &[Select::INFO];
    }
}

/// A backend: a kernel facility that can wait for readiness.
#[derive(Clone, Copy, Debug)]
pub struct BackendInfo {
    /// The name of the system call family: `epoll`, `kqueue`, `select`.
    pub name: &'static str,
    /// Whether a library plays the kernel's part.
    pub emulated: bool,
    /// Opens a notifier over it.
    pub open: fn() -> std::io::Result<Box<dyn Notifier>>,
}

/// Returns the result of a system call, or the error in `errno` if the result is -1.
fn check_errno(returned: libc::c_int) -> std::io::Result<libc::c_int> {
    if returned == -1 { Err(std::io::Error::last_os_error()) } else { Ok(returned) }
}
