//! Processor time, as the kernel counts it.

use std::time::Duration;

use crate::raw;

/// Returns the time that all threads of this program have used so far.
pub(crate) fn of_all() -> Duration {
    raw::clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Returns the time that this thread has used so far.
pub(crate) fn of_this_thread() -> Duration {
    raw::clock(libc::CLOCK_THREAD_CPUTIME_ID)
}
