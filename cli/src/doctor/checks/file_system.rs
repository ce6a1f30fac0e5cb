//! Checks the file systems, and whether their changes can be watched.

use std::io;

use pullcord::watcher::{Locality, REPORTS_NAMES};

use super::{quoted, shown};
use crate::doctor::finding::Finding;
use crate::doctor::seen::file_system::{FileSystem, Space};
use crate::doctor::seen::limits::Limits;
use crate::doctor::seen::watch::Watch;

/// The percentage of free space below which a warning is reported.
const LITTLE_PERCENT: u64 = 5;

pub(super) fn check(file_systems: &[FileSystem], watch: &Watch, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file_system in file_systems {
        findings.extend(capacity(file_system));
        findings
            .extend(file_system.locality.as_ref().map(|locality| decision(file_system, locality)));
    }
    findings.push(watched(watch, limits));
    findings
}

/// Checks whether mail can be written.
fn capacity(file_system: &FileSystem) -> Vec<Finding> {
    let (path, word) = (shown(&file_system.path), quoted(&file_system.path));
    let mut findings = Vec::new();
    if file_system.is_read_only {
        findings.push(
            Finding::error("disk", format!("the file system of {path} is mounted read-only"))
                .why("no mail can be queued, taken or removed; the kernel also does this after an error of the disk")
                .hint(format!(
                    "read the kernel's log (dmesg) for errors first; then mount -o remount,rw \
                     \"$(findmnt -no TARGET -T {word})\""
                )),
        );
    }
    for (what, space, command) in
        [("space", file_system.space, "df -h"), ("inodes", file_system.inodes, "df -i")]
    {
        let Some(percent) = space.free_percent() else { continue };
        let message = format!(
            "the file system of {path} has {} of {} {} free ({percent} %)",
            space.free,
            space.total,
            if what == "space" { "blocks" } else { "inodes" }
        );
        const WHY: &str = "without free space and inodes no mail can be queued or delivered";
        let hint = format!("{command} {word} shows it: remove files, or enlarge it");
        if is_used_up(space) {
            findings.push(Finding::error("disk", message).why(WHY).hint(hint));
        } else if percent < LITTLE_PERCENT {
            findings.push(Finding::warning("disk", message).why(WHY).hint(hint));
        } else if what == "space" {
            findings.push(Finding::ok("disk", message));
        }
    }
    findings
}

/// Returns whether less than a thousandth is free.
fn is_used_up(space: Space) -> bool {
    u128::from(space.free) * 1000 < u128::from(space.total)
}

/// Reports the type of the file system, and whether the watch is trusted.
fn decision(file_system: &FileSystem, locality: &Locality) -> Finding {
    let path = shown(&file_system.path);
    let of_type = |name: &str| match &file_system.type_name {
        Some(type_name) if type_name != name => format!("{name} ({type_name})"),
        _ => name.to_owned(),
    };
    const WHY: &str = "the watch is accepted there and misses changes: silence does not mean that no \
                       mail came";
    const HINT: &str = "put the queue on a local file system; where it is, pullcord does not trust the \
                        watch: each pull causes a scan, and without a trigger it polls every 5 s";
    match locality {
        Locality::Local => {
            let name = file_system.type_name.as_deref().unwrap_or("a local type");
            Finding::ok("file system", format!("{path}: {name} is local: the watch is trusted"))
        }
        Locality::Remote(name) => Finding::warning(
            "file system",
            format!("{path}: {} does not report the changes of other hosts", of_type(name)),
        )
        .why(WHY)
        .hint(HINT),
        Locality::Unknown(name) => Finding::warning(
            "file system",
            format!("{path}: {} is not known to be local", of_type(name)),
        )
        .why(WHY)
        .hint(HINT),
        other => Finding::warning("file system", format!("{path}: {other:?}")).why(WHY).hint(HINT),
    }
}

