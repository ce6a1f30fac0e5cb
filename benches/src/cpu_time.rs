//! Processor time, told by the kernel.

use std::time::Duration;

use crate::raw;

/// What every thread of this program has used so far.
pub(crate) fn of_all() -> Duration {
    raw::clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// What this thread has used so far.
pub(crate) fn of_this_thread() -> Duration {
    raw::clock(libc::CLOCK_THREAD_CPUTIME_ID)
}
