//! The world around the queue: writers, administrators, other readers, faults. Performs the events of a
//! history at their times and reports them to the oracle.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use libc::{O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use pullcord_platform::sim::{self, Call, Fault, FsKind, Ino, Kernel, Pipes, QUEUE, Settings};

use crate::history::{Config, Event, Gap, History, Layout, Op, PathKind, Trigger};
use crate::in_place::Files;
use crate::oracle::{MS, Oracle, SECOND};

/// The process of all writers and administrators.
const OTHERS: usize = 1;

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

/// Returns the kernel at the start of a history.
pub(crate) fn boot(config: &Config) -> Kernel {
    let settings = Settings {
        batch: config.batch,
        pipes: match config.old_edges {
            _ if !cfg!(pullcord_sim = "bsd") => Pipes::Linux,
            false => Pipes::FreeBsd,
            true => Pipes::NetBsd,
        },
        failed_rmdir_posts_delete: config.old_edges,
        queued_events: config.events,
        watches: config.watches,
        edge_at_each_write: !config.old_edges,
        privileged: config.privileged,
        ..Settings::default()
    };
    let mut kernel = Kernel::new(settings, config.fs);
    assert_eq!(kernel.add_process(), OTHERS);
    kernel.act(OTHERS, |kernel| {
        kernel.mkdir(b"/v", 0o755).expect("an empty root");
        build(kernel, config, b"/v/q", parts(config));
        kernel.symlink(b"/v/q", b"/s").expect("an empty root");
    });
    if config.path == PathKind::Relative {
        kernel.chdir(QUEUE, b"/v").expect("made above");
    }
    kernel
}

fn parts(config: &Config) -> usize {
    match config.layout {
        Layout::Flat | Layout::Maildrop => 1,
        Layout::Split(parts) | Layout::Directories(parts) => parts,
    }
}

/// Creates the missing parts of a queue.
fn build(kernel: &mut Kernel, config: &Config, home: &[u8], parts: usize) {
    let at = |rest: &str| [home, rest.as_bytes()].concat();
    let _ = kernel.mkdir(home, 0o755);
    let _ = kernel.mkdir(&at("/lock"), 0o755);
    if matches!(config.layout, Layout::Flat | Layout::Split(_)) {
        let _ = kernel.mkdir(&at("/todo"), 0o755);
    }
    for part in 0..parts {
        let _ = kernel.mkdir(&directory(config, home, part), 0o755);
    }
    if let Some(trigger) = trigger(config, home) {
        let _ = kernel.mkfifo(&trigger, 0o622);
    }
}

/// Returns the path of a directory of the queue.
pub(crate) fn directory(config: &Config, home: &[u8], number: usize) -> Vec<u8> {
    let rest = match config.layout {
        Layout::Flat => "/todo".into(),
        Layout::Split(_) => format!("/todo/{number}"),
        Layout::Maildrop => "/maildrop".into(),
        Layout::Directories(_) => format!("/d{number}"),
    };
    [home, rest.as_bytes()].concat()
}

/// Returns the path of the trigger without links.
pub(crate) fn trigger(config: &Config, home: &[u8]) -> Option<Vec<u8>> {
    match config.trigger {
        Trigger::None => None,
        Trigger::Apart | Trigger::Inherited => Some([home, b"/lock/trigger"].concat()),
        Trigger::Inside => Some([&directory(config, home, 0)[..], b"/trigger"].concat()),
        Trigger::Alias => Some([home, b"/trigger"].concat()),
    }
}

/// Returns the path of the trigger in the queue's options.
pub(crate) fn described_trigger(config: &Config, home: &[u8]) -> Option<Vec<u8>> {
    match config.trigger {
        Trigger::Alias => Some(b"/s/trigger".to_vec()),
        Trigger::Inherited => None,
        _ => trigger(config, home),
    }
}

/// Returns the path in the queue's options.
pub(crate) fn home(config: &Config) -> &'static [u8] {
    match config.path {
        PathKind::Absolute => b"/v/q",
        PathKind::Link => b"/s",
        PathKind::Relative => b"q",
    }
}

