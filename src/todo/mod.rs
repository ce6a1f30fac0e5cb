//! A queue's front door: every entry that appears is handed out at least once, whatever happens.
//!
//! [`Todo`] puts the [`Trigger`] and the scan of the queue's directories together. It has no loop
//! and no clock: descriptors and a deadline out, events and the time in, one entry at a time out,
//! every step bounded. The loop is the embedder's.
//!
//! What it promises:
//! - An entry is handed out at least once, and a second time only after a scan that was needed: the
//!   consumer removes what it has dealt with, or knows what it has in flight.
//! - Whoever queued an entry and then pulled the trigger is never overlooked: the pull is remembered
//!   until every directory has been read to its end by a scan that opened it after the pull was
//!   taken from the trigger.
//! - A pull after a quiet time is acted on at once. Scans are paced: they take at most half of the
//!   time, and there are at most 500 a second, however many pulls there are.
//! - With no pull there is no scan, but for the safety tick's.
//! - A directory that cannot be read does not hold up the others; it is tried again ever more
//!   slowly, up to every 30 s, and by the next pull at once. The error is said once.

mod agenda;
mod queue;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use pullcord_platform::dir::Dir;
use pullcord_platform::file;

pub use queue::Queue;

use crate::error::{Error, Result};
use crate::trigger::{Drained, Trigger};
use crate::{Event, Interest, Key, Mode, Notifier};
use agenda::{Agenda, Backoff};
use queue::Arrival;

/// The most entries that [`Todo::next`] hands out a turn.
const BATCH: usize = 64;

/// The most entries that are looked at in a turn, of those that are not handed out.
const LOOKS: usize = 4096;

/// A queue's front door. See the [module](self) for what it promises, and [`Queue`] for what it can
/// be opened on.
#[derive(Debug)]
pub struct Todo {
    queue: Queue,
    trigger: Option<Trigger>,
    /// A trigger that was replaced, open until whoever waits for it has been told.
    replaced: Option<Trigger>,
    /// When to try again to open the trigger that the path names now.
    reopen: Option<(Instant, Backoff)>,
    /// There may be bytes in the trigger.
    pulled: bool,
    key: Option<Key>,
    armed: bool,
    agenda: Agenda,
    scan: Option<Scan>,
    tick_at: Instant,
    turn: Turn,
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
    /// How long to wait at most.
    pub timeout: Duration,
}

