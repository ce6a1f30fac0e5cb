//! Runs one history: the program around the queue, on a kernel of its own.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Events, Interest, Key, Mode, Notifier, Origin, OwnedEntry, Queue, QueueOptions,
    Receiver,
};
use pullcord_platform::sim::{self, Census, QUEUE};
use pullcord_platform::watch::REPORTS_NAMES;
use pullcord_platform::{OwnedFd, Select, clock};

use crate::history::{Config, Consumer, History, Layout, Loop, PathKind, WatchMode};
use crate::in_place;
use crate::memory::{self, counted};
use crate::oracle::{Failure, How, MS, SECOND};
use crate::world::{self, Reached, Request, Shared, Turn, World};

/// The result of a history.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) failure: Option<Failure>,
    pub(crate) trace: u64,
    pub(crate) calls: u64,
    /// Simulated nanoseconds.
    pub(crate) time: u64,
    pub(crate) arrivals: u64,
    pub(crate) returned: u64,
    pub(crate) repeats: u64,
    pub(crate) steps: usize,
    pub(crate) overflows: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) census: Census,
    pub(crate) reached: Reached,
    pub(crate) log: Vec<String>,
}

/// Runs a history to its end, or to its first failure.
pub(crate) fn run(history: &History, keep_log: bool) -> Outcome {
    let mut kernel = world::boot(&history.config);
    if keep_log {
        kernel.keep_log();
    }
    memory::restart();
    let begin = kernel.now();
    let settle = world::settle(&history.config);
    let world = Rc::new(RefCell::new(World::new(history, begin, settle)));
    world.borrow_mut().supervise(&mut kernel);
    kernel.set_world(Box::new(Shared(world.clone())));
    sim::boot(kernel);
    sim::with(|kernel| world.borrow_mut().look(kernel));
    let mut program = Program::new(history.config, world.clone());
    let ended = panic::catch_unwind(AssertUnwindSafe(|| program.run()));
    let mut kernel = sim::halt().expect("booted above");
    let world = world.borrow_mut();
    let failure = match ended {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => Some(Failure::Panic(message(&*panic))),
    };
    Outcome {
        failure,
        trace: kernel.trace(),
        calls: kernel.calls(),
        time: kernel.now() - begin,
        arrivals: world.oracle.arrivals,
        returned: world.oracle.returned,
        repeats: world.oracle.repeats,
        steps: history.events.len(),
        overflows: program.overflows,
        warnings: std::mem::take(&mut program.warnings),
        census: kernel.census().clone(),
        reached: world.reached,
        log: kernel.take_log(),
    }
}

/// The message of a panic.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").into()
}

/// The program that contains the queue.
struct Program {
    config: Config,
    world: Rc<RefCell<World>>,
    /// Requested actions, with the number of remaining times.
    register_again: u32,
    requeue_again: (u64, u32),
    wrong_time: i64,
    restart: bool,
    requeued: HashSet<u64>,
    /// How often each error was reported since the last event.
    errors: HashMap<String, u32>,
    errors_since: u64,
    overflows: u64,
    warnings: Vec<String>,
    second: Window,
    quiet: Option<Window>,
    /// The loop without a notifier.
    poll: Select,
    polled: Events,
}

/// The counts at the beginning of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begin: u64,
    calls: u64,
    wakeups: u64,
    happened: u64,
    returned: u64,
}

type Checked = Result<(), Failure>;

/// The memory that a queue needs for its buffers: each trigger has one of 64 KiB, the watch and the scan too.
const ALWAYS_ALLOWED: usize = 512 * 1024;

/// The queue of a program that has started.
enum Mail {
    /// On a notifier of the program.
    Queue(Box<dyn Notifier>, Box<Queue>),
    /// Inside another loop of the program.
    Receiver(Box<dyn Notifier>, Box<Receiver>),
    /// In a loop without a notifier.
    Foreign(Box<Queue>),
}

impl Mail {
    fn queue(&self) -> &Queue {
        match self {
            Mail::Queue(_, queue) | Mail::Foreign(queue) => queue,
            Mail::Receiver(_, receiver) => receiver.queue(),
        }
    }

    fn next(&mut self, now: Instant) -> Option<OwnedEntry> {
        let entry = match self {
            Mail::Queue(_, queue) | Mail::Foreign(queue) => queue.next_entry(now),
            Mail::Receiver(_, receiver) => receiver.try_recv(),
        };
        entry.map(OwnedEntry::from)
    }
}

