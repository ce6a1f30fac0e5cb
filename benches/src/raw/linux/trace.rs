//! Counting system calls with ptrace(2), so that no tool need be installed.

use std::io;
use std::mem::MaybeUninit;

use super::super::checked;

/// Runs this in a child, and counts the system calls that it makes between its first two calls of
/// getppid(2). `None` where tracing is not allowed.
pub(crate) fn system_calls(
    run: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    // SAFETY: no pointers. The child goes on as the only thread of a process of its own; the one lock
    // it needs, the allocator's, is made free for it by fork itself (glibc, musl, bionic).
    let child = checked(unsafe { libc::fork() })?;
    if child == 0 {
        // SAFETY: the request takes no pointers; `_exit` runs no destructors.
        unsafe {
            let traced = libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0;
            libc::raise(libc::SIGSTOP);
            libc::_exit(i32::from(!traced || run().is_err()));
        }
    }
    let mut calls = None;
    let mut counting = false;
    wait(child)?;
    // SAFETY: no pointers. Without this option, the kernel does not say which stops are calls.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, libc::PTRACE_O_TRACESYSGOOD) };
    loop {
        // SAFETY: no pointers; the child is stopped. Where it is not traced, it goes on all the
        // same.
        unsafe {
            if libc::ptrace(libc::PTRACE_SYSCALL, child, 0, 0) == -1 {
                libc::kill(child, libc::SIGCONT);
            }
        }
        let status = wait(child)?;
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return Ok(calls.filter(|_| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0));
        }
        if let Some(number) = call_entered(child) {
            if number == libc::SYS_getppid {
                counting = !counting && calls.is_none();
                calls.get_or_insert_default();
            } else if let (true, Some(calls)) = (counting, &mut calls) {
                calls.push(number);
            }
        }
    }
}

/// Until it stops, or ends.
fn wait(child: libc::pid_t) -> io::Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: there is room for one status.
    checked(unsafe { libc::waitpid(child, &mut status, libc::WUNTRACED) })?;
    Ok(status)
}

/// The number of the system call at whose entry the child has stopped.
fn call_entered(child: libc::pid_t) -> Option<libc::c_long> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: there is room for as many bytes as it says.
    let told =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, child, size, info.as_mut_ptr()) };
    // SAFETY: zeros are a value of it, and so is what the kernel has written over them.
    let info = unsafe { info.assume_init() };
    if told <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: at an entry, this is the member that is filled.
    Some(unsafe { info.u.entry.nr } as libc::c_long)
}
