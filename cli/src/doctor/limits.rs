//! The system's limits, against what a queue needs.

use std::fs;

use pullcord::todo::Queue;
use rustix::process::{Resource, getrlimit};

use super::Report;

/// What a queue takes besides a descriptor a directory: its trigger's two ends, the watch, the
/// notifier, the directory that is being read, and some to spare for a delivery.
const DESCRIPTORS: u64 = 16;

/// A split queue watches its directories, the one they are in, and its trigger's.
const PLACES_BESIDES: u64 = 2;

/// One burst of arrivals that is not taken in meanwhile should fit.
const QUEUED_EVENTS: u64 = 4096;

pub(super) fn check(queue: &Queue, report: &mut Report) {
    let directories = queue.paths().len() as u64;
    let descriptors = getrlimit(Resource::Nofile).current;
    against(report, "descriptors", descriptors, directories + DESCRIPTORS, "raise ulimit -n");
    for (setting, needed) in [
        ("max_user_watches", directories + PLACES_BESIDES),
        ("max_user_instances", 1),
        ("max_queued_events", QUEUED_EVENTS),
    ] {
        // Linux has these; where they are missing there is no such limit.
        let path = format!("/proc/sys/fs/inotify/{setting}");
        let limit = fs::read_to_string(path).ok().and_then(|limit| limit.trim().parse().ok());
        if limit.is_some() {
            let advice = format!("raise fs.inotify.{setting} with sysctl(8)");
            against(report, setting, limit, needed, &advice);
        }
    }
}

fn against(report: &mut Report, what: &'static str, limit: Option<u64>, needed: u64, advice: &str) {
    match limit {
        Some(limit) if limit < needed => {
            report.wrong(what, format!("{limit}, and this queue needs {needed}"), advice);
        }
        Some(limit) => report.ok(what, format!("{limit}, of which this queue needs {needed}")),
        None => report.ok(what, "no limit"),
    }
}