impl Program {
    fn new(config: Config, world: Rc<RefCell<World>>) -> Program {
        Program {
            config,
            world,
            register_again: 0,
            requeue_again: (0, 0),
            wrong_time: 0,
            restart: false,
            requeued: HashSet::new(),
            errors: HashMap::new(),
            errors_since: 0,
            overflows: 0,
            warnings: Vec::new(),
            second: Window::default(),
            quiet: None,
            poll: Select::new().expect("it opens nothing"),
            polled: Events::with_capacity(2),
        }
    }

    fn run(&mut self) -> Checked {
        while !self.is_over() {
            self.restart = false;
            if !self.live()? {
                return Ok(());
            }
            let descriptors = sim::with(|kernel| kernel.open_descriptors(QUEUE));
            if descriptors > 0 {
                return Err(Failure::Leak { descriptors });
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.world.borrow().is_over
    }

    /// Runs the program from its start to its end. Returns false if it cannot start.
    fn live(&mut self) -> Result<bool, Failure> {
        let Some(mut mail) = self.start()? else { return Ok(false) };
        let keys = if self.config.equal_keys { [Key(3), Key(3)] } else { [Key(3), Key(8)] };
        if let Mail::Queue(notifier, queue) = &mut mail {
            queue.register(&mut **notifier, keys);
        }
        let mut events = Events::with_capacity(4);
        self.second = self.window();
        while !self.is_over() && !self.restart {
            self.take_requests(&mut mail, keys);
            let now = self.time();
            self.world.borrow_mut().turn = Turn::default();
            match &mut mail {
                Mail::Foreign(queue) => self.wait_as_poll_does(queue, now)?,
                Mail::Queue(notifier, queue) => {
                    let timeout = counted(|| queue.prepare(&mut **notifier, now));
                    let waited = notifier.wait(&mut events, timeout);
                    self.check_after_wait(waited)?;
                    for event in &events {
                        let _ = queue.handle_event(event);
                    }
                }
                Mail::Receiver(outer, _) => {
                    let waited = outer.wait(&mut events, None);
                    self.check_after_wait(waited)?;
                }
            }
            self.turn(&mut mail)?;
            self.check_after_turn(mail.queue())?;
        }
        if !self.restart {
            self.check_at_end(mail.queue())?;
        }
        self.overflows += mail.queue().stats().watch_overflows;
        if let Mail::Queue(notifier, queue) = &mut mail {
            let _ = queue.deregister(&mut **notifier);
        }
        Ok(true)
    }

    fn start(&mut self) -> Result<Option<Mail>, Failure> {
        loop {
            if self.is_over() {
                return Ok(None);
            }
            let opened = self.open();
            let now = sim::with(|kernel| kernel.now());
            self.note_faults();
            match opened {
                Ok(opened) => {
                    let mut world = self.world.borrow_mut();
                    world.oracle.opened(now);
                    sim::with(|kernel| {
                        kernel.take_opened();
                        world.look(kernel);
                    });
                    return Ok(Some(opened));
                }
                Err(error) => {
                    let world = self.world.borrow();
                    if self.config.rescan == 0 {
                        // An interval of zero is refused, and the program ends.
                        return Ok(None);
                    }
                    if world.last_happened + SECOND < now
                        && !sim::with(|kernel| kernel.is_faulty())
                        && world.oracle.is_quiet(now)
                        && world.is_spent()
                        && self.is_path_there()
                        && (self.config.watch != WatchMode::Required
                            || self.config.watches_directories())
                        && world.oracle.all_are_there()
                    {
                        sim::with(|kernel| kernel.note(|| error));
                        return Err(Failure::Refused);
                    }
                    self.warnings.push(error);
                }
            }
            sim::with(|kernel| kernel.rest(100 * MS));
        }
    }

    /// A relative path leads to the queue until the program leaves its directory.
    fn is_path_there(&self) -> bool {
        let here = || sim::with(|kernel| kernel.current_directory());
        self.config.path != PathKind::Relative || here().is_ok_and(|path| *path == *b"/v")
    }

    fn open(&self) -> Result<Mail, String> {
        let text = |error: pullcord::Error| error.to_string();
        let options = self.describe().map_err(text)?;
        let queue = counted(|| options.open()).map_err(text)?;
        let io = |error| format!("the program: cannot open the notifier: {error}");
        let mode = match self.config.wait {
            Loop::Foreign => return Ok(Mail::Foreign(Box::new(queue))),
            Loop::Native | Loop::Select => {
                let is_native = self.config.wait == Loop::Native;
                let backend = if is_native { Backend::best() } else { Backend::Select };
                return Ok(Mail::Queue(backend.open().map_err(io)?, Box::new(queue)));
            }
            Loop::InsideLevel => Mode::Level,
            Loop::InsideEdge => Mode::Edge,
        };
        let receiver = counted(|| Receiver::new(queue)).map_err(io)?;
        let mut outer = Backend::best().open().map_err(io)?;
        // Without a descriptor there is nothing to register: no history asks for it.
        let fd =
            receiver.pollable_fd().ok_or_else(|| io(std::io::ErrorKind::Unsupported.into()))?;
        outer.register(&fd, Key(0), Interest::Read, mode).map_err(io)?;
        Ok(Mail::Receiver(outer, Box::new(receiver)))
    }

    fn describe(&self) -> pullcord::Result<QueueOptions> {
        let config = &self.config;
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let home = world::home(config);
        let mut queue = match config.layout {
            Layout::Flat | Layout::Split(_) => QueueOptions::qmail(path(home))?,
            Layout::Maildrop => QueueOptions::postfix(path(home))?,
            Layout::Directories(count) => {
                let method = in_place::write_method(config).unwrap_or_default();
                let each = (0..count).map(|number| path(&world::directory(config, home, number)));
                let again = config.twice.then(|| path(&world::directory(config, b"/s", 0)));
                QueueOptions::directories(each.chain(again)).write_method(method)
            }
        };
        queue = match world::described_trigger(config, home) {
            Some(trigger) => queue.trigger(path(&trigger)),
            None => match sim::with(|kernel| self.world.borrow().inherit(kernel)) {
                // SAFETY: it was opened for this program, and belongs to nothing else.
                Some(fd) => queue.trigger_fd(unsafe { OwnedFd::from_raw_fd(fd) }),
                None => queue.without_trigger(),
            },
        };
        let rescan = match config.rescan {
            u64::MAX => Duration::MAX,
            rescan => Duration::from_millis(rescan),
        };
        Ok(queue.rescan_interval(rescan).watch(config.watch))
    }

    /// The time as the program passes it.
    fn time(&self) -> Instant {
        let now = clock::now();
        match self.wrong_time {
            0 => now,
            off if off < 0 => {
                now.checked_sub(Duration::from_millis(off.unsigned_abs())).unwrap_or(now)
            }
            off => now + Duration::from_millis(off as u64),
        }
    }

    fn take_requests(&mut self, mail: &mut Mail, keys: [Key; 2]) {
        self.wrong_time = 0;
        loop {
            let request = self.world.borrow_mut().requests.pop_front();
            match request {
                None => break,
                Some(Request::Restart) => self.restart = true,
                Some(Request::WrongTime(off)) => self.wrong_time = off,
                Some(Request::Spurious) => match mail {
                    Mail::Queue(_, queue) | Mail::Foreign(queue) => queue.set_trigger_readable(),
                    Mail::Receiver(_, receiver) => receiver.queue_mut().set_trigger_readable(),
                },
                Some(Request::RegisterAgain(times)) => self.register_again = times,
                Some(Request::RequeueAgain(time, times)) => self.requeue_again = (time, times),
            }
        }
        let now = sim::with(|kernel| kernel.now());
        self.world.borrow_mut().oracle.wrong_time(self.wrong_time, now);
        match mail {
            Mail::Queue(notifier, queue) if self.register_again > 0 => {
                self.register_again -= 1;
                queue.register(&mut **notifier, keys);
            }
            _ => {}
        }
    }

    /// Waits as a loop without a notifier does: it passes all descriptors each time, as with poll(2), and keeps
    /// no registration.
    fn wait_as_poll_does(&mut self, queue: &mut Queue, now: Instant) -> Checked {
        const TRIGGER: Key = Key(0);
        const WATCH: Key = Key(1);
        let fds = queue.prepare_fds(now);
        let sources = [fds.trigger.map(|fd| (fd, TRIGGER)), fds.watch.map(|fd| (fd, WATCH))];
        let mut failed = None;
        for (source, key) in sources.into_iter().flatten() {
            let registered = self.poll.register(&source, key, Interest::Read, Mode::Level);
            failed = failed.or(registered.err());
        }
        let timeout = if failed.is_some() { Some(Duration::ZERO) } else { fds.timeout };
        let waited = self.poll.wait(&mut self.polled, timeout);
        for (source, _) in sources.into_iter().flatten() {
            self.poll.deregister(&source).expect("it makes no call");
        }
        self.check_after_wait(failed.map_or(waited, Err))?;
        for event in &self.polled {
            match event.key {
                TRIGGER => queue.set_trigger_readable(),
                _ => queue.set_watch_readable(),
            }
        }
        Ok(())
    }

    /// Makes one turn: processes all ready entries until the queue ends the turn.
    fn turn(&mut self, mail: &mut Mail) -> Checked {
        let now = self.time();
        let mut items = 0;
        loop {
            items += 1;
            if items > 1000 * self.turns_at_once() {
                return Err(self.long_turn());
            }
            let Some(entry) = counted(|| mail.next(now)) else { break };
            self.check_scans()?;
            self.consume(mail, &entry)?;
        }
        sim::with(|kernel| self.world.borrow_mut().look(kernel));
        self.check_scans()?;
        let now = sim::with(|kernel| kernel.now());
        loop {
            let warning = match mail {
                Mail::Queue(_, queue) | Mail::Foreign(queue) => queue.next_warning(),
                Mail::Receiver(_, receiver) => receiver.next_warning(),
            };
            match warning {
                Some(warning) => {
                    self.world.borrow().oracle.check_warning(&warning, now)?;
                    self.report(warning.to_string())?;
                }
                None => return Ok(()),
            }
        }
    }

    /// Processes an entry that the queue returned.
    fn consume(&mut self, mail: &mut Mail, entry: &OwnedEntry) -> Checked {
        let (path, how) = (entry.path(), how(entry.origin));
        let bytes = path.as_os_str().as_bytes();
        let (id, now) = sim::with(|kernel| {
            kernel.note(|| format!("=> {} ({how:?})", path.display()));
            kernel.advance(20_000);
            (kernel.entry(bytes), kernel.now())
        });
        let name = entry.name.as_bytes();
        let is_no_entry = how != How::Requeue && self.is_no_entry(bytes, now);
        if name == b"trigger" || name.starts_with(b".") || is_no_entry {
            return Err(Failure::NoEntry);
        }
        self.world.borrow_mut().oracle.returned(id, name, how, now)?;
        let mut requeue_for = None;
        if self.requeue_again.1 > 0 {
            self.requeue_again.1 -= 1;
            requeue_for = Some(self.requeue_again.0);
        } else if let (Consumer::Requeues(seconds), Some(id)) = (self.config.consumer, id) {
            requeue_for = self.requeued.insert(id).then_some(seconds * 1000);
        }
        if let (Some(time), Some(id)) = (requeue_for, id) {
            let due = now + time * MS;
            let when = sim::instant(due);
            let requeued = counted(|| match mail {
                Mail::Queue(_, queue) | Mail::Foreign(queue) => queue.requeue(entry, when),
                Mail::Receiver(_, receiver) => receiver.requeue(entry, when),
            });
            if requeued.is_ok() {
                // The path may have come to name another entry while the queue looked at it.
                let (is_named, is_faulty) =
                    sim::with(|kernel| (kernel.entry(bytes), kernel.is_faulty()));
                self.world.borrow_mut().oracle.requeued(id, is_named, due, is_faulty);
                return Ok(());
            }
        }
        if self.config.consumer != Consumer::Leaves {
            let _ = sim::with(|kernel| kernel.unlink(bytes));
            let mut world = self.world.borrow_mut();
            (0..4).for_each(|number| world.oracle.change(number));
        }
        Ok(())
    }

    /// Returns whether a path leads to a directory inside `todo`, or to a file that is not ready. Both are
    /// permitted after a change of the paths. A file that is not ready is also permitted after a failure.
    fn is_no_entry(&self, path: &[u8], now: u64) -> bool {
        let is_excused = match (&self.world.borrow().oracle, self.config.layout) {
            (oracle, Layout::Flat | Layout::Split(_)) => oracle.are_paths_disturbed(now),
            (oracle, _) => !oracle.is_quiet(now),
        };
        if is_excused {
            return false;
        }
        sim::with(|kernel| {
            let Ok(ino) = kernel.find(path) else { return false };
            match self.config.layout {
                Layout::Flat | Layout::Split(_) => kernel.tree().is_directory(ino),
                Layout::Maildrop => kernel.tree().mode(ino) & 0o100 == 0,
                Layout::Directories(_) => false,
            }
        })
    }

    // --- checks ------------------------------------------------------------------------------

    /// Returns whether calls have failed, or still do.
    fn note_faults(&self) -> bool {
        let mut world = self.world.borrow_mut();
        sim::with(|kernel| {
            let failed = kernel.take_fault();
            if let Some(at) = failed {
                world.oracle.fault(at);
            }
            if kernel.is_faulty() {
                world.oracle.fault(kernel.now());
            }
            failed.is_some() || kernel.is_faulty()
        })
    }

    fn check_after_wait(&mut self, waited: std::io::Result<()>) -> Checked {
        self.note_faults();
        if waited.is_err() {
            // The notifier belongs to the program, so the program makes the pause.
            sim::with(|kernel| kernel.rest(10 * MS));
        }
        let now = sim::with(|kernel| kernel.now());
        let mut world = self.world.borrow_mut();
        world.turn = Turn::default();
        world.oracle.check(now)
    }

    fn check_scans(&self) -> Checked {
        let (opened, now) = sim::with(|kernel| (kernel.take_opened(), kernel.now()));
        if opened.is_empty() {
            return Ok(());
        }
        let mut world = self.world.borrow_mut();
        for ino in opened {
            world.oracle.scanned(ino, now)?;
        }
        Ok(())
    }

    /// Returns how many turns may follow each other without a wait. On kqueue a receiver goes on while its
    /// notifier has more events, for four turns.
    fn turns_at_once(&self) -> u64 {
        if cfg!(pullcord_sim = "bsd") && self.config.wait.is_inside() { 4 } else { 1 }
    }

    fn long_turn(&self) -> Failure {
        let Turn { calls, stats, opens, .. } = self.world.borrow().turn;
        Failure::LongTurn { calls, stats, opens }
    }

    /// Checks the work of a turn: the limits of this build, and the calls of the step that reaches one.
    fn check_turn(&self, has_failed: bool) -> Checked {
        const NAMES: u64 = 64;
        const LOOKS: u64 = 8;
        let turn = self.world.borrow().turn;
        let Turn { stats, opens, batches, reads, events, is_flooded, .. } = turn;
        let batch = self.config.batch as u64;
        // The limit is reached within a batch, and each directory has a last one, which is empty.
        let names = (batches * batch).saturating_sub((1 + 2 * opens) * batch);
        // A program looks at each entry that it requeues. An interrupted call is repeated.
        let (turns, repeats) = (self.turns_at_once(), if has_failed { 64 } else { 0 });
        let is_long = stats > turns * 4 * LOOKS + repeats
            || opens > turns * 2 * LOOKS + repeats
            || names > turns * NAMES + repeats * batch
            || reads > turns * if is_flooded { NAMES } else { 8 } + events + repeats;
        if is_long { Err(self.long_turn()) } else { Ok(()) }
    }

    fn window(&self) -> Window {
        let world = self.world.borrow();
        sim::with(|kernel| Window {
            begin: kernel.now(),
            calls: kernel.calls(),
            wakeups: kernel.wakeups(),
            happened: world.happened,
            returned: world.oracle.returned - world.oracle.repeats,
        })
    }

    fn check_after_turn(&mut self, queue: &Queue) -> Checked {
        let has_failed = self.note_faults();
        self.check_turn(has_failed)?;
        let now = self.window();
        let bytes = memory::held();
        if bytes > ALWAYS_ALLOWED && bytes > self.memory_allowed(queue) {
            return Err(Failure::Memory { bytes });
        }
        let then = self.second;
        let extra = now.happened - then.happened + now.returned - then.returned;
        let (calls, wakeups) = (now.calls - then.calls, now.wakeups - then.wakeups);
        let reading = 40 * self.world.borrow().oracle.names;
        // A turn looks at eight entries, and a receiver in another loop wakes twice for each.
        if calls > 12_000 + 60 * extra + reading || wakeups > 1_200 + 6 * extra + reading / 4 {
            return Err(Failure::Spin { calls, wakeups });
        }
        if now.begin >= then.begin + SECOND {
            self.second = now;
            self.check_failing(then, now, queue)?;
        }
        let world = self.world.borrow();
        let is_quiet = world.oracle.is_quiet(now.begin)
            && world.last_happened + 12 * SECOND < now.begin
            && !sim::with(|kernel| kernel.is_faulty());
        let unwatched = if is_quiet { queue.unwatched_directories() } else { 0 };
        if is_quiet {
            sim::with(|kernel| world.oracle.check_status(kernel, queue))?;
            let watched = unwatched == 0 && self.config.watches_directories();
            let all = || sim::with(|kernel| world.oracle.all_are_watched(kernel));
            if watched && world.oracle.all_can_be_watched() && !all() {
                return Err(Failure::DeadWatch);
            }
        }
        match self.quiet {
            _ if !is_quiet => self.quiet = None,
            None => self.quiet = Some(now),
            Some(then) if now.begin < then.begin + 10 * SECOND => {}
            Some(then) => {
                let calls = now.calls - then.calls;
                let seconds = (now.begin - then.begin).div_ceil(SECOND);
                let directories = queue.status().count() as u64;
                // One verification and one drain in `verify_interval`.
                let mut allowed = (directories + 3 + 2) * seconds.div_ceil(10);
                let returned = now.returned - then.returned;
                allowed += 60 * returned;
                // The removal of an entry that was returned before looks like an arrival.
                allowed += if REPORTS_NAMES { 0 } else { 20 };
                // The timer of a receiver, which is part of another loop.
                allowed += if self.config.wait.is_inside() { 20 } else { 0 };
                if !world.oracle.all_are_there() || unwatched > 0 || self.config.watches < 10 {
                    allowed += 200 * seconds;
                }
                if self.config.rescan <= 60_000 {
                    let rescans = seconds * 1000 / self.config.rescan.max(1) + 2;
                    allowed += rescans * (20 * directories + 5 * world.oracle.names);
                }
                if calls > allowed {
                    return Err(Failure::Restless { calls });
                }
                self.quiet = Some(now);
            }
        }
        Ok(())
    }

    /// P8: buffers, a little for each directory, and the entries that arrived or are requeued.
    fn memory_allowed(&self, queue: &Queue) -> usize {
        let oracle = &self.world.borrow().oracle;
        let count = queue.status().count() as u64 + oracle.names + oracle.waiting() as u64;
        ALWAYS_ALLOWED + 1024 * (count + self.warnings.len() as u64) as usize
    }

    /// Checks a quiet time without events. If calls still fail, another bound applies.
    fn check_failing(&self, then: Window, now: Window, queue: &Queue) -> Checked {
        let world = self.world.borrow();
        let is_alone = now.happened == then.happened && now.returned == then.returned;
        if !is_alone || world.last_happened + SECOND > then.begin || self.config.rescan <= 60_000 {
            return Ok(());
        }
        let seconds = (now.begin - then.begin).div_ceil(SECOND);
        let directories = queue.status().count() as u64;
        let calls = now.calls - then.calls;
        // A directory that is polled is read to its end.
        let reading = 5 * world.oracle.names;
        if calls > (200 + directories + 3) * seconds + 40 * directories + reading {
            return Err(Failure::Restless { calls });
        }
        Ok(())
    }

    fn check_at_end(&self, queue: &Queue) -> Checked {
        let world = self.world.borrow();
        let now = sim::with(|kernel| kernel.now());
        world.oracle.check(now)?;
        let can = world.oracle.all_can_be_watched()
            || self.config.twice
                && self.config.watches > 10
                && self.config.watches_directories()
                && world.oracle.is_reliable()
                && world.oracle.all_are_there();
        if can && world.oracle.is_quiet(now) && queue.unwatched_directories() > 0 {
            return Err(Failure::NeverWatched);
        }
        Ok(())
    }

    /// Records a problem that the queue has reported. Fails after more than 8 reports without an event.
    fn report(&mut self, text: String) -> Checked {
        sim::with(|kernel| kernel.note(|| format!("!! {text}")));
        let happened = self.world.borrow().happened;
        if happened != self.errors_since {
            self.errors_since = happened;
            self.errors.clear();
        }
        let times = self.errors.entry(text.clone()).or_default();
        *times += 1;
        let times = *times;
        if times == 1 {
            self.warnings.push(text);
        }
        if times > 8 { Err(Failure::RepeatedError) } else { Ok(()) }
    }
}

fn how(origin: Origin) -> How {
    match origin {
        Origin::Watch => How::Watch,
        Origin::Requeue => How::Requeue,
        _ => How::Scan,
    }
}
