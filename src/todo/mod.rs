//! A queue's front door: every entry that appears is handed out at least once, whatever happens.
//!
//! [`Todo`] puts the [`Trigger`], the directory [watch](crate::watch) and the scan of the queue's
//! directories together. It has no loop and no clock: descriptors and a deadline out, events and the
//! time in, one entry at a time out, every step bounded. The loop is the embedder's.
//!
//! What it promises:
//! - An entry is handed out at least once, and a second time only after a scan that was needed: the
//!   consumer removes what it has dealt with, or knows what it has in flight.
//! - Whoever queued an entry and then pulled the trigger is never overlooked. Where no watch is sure
//!   to have told of the entry, the pull is remembered until every directory has been read to its
//!   end by a scan that opened it after the pull was taken from the trigger.
//! - With a watch that names entries on a file system known to be local (Linux), the cost of an
//!   entry does not depend on how many wait: no directory is read but at start, at the safety tick,
//!   and after something has gone wrong.
//! - A pull after a quiet time is acted on at once. Scans are paced: they take at most half of the
//!   time, and there are at most 500 a second, however many pulls there are.
//! - With no pull and no change there is no scan, but for the safety tick's.
//! - A directory that cannot be read does not hold up the others; it is tried again ever more
//!   slowly, up to every 30 s, and by the next pull at once. The error is said once.
//!
//! What it does not: an order. And names are whatever somebody has put there, in no encoding; those
//! that begin with a dot are passed over, nothing else is.

mod agenda;
mod lookout;
mod queue;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pullcord_platform::dir::Dir;
use pullcord_platform::file;

pub use queue::Queue;

use crate::error::{Error, Result};
use crate::trigger::{Drained, Trigger};
use crate::watch::{DirWatch, NAMES_ENTRIES};
use crate::{Event, Interest, Key, Mode, Notifier};
use agenda::{Agenda, Backoff};
use lookout::{Lookout, Role, Sighting};
use queue::Arrival;

/// The most entries that [`Todo::next`] hands out a turn.
const BATCH: usize = 64;

/// The most entries that are looked at in a turn, of those that are not handed out.
const LOOKS: usize = 4096;

/// How long a change is left alone when a pull should follow it: a writer that was killed between
/// the two delays its own mail by as much. Identities are compared at most once in this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// A queue's front door. See the [module](self) for what it promises, and [`Queue`] for what it can
/// be opened on.
#[derive(Debug)]
pub struct Todo {
    queue: Queue,
    trigger: Option<Trigger>,
    /// Triggers that were replaced, open until whoever waits for them has been told.
    replaced: Vec<Trigger>,
    /// When to try again to open the trigger that the path names now.
    reopen: Option<(Instant, Backoff)>,
    /// There may be bytes in the trigger.
    pulled: bool,
    lookout: Lookout,
    /// There may be changes in the watch.
    changed: bool,
    keys: Option<[Key; 2]>,
    trigger_is_armed: bool,
    watch_is_armed: bool,
    agenda: Agenda,
    scan: Option<Scan>,
    tick_at: Instant,
    /// When identities were last compared on account of a pull, and whether to do it again.
    compared_at: Instant,
    compare: bool,
    turn: Turn,
    /// What the watch has named and was not handed out yet.
    found: VecDeque<(usize, OsString)>,
    /// What the watch has named of directories that this round is still to read, or is reading.
    /// The scan leaves these out: see "the scan yields to the watch" in ARCHITECTURE.md.
    reported: HashMap<usize, HashSet<OsString>>,
    /// What appeared and was not ready yet; and when to look again if nobody pulls.
    held: BTreeSet<(usize, OsString)>,
    look_at_held: Option<Instant>,
    /// What is to be handed out again, and when.
    requeued: BinaryHeap<Reverse<(Instant, usize, OsString)>>,
    /// Errors to be handed out, and what was last said of each directory.
    troubles: VecDeque<Error>,
    said: Vec<Option<i32>>,
    name: OsString,
    counters: Counters,
}

/// A directory being read.
#[derive(Debug)]
struct Scan {
    directory: usize,
    open: Dir,
}

/// What was done since the last [`Todo::prepare`].
#[derive(Debug, Default)]
struct Turn {
    handed_out: usize,
    looked_at: usize,
    drained: bool,
    absorbed: bool,
}

