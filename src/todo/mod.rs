//! A queue's front door: every entry that appears is handed out at least once, whatever happens.
//!
//! [`Todo`] puts the [`Trigger`], the directory [watch](crate::watcher) and the scan of the queue's
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
mod counters;
mod entry;
mod lookout;
mod pulls;
mod queue;
mod scan;
mod sightings;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

pub use counters::Counters;
pub use entry::{Entry, Via};
pub use queue::Queue;

use pullcord_platform::clock;
use pullcord_platform::dir::Batch;

use crate::error::{Error, Result};
use crate::trigger::Trigger;
use crate::watcher::{DirWatcher, REPORTS_NAMES};
use crate::{Event, Interest, Key, Mode, Notifier};
use agenda::{Agenda, Backoff};
use lookout::Lookout;
use scan::Scan;

/// The most entries that [`Todo::next`] hands out a turn.
const BATCH: usize = if cfg!(pullcord_sim) { 8 } else { 64 };

/// The most entries that are looked at in a turn, of those that are not handed out.
const LOOKS: usize = if cfg!(pullcord_sim) { 64 } else { 4096 };

/// How long a change is left alone when a pull should follow it: a writer that was killed between
/// the two delays its own mail by as much. Identities are compared at most once in this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// A queue's front door. See the [module](self) for what it promises, and [`Queue`] for what it can
/// be opened on.
#[derive(Debug)]
pub struct Todo {
    queue: Queue,
    trigger: Option<Trigger>,
    /// Watches that failed, open for as long.
    failed: Vec<DirWatcher>,
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
    /// What was read of the directory that is being scanned.
    batch: Batch,
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
    /// What is handed out, if its name was kept until now.
    name: OsString,
    counters: Counters,
}

/// What was done since the last [`Todo::prepare`].
#[derive(Debug, Default)]
struct Turn {
    begun: bool,
    handed_out: usize,
    looked_at: usize,
    absorbed: bool,
    /// The time that the caller told last, and how much went by since then in reading directories.
    told: Option<Instant>,
    spent: Duration,
}

