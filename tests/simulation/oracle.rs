//! The oracle decides which entries the queue must return, until when, and which returns are correct.
//!
//! It knows the simulated file systems. Of the queue it knows only the entries that it returns and the
//! directories that it opens. Times are nanoseconds of the simulated clock.

mod failure;
mod obligations;
mod reports;

use std::collections::BTreeMap;

use pullcord_platform::sim::{FsKind, Ino, Kernel, Name};
use pullcord_platform::watch::REPORTS_NAMES;

use crate::history::{Config, Layout, Trigger};
use crate::in_place::{self, Written};

pub(crate) use failure::{Failure, Situation};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// The bound for "immediately": several rounds of reading and pausing.
const AT_ONCE: u64 = 300 * MS;
/// `verify_interval`: until then a path that leads elsewhere is found.
const VERIFY: u64 = 10 * SECOND + AT_ONCE;
/// After the last failure.
const RETRY: u64 = SECOND + AT_ONCE;
/// `poll_interval`.
const POLL_INTERVAL: u64 = 5 * SECOND;
const POLL: u64 = POLL_INTERVAL + AT_ONCE;
/// How long a change waits for its pull if the watch reports no names.
const GRACE: u64 = SECOND + AT_ONCE;

#[derive(Debug)]
struct Tracked {
    directory: usize,
    ino: Ino,
    name: Name,
    /// Since when it can be returned: it was linked, made ready, or became reachable.
    since: u64,
    pulled: Option<u64>,
    /// No watch could report that it became ready.
    silent: bool,
    returned: u32,
    /// It may have been returned while its path led elsewhere.
    is_exempt: bool,
    /// The watch has returned it.
    by_watch: bool,
    last_returned: u64,
    /// The number of its last return among all returns.
    last_number: u64,
    /// Requeued until then.
    due: Option<u64>,
    /// The time for which it was requeued before, by another path, perhaps: that may come, too.
    other_due: Option<u64>,
    /// Its attributes were changed, which makes it a new arrival.
    touched: bool,
    /// Another path of the queue leads to it than before. An appointment belongs to a path.
    is_moved: bool,
    reachable: bool,
}

/// A directory of the queue, as its path finds it now.
#[derive(Debug, Default)]
struct Directory {
    ino: Option<Ino>,
    /// The number of scans for which there is a reason.
    reasons: u32,
    /// How many rescans are due, or nearly so. A poll that comes just before is none.
    rescans_due: u32,
    last_opened: u64,
    /// The number of successive scans whose only reason was that a removal may have hidden entries.
    follow_ups: u32,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    config: Config,
    tracked: BTreeMap<u64, Tracked>,
    /// Entries that were gone before they were returned: a watch may still report their names.
    missed: BTreeMap<(Ino, Name), u32>,
    /// Requeued entries that were removed: since when they were there, and their time.
    requeued_gone: BTreeMap<(Ino, Name), (u64, u64)>,
    directories: Vec<Directory>,
    /// Entries in `todo` itself of a split queue.
    above: Option<Ino>,
    /// Since when nothing has changed above the entries, and in the trigger.
    paths_disturbed: u64,
    trigger_disturbed: u64,
    /// A failure, a frozen process or an overflow was possible until then.
    faulty_until: u64,
    /// How far the program's time is ahead in this turn.
    ahead: u64,
    /// When the program last passed a wrong time.
    wrong_time: u64,
    /// When the process was stopped between two calls, and until when.
    freezes: Vec<(u64, u64)>,
    pub(crate) opened_at: u64,
    rescan_at: u64,
    foreign_reader: bool,
    trigger: Option<Ino>,
    trigger_is_there: bool,
    pub(crate) returned: u64,
    pub(crate) repeats: u64,
    pub(crate) arrivals: u64,
    /// How many names there are in the directories, entries or not.
    pub(crate) names: u64,
    had_burst: bool,
    /// A directory is mounted over another as well. It may be removed where it was, and then its
    /// other path leads to a directory that cannot be read.
    has_bound: bool,
    had_packets: bool,
    /// Entries that were returned while they were out of reach, in a directory that may not be read.
    returned_unseen: Vec<u64>,
    /// Names that were returned while their path led elsewhere.
    returned_elsewhere: Vec<Name>,
    changes: u64,
    written: Written,
}

