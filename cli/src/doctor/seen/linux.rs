//! Observes the processes of this system with proc(5).
//!
//! No call here follows a descriptor of another process. A stat(2) through /proc/PID/fd would block
//! indefinitely if that descriptor is on a mount that does not answer. The links are read and compared.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::process::{self, DescriptorInfo, ProcessId, Stat};
use super::{Fifo, Holder, InotifyUse, Process, Scan, Usage};

/// The first PID namespace of the system. The kernel gives it this number.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

fn proc(number: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{number}/{file}"))
}

fn stat(number: u32) -> io::Result<Stat> {
    let bytes = fs::read(proc(number, "stat"))?;
    Stat::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn numbers() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// Returns the reasons why some processes cannot be seen from here at all.
pub(super) fn blind_spots() -> Vec<&'static str> {
    let mut reasons = Vec::new();
    match fs::read_link("/proc/self/ns/pid") {
        Ok(link) if link.as_os_str() != FIRST_NAMESPACE => {
            reasons.push("this command runs in a PID namespace of its own");
        }
        Err(_) => reasons.push("/proc/self cannot be read"),
        Ok(_) => {}
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if hides_processes(&mounts) && !rustix::process::geteuid().is_root() {
        reasons.push("/proc is mounted with hidepid");
    }
    reasons
}

/// Returns whether /proc is mounted so that it hides the processes of other users.
fn hides_processes(mountinfo: &str) -> bool {
    let is_proc = |line: &&str| line.split(' ').nth(4) == Some("/proc");
    let last = mountinfo.lines().rfind(is_proc).unwrap_or_default();
    last.split([' ', ','])
        .filter_map(|option| option.strip_prefix("hidepid="))
        .any(|value| !matches!(value, "0" | "off"))
}

/// Finds the processes that have the FIFO open.
pub(super) fn scan(fifo: &Fifo) -> Scan {
    let mut scan = Scan { holders: Vec::new(), hidden: 0 };
    let Ok(numbers) = numbers() else {
        return Scan { hidden: 1, ..scan };
    };
    for number in numbers.filter(|&number| number != std::process::id()) {
        let Ok(before) = stat(number) else { continue };
        match descriptors_of(number, fifo) {
            Ok(Some((access, is_removed, open))) => {
                let Some(process) = process(number, before) else { continue };
                scan.holders.push(Holder { process, access, is_removed, open });
            }
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                scan.hidden += usize::from(!before.is_kernel);
            }
            Err(_) => {} // the process has ended
        }
    }
    scan
}

/// Returns the process, if it still is the one that `stat` was read from.
fn process(number: u32, stat: Stat) -> Option<Process> {
    let status = fs::read_to_string(proc(number, "status")).ok()?;
    let (real_user, user) = process::users(&status)?;
    let limit = fs::read_to_string(proc(number, "limits")).ok();
    let limit = limit.and_then(|limits| process::open_files_limit(&limits));
    let id = ProcessId { number, start: stat.start };
    let is_same = self::stat(number).is_ok_and(|now| now.start == id.start);
    is_same.then_some(Process { id, name: stat.name, user, real_user, limit })
}

/// Returns how a process has the FIFO open, whether that FIFO was removed, and how many descriptors
/// the process has open.
fn descriptors_of(number: u32, fifo: &Fifo) -> io::Result<Option<(process::Access, bool, u64)>> {
    let (mut open, mut found) = (0, None::<(process::Access, bool)>);
    for descriptor in fs::read_dir(proc(number, "fd"))? {
        let Ok(descriptor) = descriptor else { continue };
        open += 1;
        // Kernels list the links of a hidden process, but do not allow to read them.
        let link = fs::read_link(descriptor.path()).or_else(|e| {
            if e.kind() == io::ErrorKind::PermissionDenied { Err(e) } else { Ok(PathBuf::new()) }
        })?;
        let Some(is_removed) = has_name_of(link.as_os_str(), fifo) else { continue };
        let Ok(text) = fs::read_to_string(info_path(number, &descriptor.file_name())) else {
            continue;
        };
        let Some(info) = DescriptorInfo::parse(&text) else { continue };
        let is_this = is_fifo(number, &link, &info, fifo);
        if !is_this && !is_removed {
            continue;
        }
        let (access, removed) = found.get_or_insert((info.access, !is_this));
        // A process with the old FIFO and the new one open counts as a reader of the new one.
        match (*removed, !is_this) {
            (true, false) => (*access, *removed) = (info.access, false),
            (false, true) => {}
            _ => {
                access.reads |= info.access.reads;
                access.writes |= info.access.writes;
            }
        }
    }
    let found = found.filter(|(access, _)| access.reads || access.writes);
    Ok(found.map(|(access, removed)| (access, removed, open)))
}

