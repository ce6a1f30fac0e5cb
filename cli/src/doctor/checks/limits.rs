//! Checks the limits of the reader.

use crate::doctor::finding::Finding;
use crate::doctor::layout::Queue;
use crate::doctor::seen::limits::{Limits, ReaderLimits};

pub(super) fn check(queue: &Queue, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reader in &limits.readers {
        findings.extend(descriptors(reader));
        findings.extend(inotify(queue, limits, reader));
    }
    findings.extend(whole_system(limits));
    findings
}

fn whole_system(limits: &Limits) -> Option<Finding> {
    let (open, limit) = limits.system.filter(|&(open, limit)| is_nearly(open, limit))?;
    let message = format!("{open} of {limit} of the whole system are in use");
    let finding = Finding::error("system descriptors", message);
    let finding = finding.why("no process can open a file any more");
    Some(
        finding
            .hint("find the process with most of them (lsof), or raise fs.file-max with sysctl(8)"),
    )
}

/// Returns whether a limit is reached, or will be reached within the next few calls.
fn is_nearly(used: u64, limit: u64) -> bool {
    used.saturating_add(limit / 50) >= limit
}

fn descriptors(reader: &ReaderLimits) -> Option<Finding> {
    let (open, name) = (reader.open, &reader.process);
    Some(match reader.process.limit? {
        None => Finding::ok("descriptors", format!("{name} has {open} open, without a limit")),
        Some(limit) => {
            let message = format!("{name} has {open} of {limit} open");
            // A scan opens one directory and one entry, and a delivery some pipes.
            if open.saturating_add(3) >= limit {
                Finding::error("descriptors", message)
                    .why("it cannot open its trigger again, a directory or a message: mail waits")
                    .hint(format!(
                        "raise its limit where it is started (ulimit -n, LimitNOFILE=), and now: \
                         prlimit --pid {} --nofile={}",
                        reader.process.id.number,
                        (limit * 4).max(1024)
                    ))
            } else if open.saturating_mul(10) >= limit.saturating_mul(9) {
                Finding::warning("descriptors", message)
                    .why("beyond its limit it cannot open its trigger, a directory or a message")
                    .hint("raise its limit where it is started (ulimit -n, LimitNOFILE=)")
            } else {
                Finding::ok("descriptors", message)
            }
        }
    })
}

fn inotify(queue: &Queue, limits: &Limits, reader: &ReaderLimits) -> Vec<Finding> {
    let needed = queue.directories.len() as u64;
    let used = reader.inotify;
    let least = if used.is_partial { "at least " } else { "" };
    let judge = |what: &'static str, used: u64, limit: u64, needed: u64| {
        let message = format!(
            "the user of {} uses {least}{used} of {limit} in this user namespace; this queue needs {needed}",
            reader.process
        );
        if used.saturating_add(needed) > limit {
            Finding::warning(what, message + ": the limit is met")
                .why("a reader with pullcord that starts now has no watch, and scans at each pull")
                .hint(format!(
                    "sysctl -w fs.inotify.max_user_{0}={1} (user.max_{2}={1} in a user namespace)",
                    if what == "inotify instances" { "instances" } else { "watches" },
                    (limit * 2).max(128),
                    what.replace(' ', "_")
                ))
        } else {
            Finding::ok(what, message)
        }
    };
    let instances =
        limits.instances.map(|limit| judge("inotify instances", used.instances, limit, 1));
    let watches = limits.watches.map(|limit| judge("inotify watches", used.watches, limit, needed));
    instances.into_iter().chain(watches).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::layout::Layout;
    use crate::doctor::seen::process::ProcessId;
    use crate::doctor::seen::{InotifyUse, Process};

    fn reader(open: u64, limit: Option<Option<u64>>, inotify: InotifyUse) -> ReaderLimits {
        let id = ProcessId { number: 42, start: 1 };
        let process = Process { id, name: "qmail-send".into(), user: 7, real_user: 7, limit };
        ReaderLimits { process, open, inotify }
    }

    #[test]
    fn the_limit_of_the_reader_is_compared_with_its_open_descriptors() {
        let state = |open, limit| {
            descriptors(&reader(open, Some(limit), InotifyUse::default())).unwrap().state
        };
        assert_eq!(state(10, Some(64)), State::Ok);
        assert_eq!(state(58, Some(64)), State::Warning);
        assert_eq!(state(61, Some(64)), State::Error);
        assert_eq!(state(64, Some(64)), State::Error);
        assert_eq!(state(1_000_000, None), State::Ok);
        assert!(descriptors(&reader(1, None, InotifyUse::default())).is_none(), "not known");
    }

    #[test]
    fn the_reached_limit_of_inotify_is_reported() {
        let queue = Queue {
            layout: Layout::Qmail,
            root: "/q".into(),
            trigger: "/q/t".into(),
            directories: vec!["/q/todo".into(), "/q/todo/0".into()],
        };
        let states = |instances, watches| {
            let used = InotifyUse { instances, watches, is_partial: false };
            let limits = Limits {
                readers: vec![reader(1, None, used)],
                instances: Some(128),
                watches: Some(1000),
                own: None,
                system: Some((5, 1000)),
            };
            check(&queue, &limits).into_iter().map(|f| (f.check, f.state)).collect::<Vec<_>>()
        };
        let (instances, watches) = ("inotify instances", "inotify watches");
        assert_eq!(states(127, 998), [(instances, State::Ok), (watches, State::Ok)]);
        assert_eq!(states(128, 998), [(instances, State::Warning), (watches, State::Ok)]);
        assert_eq!(states(127, 999), [(instances, State::Ok), (watches, State::Warning)]);
    }

    #[test]
    fn the_descriptors_of_the_whole_system_are_an_error_once_they_are_nearly_used_up() {
        assert!(is_nearly(990, 1000));
        assert!(!is_nearly(900, 1000));
        assert!(!is_nearly(1184, 9_223_372_036_854_775_807));
    }
}
