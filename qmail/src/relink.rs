//! The functions that a qmail is linked with, in place of `trigger.o` and `triggerpull.o`.
//!
//! The loop of qmail-send, for which they are made; that of qmail-todo is the same:
//!
//! ```c
//! trigger_selprep(&nfds, &rfds);
//! select(nfds, &rfds, ...);
//! if (scanning) { one entry of todo } else if (trigger_pulled(&rfds) || it is time) {
//!     trigger_set();
//!     opendir("todo");
//! }
//! ```

use std::ffi::c_int;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::ffi::{FdSet, ReadySet, catch_panic};
use crate::trigger::{PATH, QmailTrigger};

static TRIGGER: Mutex<QmailTrigger> = Mutex::new(QmailTrigger::new());

fn trigger() -> MutexGuard<'static, QmailTrigger> {
    TRIGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens `lock/trigger` the first time, and reads the pulls that were made until now. A caller calls it
/// just before it opens `todo`. Never blocks.
// SAFETY: qmail has no other function of this name once `trigger.o` is left out.
#[unsafe(no_mangle)]
pub extern "C" fn trigger_set() {
    catch_panic((), || trigger().set(Instant::now()));
}

/// Begins a turn: adds to the set the descriptor that select(2) is to wait for.
///
/// # Safety
///
/// Each pointer must be NULL or valid, as in C.
// SAFETY: as for `trigger_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trigger_selprep(nfds: *mut c_int, rfds: *mut libc::fd_set) {
    // SAFETY: the caller's own, which it does not use before this returns.
    let Some(mut set) = (unsafe { FdSet::new(nfds, rfds) }) else { return };
    catch_panic((), || trigger().selprep(Instant::now(), &mut set));
}

/// Returns whether `todo` must be read, after select(2): 1, or 0. The answer stays the same until the next
/// `trigger_selprep` or `trigger_set`.
///
/// # Safety
///
/// The pointer must be NULL or valid, as in C.
// SAFETY: as for `trigger_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trigger_pulled(rfds: *mut libc::fd_set) -> c_int {
    // SAFETY: the caller's own, which it does not use before this returns.
    let Some(ready) = (unsafe { ReadySet::new(rfds) }) else { return 0 };
    catch_panic(0, || trigger().pulled(Instant::now(), &ready).into())
}

/// Removes from the set the descriptors that `trigger_selprep` has added: for a manager that stops taking
/// mail (indimail's todo-proc). The FIFO stays open, so that no pull is refused.
///
/// # Safety
///
/// Each pointer must be NULL or valid, as in C.
// SAFETY: as for `trigger_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trigger_clear(nfds: *mut c_int, rfds: *mut libc::fd_set) {
    // SAFETY: the caller's own, which it does not use before this returns.
    let Some(mut set) = (unsafe { FdSet::new(nfds, rfds) }) else { return };
    catch_panic((), || trigger().clear(&mut set));
}

/// The writer's side: pulls `lock/trigger`. The result does not matter to a writer: the message is in the
/// queue, and a later scan finds it.
// SAFETY: qmail has no other function of this name once `triggerpull.o` is left out.
#[unsafe(no_mangle)]
pub extern "C" fn triggerpull() {
    catch_panic((), || {
        let _ = pullcord::pull(Path::new(PATH));
    });
}
