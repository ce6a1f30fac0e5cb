//! The world around the queue: writers, administrators, other readers, faults. Performs the events of a
//! history at their times and reports them to the oracle.

mod ops;
mod places;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use libc::{O_NONBLOCK, O_RDWR, O_WRONLY};
use pullcord_platform::sim::{self, Call, Ino, Kernel, QUEUE};

use crate::history::{Config, Event, Gap, History, Layout, Trigger};
use crate::in_place::Files;
use crate::oracle::{MS, Oracle, SECOND};

pub(crate) use places::{boot, described_trigger, directory, home, trigger};
use places::{parts, seen_home};

/// The process of all writers and administrators.
pub(crate) const OTHERS: usize = 1;

/// An action of the program around the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Restart,
    WrongTime(i64),
    Spurious,
    RegisterAgain(u32),
    RequeueAgain(u64, u32),
}

#[derive(Debug)]
pub(crate) struct World {
    config: Config,
    events: Vec<Event>,
    next: usize,
    /// Calls of the queue since the last event, and the time of that.
    calls: u32,
    last: u64,
    /// How long the history continues after its last event.
    settle: u64,
    pub(crate) is_over: bool,
    /// The queue's process sleeps: it is in no call that computes anything.
    is_asleep: bool,
    pub(crate) oracle: Oracle,
    pub(crate) requests: VecDeque<Request>,
    /// The number of single events so far. The queue may spend calls on each.
    pub(crate) happened: u64,
    pub(crate) last_happened: u64,
    writers: [Option<i32>; 3],
    files: Files,
    /// The result of each writer's pulls: of write(2), or the error of open(2).
    pub(crate) pulls: Vec<(usize, Result<usize, i32>)>,
    reader: Option<i32>,
    /// The trigger that a supervisor has opened, and its descriptor there.
    inherited: Option<(Ino, i32)>,
    parts: usize,
    /// The tree as the oracle has seen it: its version, and the numbers of directories.
    seen: Option<(u64, usize, usize)>,
    /// The paths of all directories.
    paths: Vec<Vec<u8>>,
    /// The path of the trigger without links, and the one in the queue's options.
    trigger: Option<Vec<u8>>,
    described_trigger: Option<Vec<u8>>,
    /// The number of directories inside `todo` of a flat queue.
    inside: usize,
    away: Vec<Vec<u8>>,
    mounts: Vec<Vec<u8>>,
    flood_until: u64,
    events_until: u64,
    flooder: Option<i32>,
    /// The FIFOs that the writers, and last the flooder, have opened.
    fifos: [Option<Ino>; 4],
    made: u32,
    /// Calls by kind since the last wait.
    pub(crate) turn: Turn,
    pub(crate) reached: Reached,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) calls: u64,
    pub(crate) stats: u64,
    pub(crate) opens: u64,
    /// Of a directory.
    pub(crate) batches: u64,
    /// Of the trigger or the watch.
    pub(crate) reads: u64,
    /// Of the history.
    pub(crate) events: u64,
    /// Events came before each call.
    pub(crate) is_flooded: bool,
}

macro_rules! states {
    ($($state:ident $name:literal,)*) => {
        /// A state that the run as a whole must reach.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum State { $($state,)* }

        /// Their names.
        pub(crate) const STATES: [&str; [$(State::$state,)*].len()] = [$($name,)*];
    };
}

states! {
    NumberUsedAgain "inode number used again",
    MountedOver "mounted over",
    LazilyUnmounted "lazily unmounted",
    FullTrigger "full trigger",
    PullRefused "pull refused",
    Packets "packets",
    TriggerReplaced "trigger replaced",
    HomeReplaced "home replaced",
    Frozen "frozen",
    Flooded "flooded",
    FloodedByEvents "flooded by events",
    OtherReader "other reader",
    QueueGrown "split queue grown",
    WrittenInPlace "written in place",
    InheritedPulled "inherited trigger pulled",
}

/// How often each state was reached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached(pub(crate) [u64; STATES.len()]);

impl Reached {
    fn count(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: Reached) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// The interface by which the kernel calls the world.
pub(crate) struct Shared(pub(crate) Rc<RefCell<World>>);

impl sim::World for Shared {
    fn before_call(&mut self, kernel: &mut Kernel, call: Call) {
        self.0.borrow_mut().before_call(kernel, call);
    }

