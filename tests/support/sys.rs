//! The system calls that the tests need and std does not have. All of the tests' `unsafe` is here,
//! but for the counting allocator.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitStatus;
use std::ptr;

#[track_caller]
fn checked(returned: libc::c_int) -> libc::c_int {
    assert_ne!(returned, -1, "{}", io::Error::last_os_error());
    returned
}

/// fork(2): runs `body` in a child, and says how that ended: with 0, or with 1 after a panic.
/// Only for tests that run alone.
pub(crate) fn in_child(body: impl FnOnce()) -> ExitStatus {
    // SAFETY: the only other thread there is, the watchdog, sleeps and holds no lock.
    let child = checked(unsafe { libc::fork() });
    if child == 0 {
        // SAFETY: no pointers. The watchdog does not live in the child; this takes its place.
        unsafe { libc::alarm(30) };
        let failed = panic::catch_unwind(AssertUnwindSafe(body)).is_err();
        // SAFETY: ends the child here, with nothing of the parent's cleaned up.
        unsafe { libc::_exit(failed.into()) }
    }
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    while unsafe { libc::waitpid(child, &mut status, 0) } == -1 {
        assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted);
    }
    ExitStatus::from_raw(status)
}

/// setuid(2) and setgid(2) to nobody's, if this is root. Only in a child.
pub(crate) fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: no pointers.
    unsafe {
        if libc::geteuid() == 0 {
            checked(libc::setgid(NOBODY));
            checked(libc::setuid(NOBODY));
        }
    }
}

/// umask(2), for the whole process.
pub(crate) fn umask(mask: libc::mode_t) {
    // SAFETY: no pointers.
    unsafe { libc::umask(mask) };
}

/// dup2(2): what `file` is from now on, under the number it has. Its old self is closed.
pub(crate) fn replace(file: &File, by: &impl AsFd) {
    // SAFETY: both numbers are open and borrowed; `file` goes on owning its own.
    checked(unsafe { libc::dup2(by.as_fd().as_raw_fd(), file.as_raw_fd()) });
}

/// fcntl(2) with F_DUPFD_CLOEXEC: a duplicate, its number at least `lowest`.
pub(crate) fn duplicate_from(file: &impl AsFd, lowest: RawFd) -> OwnedFd {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and what comes back is owned by nobody else.
    unsafe { OwnedFd::from_raw_fd(checked(libc::fcntl(file, libc::F_DUPFD_CLOEXEC, lowest))) }
}

/// fcntl(2) with F_GETFD: which descriptors are open, from 3 on.
pub(crate) fn open_descriptors() -> Vec<RawFd> {
    // SAFETY: no pointers; a number that is not open is an error, and that is the question.
    (3..256).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1).collect()
}

/// setrlimit(2): lets this process have descriptors up to `limit`, exclusive; false if it may not.
pub(crate) fn limit_descriptors(limit: usize) -> bool {
    let mut limits = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit fills it before it is read.
    let mut limits = unsafe {
        checked(libc::getrlimit(libc::RLIMIT_NOFILE, limits.as_mut_ptr()));
        limits.assume_init()
    };
    limits.rlim_cur = limit as _;
    // SAFETY: `limits` lives through the call.
    limits.rlim_cur <= limits.rlim_max
        && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) } == 0
}

/// ioctl(2) with FIONREAD: how many bytes wait to be read.
pub(crate) fn unread(file: &impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which lives through the call.
    checked(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), libc::FIONREAD as _, &mut count) });
    count as usize
}

/// fcntl(2) with F_SETPIPE_SZ.
#[cfg(target_os = "linux")]
pub(crate) fn set_capacity(fifo: &File, bytes: libc::c_int) {
    // SAFETY: no pointers; the descriptor is open.
    checked(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) });
}

/// fcntl(2) with F_SETFL and O_DIRECT: every write becomes a packet, and a read takes one.
#[cfg(target_os = "linux")]
pub(crate) fn make_packets(fifo: &File) {
    // SAFETY: no pointers; the descriptor is open.
    checked(unsafe {
        libc::fcntl(fifo.as_raw_fd(), libc::F_SETFL, libc::O_DIRECT | libc::O_NONBLOCK)
    });
}

/// A thread that signals can be sent to, for as long as it runs.
#[derive(Clone, Copy)]
pub(crate) struct Thread(libc::pthread_t);

// SAFETY: an identifier (on some systems a pointer, that only libc follows), the same in each thread.
unsafe impl Send for Thread {}

impl Thread {
    /// pthread_self(3).
    pub(crate) fn this() -> Thread {
        // SAFETY: no pointers.
        Thread(unsafe { libc::pthread_self() })
    }

    /// pthread_kill(3).
    pub(crate) fn signal(self, signal: libc::c_int) {
        // SAFETY: whoever calls this sees to it that the thread still runs.
        assert_eq!(unsafe { libc::pthread_kill(self.0, signal) }, 0);
    }
}

/// sigaction(2): from now on `signal` does nothing but interrupt, and system calls that can be
/// restarted are (SA_RESTART).
pub(crate) fn catch(signal: libc::c_int) {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    set_action(signal, handler as libc::sighandler_t, libc::SA_RESTART);
}

/// sigaction(2): what programs find that do not touch `signal`. Rust's runtime ignores SIGPIPE.
pub(crate) fn set_default(signal: libc::c_int) {
    set_action(signal, libc::SIG_DFL, 0);
}

fn set_action(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a plain C struct for which zero is a value; the handler, where it is one, is a
    // function of the right type that touches nothing.
    unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        checked(libc::sigaction(signal, action, ptr::null_mut()));
    }
}

/// pthread_sigmask(3): blocks `signal` in this thread.
pub(crate) fn block(signal: libc::c_int) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set before anything reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()), 0);
    }
}

/// pthread_sigmask(3): whether `signal` is blocked in this thread.
pub(crate) fn is_blocked(signal: libc::c_int) -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: given no new mask, pthread_sigmask only fills the set, which is read afterwards.
    unsafe {
        let filled = libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
        assert_eq!(filled, 0);
        libc::sigismember(set.as_ptr(), signal) == 1
    }
}

/// sigpending(2): whether `signal` waits until this thread unblocks it.
pub(crate) fn is_pending(signal: libc::c_int) -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending fills the set, which is read afterwards.
    unsafe {
        checked(libc::sigpending(set.as_mut_ptr()));
        libc::sigismember(set.as_ptr(), signal) == 1
    }
}
