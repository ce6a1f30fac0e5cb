//! The system calls that the tests need and std does not have. Except for the counting allocator, all
//! `unsafe` code of the tests is here.

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

/// Runs `body` in a child, with fork(2). Returns the child's exit status: 0, or 1 after a panic. Only for
/// tests that run alone.
pub(crate) fn in_child(body: impl FnOnce()) -> ExitStatus {
    // SAFETY: the only other thread is the watchdog. It sleeps and holds no lock.
    let child = checked(unsafe { libc::fork() });
    if child == 0 {
        // The watchdog does not exist in the child. The alarm replaces it.
        // SAFETY: no pointers.
        unsafe { libc::alarm(30) };
        let failed = panic::catch_unwind(AssertUnwindSafe(body)).is_err();
        // SAFETY: the child ends here and does not clean up the parent's resources.
        unsafe { libc::_exit(failed.into()) }
    }
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    while unsafe { libc::waitpid(child, &mut status, 0) } == -1 {
        assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted);
    }
    ExitStatus::from_raw(status)
}

/// Changes to the user and group `nobody` with setuid(2) and setgid(2), if this is root. Only in a child.
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

/// Calls umask(2), which affects the whole process.
pub(crate) fn umask(mask: libc::mode_t) {
    // SAFETY: no pointers.
    unsafe { libc::umask(mask) };
}

/// Replaces `file` by `by` with dup2(2). Its number stays the same, and its old file is closed.
pub(crate) fn replace(file: &File, by: &impl AsFd) {
    // SAFETY: both numbers are open and borrowed. `file` still owns its number.
    checked(unsafe { libc::dup2(by.as_fd().as_raw_fd(), file.as_raw_fd()) });
}

/// Returns a duplicate whose number is at least `lowest`, with F_DUPFD_CLOEXEC of fcntl(2).
pub(crate) fn duplicate_from(file: &impl AsFd, lowest: RawFd) -> OwnedFd {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and no other code owns the new one.
    unsafe { OwnedFd::from_raw_fd(checked(libc::fcntl(file, libc::F_DUPFD_CLOEXEC, lowest))) }
}

/// Returns the open descriptors from 3 on, with F_GETFD of fcntl(2).
pub(crate) fn open_descriptors() -> Vec<RawFd> {
    // SAFETY: no pointers. A number that is not open is an error.
    (3..256).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1).collect()
}

/// Limits this process to descriptors below `limit`, with setrlimit(2). Returns false if that is not
/// allowed.
pub(crate) fn limit_descriptors(limit: usize) -> bool {
    let mut limits = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit fills the struct before it is read.
    let mut limits = unsafe {
        checked(libc::getrlimit(libc::RLIMIT_NOFILE, limits.as_mut_ptr()));
        limits.assume_init()
    };
    limits.rlim_cur = limit as _;
    // SAFETY: `limits` lives through the call.
    limits.rlim_cur <= limits.rlim_max
        && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) } == 0
}

/// Returns the number of unread bytes, with FIONREAD of ioctl(2).
pub(crate) fn unread(file: &impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which lives through the call.
    checked(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), libc::FIONREAD as _, &mut count) });
    count as usize
}

/// Sets the capacity of a FIFO, with F_SETPIPE_SZ of fcntl(2).
#[cfg(target_os = "linux")]
pub(crate) fn set_capacity(fifo: &File, bytes: libc::c_int) {
    // SAFETY: no pointers; the descriptor is open.
    checked(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) });
}

/// Sets O_DIRECT with F_SETFL of fcntl(2). Then every write is a packet, and a read returns one packet.
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
// SAFETY: as above. It is never changed.
unsafe impl Sync for Thread {}

impl Thread {
    /// Returns this thread, with pthread_self(3).
    pub(crate) fn this() -> Thread {
        // SAFETY: no pointers.
        Thread(unsafe { libc::pthread_self() })
    }

    /// Sends a signal to the thread, with pthread_kill(3). The thread must still run.
    pub(crate) fn signal(self, signal: libc::c_int) {
        // SAFETY: the caller guarantees that the thread still runs.
        assert_eq!(unsafe { libc::pthread_kill(self.0, signal) }, 0);
    }
}

/// Installs a handler that does nothing, with sigaction(2) and SA_RESTART. Afterwards `signal` only
/// interrupts system calls, and those that can be restarted are restarted.
pub(crate) fn catch(signal: libc::c_int) {
    set_action(signal, nothing(), libc::SA_RESTART);
}

/// Installs a handler that does nothing, with sigaction(2) and without SA_RESTART. Afterwards `signal` only
/// interrupts system calls, and none is restarted.
pub(crate) fn interrupt_by(signal: libc::c_int) {
    set_action(signal, nothing(), 0);
}

/// Returns a handler that does nothing.
fn nothing() -> libc::sighandler_t {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    handler as libc::sighandler_t
}

/// Restores the default action of `signal`, with sigaction(2). Rust's runtime ignores SIGPIPE.
pub(crate) fn set_default(signal: libc::c_int) {
    set_action(signal, libc::SIG_DFL, 0);
}

fn set_action(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zero is valid for this C struct. `handler` is SIG_DFL or a function of the right type that
    // accesses no data.
    unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        checked(libc::sigaction(signal, action, ptr::null_mut()));
    }
}

/// Blocks `signal` in this thread, with pthread_sigmask(3).
pub(crate) fn block(signal: libc::c_int) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set before anything reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()), 0);
    }
}

/// Returns whether `signal` is blocked in this thread, with pthread_sigmask(3).
pub(crate) fn is_blocked(signal: libc::c_int) -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: without a new mask, pthread_sigmask only fills the set, which is read afterwards.
    unsafe {
        let filled = libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
        assert_eq!(filled, 0);
        libc::sigismember(set.as_ptr(), signal) == 1
    }
}

/// Returns whether `signal` is pending until this thread unblocks it, with sigpending(2).
pub(crate) fn is_pending(signal: libc::c_int) -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending fills the set, which is read afterwards.
    unsafe {
        checked(libc::sigpending(set.as_mut_ptr()));
        libc::sigismember(set.as_ptr(), signal) == 1
    }
}