/// Returns the path by which the world finds the queue that its options name.
fn seen_home(config: &Config) -> &'static [u8] {
    if config.path == PathKind::Link { b"/s" } else { b"/v/q" }
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
        if kernel.now() < self.flood_until {
            self.flood(kernel);
        }
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
        let flood = (kernel.now() < self.flood_until).then(|| kernel.now() + 20_000);
        Some(flood.map_or(event, |flood| flood.min(event)))
    }

    fn at_time(&mut self, kernel: &mut Kernel) {
        if kernel.now() < self.flood_until {
            self.flood(kernel);
        }
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

    fn flood(&mut self, kernel: &mut Kernel) {
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
        // These pulls follow each call of the queue, so they do not permit more calls.
        let now = kernel.now();
        self.last_happened = now;
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

    fn perform(&mut self, kernel: &mut Kernel, op: Op) {
        let now = kernel.now();
        match op {
            Op::Link(directory, name) => {
                let path = World::name(&self.directory(directory), name);
                self.link(kernel, &self.directory(directory), &path);
                self.oracle.change(directory % self.parts);
            }
            Op::LinkAbove(name) => {
                if matches!(self.config.layout, Layout::Split(_)) {
                    let path = World::name(b"/v/q/todo", name);
                    self.link(kernel, b"/v/q/todo", &path);
                }
            }
            Op::RenameIn(directory, name) => {
                let directory_path = self.directory(directory);
                let hidden = [&directory_path[..], b"/.new"].concat();
                let path = World::name(&directory_path, name);
                if kernel.create(&hidden, 0o644).is_ok() && kernel.rename(&hidden, &path).is_ok() {
                    self.oracle.moved_in(kernel, &directory_path, &path);
                }
                self.oracle.change(directory % self.parts);
                self.oracle.change(directory % self.parts);
            }
            Op::Open(writer) => self.open_writer(kernel, writer),
            Op::Write(writer) => self.write(kernel, writer, 1),
            Op::Close(writer) => self.close_writer(kernel, writer),
            Op::Pull => {
                self.close_writer(kernel, 0);
                self.open_writer(kernel, 0);
                self.write(kernel, 0, 1);
                self.close_writer(kernel, 0);
            }
            Op::Packets(writer) => {
                if let Some(fd) = self.writers[writer % 3] {
                    let flags = O_NONBLOCK | O_DIRECT;
                    let _ = kernel.fcntl(fd, libc::F_SETFL, flags);
                    self.oracle.packets();
                    self.reached.count(State::Packets);
                }
            }
            Op::Fill(writer) => {
                self.open_writer(kernel, writer);
                self.write(kernel, writer, 65_536);
                (0..16).for_each(|_| self.pulled(kernel, Some(writer % 3)));
                while self.writers[writer % 3].is_some_and(|fd| kernel.write(fd, 4096).is_ok()) {
                    // Each write may be a packet. Then each is a pull.
                    self.pulled(kernel, Some(writer % 3));
                }
                self.reached.count(State::FullTrigger);
            }
            Op::Flood(time) => self.flood_until = now + time * MS,
            Op::Unready(directory, name) => {
                let directory_path = self.directory(directory);
                let path = World::name(&directory_path, name);
                if kernel.create(&path, 0o644).is_ok() {
                    self.look(kernel);
                    self.oracle.finished(kernel, &directory_path, &path);
                }
                self.oracle.change(directory % self.parts);
            }
            Op::Ready(directory, name) => {
                let path = World::name(&self.directory(directory), name);
                let _ = kernel.chmod(&path, 0o744);
                self.look(kernel);
                if let Some(id) = kernel.entry(&path) {
                    self.oracle.touched(id);
                }
            }
            Op::ReadySilently(directory, name) => {
                let directory_path = self.directory(directory);
                let path = World::name(&directory_path, name);
                let other = self.aside(b"/v/q/away");
                let is_unready = self.config.layout == Layout::Maildrop
                    && kernel.find(&path).is_ok_and(|ino| kernel.tree().mode(ino) & 0o100 == 0);
                if is_unready && kernel.link(&path, &other).is_ok() {
                    let _ = kernel.chmod(&other, 0o744);
                    let _ = kernel.unlink(&other);
                    self.look(kernel);
                    if let Some(id) = kernel.entry(&path) {
                        self.oracle.silently(id);
                    }
                } else if let Ok(fd) = kernel.open_unnamed(&directory_path, 0o644) {
                    let linked = kernel.link_open(fd, &path);
                    let _ = kernel.fchmod(fd, 0o744);
                    let _ = kernel.close(fd);
                    self.look(kernel);
                    if let (Ok(()), Some(id)) = (linked, kernel.entry(&path)) {
                        self.oracle.silently(id);
                    }
                }
                self.oracle.change(directory % self.parts);
            }
            Op::Create(directory, name) => {
                let key = (directory % self.parts, name % 4);
                self.files.create(kernel, key, &World::name(&self.directory(key.0), key.1));
                self.oracle.change(key.0);
            }
            Op::Append(directory, name) => {
                let key = (directory % self.parts, name % 4);
                self.files.append(kernel, key, &World::name(&self.directory(key.0), key.1));
                self.reached.count(State::WrittenInPlace);
            }
            Op::Finish(directory, name) => {
                let key = (directory % self.parts, name % 4);
                let directory_path = self.directory(key.0);
                if self.files.finish(kernel, key) {
                    self.look(kernel);
                    let path = World::name(&directory_path, key.1);
                    self.oracle.finished(kernel, &directory_path, &path);
                }
            }
            Op::ManyUnready(count) => {
                self.oracle.burst();
                let directory = self.directory(0);
                for number in 0..count {
                    let path = [&directory[..], format!("/u{number}").as_bytes()].concat();
                    if kernel.create(&path, 0o644).is_ok() {
                        self.oracle.finished(kernel, &directory, &path);
                    }
                    self.happened += 1;
                }
                self.oracle.change(0);
            }
            Op::Unlink(directory, name) => {
                let _ = kernel.unlink(&World::name(&self.directory(directory), name));
                self.oracle.change(directory % self.parts);
            }
            Op::Replace(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&path, &aside);
                self.rebuild(kernel, &path);
                self.oracle.disturb_paths(now);
            }
            Op::Remake(directory) => {
                let path = self.directory(directory);
                self.empty(kernel, &path);
                if kernel.rmdir(&path).is_ok() {
                    self.reached.count(State::NumberUsedAgain);
                }
                self.rebuild(kernel, &path);
                self.oracle.disturb_paths(now);
            }
            Op::Remove(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/away");
                if kernel.rename(&path, &aside).is_ok() {
                    self.away.push(aside);
                }
                self.oracle.disturb_paths(now);
            }
            Op::Restore(directory) => {
                let path = self.directory(directory);
                match self.away.pop() {
                    Some(aside) => drop(kernel.rename(&aside, &path)),
                    None => drop(kernel.mkdir(&path, 0o755)),
                }
                self.oracle.disturb_paths(now);
            }
            Op::PutFifo(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&path, &aside);
                let _ = kernel.mkfifo(&path, 0o600);
                self.oracle.disturb_paths(now);
            }
            Op::Exchange(one, other) => {
                let (one, other) = (self.directory(one), self.directory(other));
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&one, &aside);
                let _ = kernel.rename(&other, &one);
                let _ = kernel.rename(&aside, &other);
                self.oracle.disturb_paths(now);
            }
            Op::ReplaceHome => {
                let aside = self.aside(b"/v/old");
                if kernel.rename(b"/v/q", &aside).is_ok() {
                    self.reached.count(State::HomeReplaced);
                }
                build(kernel, &self.config, b"/v/q", self.parts);
                self.oracle.disturb_paths(now);
            }
            Op::MountOver(directory) => {
                let path = self.directory(directory);
                self.mount(kernel, &path);
                self.rebuild_trigger(kernel);
                self.oracle.disturb_paths(now);
            }
            Op::MountOverHome => {
                self.mount(kernel, b"/v/q");
                build(kernel, &self.config, b"/v/q", self.parts);
                self.oracle.disturb_paths(now);
            }
            Op::Unmount(lazy) => {
                if let Some(path) = self.mounts.pop() {
                    if kernel.unmount(&path, lazy).is_err() {
                        self.mounts.push(path);
                    } else if lazy {
                        self.reached.count(State::LazilyUnmounted);
                    }
                    self.oracle.disturb_paths(now);
                }
            }
            Op::SwapLink => {
                let other = kernel.find(b"/v/q2").is_err();
                if other {
                    build(kernel, &self.config, b"/v/q2", self.parts);
                }
                let target: &[u8] = if self.made % 2 == 0 { b"/v/q2" } else { b"/v/q" };
                self.made += 1;
                let _ = kernel.symlink(target, b"/s.new");
                let _ = kernel.rename(b"/s.new", b"/s");
                self.oracle.disturb_paths(now);
            }
            Op::Forbid(directory) => {
                let _ = kernel.chmod(&self.directory(directory), 0);
                self.oracle.disturb_paths(now);
            }
            Op::Allow(directory) => {
                let _ = kernel.chmod(&self.directory(directory), 0o755);
                self.oracle.disturb_paths(now);
            }
            Op::ForbidHome => {
                let _ = kernel.chmod(b"/v/q", 0o311);
            }
            Op::ReplaceTrigger | Op::RemoveTrigger | Op::MakeTrigger => {
                let Some(path) = &self.trigger else { return };
                if op != Op::MakeTrigger {
                    let _ = kernel.unlink(path);
                }
                if op != Op::RemoveTrigger {
                    let _ = kernel.mkfifo(path, 0o622);
                }
                self.reached.count(State::TriggerReplaced);
                if !self.is_inherited() {
                    self.oracle.disturb_trigger(now);
                }
            }
            Op::AddPart => {
                if matches!(self.config.layout, Layout::Split(_)) {
                    let path = directory(&self.config, b"/v/q", self.parts);
                    if kernel.mkdir(&path, 0o755).is_ok() {
                        self.parts += 1;
                        self.reached.count(State::QueueGrown);
                    }
                    self.oracle.disturb_paths(now);
                }
                if self.config.layout == Layout::Flat {
                    let path = format!("/v/q/todo/{}", self.inside);
                    self.inside += usize::from(kernel.mkdir(path.as_bytes(), 0o755).is_ok());
                    self.oracle.disturb_paths(now);
                }
            }
            Op::LinkInside(name) => {
                if self.inside > 0 {
                    self.link(kernel, b"/v/q/todo/0", &World::name(b"/v/q/todo/0", name));
                }
            }
            Op::Bind(from, to) => {
                let (from, to) = (self.directory(from), self.directory(to));
                if from != to && self.mounts.len() < 4 && kernel.bind(&from, &to).is_ok() {
                    self.mounts.push(to);
                    self.oracle.bound();
                    self.oracle.disturb_paths(now);
                }
            }
            Op::FailedRmdir(directory) => {
                let path = self.directory(directory);
                if kernel.find(&path).is_ok_and(|ino| !kernel.tree().entries(ino).is_empty()) {
                    let _ = kernel.rmdir(&path);
                    // If this causes an event, the queue has a reason to check.
                    self.oracle.disturb_paths(now);
                }
            }
            Op::OtherReader => {
                // Without /proc a program must be the only reader of a trigger that it was passed.
                let is_only = self.is_inherited() && cfg!(pullcord_sim = "bsd");
                let path = self.trigger.as_ref().filter(|_| !is_only);
                if let (Some(path), None) = (path, self.reader) {
                    self.reader = kernel.open(path, O_RDONLY | O_NONBLOCK, 0).ok();
                    self.reached.count(State::OtherReader);
                    self.oracle.foreign_reader(now, self.reader.is_some());
                }
            }
            Op::OtherReads => {
                if let Some(fd) = self.reader {
                    let _ = kernel.read(fd, 65_536);
                }
            }
            Op::OtherLeaves => {
                if let Some(fd) = self.reader.take() {
                    let _ = kernel.close(fd);
                    self.oracle.foreign_reader(now, false);
                }
            }
            Op::Noise(count) => {
                for number in 0..count {
                    let path = format!("/v/q/noise{number}");
                    let _ = kernel.create(path.as_bytes(), 0o644);
                    let _ = kernel.unlink(path.as_bytes());
                }
            }
            Op::Hidden(directory, count) => {
                self.oracle.burst();
                let directory_path = self.directory(directory);
                for number in 0..count {
                    let path = [&directory_path[..], format!("/.h{number}").as_bytes()].concat();
                    let _ = kernel.create(&path, 0o644);
                    let _ = kernel.unlink(&path);
                    self.happened += 1;
                }
                self.oracle.change(directory % self.parts);
            }
            Op::FailNext(error, times) => {
                kernel.inject(Fault::Next { error, times });
                self.oracle.fault(now);
            }
            Op::FailFor(call, error, time) => {
                let call = Call::ALL[call % Call::ALL.len()];
                let errors = call.errors();
                if !errors.is_empty() {
                    let (errno, until) = (errors[error % errors.len()], now + time * MS);
                    kernel.inject(Fault::Until { call, errno, until });
                    self.oracle.fault(until);
                }
            }
            Op::Signal => kernel.interrupt(),
            Op::Freeze(time) => {
                kernel.advance(time * MS);
                self.reached.count(State::Frozen);
                self.oracle.frozen(now, kernel.now(), self.is_asleep);
            }
            Op::SetClock(by) => {
                kernel.set_clock(by * MS as i64);
                self.oracle.clock_was_set(now);
            }
            Op::WrongTime(off) => {
                self.requests.push_back(Request::WrongTime(off));
                kernel.interrupt();
            }
            Op::Spurious => {
                self.requests.push_back(Request::Spurious);
                kernel.interrupt();
            }
            Op::RegisterAgain(times) => {
                self.requests.push_back(Request::RegisterAgain(times));
                kernel.interrupt();
            }
            Op::RequeueAgain(time, times) => {
                self.requests.push_back(Request::RequeueAgain(time, times));
                kernel.interrupt();
            }
            Op::Chdir => drop(kernel.chdir(QUEUE, b"/")),
            Op::Restart => {
                self.requests.push_back(Request::Restart);
                kernel.interrupt();
            }
        }
    }

    fn aside(&mut self, path: &[u8]) -> Vec<u8> {
        self.made += 1;
        [path, self.made.to_string().as_bytes()].concat()
    }

    fn rebuild(&mut self, kernel: &mut Kernel, directory: &[u8]) {
        let _ = kernel.mkdir(directory, 0o755);
        self.rebuild_trigger(kernel);
    }

    /// A new directory has no trigger in it.
    fn rebuild_trigger(&mut self, kernel: &mut Kernel) {
        if self.config.trigger == Trigger::Inside {
            build(kernel, &self.config, b"/v/q", self.parts);
        }
    }

    fn empty(&mut self, kernel: &mut Kernel, directory: &[u8]) {
        let Ok(ino) = kernel.find(directory) else { return };
        let names: Vec<_> = kernel.tree().entries(ino).iter().map(|it| it.name.clone()).collect();
        for name in names {
            let _ = kernel.unlink(&[directory, b"/", &name].concat());
        }
    }

    fn mount(&mut self, kernel: &mut Kernel, path: &[u8]) {
        if kernel.find(path).is_err() || self.mounts.len() > 3 {
            return;
        }
        let kind = if self.config.fs == FsKind::Tmpfs { FsKind::Ext4 } else { self.config.fs };
        let system = kernel.add_system(kind);
        if kernel.mount(system, path).is_ok() {
            self.mounts.push(path.into());
            self.reached.count(State::MountedOver);
        }
    }

    /// A message that is complete before it has a name.
    fn link(&mut self, kernel: &mut Kernel, directory: &[u8], path: &[u8]) {
        let mode = if self.config.layout == Layout::Maildrop { 0o744 } else { 0o644 };
        if let Ok(fd) = kernel.open_unnamed(directory, mode) {
            let _ = kernel.link_open(fd, path);
            let _ = kernel.close(fd);
        }
    }

    fn open_writer(&mut self, kernel: &mut Kernel, writer: usize) {
        let Some(path) = &self.trigger else { return };
        if self.writers[writer % 3].is_some() {
            return;
        }
        self.fifos[writer % 3] = None;
        match kernel.open(path, O_WRONLY | O_NONBLOCK, 0) {
            Ok(fd) => {
                self.writers[writer % 3] = Some(fd);
                self.fifos[writer % 3] = kernel.find(path).ok();
            }
            Err(libc::ENXIO) => {
                // The writer does not try again. Its mail must still be found.
                self.reached.count(State::PullRefused);
                self.pulls.push((writer, Err(libc::ENXIO)));
                self.look(kernel);
                self.pulled(kernel, None);
            }
            Err(_) => {}
        }
    }

    fn write(&mut self, kernel: &mut Kernel, writer: usize, count: usize) {
        let Some(fd) = self.writers[writer % 3] else { return };
        self.look(kernel);
        let written = kernel.write(fd, count);
        self.pulls.push((writer, written));
        if matches!(written, Ok(_) | Err(libc::EAGAIN | libc::EPIPE)) {
            self.pulled(kernel, Some(writer % 3));
        }
    }

    fn close_writer(&mut self, kernel: &mut Kernel, writer: usize) {
        if let Some(fd) = self.writers[writer % 3].take() {
            let _ = kernel.close(fd);
        }
    }
}

/// The time after the last event, which is at least as long as the longest bound.
pub(crate) fn settle(config: &Config) -> u64 {
    if config.rescan <= 60_000 { config.rescan * MS + 15 * SECOND } else { 15 * SECOND }
}
