//! Counts system calls with ptrace(2), so that no tool is necessary.

use std::io;
use std::mem::MaybeUninit;

use super::super::checked;

/// Runs `run` in a child process and counts its system calls between its first two calls of getppid(2).
/// Returns `None` if tracing is not allowed.
pub(crate) fn system_calls(
    run: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    // SAFETY: no pointers. The child continues as the only thread of its process. It needs only the
    // allocator's lock, which fork releases in the child (glibc, musl, bionic).
    let child = checked(unsafe { libc::fork() })?;
    if child == 0 {
        // SAFETY: the request has no pointers. `_exit` runs no destructors.
        unsafe {
            let traced = libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0;
            libc::raise(libc::SIGSTOP);
            libc::_exit(i32::from(!traced || run().is_err()));
        }
    }
    let mut calls = None;
    let mut counting = false;
    wait(child)?;
    // Without this option, system calls and other stops cannot be distinguished.
    // SAFETY: no pointers.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, libc::PTRACE_O_TRACESYSGOOD) };
    loop {
        // SAFETY: no pointers. The child is stopped, and it continues also if it is not traced.
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

/// Waits until the child stops or ends.
fn wait(child: libc::pid_t) -> io::Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: there is room for one status.
    checked(unsafe { libc::waitpid(child, &mut status, libc::WUNTRACED) })?;
    Ok(status)
}

/// Returns the number of the system call at whose entry the child has stopped.
fn call_entered(child: libc::pid_t) -> Option<libc::c_long> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: `info` has room for `size` bytes.
    let told =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, child, size, info.as_mut_ptr()) };
    // SAFETY: all zeros are valid, and the kernel has written valid values over them.
    let info = unsafe { info.assume_init() };
    if told <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: at an entry, the kernel fills this member.
    Some(unsafe { info.u.entry.nr } as libc::c_long)
}
