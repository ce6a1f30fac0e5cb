//! Observes the limits of the reader and their use.

use super::readers::{Reader, Readers};
use super::watch::Watch;
use super::{InotifyUse, Process, system};

#[derive(Debug, Default)]
pub(in crate::doctor) struct Limits {
    pub(in crate::doctor) readers: Vec<ReaderLimits>,
    /// The limits of inotify for each user of this user namespace, if the system has any.
    pub(in crate::doctor) instances: Option<u64>,
    pub(in crate::doctor) watches: Option<u64>,
    /// The use by the processes of this command's user, if it could not watch.
    pub(in crate::doctor) own: Option<InotifyUse>,
    /// The descriptors of the whole system: the number of open ones, and the limit.
    pub(in crate::doctor) system: Option<(u64, u64)>,
}

#[derive(Debug)]
pub(in crate::doctor) struct ReaderLimits {
    pub(in crate::doctor) process: Process,
    pub(in crate::doctor) open: u64,
    /// The use by all processes of its user.
    pub(in crate::doctor) inotify: InotifyUse,
}

pub(super) fn look(readers: &Readers, watch: &Watch) -> Limits {
    let of = |reader: &Reader| ReaderLimits {
        process: reader.process.clone(),
        open: reader.open,
        inotify: system::inotify_use(reader.process.real_user),
    };
    Limits {
        readers: readers.readers.iter().map(of).collect(),
        own: (!matches!(watch, Watch::Complete))
            .then(|| system::inotify_use(rustix::process::getuid().as_raw())),
        instances: system::inotify_limit("instances"),
        watches: system::inotify_limit("watches"),
        system: std::fs::read_to_string("/proc/sys/fs/file-nr")
            .ok()
            .as_deref()
            .and_then(parse_file_nr),
    }
}

/// Parses /proc/sys/fs/file-nr: open, free (always 0), limit.
fn parse_file_nr(text: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    Some((*numbers.first()?, *numbers.get(2)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn file_nr_is_open_and_at_most() {
        assert_eq!(super::parse_file_nr("1184\t0\t9223372\n"), Some((1184, 9_223_372)));
        assert_eq!(super::parse_file_nr("1184"), None);
    }
}
