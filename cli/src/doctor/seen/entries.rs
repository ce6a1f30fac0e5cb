//! Observes the entries of a queue and their changes.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::doctor::layout::{Layout, Queue};

/// Beyond this, the entries of a directory are not compared one by one.
const COMPARED: usize = 10_000;

/// The entries at the end.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Entries {
    /// Complete entries that a reader would read.
    pub(in crate::doctor) waiting: u64,
    /// The number of these that are in `todo` itself, beside its numbered directories.
    pub(in crate::doctor) beside_parts: u64,
    pub(in crate::doctor) oldest: Option<(PathBuf, Duration)>,
    /// Entries that are written in the maildrop and not complete.
    pub(in crate::doctor) unfinished: u64,
    pub(in crate::doctor) oldest_unfinished: Option<(PathBuf, Duration)>,
    pub(in crate::doctor) odd: Vec<Odd>,
    pub(in crate::doctor) unreadable: Vec<(PathBuf, io::Error)>,
    /// The number of the numbered directories in `mess`, if there is a `mess`.
    pub(in crate::doctor) split_of_mess: Option<usize>,
    pub(in crate::doctor) directories: Vec<DirectoryTimes>,
}

/// An entry that no reader reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Odd {
    pub(in crate::doctor) path: PathBuf,
    pub(in crate::doctor) kind: OddKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::doctor) enum OddKind {
    /// Its name starts with a dot.
    Hidden,
    /// Its name is not a number.
    NotNumbered,
    NotRegular,
    /// Only its owner may read it.
    Private {
        owner: u32,
    },
}

#[derive(Debug, Default)]
pub(in crate::doctor) struct DirectoryTimes {
    /// The time since an entry was added or removed.
    changed: Option<Duration>,
    /// The time since the newest entry got its name.
    newest: Option<Duration>,
}

/// Whether entries were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Taken {
    /// At least this number during the observation.
    Seen(u64),
    /// Before the observation, within the last minute.
    LastMinute,
    NotInLastMinute,
    /// Not known: the last change was an arrival, and the time of the previous change is not known.
    NotKnown,
}

pub(in crate::doctor) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn look(queue: &Queue) -> Entries {
    let mut entries = Entries::default();
    if queue.layout == Layout::Qmail {
        entries.split_of_mess = count_numbered(&queue.root.join("mess"));
    }
    for directory in &queue.directories {
        if let Err(e) = entries.add_directory(queue, directory) {
            entries.unreadable.push((directory.clone(), e));
        }
    }
    entries
}

impl Entries {
    fn add_directory(&mut self, queue: &Queue, directory: &Path) -> io::Result<()> {
        let now = SystemTime::now();
        let mut times = DirectoryTimes {
            changed: directory.metadata().ok().and_then(|m| age(now, m.mtime(), m.mtime_nsec())),
            newest: None,
        };
        for entry in fs::read_dir(directory)? {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            if queue.directories.contains(&path) || path == queue.trigger {
                continue;
            }
            // A missing entry was taken.
            let Ok(metadata) = entry.metadata() else { continue };
            let named = age(now, metadata.ctime(), metadata.ctime_nsec());
            times.newest = times.newest.into_iter().chain(named).min();
            self.add(queue, path, &entry.file_name(), &metadata, now);
            let is_beside = directory == queue.main() && !queue.parts().is_empty();
            self.beside_parts += u64::from(is_beside);
        }
        self.directories.push(times);
        Ok(())
    }

    fn add(
        &mut self,
        queue: &Queue,
        path: PathBuf,
        name: &OsStr,
        file: &Metadata,
        now: SystemTime,
    ) {
        let kind = odd_kind(queue.layout, name, file);
        if let Some(kind) = kind {
            self.odd.push(Odd { path: path.clone(), kind });
            if !matches!(kind, OddKind::Private { .. }) {
                return;
            }
        }
        let age = age(now, file.mtime(), file.mtime_nsec()).unwrap_or_default();
        let is_finished = queue.layout == Layout::Qmail || file.permissions().mode() & 0o100 != 0;
        let (count, oldest) = if is_finished {
            (&mut self.waiting, &mut self.oldest)
        } else {
            (&mut self.unfinished, &mut self.oldest_unfinished)
        };
        *count += 1;
        if oldest.as_ref().is_none_or(|(_, known)| age > *known) {
            *oldest = Some((path, age));
        }
    }
}

/// Returns why no reader reads this entry, if none does.
fn odd_kind(layout: Layout, name: &OsStr, file: &Metadata) -> Option<OddKind> {
    let name = name.as_encoded_bytes();
    if name.starts_with(b".") {
        return Some(OddKind::Hidden);
    }
    if !file.is_file() {
        return Some(OddKind::NotRegular);
    }
    if layout == Layout::Qmail {
        if !name.iter().all(u8::is_ascii_digit) {
            return Some(OddKind::NotNumbered);
        }
        if file.permissions().mode() & 0o044 == 0 {
            return Some(OddKind::Private { owner: file.uid() });
        }
    }
    None
}