/// Where the name is of what is handed out: it is not copied if it need not be.
#[derive(Clone, Copy, Debug)]
enum Name {
    /// In [`Todo::name`].
    Kept,
    /// In the watch, which has just told it.
    Sighted,
    /// In the batch, out of which it has just been read.
    Read,
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
        let now = clock::now();
        let trigger = queue.trigger.as_ref().map(|path| Trigger::open(path, queue.sharing));
        let trigger = trigger.transpose()?;
        queue.check()?;
        let mut troubles = VecDeque::new();
        let lookout = Lookout::open(&queue, now, &mut troubles)?;
        Ok(Todo {
            trigger,
            failed: Vec::new(),
            reopen: None,
            pulled: false,
            lookout,
            changed: false,
            keys: None,
            trigger_is_armed: false,
            watch_is_armed: false,
            agenda: Agenda::new(queue.directories.len(), now),
            scan: None,
            batch: Batch::new(),
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
        (self.trigger_is_armed, self.watch_is_armed) = (false, false);
        self.arm(notifier)
    }

    /// Takes it out of the notifier again: before it is dropped, where the notifier lives on.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::deregister`], after which it can be called again.
    pub fn deregister(&mut self, notifier: &mut dyn Notifier) -> Result<()> {
        let triggers = self.trigger.iter().map(|it| it as &dyn AsFd);
        let watches = self.lookout.watch().into_iter().chain(&self.failed);
        for source in triggers.chain(watches.map(|it| it as &dyn AsFd)) {
            let path = self.queue.trigger.as_ref().or(self.queue.directories.first());
            let path = || path.cloned().unwrap_or_default();
            let removed = notifier.deregister(source);
            removed.map_err(|e| Error::new(path(), "stop waiting for the queue", e))?;
        }
        (self.keys, self.trigger_is_armed, self.watch_is_armed) = (None, false, false);
        Ok(())
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
        while let Some(failed) = self.failed.last() {
            let removed = notifier.deregister(failed);
            removed.map_err(|e| self.watch_error("stop waiting for the failed watch", e))?;
            self.failed.pop();
        }
        self.arm(notifier)?;
        Ok(Some(self.timeout(now)))
    }

    /// Begins a turn, for a loop that is no [`Notifier`]: says what to wait for, and how long. Say
    /// [`trigger_ready`](Todo::trigger_ready) and [`watch_ready`](Todo::watch_ready) once they are
    /// readable.
    pub fn sources(&mut self, now: Instant) -> Sources<'_> {
        self.turn = Turn::default();
        self.failed.clear();
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
        if self.turn.told != Some(now) {
            (self.turn.told, self.turn.spent) = (Some(now), Duration::ZERO);
        }
        if !self.turn.begun {
            self.turn.begun = true;
            self.keep_time(now);
            self.drain(now);
            // After the drain, so that a pull after a quiet time costs no turn of its own.
            if self.compare && now >= self.compared_at + PATIENCE {
                self.compare_identities(now);
            }
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
                return Some(Ok(self.hand_out(directory, Via::Watch, Name::Kept)));
            }
            if let Some(directory) = self.take_requeued(now) {
                return Some(Ok(self.hand_out(directory, Via::Requeue, Name::Kept)));
            }
            if self.scan.is_some() {
                if let Some(directory) = self.scan_on(now) {
                    return Some(Ok(self.hand_out(directory, Via::Scan, Name::Read)));
                }
            } else if self.agenda.has_work(now) {
                self.absorb(now);
                self.begin_scan(now);
            } else if self.changed
                || self.lookout.watch().is_some_and(DirWatcher::has_buffered_events)
            {
                if let Some(directory) = self.next_arrival(now) {
                    return Some(Ok(self.hand_out(directory, Via::Watch, Name::Sighted)));
                }
            } else if !self.begin_scan(now) {
                return None;
            }
        }
    }

    /// Hands an entry out again, once it is `not_before`: for what could not be dealt with now. Should
    /// the program end before, the next start's scan finds it.
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
        REPORTS_NAMES && self.counters().unwatched == 0
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
                notifier.deregister(trigger)
            };
            done.map_err(|e| Error::new(trigger.path(), "wait for the trigger", e))?;
            self.trigger_is_armed = wanted;
        }
        if let Some(watch) = self.lookout.watch().filter(|_| !self.watch_is_armed) {
            let done = notifier.register(watch, watch_key, Interest::Read, Mode::Level);
            done.map_err(|e| self.watch_error("wait for the directory watch", e))?;
            self.watch_is_armed = true;
        }
        Ok(())
    }

    /// An error of the watch as a whole, which has no path: the first directory's has to do.
    fn watch_error(&self, operation: &'static str, error: io::Error) -> Error {
        Error::new(self.queue.directories.first().cloned().unwrap_or_default(), operation, error)
    }

    fn timeout(&self, now: Instant) -> Duration {
        let busy = self.agenda.round_is_on()
            || !self.troubles.is_empty()
            || !self.found.is_empty()
            || self.changed
            || self.lookout.watch().is_some_and(DirWatcher::has_buffered_events)
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

    fn take_requeued(&mut self, now: Instant) -> Option<usize> {
        if self.requeued.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        let Reverse((_, directory, name)) = self.requeued.pop()?;
        self.name = name;
        Some(directory)
    }

    fn hand_out(&mut self, directory: usize, via: Via, name: Name) -> Entry<'_> {
        self.turn.handed_out += 1;
        match via {
            Via::Scan => self.counters.by_scan += 1,
            Via::Watch => self.counters.by_watch += 1,
            Via::Requeue => {}
        }
        let name = match name {
            Name::Kept => &self.name,
            Name::Sighted => self.lookout.name(),
            Name::Read => self.batch.last_name(),
        };
        Entry { directory: &self.queue.directories[directory], name, via }
    }
}