/// Something that appeared in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The directory it is in, as the [`Queue`] names it.
    pub directory: &'a Path,
    /// Its name there: bytes, in no encoding, and perhaps a hostile user's.
    pub name: &'a OsStr,
    /// How it was found.
    pub via: Via,
}

impl Entry<'_> {
    /// Where it is. By the time it is looked at it may be gone, which is no error.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }
}

/// How an entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// By reading the directory.
    Scan,
    /// By the directory watch.
    Watch,
    /// Not at all: [`Todo::requeue`] was asked for it.
    Requeue,
}

impl Via {
    /// In one word: `scan`, `watch` or `requeue`.
    pub const fn name(self) -> &'static str {
        match self {
            Via::Scan => "scan",
            Via::Watch => "watch",
            Via::Requeue => "requeue",
        }
    }
}

/// What a [`Todo`] has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Events of its descriptors.
    pub wakes: u64,
    /// Reads of the trigger.
    pub drains: u64,
    /// Of those, the ones that found somebody had pulled.
    pub pulls: u64,
    /// Rounds in which directories were read.
    pub scans: u64,
    /// Directories read.
    pub directories: u64,
    /// Entries handed out that were found by reading a directory.
    pub by_scan: u64,
    /// Entries handed out that were found by the directory watch.
    pub by_watch: u64,
    /// Triggers opened in place of one that was replaced.
    pub reopens: u64,
    /// Times the watch had to say that it lost changes.
    pub overflows: u64,
    /// Directories that are not watched, or not on a file system known to be local: those that
    /// every pull reads. A state, not a count.
    pub unwatched: u64,
    /// Errors handed out.
    pub errors: u64,
}

/// What a foreign loop has to wait for.
#[derive(Debug)]
pub struct Sources<'a> {
    /// To be waited for, for reading; `None` while a pull is remembered and others need not be
    /// heard of. Another descriptor than before has to be registered anew; the old one is closed by
    /// the next call.
    pub trigger: Option<BorrowedFd<'a>>,
    /// To be waited for, for reading; `None` while nothing can be watched. The same holds for
    /// another descriptor than before.
    pub watch: Option<BorrowedFd<'a>>,
    /// How long to wait at most.
    pub timeout: Duration,
}

impl Todo {
    /// Opens the queue: its trigger first, then the watch, so that nothing that is queued from now
    /// on goes unnoticed. Does not block; everything that waits already is found by the first turns.
    ///
    /// That a directory cannot be watched is no error here, unless the queue requires it: the reason
    /// is handed out by [`next`](Todo::next), once, and that directory is scanned.
    ///
    /// # Errors
    ///
    /// Those of [`Trigger::open`]; a directory that is missing, is none, or cannot be read. Nothing
    /// stays open after an error.
    pub fn open(queue: Queue) -> Result<Todo> {
        let now = Instant::now();
        let trigger = queue.trigger.as_ref().map(|path| Trigger::open(path, queue.sharing));
        let trigger = trigger.transpose()?;
        queue.check()?;
        let mut troubles = VecDeque::new();
        let lookout = Lookout::open(&queue, now, &mut troubles)?;
        Ok(Todo {
            trigger,
            replaced: Vec::new(),
            reopen: None,
            pulled: false,
            lookout,
            changed: false,
            keys: None,
            trigger_is_armed: false,
            watch_is_armed: false,
            agenda: Agenda::new(queue.directories.len(), now),
            scan: None,
            tick_at: now + queue.tick,
            compared_at: now,
            compare: false,
            turn: Turn::default(),
            found: VecDeque::new(),
            reported: HashMap::new(),
            held: BTreeSet::new(),
            look_at_held: None,
            requeued: BinaryHeap::new(),
            troubles,
            said: vec![None; queue.directories.len()],
            name: OsString::new(),
            counters: Counters::default(),
            queue,
        })
    }

