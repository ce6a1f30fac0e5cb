//! The functions that a qmail is linked with, in place of `trigger.o` and `triggerpull.o`.
//!
//! qmail-send's loop, for which they are made (and qmail-todo's, which is the same):
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

use crate::ffi::{FdSetBuilder, ReadySet, catch_panic};
use crate::trigger::{PATH, QmailTrigger};

static TRIGGER: Mutex<QmailTrigger> = Mutex::new(QmailTrigger::new());

fn trigger() -> MutexGuard<'static, QmailTrigger> {
    TRIGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens `lock/trigger` the first time, and takes out the pulls that were made until now: to be
/// called just before `todo` is opened.
// SAFETY: qmail has no other function of this name once `trigger.o` is left out.
#[unsafe(no_mangle)]
pub extern "C" fn trigger_set() {
    catch_panic((), || trigger().set(Instant::now()));
}

/// Puts what is to be waited for into the set, before select(2).
///
/// # Safety
///
/// Each pointer is null or valid, as in C.
// SAFETY: as for `trigger_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trigger_selprep(nfds: *mut c_int, rfds: *mut libc::fd_set) {
    // SAFETY: the caller's own, which it does not touch before this returns.
    let Some(mut wanted) = (unsafe { FdSetBuilder::new(nfds, rfds) }) else { return };
    catch_panic((), || trigger().selprep(Instant::now(), &mut wanted));
}

/// Whether `todo` is to be read, after select(2): 1, or 0.
///
/// # Safety
///
/// The pointer is null or valid, as in C.
// SAFETY: as for `trigger_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trigger_pulled(rfds: *mut libc::fd_set) -> c_int {
    // SAFETY: the caller's own, which it does not touch before this returns.
    let Some(ready) = (unsafe { ReadySet::new(rfds) }) else { return 0 };
    catch_panic(0, || trigger().pulled(Instant::now(), &ready).into())
}

/// The writer's side: pulls `lock/trigger`. What comes of it is nobody's business here: the message
/// is in the queue, and is found sooner or later.
// SAFETY: qmail has no other function of this name once `triggerpull.o` is left out.
#[unsafe(no_mangle)]
pub extern "C" fn triggerpull() {
    catch_panic((), || {
        let _ = pullcord::pull(Path::new(PATH));
    });
}
