//! The processor time of this process.

use std::time::Duration;

/// Returns the processor time that this process has used.
#[cfg(not(any(target_os = "netbsd", target_os = "illumos", target_os = "solaris")))]
pub(crate) fn time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ProcessCPUTime).try_into().ok()
}

/// rustix does not name that clock here.
#[cfg(any(target_os = "netbsd", target_os = "illumos", target_os = "solaris"))]
pub(crate) fn time() -> Option<Duration> {
    None
}