/// Returns the age of a time, and zero if it is in the future.
fn age(now: SystemTime, seconds: i64, nanoseconds: i64) -> Option<Duration> {
    let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
    Some(now.duration_since(SystemTime::UNIX_EPOCH.checked_add(since)?).unwrap_or_default())
}

fn count_numbered(directory: &Path) -> Option<usize> {
    let entries = fs::read_dir(directory).ok()?;
    let is_numbered = |name: OsString| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    Some(entries.flatten().filter(|entry| is_numbered(entry.file_name())).count())
}

/// The changes of the directories between the samples.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Changes {
    known: HashMap<PathBuf, Known>,
    taken: u64,
}

#[derive(Debug)]
struct Known {
    changed: (i64, i64),
    /// `None` if there are too many.
    names: Option<HashSet<OsString>>,
}

impl Changes {
    /// Compares the directories with the last call, and counts the entries that are gone. Returns
    /// whether anything was added or removed.
    pub(super) fn compare(&mut self, queue: &Queue) -> bool {
        let mut is_changed = false;
        for directory in &queue.directories {
            let Ok(metadata) = directory.metadata() else { continue };
            let changed = (metadata.mtime(), metadata.mtime_nsec());
            let known = self.known.get(directory);
            if known.is_some_and(|known| known.changed == changed) {
                continue;
            }
            let names = names(directory);
            if let Some(known) = known {
                is_changed = true;
                self.taken += count_taken(known.names.as_ref(), names.as_ref());
            }
            self.known.insert(directory.clone(), Known { changed, names });
        }
        is_changed
    }
}

/// Returns how many entries were taken at least, between two lists of a directory that changed.
fn count_taken(before: Option<&HashSet<OsString>>, after: Option<&HashSet<OsString>>) -> u64 {
    let (Some(before), Some(after)) = (before, after) else { return 0 };
    // If a changed directory has the same names, one entry arrived and was taken.
    if before == after { 1 } else { before.difference(after).count() as u64 }
}

fn names(directory: &Path) -> Option<HashSet<OsString>> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(directory).ok()?.flatten() {
        if names.len() == COMPARED {
            return None;
        }
        names.insert(entry.file_name());
    }
    Some(names)
}

/// Decides whether entries were taken, from the changes that were seen and from the times of the
/// directories: a directory that changed after its newest entry was added has lost one.
pub(super) fn taken(changes: &Changes, entries: &Entries) -> Taken {
    /// The times of files have the grain of a clock tick.
    const GRAIN: Duration = Duration::from_millis(20);
    if changes.taken > 0 {
        return Taken::Seen(changes.taken);
    }
    let recent =
        entries.directories.iter().filter(|times| times.changed.is_some_and(|age| age < MINUTE));
    let mut taken = Taken::NotInLastMinute;
    for times in recent {
        let changed = times.changed.unwrap_or_default();
        match times.newest {
            Some(newest) if changed + GRAIN >= newest => taken = Taken::NotKnown,
            _ => return Taken::LastMinute,
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> HashSet<OsString> {
        names.iter().map(Into::into).collect()
    }

    #[test]
    fn entries_that_are_gone_were_taken() {
        let count =
            |before: &[&str], after: &[&str]| count_taken(Some(&set(before)), Some(&set(after)));
        assert_eq!(count(&["1", "2"], &["2"]), 1);
        assert_eq!(count(&["1"], &["2", "3"]), 1);
        assert_eq!(count(&["1"], &["1", "2"]), 0, "an arrival");
        assert_eq!(count(&["1"], &["1"]), 1, "changed all the same");
        assert_eq!(count_taken(None, Some(&set(&["1"]))), 0, "too many to compare");
    }

    fn after(changed: u64, newest: Option<u64>) -> Taken {
        let times = DirectoryTimes {
            changed: Some(Duration::from_secs(changed)),
            newest: newest.map(Duration::from_secs),
        };
        let entries = Entries { directories: vec![times], ..Entries::default() };
        taken(&Changes::default(), &entries)
    }

    #[test]
    fn a_removal_is_detected_from_the_times_of_a_directory() {
        assert_eq!(after(10, Some(10)), Taken::NotKnown, "an arrival");
        assert_eq!(after(10, Some(30)), Taken::LastMinute);
        assert_eq!(after(10, None), Taken::LastMinute, "empty");
        assert_eq!(after(61, Some(61)), Taken::NotInLastMinute);
        assert_eq!(after(3600, None), Taken::NotInLastMinute);
        let changes = Changes { taken: 3, ..Changes::default() };
        assert_eq!(taken(&changes, &Entries::default()), Taken::Seen(3));
    }
}
