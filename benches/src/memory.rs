//! Measures peak memory, on systems that report it.

use std::fs;
use std::io;

/// Runs `run` and returns the growth of the peak resident memory in bytes. Returns `None` if the system
/// does not report it.
pub(crate) fn growth<T>(run: impl FnOnce() -> io::Result<T>) -> io::Result<Option<usize>> {
    // On Linux this write resets the peak.
    let before = fs::write("/proc/self/clear_refs", "5").ok().and_then(|()| peak());
    run()?;
    Ok(before.zip(peak()).map(|(before, after)| after.saturating_sub(before)))
}

fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}
