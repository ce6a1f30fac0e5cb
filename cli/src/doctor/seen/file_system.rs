//! Observes the file systems of a queue.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use pullcord::watcher::{Locality, locality};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::{device_numbers, process};
use crate::doctor::layout::Queue;

#[derive(Debug)]
pub(in crate::doctor) struct FileSystem {
    /// The first path of the queue on this file system.
    pub(in crate::doctor) path: PathBuf,
    /// The name of its type, if the system reports it.
    pub(in crate::doctor) type_name: Option<String>,
    /// Whether a directory of entries is on it, and can be watched completely.
    pub(in crate::doctor) locality: Option<Locality>,
    pub(in crate::doctor) is_read_only: bool,
    pub(in crate::doctor) space: Space,
    pub(in crate::doctor) inodes: Space,
}

/// Blocks or inodes. The total is 0 if the file system does not count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Space {
    pub(in crate::doctor) total: u64,
    /// The free part that users other than root may use.
    pub(in crate::doctor) free: u64,
}

impl Space {
    pub(in crate::doctor) fn free_percent(self) -> Option<u64> {
        (u128::from(self.free) * 100)
            .checked_div(u128::from(self.total))
            .map(|percent| percent as u64)
    }
}

/// Checks only the queue's own paths, because statvfs(3) blocks on a mount that does not answer.
pub(super) fn look(queue: &Queue) -> Vec<FileSystem> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (mut seen, mut file_systems) = (HashSet::new(), Vec::new());
    let home = queue.trigger.parent().map(|home| home.to_path_buf());
    let directories = queue.directories.iter().cloned().map(|path| (path, true));
    let others = [Some(queue.root.clone()), home, Some(queue.root.join("mess"))];
    let others = others.into_iter().flatten().map(|path| (path, false));
    for (path, has_entries) in directories.chain(others) {
        let Ok(metadata) = path.metadata() else { continue };
        let Ok(status) = statvfs(&path) else { continue };
        if !seen.insert(metadata.dev()) {
            continue;
        }
        let device = device_numbers(metadata.dev());
        file_systems.push(FileSystem {
            type_name: process::type_of_device(&mounts, device),
            locality: if has_entries { locality(&path).ok() } else { None },
            is_read_only: status.f_flag.contains(StatVfsMountFlags::RDONLY),
            space: Space { total: status.f_blocks, free: status.f_bavail },
            inodes: Space { total: status.f_files, free: status.f_favail },
            path,
        });
    }
    file_systems
}