    /// Registers with `notifier`: the trigger under the first key, the watch under the second.
    /// Events of these keys are for [`ready`](Todo::ready).
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::register`].
    pub fn register(&mut self, notifier: &mut dyn Notifier, keys: [Key; 2]) -> Result<()> {
        self.keys = Some(keys);
        self.arm(notifier)
    }

    /// Begins a turn, and says how long to wait: call it before each wait, on the notifier that the
    /// queue is [registered](Todo::register) with. It arms the trigger, or rests it while a pull is
    /// remembered; spaced pulls cost no call here.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::register`], after which it can be called again.
    pub fn prepare(
        &mut self,
        notifier: &mut dyn Notifier,
        now: Instant,
    ) -> Result<Option<Duration>> {
        self.turn = Turn::default();
        while let Some(replaced) = self.replaced.last() {
            let removed = notifier.remove(replaced);
            removed
                .map_err(|e| Error::new(replaced.path(), "stop waiting for the old trigger", e))?;
            self.replaced.pop();
            self.trigger_is_armed = false;
        }
        self.arm(notifier)?;
        Ok(Some(self.timeout(now)))
    }

    /// Begins a turn, for a loop that is no [`Notifier`]: says what to wait for, and how long. Say
    /// [`trigger_ready`](Todo::trigger_ready) and [`watch_ready`](Todo::watch_ready) once they are
    /// readable.
    pub fn sources(&mut self, now: Instant) -> Sources<'_> {
        self.turn = Turn::default();
        self.replaced.clear();
        let timeout = self.timeout(now);
        let trigger = self.trigger.as_ref().filter(|_| !self.agenda.rests());
        let watch = self.lookout.watch();
        Sources { trigger: trigger.map(AsFd::as_fd), watch: watch.map(AsFd::as_fd), timeout }
    }

    /// Takes an event in; false if it is of somebody else's key. No system call.
    pub fn ready(&mut self, event: &Event) -> bool {
        let Some([trigger, watch]) = self.keys else { return false };
        if event.key == trigger {
            self.trigger_ready();
        }
        if event.key == watch {
            self.watch_ready();
        }
        event.key == trigger || event.key == watch
    }

    /// The trigger is readable. No system call.
    pub fn trigger_ready(&mut self) {
        self.counters.wakes += 1;
        self.pulled = true;
    }

    /// The watch is readable. No system call.
    pub fn watch_ready(&mut self) {
        self.counters.wakes += 1;
        self.changed = true;
    }

    /// The next entry, or an error that is said once, or `None` when this turn is over: there is
    /// no more, or enough was handed out and it is time to look at the loop's other descriptors.
    /// Each call does a bounded amount of work, and a turn does.
    pub fn next(&mut self, now: Instant) -> Option<Result<Entry<'_>>> {
        self.keep_time(now);
        self.drain(now);
        if self.compare && now >= self.compared_at + PATIENCE {
            self.compare_identities(now);
        }
        loop {
            if let Some(trouble) = self.troubles.pop_front() {
                self.counters.errors += 1;
                return Some(Err(trouble));
            }
            if self.turn.handed_out >= BATCH || self.turn.looked_at >= LOOKS {
                return None;
            }
            // While a scan is under way, half of what is handed out is for what waited, so that
            // neither old nor new mail holds up the other.
            if (self.scan.is_none() || self.turn.handed_out.is_multiple_of(2))
                && let Some((directory, name)) = self.found.pop_front()
            {
                self.name = name;
                return Some(Ok(self.hand_out(directory, Via::Watch)));
            }
            if let Some(directory) = self.take_requeued(now) {
                return Some(Ok(self.hand_out(directory, Via::Requeue)));
            }
            if self.scan.is_some() {
                if let Some(directory) = self.scan_on(now) {
                    return Some(Ok(self.hand_out(directory, Via::Scan)));
                }
            } else if self.agenda.has_work(now) {
                self.absorb(now);
                self.begin_scan(now);
            } else if self.changed || self.lookout.watch().is_some_and(DirWatch::has_more) {
                if let Some(directory) = self.next_arrival(now) {
                    return Some(Ok(self.hand_out(directory, Via::Watch)));
                }
            } else if !self.begin_scan(now) {
                return None;
            }
        }
    }

    /// Hands an entry out again, once it is `not_before`: for what could not be dealt with now. It
    /// is forgotten when the program ends, when the entry is found by a scan.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is not of an entry in one of the queue's directories.
    pub fn requeue(&mut self, path: &Path, not_before: Instant) -> Result<()> {
        let directory = path.parent().and_then(|parent| {
            self.queue.directories.iter().position(|directory| directory == parent)
        });
        let (Some(directory), Some(name)) = (directory, path.file_name()) else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not in this queue");
            return Err(Error::new(path, "hand it out again", error));
        };
        self.requeued.push(Reverse((not_before, directory, name.to_owned())));
        Ok(())
    }

    /// What was done since [`open`](Todo::open).
    pub fn counters(&self) -> Counters {
        let unwatched = (0..self.queue.directories.len()).filter(|n| !self.lookout.relies_on(*n));
        Counters { unwatched: unwatched.count() as u64, ..self.counters }
    }

    /// Whether a round of directory reads is under way: between two of them, every directory that
    /// had to be read has been read, but for those whose failure was said.
    pub fn is_scanning(&self) -> bool {
        self.agenda.round_is_on()
    }

    /// The queue's directories, and how often each was read to its end: for who compares what one
    /// reading returned with what the next does.
    pub fn reads(&self) -> impl Iterator<Item = (&Path, u64)> {
        let directories = self.queue.directories.iter().enumerate();
        directories.map(|(number, path)| (path.as_path(), self.agenda.reads(number)))
    }

    /// Whether every entry is sure to be named by the watch: then the trigger is not needed.
    pub fn watch_suffices(&self) -> bool {
        NAMES_ENTRIES && self.counters().unwatched == 0
    }

    /// The queue this is the front door of.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    fn arm(&mut self, notifier: &mut dyn Notifier) -> Result<()> {
        let Some([trigger_key, watch_key]) = self.keys else { return Ok(()) };
        let wanted = !self.agenda.rests();
        if let Some(trigger) = self.trigger.as_ref().filter(|_| wanted != self.trigger_is_armed) {
            // Level, not edge: whatever a drain could not see is reported again, for as long as it
            // is there. On an edge it would wait for the next pull (ARCHITECTURE.md, "Level or
            // edge").
            let done = if wanted {
                notifier.register(trigger, trigger_key, Interest::Read, Mode::Level)
            } else {
                notifier.remove(trigger)
            };
            done.map_err(|e| Error::new(trigger.path(), "wait for the trigger", e))?;
            self.trigger_is_armed = wanted;
        }
        if let Some(watch) = self.lookout.watch().filter(|_| !self.watch_is_armed) {
            let done = notifier.register(watch, watch_key, Interest::Read, Mode::Level);
            let path = || self.queue.directories.first().cloned().unwrap_or_default();
            done.map_err(|e| Error::new(path(), "wait for the directory watch", e))?;
            self.watch_is_armed = true;
        }
        Ok(())
    }

    fn timeout(&self, now: Instant) -> Duration {
        let busy = self.agenda.round_is_on()
            || !self.troubles.is_empty()
            || !self.found.is_empty()
            || self.changed
            || self.lookout.watch().is_some_and(DirWatch::has_more)
            || self.pulled && !self.agenda.rests();
        if busy {
            return Duration::ZERO;
        }
        let due = [
            self.agenda.next_round(),
            self.reopen.as_ref().map(|(at, _)| *at),
            self.lookout.retry_at(),
            self.compare.then(|| self.compared_at + PATIENCE),
            self.look_at_held,
            self.requeued.peek().map(|Reverse((at, ..))| *at),
        ];
        let due = due.into_iter().flatten().fold(self.tick_at, Instant::min);
        due.saturating_duration_since(now)
    }

    /// Does what is due at this time.
    fn keep_time(&mut self, now: Instant) {
        if now >= self.tick_at {
            self.tick_at = now + self.queue.tick;
            self.agenda.everything_is_dirty();
            self.compare_identities(now);
        }
        if self.lookout.retry_at().is_some_and(|at| at <= now) {
            self.rearm(now);
        }
        if self.reopen.as_ref().is_some_and(|(at, _)| *at <= now) {
            self.follow_trigger(now);
        }
        if self.look_at_held.is_some_and(|at| at <= now) {
            self.look_at_held();
        }
    }

    /// Takes the pulls out of the trigger, at most once a turn: before the scan that they ask for,
    /// and not while one is remembered that has to wait.
    fn drain(&mut self, now: Instant) {
        let due = if self.agenda.rests() { self.agenda.round_is_due(now) } else { self.pulled };
        let Some(trigger) = self.trigger.as_mut().filter(|_| due && !self.turn.drained) else {
            return;
        };
        self.turn.drained = true;
        self.counters.drains += 1;
        let drained = trigger.drain();
        self.pulled = matches!(drained, Ok(Drained::Some));
        match drained {
            Ok(Drained::Nothing) => {}
            Ok(Drained::Everything | Drained::Some) => {
                self.counters.pulls += 1;
                self.heed_pull(now);
            }
            Err(error) => {
                self.troubles.push_back(error);
                self.follow_trigger(now);
            }
        }
    }

    /// Somebody has pulled. What they linked before is known to the watch by now, so that what the
    /// watch cannot tell is all that has to be read.
    fn heed_pull(&mut self, now: Instant) {
        if self.queue.arrival == Arrival::Unfinished || !NAMES_ENTRIES {
            self.absorb(now);
        }
        self.agenda.pulled(|directory| self.lookout.relies_on(directory));
        self.look_at_held();
        // A pull with nothing new to show for it may be about a directory that was mounted over.
        self.compare = self.lookout.watch().is_some();
    }

    /// Looks whether the trigger, and whatever is watched, are still what their paths lead to.
    fn compare_identities(&mut self, now: Instant) {
        (self.compared_at, self.compare) = (now, false);
        let misplaced = self.lookout.misplaced();
        misplaced.iter().for_each(|place| self.lose(*place));
        if !misplaced.is_empty() {
            self.rearm(now);
        }
        self.grow(now);
        self.check_trigger(now);
    }

    fn check_trigger(&mut self, now: Instant) {
        if self.reopen.is_none() && self.trigger.as_ref().is_some_and(Trigger::is_replaced) {
            self.follow_trigger(now);
        }
    }

    /// Opens the trigger that the path names now. While that fails nobody can pull, and everything
    /// is read at every attempt instead.
    fn follow_trigger(&mut self, now: Instant) {
        let Some(trigger) = &self.trigger else { return };
        self.agenda.everything_is_dirty();
        match trigger.reopen() {
            Ok(trigger) => {
                self.counters.reopens += 1;
                self.reopen = None;
                self.pulled = true;
                self.replaced.extend(self.trigger.replace(trigger));
            }
            Err(error) => {
                let (_, mut backoff) = self.reopen.take().unwrap_or_else(|| {
                    self.troubles.push_back(error);
                    (now, Backoff::new())
                });
                self.reopen = Some((now + backoff.fail(), backoff));
            }
        }
    }

    /// Relies on a place no more: what is there now is another directory, or may be. It is read,
    /// whether it can be watched or not, and no name is left out on account of the old one's.
    fn lose(&mut self, place: usize) {
        self.lookout.abandon(place);
        for role in self.lookout.roles(place) {
            if let Role::Directory(directory) = role {
                self.reported.remove(directory);
                self.agenda.is_dirty_now(*directory);
            }
        }
    }

    /// Watches what is not watched. What happened there meanwhile nobody knows.
    fn rearm(&mut self, now: Instant) {
        for place in self.lookout.arm(now, &mut self.troubles) {
            for role in self.lookout.roles(place).to_vec() {
                match role {
                    Role::Directory(directory) => self.agenda.is_dirty_now(directory),
                    Role::Parent => self.grow(now),
                    Role::Trigger => self.check_trigger(now),
                }
            }
        }
    }

    /// A split queue may have got more parts.
    fn grow(&mut self, now: Instant) {
        let Some(split) = &self.queue.split else { return };
        let mut grown = false;
        loop {
            let next = split.join(self.queue.directories.len().to_string());
            if !next.is_dir() {
                break;
            }
            self.lookout.add_directory(&next);
            self.agenda.grow();
            self.said.push(None);
            self.queue.directories.push(next);
            grown = true;
        }
        if grown {
            self.rearm(now);
        }
    }

    /// Takes in all that has happened until now, before or while directories are read: what the
    /// watch has named by then, the scan does not hand out as well.
    fn absorb(&mut self, now: Instant) {
        self.turn.absorbed = true;
        self.changed = false;
        while let Some(sighting) = self.lookout.next_sighting(&mut self.name) {
            self.collect(sighting, now);
        }
        let Some(watch) = self.lookout.watch_mut() else { return };
        let mut left = match watch.backlog() {
            Ok(left) => left,
            Err(error) => return self.watch_failed(error, now),
        };
        while left > 0 {
            let Some(watch) = self.lookout.watch_mut() else { return };
            match watch.fill() {
                Ok(0) => return,
                Ok(filled) => left = left.saturating_sub(filled),
                Err(error) => return self.watch_failed(error, now),
            }
            while let Some(sighting) = self.lookout.next_sighting(&mut self.name) {
                self.collect(sighting, now);
            }
        }
    }

    fn collect(&mut self, sighting: Sighting, now: Instant) {
        if let Some(directory) = self.judge(sighting, now) {
            let name = self.name.clone();
            self.put_aside(directory, name);
        }
    }

    /// Keeps an entry that the watch has named, to be handed out soon, and by the watch alone: a
    /// scan of its directory that is still to come, or under way, leaves it out. Not so where the
    /// watch cannot be relied on to name the next entry of that name.
    fn put_aside(&mut self, directory: usize, name: OsString) {
        let is_read_later = self.agenda.is_dirty(directory)
            || self.scan.as_ref().is_some_and(|scan| scan.directory == directory);
        if is_read_later && self.lookout.relies_on(directory) {
            self.reported.entry(directory).or_default().insert(name.clone());
        }
        self.found.push_back((directory, name));
    }

    /// The next entry that the watch names, straight out of its buffer.
    fn next_arrival(&mut self, now: Instant) -> Option<usize> {
        self.turn.looked_at += 1;
        if !self.lookout.watch().is_some_and(DirWatch::has_more) {
            self.changed = false;
            if let Err(error) = self.lookout.watch_mut()?.fill() {
                self.watch_failed(error, now);
            }
        }
        let sighting = self.lookout.next_sighting(&mut self.name)?;
        self.judge(sighting, now)
    }

    /// What a sighting is about: an entry of this directory, whose name is in `name`; or something
    /// else, which is seen to.
    fn judge(&mut self, sighting: Sighting, now: Instant) -> Option<usize> {
        let (place, named) = match sighting {
            Sighting::Overflow => {
                self.counters.overflows += 1;
                self.reported.clear();
                self.agenda.everything_is_dirty();
                self.compare_identities(now);
                return None;
            }
            Sighting::Lost(place) => {
                self.lose(place);
                self.compare_identities(now);
                self.rearm(now);
                return None;
            }
            Sighting::Named(place) => (place, true),
            Sighting::Changed(place) => (place, false),
        };
        let mut arrived = None;
        for at in 0..self.lookout.roles(place).len() {
            match self.lookout.roles(place)[at] {
                Role::Directory(directory) if named => arrived = Some(directory),
                Role::Directory(directory) => {
                    let wait = if self.trigger.is_some() { PATIENCE } else { Duration::ZERO };
                    self.agenda.changed(directory, now + wait);
                }
                Role::Parent => self.look_at_children(place, named, now),
                Role::Trigger => {
                    let path = self.queue.trigger.as_deref();
                    if !named || path.and_then(Path::file_name) == Some(&self.name) {
                        self.check_trigger(now);
                    }
                }
            }
        }
        let directory = arrived.filter(|_| !is_hidden(&self.name))?;
        if self.queue.arrival == Arrival::Complete {
            return Some(directory);
        }
        self.held.insert((directory, self.name.clone()));
        let wait = if self.trigger.is_some() { PATIENCE } else { Duration::ZERO };
        self.look_at_held.get_or_insert(now + wait);
        None
    }

    /// Something appeared beside the queue's directories, or they changed: one of them, perhaps.
    fn look_at_children(&mut self, place: usize, named: bool, now: Instant) {
        if named {
            let child = self.lookout.path(place).join(&self.name);
            let is_ours = self.queue.directories.contains(&child);
            let is_part = self.queue.split.as_deref() == Some(self.lookout.path(place));
            if !is_ours && !is_part {
                return;
            }
        }
        self.compare_identities(now);
        self.rearm(now);
    }

    /// Hands over to [`found`](Todo::found) what is ready by now, and forgets what is gone.
    fn look_at_held(&mut self) {
        self.look_at_held = None;
        for (directory, name) in std::mem::take(&mut self.held) {
            let path = self.queue.directories[directory].join(&name);
            match file::named(&path) {
                Ok(status) if status.is_executable_file() => self.put_aside(directory, name),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                _ => drop(self.held.insert((directory, name))),
            }
        }
    }

    /// Without a watch, everything is scanned, and it is tried again later.
    fn watch_failed(&mut self, error: io::Error, now: Instant) {
        let path = self.queue.directories.first().cloned().unwrap_or_default();
        self.troubles.push_back(Error::new(path, "read the directory watch", error));
        self.lookout.close(now);
        self.watch_is_armed = false;
        self.reported.clear();
        self.agenda.everything_is_dirty();
    }

    /// Opens the next directory that is due; false if there is none.
    fn begin_scan(&mut self, now: Instant) -> bool {
        let first = !self.agenda.round_is_on();
        let Some(directory) = self.agenda.begin(now) else {
            self.reported.clear();
            return false;
        };
        self.counters.scans += u64::from(first);
        let begun = Instant::now();
        let opened = Dir::open(&self.queue.directories[directory]);
        self.agenda.spent(begun.elapsed());
        match opened {
            Ok(open) => {
                self.counters.directories += 1;
                self.check_watched(directory, &open, now);
                self.scan = Some(Scan { directory, open });
            }
            Err(e) => self.directory_failed(directory, e, now),
        }
        true
    }

    /// What is being read should be what is being watched.
    fn check_watched(&mut self, directory: usize, open: &Dir, now: Instant) {
        let Some(watched) = self.lookout.watched(directory) else { return };
        if !file::status(open).is_ok_and(|status| watched.is(status.identity)) {
            self.agenda.is_dirty_now(directory);
            self.compare_identities(now);
        }
    }

    /// The next entry of the directory that is open, if it is one to be handed out; if this batch
    /// is at its end, the next one is read.
    fn scan_on(&mut self, now: Instant) -> Option<usize> {
        if self.changed && !self.turn.absorbed {
            self.absorb(now);
        }
        let scan = self.scan.as_mut()?;
        let directory = scan.directory;
        let Some(entry) = scan.open.next_entry() else {
            self.read_on(now);
            return None;
        };
        self.turn.looked_at += 1;
        let reported = self.reported.get(&directory);
        if is_hidden(entry.name) || reported.is_some_and(|names| names.contains(entry.name)) {
            return None;
        }
        self.name.clear();
        self.name.push(entry.name);
        if self.queue.arrival == Arrival::Unfinished {
            let status = file::status_at(&scan.open, &self.name);
            if !status.is_ok_and(|status| status.is_executable_file()) {
                return None;
            }
            self.held.remove(&(directory, self.name.clone()));
        }
        Some(directory)
    }

    /// Reads the next batch of the directory that is open, and then what the watch has named by
    /// this time: what of the batch it has not named was there before it was armed.
    fn read_on(&mut self, now: Instant) {
        let Some(scan) = &mut self.scan else { return };
        let directory = scan.directory;
        let begun = Instant::now();
        let more = scan.open.refill();
        self.agenda.spent(begun.elapsed());
        match more {
            Ok(true) => return self.absorb(now),
            Ok(false) => {
                self.agenda.read(directory);
                self.said[directory] = None;
            }
            Err(e) => self.directory_failed(directory, e, now),
        }
        self.scan = None;
    }

    /// Remembers that a directory has to be read again, and says why unless it was said.
    fn directory_failed(&mut self, directory: usize, error: io::Error, now: Instant) {
        self.agenda.failed(directory, now);
        let number = error.raw_os_error();
        if self.said[directory] != number {
            self.said[directory] = number;
            let path = &self.queue.directories[directory];
            self.troubles.push_back(Error::new(path, "read the directory", error));
        }
    }

    fn take_requeued(&mut self, now: Instant) -> Option<usize> {
        if self.requeued.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        let Reverse((_, directory, name)) = self.requeued.pop()?;
        self.name = name;
        Some(directory)
    }

    fn hand_out(&mut self, directory: usize, via: Via) -> Entry<'_> {
        self.turn.handed_out += 1;
        match via {
            Via::Scan => self.counters.by_scan += 1,
            Via::Watch => self.counters.by_watch += 1,
            Via::Requeue => {}
        }
        Entry { directory: &self.queue.directories[directory], name: &self.name, via }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