    fn next_time(&mut self, kernel: &Kernel) -> Option<u64> {
        self.0.borrow().next_time(kernel)
    }

    fn at_time(&mut self, kernel: &mut Kernel) {
        self.0.borrow_mut().at_time(kernel);
    }
}

impl World {
    pub(crate) fn new(history: &History, now: u64, settle: u64) -> World {
        let config = history.config;
        World {
            config,
            events: history.events.clone(),
            next: 0,
            calls: 0,
            last: now,
            settle,
            is_over: false,
            is_asleep: false,
            oracle: Oracle::new(config, now),
            requests: VecDeque::new(),
            happened: 0,
            last_happened: now,
            writers: [None; 3],
            files: Files::default(),
            pulls: Vec::new(),
            reader: None,
            inherited: None,
            parts: parts(&config),
            seen: None,
            paths: Vec::new(),
            trigger: trigger(&config, b"/v/q"),
            described_trigger: described_trigger(&config, seen_home(&config)),
            inside: 0,
            away: Vec::new(),
            mounts: Vec::new(),
            flood_until: 0,
            events_until: 0,
            flooder: None,
            fifos: [None; 4],
            made: 0,
            turn: Turn::default(),
            reached: Reached::default(),
        }
    }

    /// Starts the supervisor, if there is one. It opens the trigger and does not use it.
    pub(crate) fn supervise(&mut self, kernel: &mut Kernel) {
        let path = self.trigger.as_ref().filter(|_| self.is_inherited());
        self.inherited = path.map(|path| {
            let fd = kernel.act(OTHERS, |kernel| kernel.open(path, O_RDWR, 0));
            (kernel.find(path).expect("it was built"), fd.expect("it never blocks"))
        });
    }

    /// Passes the trigger on to the program.
    pub(crate) fn inherit(&self, kernel: &mut Kernel) -> Option<i32> {
        let (_, fd) = self.inherited?;
        Some(kernel.pass(OTHERS, fd, QUEUE).expect("few are open"))
    }

    fn is_inherited(&self) -> bool {
        self.config.trigger == Trigger::Inherited
    }

    /// Returns whether all events have happened.
    pub(crate) fn is_spent(&self) -> bool {
        self.next == self.events.len()
    }

    fn before_call(&mut self, kernel: &mut Kernel, call: Call) {
        self.calls += 1;
        self.turn.calls += 1;
        match call {
            Call::Fstatat | Call::Fstat => self.turn.stats += 1,
            Call::Open => self.turn.opens += 1,
            Call::Getdents | Call::Readdir => self.turn.batches += 1,
            Call::Read => self.turn.reads += 1,
            _ => {}
        }
        while let Some(event) = self.events.get(self.next) {
            let due = match event.gap {
                Gap::Calls(calls) => self.calls > calls,
                Gap::Time(gap) => kernel.now() >= self.last + gap * MS,
            };
            if !due {
                break;
            }
            self.happen(kernel);
        }
        self.flood(kernel);
    }

    fn next_time(&self, kernel: &Kernel) -> Option<u64> {
        if self.is_over {
            return None;
        }
        let event = match self.events.get(self.next).map(|event| event.gap) {
            Some(Gap::Calls(_)) => kernel.now(),
            Some(Gap::Time(gap)) => self.last + gap * MS,
            None => self.last + self.settle,
        };
        let flood = self.is_flooded(kernel).then(|| kernel.now() + 20_000);
        Some(flood.map_or(event, |flood| flood.min(event)))
    }

    fn at_time(&mut self, kernel: &mut Kernel) {
        self.flood(kernel);
        match self.events.get(self.next).map(|event| event.gap) {
            Some(Gap::Time(gap)) if kernel.now() < self.last + gap * MS => {}
            Some(_) => {
                self.is_asleep = true;
                self.happen(kernel);
                self.is_asleep = false;
            }
            None if kernel.now() >= self.last + self.settle => {
                self.is_over = true;
                kernel.interrupt();
            }
            None => {}
        }
    }

    fn is_flooded(&self, kernel: &Kernel) -> bool {
        kernel.now() < self.flood_until.max(self.events_until)
    }

    /// A hostile writer acts before each call of the queue. So its acts permit no more calls.
    fn flood(&mut self, kernel: &mut Kernel) {
        if kernel.now() < self.flood_until {
            self.flood_trigger(kernel);
        }
        if kernel.now() < self.events_until {
            self.flood_watch(kernel);
        }
    }