impl Todo {
    /// Opens the queue: its trigger first, so that nothing that is queued from now on goes
    /// unnoticed. Does not block; everything that waits already is found by the first turns.
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
        Ok(Todo {
            trigger,
            replaced: None,
            reopen: None,
            pulled: false,
            key: None,
            armed: false,
            agenda: Agenda::new(queue.directories.len(), now),
            scan: None,
            tick_at: now + queue.tick,
            turn: Turn::default(),
            troubles: VecDeque::new(),
            said: vec![None; queue.directories.len()],
            name: OsString::new(),
            counters: Counters::default(),
            queue,
        })
    }

    /// Registers with `notifier`, under `key`. Events of that key are for [`ready`](Todo::ready).
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::register`].
    pub fn register(&mut self, notifier: &mut dyn Notifier, key: Key) -> Result<()> {
        self.key = Some(key);
        self.arm(notifier, true)
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
        if let Some(replaced) = &self.replaced {
            let removed = notifier.remove(replaced);
            removed
                .map_err(|e| Error::new(replaced.path(), "stop waiting for the old trigger", e))?;
            self.replaced = None;
            self.armed = false;
        }
        self.arm(notifier, !self.agenda.rests())?;
        Ok(Some(self.timeout(now)))
    }

    /// Begins a turn, for a loop that is no [`Notifier`]: says what to wait for, and how long. Once
    /// the trigger is readable, say [`pulled`](Todo::pulled).
    pub fn sources(&mut self, now: Instant) -> Sources<'_> {
        self.turn = Turn::default();
        self.replaced = None;
        let timeout = self.timeout(now);
        let trigger = self.trigger.as_ref().filter(|_| !self.agenda.rests());
        Sources { trigger: trigger.map(Trigger::as_fd), timeout }
    }

    /// Takes an event in; false if it is of somebody else's key. No system call.
    pub fn ready(&mut self, event: &Event) -> bool {
        let ours = self.key == Some(event.key);
        if ours {
            self.pulled();
        }
        ours
    }

    /// The trigger is readable. No system call.
    pub fn pulled(&mut self) {
        self.counters.wakes += 1;
        self.pulled = true;
    }

    /// The next entry, or an error that is said once, or `None` when this turn is over: there is
    /// no more, or enough was handed out and it is time to look at the loop's other descriptors.
    /// Each call does a bounded amount of work, and a turn does.
    pub fn next(&mut self, now: Instant) -> Option<Result<Entry<'_>>> {
        if now >= self.tick_at {
            self.tick(now);
        }
        if self.reopen.as_ref().is_some_and(|(at, _)| *at <= now) {
            self.follow_trigger(now);
        }
        self.drain(now);
        loop {
            if let Some(trouble) = self.troubles.pop_front() {
                self.counters.errors += 1;
                return Some(Err(trouble));
            }
            if self.turn.handed_out >= BATCH || self.turn.looked_at >= LOOKS {
                return None;
            }
            match &mut self.scan {
                Some(scan) => match scan.open.next_entry() {
                    Some(entry) => {
                        self.turn.looked_at += 1;
                        self.name.clear();
                        self.name.push(entry.name);
                        if self.is_ready() {
                            return Some(Ok(self.hand_out()));
                        }
                    }
                    None => self.read_on(now),
                },
                None => {
                    let first = !self.agenda.round_is_on();
                    let directory = self.agenda.begin(now)?;
                    self.counters.scans += u64::from(first);
                    self.open_directory(directory, now);
                }
            }
        }
    }

    /// What was done since [`open`](Todo::open).
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The queue this is the front door of.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    fn arm(&mut self, notifier: &mut dyn Notifier, wanted: bool) -> Result<()> {
        let (Some(trigger), Some(key)) = (&self.trigger, self.key) else { return Ok(()) };
        if wanted == self.armed {
            return Ok(());
        }
        // Level, not edge: whatever a drain could not see is reported again, for as long as it is
        // there. On an edge it would wait for the next pull (ARCHITECTURE.md, "Level or edge").
        let done = if wanted {
            notifier.register(trigger, key, Interest::Read, Mode::Level)
        } else {
            notifier.remove(trigger)
        };
        done.map_err(|e| Error::new(trigger.path(), "wait for the trigger", e))?;
        self.armed = wanted;
        Ok(())
    }

    fn timeout(&self, now: Instant) -> Duration {
        let busy = self.agenda.round_is_on()
            || !self.troubles.is_empty()
            || self.pulled && !self.agenda.rests();
        if busy {
            return Duration::ZERO;
        }
        let reopen = self.reopen.as_ref().map(|(at, _)| *at);
        let due = [self.agenda.next_round(), reopen].into_iter().flatten();
        due.fold(self.tick_at, Instant::min).saturating_duration_since(now)
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
                self.agenda.pulled();
            }
            Err(error) => {
                self.troubles.push_back(error);
                self.follow_trigger(now);
            }
        }
    }

    /// Reads everything for safety's sake, and looks whether the trigger is still the one that the
    /// path names.
    fn tick(&mut self, now: Instant) {
        self.tick_at = now + self.queue.tick;
        self.agenda.everything_is_dirty();
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
                self.replaced = self.trigger.replace(trigger);
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

    fn open_directory(&mut self, directory: usize, now: Instant) {
        let begun = Instant::now();
        let opened = Dir::open(&self.queue.directories[directory]);
        self.agenda.spent(begun.elapsed());
        match opened {
            Ok(open) => {
                self.counters.directories += 1;
                self.scan = Some(Scan { directory, open });
            }
            Err(e) => self.directory_failed(directory, e, now),
        }
    }

    /// Reads the next batch of the directory that is open.
    fn read_on(&mut self, now: Instant) {
        let Some(scan) = &mut self.scan else { return };
        let directory = scan.directory;
        let begun = Instant::now();
        let more = scan.open.refill();
        self.agenda.spent(begun.elapsed());
        match more {
            Ok(true) => return,
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

    /// Whether the entry just read is one to be handed out now.
    fn is_ready(&self) -> bool {
        if self.name.as_encoded_bytes().starts_with(b".") {
            return false;
        }
        match (self.queue.arrival, &self.scan) {
            (Arrival::Unfinished, Some(scan)) => file::status_at(&scan.open, &self.name)
                .is_ok_and(|status| status.is_executable_file()),
            _ => true,
        }
    }

    fn hand_out(&mut self) -> Entry<'_> {
        self.turn.handed_out += 1;
        self.counters.by_scan += 1;
        let directory = self.scan.as_ref().map_or(0, |scan| scan.directory);
        Entry { directory: &self.queue.directories[directory], name: &self.name, via: Via::Scan }
    }
}