/// Reports whether this command could watch, or the limit that prevented it.
fn watched(watch: &Watch, limits: &Limits) -> Finding {
    let (kind, message) = match watch {
        Watch::Complete if REPORTS_NAMES => {
            return Finding::ok("watch", "reports each new entry by its name");
        }
        Watch::Complete => return Finding::ok("watch", "reports each directory that changes"),
        Watch::NotOpened(e) => (e.kind(), format!("this command cannot open a watch: {e}")),
        Watch::NotAdded(e) => (e.kind(), e.to_string()),
    };
    let used = limits.own.unwrap_or_default();
    let (limit, hint) = match (watch, limits.instances, limits.watches) {
        (Watch::NotOpened(_), Some(limit), _) if used.instances >= limit => (
            format!(
                "; the limit is the inotify instances of its user: {} of {limit}",
                used.instances
            ),
            format!(
                "end programs that watch, or raise it: sysctl -w {}",
                setting("instances", limit)
            ),
        ),
        (Watch::NotAdded(_), _, Some(limit)) if kind == io::ErrorKind::StorageFull => (
            format!("; the limit is the inotify watches of its user: {} of {limit}", used.watches),
            format!(
                "end programs that watch, or raise it: sysctl -w {}",
                setting("watches", limit)
            ),
        ),
        (Watch::NotOpened(_), ..) => (
            "; the limit is that of the descriptors of this command, or of the whole system".into(),
            "raise the limit of this shell (ulimit -n), and compare cat /proc/sys/fs/file-nr"
                .into(),
        ),
        _ => (String::new(), "check the directory, its owner and its mode".into()),
    };
    let finding = Finding::warning("watch", message + &limit);
    finding.why("a reader without a watch scans the directories at every pull").hint(hint)
}

/// Returns the setting that doubles a limit, on the system and in a user namespace.
fn setting(what: &str, limit: u64) -> String {
    let more = (limit * 2).max(128);
    format!(
        "fs.inotify.max_user_{what}={more} (user.max_inotify_{what}={more} in a user namespace)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    const SOME: Space = Space { total: 1000, free: 500 };

    fn file_system(space: Space, inodes: Space) -> FileSystem {
        FileSystem {
            path: "/q/todo".into(),
            type_name: Some("ext4".into()),
            locality: Some(Locality::Local),
            is_read_only: false,
            space,
            inodes,
        }
    }

    fn worst(file_system: &FileSystem) -> State {
        capacity(file_system).iter().map(|finding| finding.state).max().unwrap()
    }

    #[test]
    fn space_and_inodes_are_judged_alike() {
        for (free, expected) in [
            (500, State::Ok),
            (50, State::Ok),
            (49, State::Warning),
            (1, State::Warning),
            (0, State::Error),
        ] {
            let space = Space { total: 1000, free };
            assert_eq!(worst(&file_system(space, SOME)), expected, "{free} blocks");
            assert_eq!(worst(&file_system(SOME, space)), expected, "{free} inodes");
        }
        let none = Space { total: 0, free: 0 };
        assert_eq!(worst(&file_system(SOME, none)), State::Ok, "btrfs counts no inodes");
    }

    #[test]
    fn a_read_only_file_system_is_an_error() {
        let read_only = FileSystem { is_read_only: true, ..file_system(SOME, SOME) };
        assert_eq!(worst(&read_only), State::Error);
    }

    #[test]
    fn the_limit_that_prevents_a_watch_is_reported() {
        let message = |instances| {
            let own = Some(crate::doctor::seen::InotifyUse { instances, ..Default::default() });
            let limits = Limits { own, instances: Some(128), ..Limits::default() };
            watched(&Watch::NotOpened(io::ErrorKind::Other.into()), &limits).message
        };
        assert!(message(128).contains("inotify instances of its user: 128 of 128"));
        assert!(message(3).contains("the descriptors of this command"));
    }

    #[test]
    fn type_and_decision_are_printed_and_only_local_types_are_trusted() {
        let fs = file_system(SOME, SOME);
        let local = decision(&fs, &Locality::Local);
        assert_eq!(
            (local.state, local.message.as_str()),
            (State::Ok, "/q/todo: ext4 is local: the watch is trusted")
        );
        for locality in [Locality::Remote("NFS".into()), Locality::Unknown("overlayfs".into())] {
            let finding = decision(
                &FileSystem { type_name: Some("nfs4".into()), ..file_system(SOME, SOME) },
                &locality,
            );
            assert_eq!(finding.state, State::Warning);
            assert!(finding.message.contains("(nfs4)"), "{finding:?}");
        }
    }
}
