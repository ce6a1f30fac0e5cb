//! How much memory something takes at its peak, where the system tells.

use std::fs;
use std::io;

/// By how many bytes the resident memory grew at most, while this ran; `None` where that is not
/// known.
pub(crate) fn growth<T>(run: impl FnOnce() -> io::Result<T>) -> io::Result<Option<usize>> {
    // Linux forgets the peak when it is told to.
    let before = fs::write("/proc/self/clear_refs", "5").ok().and_then(|()| peak());
    run()?;
    Ok(before.zip(peak()).map(|(before, after)| after.saturating_sub(before)))
}

fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}