    fn flood_watch(&mut self, kernel: &mut Kernel) {
        let path = [&self.directory(0)[..], b"/.hidden"].concat();
        kernel.act(OTHERS, |kernel| {
            let _ = kernel.create(&path, 0o644);
            let _ = kernel.unlink(&path);
        });
        self.oracle.burst();
        self.oracle.change(0);
        self.last_happened = kernel.now();
        self.turn.is_flooded = true;
        self.reached.count(State::FloodedByEvents);
    }

    fn flood_trigger(&mut self, kernel: &mut Kernel) {
        let Some(path) = &self.trigger else { return };
        kernel.act(OTHERS, |kernel| {
            if self.flooder.is_none() {
                self.flooder = kernel.open(path, O_WRONLY | O_NONBLOCK, 0).ok();
                self.fifos[3] = kernel.find(path).ok();
            }
            if let Some(fd) = self.flooder {
                let _ = kernel.write(fd, 4096);
            }
        });
        self.last_happened = kernel.now();
        self.pulled(kernel, Some(3));
        self.reached.count(State::Flooded);
    }

    /// The FIFO in the queue was pulled. An alias that the queue uses may lead to another FIFO.
    fn pulled(&mut self, kernel: &Kernel, writer: Option<usize>) {
        let has_opened = writer.and_then(|writer| self.fifos[writer]);
        if self.is_inherited() {
            // The path may lead to another FIFO, which the queue has nothing to do with.
            if has_opened.is_some() && has_opened == self.inherited.map(|(ino, _)| ino) {
                self.oracle.pull(kernel.now());
                self.reached.count(State::InheritedPulled);
            }
            return;
        }
        let find = |path: &Option<Vec<u8>>| path.as_ref().and_then(|path| kernel.find(path).ok());
        let named = find(&self.trigger);
        let is_old = has_opened.is_some() && has_opened != named;
        let is_alias = self.config.trigger == Trigger::Alias;
        if !is_old && (!is_alias || find(&self.described_trigger) == named) {
            self.oracle.pull(kernel.now());
        }
    }

    /// Performs the next event.
    fn happen(&mut self, kernel: &mut Kernel) {
        let Some(event) = self.events.get(self.next).copied() else { return };
        self.turn.events += 1;
        // The program may have removed entries in this turn.
        if self.seen.is_some_and(|(version, ..)| version != kernel.tree().version()) {
            self.look(kernel);
        }
        self.next += 1;
        self.calls = 0;
        self.happened += 1;
        kernel.note(|| format!("--- {:?}", event.op));
        kernel.act(OTHERS, |kernel| self.perform(kernel, event.op));
        self.last = kernel.now();
        self.last_happened = kernel.now();
        self.look(kernel);
    }

    /// Reports the current tree to the oracle.
    pub(crate) fn look(&mut self, kernel: &Kernel) {
        let seen = (kernel.tree().version(), self.parts, self.inside);
        // A write does not change the tree.
        let may_be_written = self.config.in_place.is_some();
        if self.seen == Some(seen) && !may_be_written && self.oracle.all_are_reachable() {
            return;
        }
        self.seen = Some(seen);
        let home = seen_home(&self.config);
        if self.paths.len() != self.parts + self.inside {
            let paths = (0..self.parts).map(|part| directory(&self.config, home, part));
            let inside =
                (0..self.inside).map(|part| [home, format!("/todo/{part}").as_bytes()].concat());
            self.paths = paths.chain(inside).collect();
        }
        let above = matches!(self.config.layout, Layout::Split(_));
        let above = above.then(|| [home, b"/todo"].concat());
        let trigger = self.described_trigger.as_deref();
        self.oracle.look(kernel, &self.paths, above.as_deref(), trigger);
    }

    fn directory(&self, number: usize) -> Vec<u8> {
        directory(&self.config, b"/v/q", number % self.parts)
    }

    fn name(directory: &[u8], name: usize) -> Vec<u8> {
        [directory, format!("/{}", 4711 + name % 4).as_bytes()].concat()
    }
}

/// The time after the last event, which is at least as long as the longest bound.
pub(crate) fn settle(config: &Config) -> u64 {
    if config.rescan <= 60_000 { config.rescan * MS + 15 * SECOND } else { 15 * SECOND }
}
