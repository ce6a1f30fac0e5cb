//! The limits of the system, against the needs of a queue.

use std::fs;

use pullcord::QueueOptions;
use rustix::process::{Resource, getrlimit};

use super::Report;

/// The descriptors of a queue besides one for each directory: the two ends of its trigger, the watch,
/// the notifier, the directory that is being read, and some to spare for a delivery.
const DESCRIPTORS: u64 = 16;

/// The events of one burst of arrivals.
const QUEUED_EVENTS: u64 = 4096;

pub(super) fn check(queue: &QueueOptions, report: &mut Report) {
    let directories = queue.directory_paths().len() as u64;
    let descriptors = getrlimit(Resource::Nofile).current;
    against(report, "descriptors", descriptors, directories + DESCRIPTORS, "raise ulimit -n");
    for (setting, needed) in [
        ("max_user_watches", directories),
        ("max_user_instances", 1),
        ("max_queued_events", QUEUED_EVENTS),
    ] {
        // Linux has these. Where one is missing, there is no such limit.
        let path = format!("/proc/sys/fs/inotify/{setting}");
        let limit = fs::read_to_string(path).ok().and_then(|limit| limit.trim().parse().ok());
        if limit.is_some() {
            let hint = format!("raise fs.inotify.{setting} with sysctl(8)");
            against(report, setting, limit, needed, &hint);
        }
    }
}

fn against(report: &mut Report, what: &'static str, limit: Option<u64>, needed: u64, hint: &str) {
    match limit {
        Some(limit) if limit < needed => {
            report.error(what, format!("{limit}, and this queue needs {needed}"), hint);
        }
        Some(limit) => report.ok(what, format!("{limit}, of which this queue needs {needed}")),
        None => report.ok(what, "no limit"),
    }
}