impl Oracle {
    pub(crate) fn new(config: Config, now: u64) -> Oracle {
        Oracle {
            config,
            tracked: BTreeMap::new(),
            missed: BTreeMap::new(),
            requeued_gone: BTreeMap::new(),
            directories: Vec::new(),
            above: None,
            paths_disturbed: 0,
            trigger_disturbed: 0,
            faulty_until: 0,
            ahead: 0,
            wrong_time: 0,
            freezes: Vec::new(),
            opened_at: now,
            rescan_at: u64::MAX,
            foreign_reader: false,
            trigger: None,
            trigger_is_there: true,
            returned: 0,
            repeats: 0,
            arrivals: 0,
            names: 0,
            had_burst: false,
            has_bound: false,
            had_packets: false,
            returned_unseen: Vec::new(),
            returned_elsewhere: Vec::new(),
            changes: 0,
            written: Written::default(),
        }
    }

    /// The tree may have changed: finds the entries that can be reached by `paths` now.
    pub(crate) fn look(
        &mut self,
        kernel: &Kernel,
        paths: &[Vec<u8>],
        above: Option<&[u8]>,
        trigger: Option<&[u8]>,
    ) {
        let now = kernel.now();
        if now > self.paths_disturbed + VERIFY {
            self.returned_elsewhere.clear();
        }
        let trigger = trigger.map(|path| kernel.find(path).ok());
        // The first check is not a change.
        let is_first = self.directories.is_empty();
        if trigger.is_some_and(|found| found != self.trigger) {
            self.trigger = trigger.flatten();
            self.trigger_disturbed = if is_first { 0 } else { now };
            self.directories.iter_mut().for_each(|directory| directory.reasons += 1);
        }
        self.trigger_is_there = trigger.is_none_or(|found| found.is_some());
        let tree = kernel.tree();
        self.directories.resize_with(paths.len().max(self.directories.len()), Directory::default);
        // Where numbers of files prove nothing, an entry that replaces a requeued one within a tick of
        // the clock looks the same: it is returned in its place, at its time.
        let mut replaced = BTreeMap::new();
        let tick = |time: u64| time / (4 * MS);
        let names_arrivals = REPORTS_NAMES && self.is_watched();
        for tracked in self.tracked.values_mut() {
            tracked.reachable = false;
            if let Some(due) = tracked.due.filter(|_| tick(tracked.since) == tick(now)) {
                if !proves_numbers(&self.config) {
                    replaced.insert((tracked.ino, tracked.name.clone()), due);
                }
            }
        }
        self.names = 0;
        let mut seen = Vec::new();
        let above = above.map(|path| (usize::MAX, path));
        let all = paths.iter().enumerate().map(|(number, path)| (number, &path[..]));
        for (number, path) in all.chain(above) {
            let found = self.readable(kernel, path);
            if let Some(directory) = self.directories.get_mut(number) {
                if directory.ino != found {
                    directory.ino = found;
                    // Twice, as it may be another one's too.
                    directory.reasons += 2;
                    self.paths_disturbed = if is_first { 0 } else { now };
                }
            } else {
                self.above = found;
            }
            let Some(ino) = found else { continue };
            if seen.contains(&ino) {
                continue;
            }
            seen.push(ino);
            self.names += tree.entries(ino).len() as u64;
            for entry in tree.entries(ino) {
                let is_entry = !entry.name.starts_with(b".")
                    && *entry.name != *b"trigger"
                    && tree.is_file(entry.ino)
                    && (self.config.layout != Layout::Maildrop
                        || tree.mode(entry.ino) & 0o100 != 0);
                if !is_entry {
                    continue;
                }
                let (arrivals, elsewhere) = (&mut self.arrivals, &self.returned_elsewhere);
                let unseen = &self.returned_unseen;
                let key = || (ino, entry.name.clone());
                let gone = &self.requeued_gone;
                let tracked = self.tracked.entry(entry.id).or_insert_with(|| {
                    *arrivals += 1;
                    let key = key();
                    let due = replaced.get(&key).copied().or_else(|| {
                        // The same, where it got the number of one that was removed, and no watch names it.
                        let gone = gone.get(&key).filter(|_| !names_arrivals);
                        gone.filter(|(since, _)| tick(*since) == tick(now)).map(|(_, due)| *due)
                    });
                    Tracked {
                        directory: number,
                        ino,
                        name: entry.name.clone(),
                        since: now,
                        pulled: None,
                        silent: false,
                        returned: u32::from(unseen.contains(&entry.id)),
                        is_exempt: elsewhere.contains(&entry.name),
                        by_watch: false,
                        last_returned: 0,
                        last_number: 0,
                        due,
                        other_due: None,
                        touched: due.is_some(),
                        is_moved: false,
                        reachable: true,
                    }
                });
                if tracked.ino != ino {
                    tracked.due = None;
                    tracked.returned = 0;
                }
                if (tracked.ino, tracked.directory) != (ino, number) {
                    tracked.since = now;
                    tracked.pulled = None;
                    tracked.is_moved = true;
                }
                (tracked.directory, tracked.ino, tracked.reachable) = (number, ino, true);
                if self.config.in_place.is_some()
                    && self.written.saw(entry.id, tree.file_version(entry.ino), now)
                {
                    // It may be returned again.
                    tracked.touched = true;
                    *self.missed.entry(key()).or_default() += 1;
                }
            }
        }
        if self.all_are_reachable() {
            return;
        }
        let (missed, gone) = (&mut self.missed, &mut self.requeued_gone);
        self.tracked.retain(|id, tracked| {
            if !tracked.reachable {
                if let Some(due) = tracked.due {
                    gone.insert((tracked.ino, tracked.name.clone()), (tracked.since, due));
                }
                if tracked.returned == 0 {
                    *missed.entry((tracked.ino, tracked.name.clone())).or_default() += 1;
                }
                // If it comes back, its time starts again.
                tracked.since = now;
                tracked.pulled = None;
            }
            // An entry that was removed has a number of its own, and never comes back.
            tracked.reachable || tree.entries(tracked.ino).iter().any(|entry| entry.id == *id)
        });
    }