fn info_path(number: u32, descriptor: &OsStr) -> PathBuf {
    proc(number, "fdinfo").join(descriptor)
}

/// Compares the names. Returns `Some(true)` if the link is the path of the FIFO, which was removed,
/// and `Some(false)` if it has the FIFO's name in any directory.
fn has_name_of(link: &OsStr, fifo: &Fifo) -> Option<bool> {
    const REMOVED: &[u8] = b" (deleted)";
    if let Some(path) = link.as_bytes().strip_suffix(REMOVED) {
        return (path == fifo.path.as_os_str().as_bytes()).then_some(true);
    }
    (Path::new(link).file_name()? == fifo.path.file_name()?).then_some(false)
}

/// Compares the files. In another mount namespace the path may differ; then the inode number and the
/// device decide.
fn is_fifo(number: u32, link: &Path, info: &DescriptorInfo, fifo: &Fifo) -> bool {
    let is_path = link == fifo.path;
    let Some(inode) = info.inode else { return is_path };
    if inode != fifo.inode {
        return false;
    }
    let mounts = || fs::read_to_string(proc(number, "mountinfo")).ok();
    let device = |mount| process::device_of_mount(&mounts()?, mount);
    is_path || info.mount.and_then(device).is_none_or(|device| device == fifo.device)
}

/// Reads the times of a process, if the number still belongs to it.
pub(super) fn usage(id: ProcessId) -> Option<Usage> {
    let stat = stat(id.number).ok().filter(|stat| stat.start == id.start)?;
    // The file contains the time that it ran and the time that it waited for a processor, in nanoseconds.
    let demand = fs::read_to_string(proc(id.number, "schedstat")).ok().and_then(|text| {
        let mut times = text.split_whitespace().map_while(|time| time.parse::<u64>().ok());
        Some(times.next()? + times.next()?)
    });
    Some(Usage { state: stat.state, user: stat.user, system: stat.system, demand })
}

/// Counts the inotify instances and watches of a user's processes, as far as they can be seen.
pub(super) fn inotify_use(user: u32) -> InotifyUse {
    let mut used = InotifyUse::default();
    for number in numbers().into_iter().flatten() {
        let status = fs::read_to_string(proc(number, "status")).unwrap_or_default();
        if process::users(&status).is_none_or(|(real, _)| real != user) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(proc(number, "fd")) else {
            used.is_partial = true;
            continue;
        };
        for descriptor in descriptors.flatten() {
            match fs::read_link(descriptor.path()) {
                Ok(link) if link.as_os_str() == "anon_inode:inotify" => {}
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    used.is_partial = true;
                    break;
                }
                _ => continue,
            }
            let path = info_path(number, &descriptor.file_name());
            let info = fs::read_to_string(path).ok().and_then(|text| DescriptorInfo::parse(&text));
            used.instances += 1;
            used.watches += info.map_or(0, |info| info.watches);
        }
    }
    used
}

/// Returns the smaller one of a limit of this user namespace and of the whole system.
pub(super) fn inotify_limit(what: &str) -> Option<u64> {
    let read = |path: OsString| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let own = read(format!("/proc/sys/user/max_inotify_{what}").into());
    let system = read(format!("/proc/sys/fs/inotify/max_user_{what}").into());
    own.into_iter().chain(system).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fifo() -> Fifo {
        Fifo { path: "/q/lock/trigger".into(), inode: 7, device: (0, 30) }
    }

    #[test]
    fn a_link_is_compared_by_name_and_a_removed_one_by_its_whole_path() {
        let name = |link: &str| has_name_of(OsStr::new(link), &fifo());
        assert_eq!(name("/q/lock/trigger"), Some(false));
        assert_eq!(name("/volume/lock/trigger"), Some(false), "another mount namespace");
        assert_eq!(name("/q/lock/trigger (deleted)"), Some(true));
        assert_eq!(name("/other/trigger (deleted)"), None);
        assert_eq!(name("pipe:[17]"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn a_process_with_another_start_time_is_not_sampled() {
        let number = std::process::id();
        let start = stat(number).unwrap().start;
        assert!(usage(ProcessId { number, start }).is_some());
        assert_eq!(usage(ProcessId { number, start: start + 1 }), None);
    }

    #[test]
    fn hidepid_is_found_in_the_last_mount_of_proc() {
        let line = |options| format!("30 24 0:5 / /proc rw,relatime - proc proc rw{options}\n");
        assert!(!hides_processes(&line("")));
        assert!(!hides_processes(&line(",hidepid=0")));
        assert!(!hides_processes(&line(",hidepid=off")));
        assert!(hides_processes(&line(",gid=4,hidepid=2")));
        assert!(hides_processes(&line(",hidepid=invisible")));
        assert!(!hides_processes(&(line(",hidepid=2") + &line(""))));
    }
}
