//! Systems on which this command does not see other processes.

use super::process::ProcessId;
use super::{Fifo, InotifyUse, Scan, Usage};

pub(super) fn blind_spots() -> Vec<&'static str> {
    vec!["this command does not see processes on this system (fstat(1) and procstat(1) do)"]
}

pub(super) fn scan(_: &Fifo) -> Scan {
    Scan { holders: Vec::new(), hidden: 0 }
}

pub(super) fn usage(_: ProcessId) -> Option<Usage> {
    None
}

pub(super) fn inotify_use(_: u32) -> InotifyUse {
    InotifyUse { is_partial: true, ..InotifyUse::default() }
}

pub(super) fn inotify_limit(_: &str) -> Option<u64> {
    None
}