    /// Returns whether another check of the same tree would change nothing.
    pub(crate) fn all_are_reachable(&self) -> bool {
        self.tracked.values().all(|tracked| tracked.reachable)
    }

    /// The entry was made ready in a way that no watch reports.
    pub(crate) fn silently(&mut self, id: u64) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.silent = true;
        }
    }

    /// The attributes of an entry changed after it was returned: it may be returned again.
    pub(crate) fn touched(&mut self, id: u64) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.touched = true;
            *self.missed.entry((tracked.ino, tracked.name.clone())).or_default() += 1;
        }
    }

    /// A file was renamed to a path. An entry that is written in place is ready then.
    pub(crate) fn moved_in(&mut self, kernel: &Kernel, directory: &[u8], path: &[u8]) {
        if let Ok(ino) = kernel.find(directory) {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            self.written.ready_at_once(ino, name, kernel.now());
        }
    }

    /// A writer has closed a file. Its entry is ready then if the quiet time is zero.
    pub(crate) fn finished(&mut self, kernel: &Kernel, directory: &[u8], path: &[u8]) {
        if self.config.in_place == Some(0) {
            self.moved_in(kernel, directory, path);
        }
        if let Some(id) = kernel.entry(path) {
            self.written.closed(id, kernel.now());
        }
    }

    pub(crate) fn clock_was_set(&mut self, now: u64) {
        self.written.clock_was_set(now);
    }

    /// A pull came after all entries that can be reached now.
    pub(crate) fn pull(&mut self, now: u64) {
        // An alias and the queue's own path may lead to different FIFOs after a change.
        let is_ambiguous = self.config.trigger == Trigger::Alias && self.is_disturbed(now);
        if self.config.trigger == Trigger::None {
            return;
        }
        let lost = self.foreign_reader || !self.trigger_is_there || is_ambiguous;
        for tracked in self.tracked.values_mut().filter(|it| it.reachable && !lost) {
            tracked.pulled.get_or_insert(now);
        }
        // With a reliable watch, a pull is a reason to read only if some entries were not ready.
        let may_be_silent = self.config.layout == Layout::Maildrop;
        if may_be_silent || !self.is_fully_reliable() || self.is_disturbed(now) {
            self.directories.iter_mut().for_each(|directory| directory.reasons += 1);
        }
    }

    /// A directory changed. This is a reason to read it, unless the watch reports the names.
    pub(crate) fn change(&mut self, number: usize) {
        self.changes += 1;
        if !REPORTS_NAMES {
            let count = self.directories.len().max(1);
            if let Some(directory) = self.directories.get_mut(number % count) {
                directory.reasons += 1;
            }
        }
    }

    pub(crate) fn disturb_paths(&mut self, now: u64) {
        self.paths_disturbed = now;
        self.trigger_disturbed = now;
    }

    pub(crate) fn disturb_trigger(&mut self, now: u64) {
        self.trigger_disturbed = now;
    }

    pub(crate) fn foreign_reader(&mut self, now: u64, reads: bool) {
        if reads && !proves_numbers(&self.config) && now < self.trigger_disturbed + VERIFY {
            // A new trigger that another process reads looks like the queue's own.
            self.tracked.values_mut().for_each(|tracked| tracked.pulled = None);
        }
        self.trigger_disturbed = now;
        self.foreign_reader = reads;
    }

    pub(crate) fn fault(&mut self, now: u64) {
        self.faulty_until = self.faulty_until.max(now);
    }

    /// A writer makes packets of its writes.
    pub(crate) fn packets(&mut self) {
        self.had_packets = true;
    }

    /// A directory was mounted over another as well.
    pub(crate) fn bound(&mut self) {
        self.has_bound = true;
    }

    /// The program passes a time that is so many milliseconds off in this turn: an interval may seem to
    /// be over, or to have just begun.
    pub(crate) fn wrong_time(&mut self, off: i64, now: u64) {
        self.ahead = u64::try_from(off).unwrap_or(0) * MS;
        if off == 0 {
            return;
        }
        self.wrong_time = self.wrong_time.max(now);
        self.fault(now);
        self.directories.iter_mut().for_each(|directory| directory.reasons += 2);
    }

    /// The process stood still until now: all its intervals may be over.
    /// A timeout that was computed before `begin` and not yet waited for counts from now on.
    pub(crate) fn frozen(&mut self, begin: u64, now: u64, is_asleep: bool) {
        if !is_asleep {
            self.freezes.push((begin, now));
        }
        if self.is_disturbed(now) || now < self.paths_disturbed + 3 * VERIFY {
            self.disturb_paths(now);
        }
        self.fault(now);
        self.directories.iter_mut().for_each(|directory| directory.reasons += 2);
    }

    /// The queue was opened.
    pub(crate) fn opened(&mut self, now: u64) {
        self.opened_at = now;
        for tracked in self.tracked.values_mut() {
            (tracked.since, tracked.returned, tracked.due) = (now, 0, None);
        }
        for directory in &mut self.directories {
            directory.reasons = directory.reasons.max(1);
        }
        self.rescan_at = (self.rescan() / 10 * 9).saturating_add(now);
    }

    fn rescan(&self) -> u64 {
        self.config.rescan.saturating_mul(MS)
    }

    /// The queue opened a directory to read it.
    pub(crate) fn scanned(&mut self, ino: Ino, now: u64) -> Result<(), Failure> {
        let disturbed = self.is_disturbed(now);
        let limited = self.may_have_overflown();
        // If inode numbers are not reliable, a directory with two paths is read by both.
        let is_twice = self.directories.iter().filter(|it| it.ino == Some(ino)).count() > 1;
        let is_twice = is_twice || self.config.twice;
        let may_read_twice = self.has_bound
            || matches!(self.config.fs, FsKind::Renumbering | FsKind::Remote)
            || is_twice && !self.config.fs.is_local();
        let polls = !self.is_reliable()
            && (self.config.trigger == Trigger::None
                || !self.trigger_is_there
                || !self.config.privileged);
        if now >= self.rescan_at {
            // A scan that waits for quiet entries delays the next one. Another rescan may be due right after that.
            let is_delayed =
                self.config.in_place.is_some() && now - self.rescan_at > self.rescan() / 5;
            self.rescan_at = (self.rescan() / 10 * 9).saturating_add(now);
            let rescans = 1 + u32::from(is_delayed);
            self.directories.iter_mut().for_each(|it| it.rescans_due = rescans);
        }
        for directory in self.directories.iter_mut().filter(|it| it.ino == Some(ino)) {
            // The queue counts from the time that its program passed last.
            let is_polled = polls && now + AT_ONCE >= directory.last_opened + POLL_INTERVAL;
            // A file system that could not be looked at is not known to be local.
            let may_hide =
                !self.config.fs.is_local() || directory.last_opened < self.faulty_until + RETRY;
            let follows = may_hide
                && directory.follow_ups < 3
                && now + AT_ONCE >= directory.last_opened + POLL_INTERVAL;
            directory.last_opened = now;
            if directory.reasons > 0 {
                directory.reasons -= 1;
                directory.follow_ups = 0;
            } else if is_polled {
                directory.follow_ups = 0;
            } else if follows {
                directory.follow_ups += 1;
            } else if directory.rescans_due > 0 {
                (directory.rescans_due, directory.follow_ups) = (directory.rescans_due - 1, 0);
            } else if !disturbed && !limited && !self.foreign_reader && !may_read_twice {
                return Err(Failure::NeedlessScan);
            }
        }
        Ok(())
    }

    /// An entry was returned. `id` is the entry that its path names now, if any.
    pub(crate) fn returned(
        &mut self,
        id: Option<u64>,
        name: &[u8],
        how: How,
        now: u64,
    ) -> Result<(), Failure> {
        self.returned += 1;
        let disturbed = self.is_disturbed(now);
        let lax = disturbed || self.may_have_overflown() || !self.config.fs.is_local();
        let directories = &self.directories;
        if id.is_none() {
            // It was not reachable when it was returned.
            if now < self.paths_disturbed + VERIFY {
                self.returned_elsewhere.push(name.into());
            }
            let is_disturbed = now < self.paths_disturbed + VERIFY;
            for tracked in self.tracked.values_mut().filter(|tracked| *tracked.name == *name) {
                tracked.is_exempt |= is_disturbed;
                if !tracked.reachable {
                    (tracked.due, tracked.returned) = (None, tracked.returned + 1);
                }
            }
        }
        let Some(id) = id else { return Ok(()) };
        let Some(tracked) = self.tracked.get_mut(&id) else {
            self.returned_unseen.push(id);
            return Ok(());
        };
        let due = tracked.due.take();
        let is_excused = disturbed || self.wrong_time > self.written.unchanged_since(id);
        let quiet = in_place::quiet(&self.config);
        let is_ready = self.written.ready_since(tracked.ino, &tracked.name);
        let is_ready = how == How::Watch && is_ready.is_some_and(|ready| now < ready + AT_ONCE);
        if how != How::Requeue && !is_excused && !is_ready && self.written.is_early(id, quiet, now)
        {
            return Err(Failure::Unfinished { after: now - self.written.unchanged_since(id) });
        }
        let is_other = how == How::Requeue && tracked.other_due.is_some_and(|other| other <= now);
        // Where the numbers of files prove nothing, it is another entry by its other path.
        let has_two_paths = (self.has_bound || self.config.twice) && !self.config.fs.is_local();
        if let Some(due) = due {
            match how {
                How::Requeue if now + self.ahead >= due => {}
                // The event of its arrival may come late where the scan does not wait for it.
                How::Watch if !self.config.fs.is_local() || !tracked.by_watch => {}
                _ if has_two_paths => {}
                // The event of an entry that it replaced may come after it was requeued.
                How::Watch
                    if self
                        .missed
                        .get(&(tracked.ino, tracked.name.clone()))
                        .is_some_and(|missed| *missed > 0) => {}
                _ if disturbed || tracked.touched || tracked.is_moved || is_other => {}
                _ => return Err(Failure::RequeuedEarly),
            }
        } else if how == How::Requeue
            && !disturbed
            && !tracked.touched
            && !tracked.is_moved
            && !is_other
            && !has_two_paths
            && tracked.returned > 0
        {
            return Err(Failure::RequeuedTwice);
        }
        tracked.other_due = due.filter(|due| now < *due).or(tracked.other_due);
        let again = tracked.returned > 0 && due.is_none();
        if again {
            self.repeats += 1;
            let last = tracked.last_returned;
            let scanned = directories.get(tracked.directory).is_none_or(|it| it.last_opened > last);
            let missed = self.missed.get_mut(&(tracked.ino, tracked.name.clone()));
            let missed = missed.filter(|missed| **missed > 0 && how == How::Watch);
            let others = self.returned - tracked.last_number;
            let is_forgotten = self.config.in_place.is_some() && others > in_place::MOST_RECENT;
            if let Some(missed) = missed {
                *missed -= 1;
            } else if !(lax || is_forgotten && how == How::Watch || how == How::Scan && scanned) {
                return Err(Failure::Twice { by_watch: how == How::Watch });
            }
        }
        tracked.returned += 1;
        tracked.by_watch |= how == How::Watch;
        (tracked.last_returned, tracked.last_number) = (now, self.returned);
        Ok(())
    }

    /// Many events came at once in the queue's own directories.
    pub(crate) fn burst(&mut self) {
        self.had_burst = true;
    }

    fn may_have_overflown(&self) -> bool {
        let few = self.config.events < 1000;
        few && (self.had_burst || self.changes >= self.config.events as u64 / 2)
    }

    /// The program requeued an entry. `is_named` is the entry that its path named afterwards. If that
    /// is another one, either may be the one that the queue has looked at, and has made the appointment for.
    pub(crate) fn requeued(&mut self, id: u64, is_named: Option<u64>, due: u64, is_faulty: bool) {
        for named in [Some(id), is_named].into_iter().flatten() {
            if let Some(tracked) = self.tracked.get_mut(&named) {
                tracked.due = Some(due);
                // If the queue could not look at it, the next scan returns it.
                tracked.touched |= named != id || is_faulty;
            }
        }
    }
}

/// Whether the numbers of files prove which is which: on a file system that is known to be local.
fn proves_numbers(config: &Config) -> bool {
    config.fs.is_local() && !cfg!(pullcord_sim = "none")
}

/// How an entry was found, as the queue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Scan,
    Watch,
    Requeue,
}
