//! Runs one history: the program around the queue, on a kernel of its own.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Interest, Key, Mode, Notifier, Todo, Via, todo::Queue};
use pullcord_platform::sim::{self, Census, QUEUE};
use pullcord_platform::{Select, clock};

use crate::history::{Config, Consumer, History, Layout, Loop, PathKind, WatchMode};
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

/// The program that the queue is part of.
struct Program {
    config: Config,
    world: Rc<RefCell<World>>,
    /// Actions that were requested for so many more times.
    register_again: u32,
    requeue_again: (u64, u32),
    wrong_time: i64,
    restart: bool,
    requeued: HashSet<u64>,
    /// How often each error was reported since something happened.
    errors: HashMap<String, u32>,
    errors_since: u64,
    overflows: u64,
    warnings: Vec<String>,
    second: Window,
    quiet: Option<Window>,
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

/// The notifier and the queue of a program that has started.
type Started = (Box<dyn Notifier>, Todo);

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
        }
    }

    fn run(&mut self) -> Checked {
        while !self.is_over() {
            self.restart = false;
            self.live()?;
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

    /// From one start of the program to its end.
    fn live(&mut self) -> Checked {
        let Some((mut notifier, mut todo)) = self.start()? else { return Ok(()) };
        let keys = if self.config.equal_keys { [Key(3), Key(3)] } else { [Key(3), Key(8)] };
        let foreign = self.config.wait == Loop::Foreign;
        if !foreign {
            let registered = todo.register(&mut *notifier, keys);
            self.report(registered.err())?;
        }
        let mut outer = self.outer(&*notifier)?;
        let mut events = Events::with_capacity(4);
        let mut is_owed = false;
        self.second = self.window();
        while !self.is_over() && !self.restart {
            self.take_requests(&mut todo, &mut *notifier, keys)?;
            let now = self.time();
            self.world.borrow_mut().turn = Turn::default();
            if foreign {
                self.wait_as_poll_does(&mut todo, now)?;
            } else {
                let prepared = counted(|| todo.prepare(&mut *notifier, now));
                let timeout = match prepared {
                    Ok(timeout) => timeout,
                    Err(error) => {
                        self.report(Some(error))?;
                        Some(Duration::ZERO)
                    }
                };
                let waited = match &mut outer {
                    Some(outer) => {
                        let inner = &mut *notifier;
                        wait_inside(&mut **outer, inner, &mut events, timeout, &mut is_owed)
                    }
                    None => notifier.wait(&mut events, timeout),
                };
                self.check_after_wait()?;
                if waited.is_err() {
                    // The notifier is the program's own: so is the pause.
                    sim::with(|kernel| kernel.rest(10 * MS));
                }
                for event in &events {
                    todo.ready(event);
                }
            }
            self.turn(&mut todo)?;
            self.check_after_turn(&todo)?;
        }
        if !self.restart {
            self.check_at_end(&todo)?;
        }
        self.overflows += todo.counters().overflows;
        if !foreign {
            let _ = todo.deregister(&mut *notifier);
        }
        Ok(())
    }

    /// The loop that the notifier is part of, if it is.
    fn outer(&mut self, inner: &dyn Notifier) -> Result<Option<Box<dyn Notifier>>, Failure> {
        let mode = match self.config.wait {
            Loop::InsideLevel => Mode::Level,
            Loop::InsideEdge => Mode::Edge,
            _ => return Ok(None),
        };
        let inner = inner.pollable_fd().expect("the best notifier has a descriptor");
        // The program's own: it tries again until that succeeds.
        loop {
            let opened = Backend::best().open().and_then(|mut outer| {
                outer.register(&inner, Key(0), Interest::Read, mode)?;
                Ok(outer)
            });
            self.note_faults();
            match opened {
                Ok(outer) => return Ok(Some(outer)),
                Err(_) if self.is_over() => return Ok(None),
                Err(_) => sim::with(|kernel| kernel.rest(10 * MS)),
            }
        }
    }

    fn start(&mut self) -> Result<Option<Started>, Failure> {
        loop {
            if self.is_over() {
                return Ok(None);
            }
            let backend = match self.config.wait {
                Loop::Native | Loop::InsideLevel | Loop::InsideEdge => Backend::best(),
                Loop::Select | Loop::Foreign => Backend::Select,
            };
            let opened = backend.open().map_err(|error| error.to_string()).and_then(|notifier| {
                let queue = self.describe().map_err(|error| error.to_string())?;
                let todo = counted(|| Todo::open(queue)).map_err(|error| error.to_string())?;
                Ok((notifier, todo))
            });
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
                    if world.last_happened + SECOND < now
                        && !sim::with(|kernel| kernel.is_faulty())
                        && world.oracle.is_quiet(now)
                        && world.is_spent()
                        && self.config.path != PathKind::Relative
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

    fn describe(&self) -> pullcord::Result<Queue> {
        let config = &self.config;
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let home = world::home(config);
        let mut queue = match config.layout {
            Layout::Flat | Layout::Split(_) => Queue::qmail(path(home))?,
            Layout::Maildrop => Queue::postfix(path(home))?,
            Layout::Directories(count) => {
                let each = (0..count).map(|number| path(&world::directory(config, home, number)));
                let again = config.twice.then(|| path(&world::directory(config, b"/s", 0)));
                Queue::directories(each.chain(again))
            }
        };
        queue = match world::described_trigger(config, home) {
            Some(trigger) => queue.trigger(path(&trigger)),
            None => queue.without_trigger(),
        };
        let rescan = match config.rescan {
            u64::MAX => Duration::MAX,
            rescan => Duration::from_millis(rescan),
        };
        Ok(queue.tick(rescan).watch(config.watch))
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

    fn take_requests(
        &mut self,
        todo: &mut Todo,
        notifier: &mut dyn Notifier,
        keys: [Key; 2],
    ) -> Checked {
        self.wrong_time = 0;
        loop {
            let request = self.world.borrow_mut().requests.pop_front();
            match request {
                None => break,
                Some(Request::Restart) => self.restart = true,
                Some(Request::WrongTime(off)) => self.wrong_time = off,
                Some(Request::Spurious) => todo.trigger_ready(),
                Some(Request::RegisterAgain(times)) => self.register_again = times,
                Some(Request::RequeueAgain(time, times)) => self.requeue_again = (time, times),
            }
        }
        if self.register_again > 0 && self.config.wait != Loop::Foreign {
            self.register_again -= 1;
            let registered = todo.register(notifier, keys);
            self.report(registered.err())?;
        }
        Ok(())
    }

    /// The wait of a loop that is no notifier: it gives all descriptors anew, as poll(2) does.
    fn wait_as_poll_does(&mut self, todo: &mut Todo, now: Instant) -> Checked {
        const TRIGGER: Key = Key(0);
        const WATCH: Key = Key(1);
        let sources = todo.sources(now);
        let mut poll = Select::new().expect("it opens nothing");
        let mut failed = None;
        for (source, key) in [(sources.trigger, TRIGGER), (sources.watch, WATCH)] {
            if let Some(source) = source {
                let registered = poll.register(&source, key, Interest::Read, Mode::Level);
                failed = failed.or(registered.err());
            }
        }
        let timeout = sources.timeout;
        let mut events = Events::with_capacity(2);
        let waited = poll.wait(&mut events, Some(timeout));
        self.check_after_wait()?;
        if failed.is_some() || waited.is_err() {
            sim::with(|kernel| kernel.rest(10 * MS));
        }
        for event in &events {
            match event.key {
                TRIGGER => todo.trigger_ready(),
                _ => todo.watch_ready(),
            }
        }
        Ok(())
    }

    /// One turn: all that is ready, until the queue says that the turn is over.
    fn turn(&mut self, todo: &mut Todo) -> Checked {
        let now = self.time();
        let mut items = 0;
        loop {
            items += 1;
            if items > 1000 {
                return Err(self.long_turn());
            }
            let Some(item) = counted(|| todo.next(now)) else { break };
            let (path, how) = match item {
                Ok(entry) => (entry.path(), how(entry.via)),
                Err(error) => {
                    self.report(Some(error))?;
                    continue;
                }
            };
            self.check_scans()?;
            self.consume(todo, path, how)?;
        }
        self.check_scans()
    }

    /// Processes an entry that the queue returned.
    fn consume(&mut self, todo: &mut Todo, path: PathBuf, how: How) -> Checked {
        let bytes = path.as_os_str().as_bytes();
        let (id, now) = sim::with(|kernel| {
            kernel.note(|| format!("=> {} ({how:?})", path.display()));
            kernel.advance(20_000);
            (kernel.entry(bytes), kernel.now())
        });
        if path.file_name() == Some(OsStr::new("trigger")) {
            return Err(Failure::NoEntry);
        }
        self.world.borrow_mut().oracle.returned(id, how, now)?;
        let mut requeue_for = None;
        if self.requeue_again.1 > 0 {
            self.requeue_again.1 -= 1;
            requeue_for = Some(self.requeue_again.0);
        } else if let (Consumer::Requeues(seconds), Some(id)) = (self.config.consumer, id) {
            requeue_for = self.requeued.insert(id).then_some(seconds * 1000);
        }
        if let (Some(time), Some(id)) = (requeue_for, id) {
            let due = now + time * MS;
            let requeued = counted(|| todo.requeue(&path, sim::instant(due)));
            if requeued.is_ok() {
                self.world.borrow_mut().oracle.requeued(id, due);
                return Ok(());
            }
        }
        if self.config.consumer != Consumer::Leaves {
            let _ = sim::with(|kernel| kernel.unlink(bytes));
            sim::with(|kernel| {
                let mut world = self.world.borrow_mut();
                world.look(kernel);
                (0..4).for_each(|number| world.oracle.change(number));
            });
        }
        Ok(())
    }

    // --- checks ------------------------------------------------------------------------------

    fn note_faults(&self) {
        let mut world = self.world.borrow_mut();
        sim::with(|kernel| {
            if let Some(at) = kernel.take_fault() {
                world.oracle.fault(at);
            }
            if kernel.is_faulty() {
                world.oracle.fault(kernel.now());
            }
        });
    }

    fn check_after_wait(&mut self) -> Checked {
        self.note_faults();
        let now = sim::with(|kernel| kernel.now());
        let mut world = self.world.borrow_mut();
        world.turn = Turn::default();
        world.oracle.check(now)
    }

    fn check_scans(&self) -> Checked {
        let (opened, now) = sim::with(|kernel| (kernel.take_opened(), kernel.now()));
        let mut world = self.world.borrow_mut();
        for ino in opened {
            world.oracle.scanned(ino, now)?;
        }
        Ok(())
    }

    fn long_turn(&self) -> Failure {
        let Turn { calls, stats, opens } = self.world.borrow().turn;
        Failure::LongTurn { calls, stats, opens }
    }

    fn window(&self) -> Window {
        let world = self.world.borrow();
        sim::with(|kernel| Window {
            begin: kernel.now(),
            calls: kernel.calls(),
            wakeups: kernel.wakeups(),
            happened: world.happened,
            returned: world.oracle.returned,
        })
    }

    fn check_after_turn(&mut self, todo: &Todo) -> Checked {
        self.note_faults();
        let now = self.window();
        let Turn { stats, opens, .. } = self.world.borrow().turn;
        if stats > 64 + 32 || opens > 64 + 8 {
            return Err(self.long_turn());
        }
        let bytes = memory::held();
        if bytes > self.memory_allowed(todo) {
            return Err(Failure::Memory { bytes });
        }
        let then = self.second;
        let extra = now.happened - then.happened + now.returned - then.returned;
        let (calls, wakeups) = (now.calls - then.calls, now.wakeups - then.wakeups);
        if calls > 12_000 + 60 * extra || wakeups > 1_200 + 6 * extra {
            return Err(Failure::Spin { calls, wakeups });
        }
        if now.begin >= then.begin + SECOND {
            self.second = now;
            self.check_failing(then, now, todo)?;
        }
        let world = self.world.borrow();
        let is_quiet = world.oracle.is_quiet(now.begin)
            && world.last_happened + 12 * SECOND < now.begin
            && !sim::with(|kernel| kernel.is_faulty());
        let unwatched = todo.counters().unwatched;
        if is_quiet {
            let watched = unwatched == 0 && self.config.watches_directories();
            let all = sim::with(|kernel| world.oracle.all_are_watched(kernel));
            if watched && world.oracle.all_can_be_watched() && !all {
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
                let directories = todo.queue().paths().len() as u64;
                // One verification and one drain in `verify_interval`.
                let mut allowed = (directories + 3 + 2) * seconds.div_ceil(10);
                let returned = now.returned - then.returned;
                allowed += 60 * returned;
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

    /// P8: buffers (each trigger has one of 64 KiB, the watch and the scan too), a little for each
    /// directory, and the entries that arrived or are requeued.
    fn memory_allowed(&self, todo: &Todo) -> usize {
        let oracle = &self.world.borrow().oracle;
        let count = todo.queue().paths().len() as u64 + oracle.names + oracle.waiting() as u64;
        512 * 1024 + 1024 * (count + self.warnings.len() as u64) as usize
    }

    /// Nothing happens any more, but something may fail: then there is a bound of its own.
    fn check_failing(&self, then: Window, now: Window, todo: &Todo) -> Checked {
        let world = self.world.borrow();
        let is_alone = now.happened == then.happened && now.returned == then.returned;
        if !is_alone || world.last_happened + SECOND > then.begin || self.config.rescan <= 60_000 {
            return Ok(());
        }
        let seconds = (now.begin - then.begin).div_ceil(SECOND);
        let directories = todo.queue().paths().len() as u64;
        let calls = now.calls - then.calls;
        if calls > (200 + directories + 3) * seconds + 40 * directories {
            return Err(Failure::Restless { calls });
        }
        Ok(())
    }

    fn check_at_end(&self, todo: &Todo) -> Checked {
        let world = self.world.borrow();
        let now = sim::with(|kernel| kernel.now());
        world.oracle.check(now)?;
        let can =
            world.oracle.all_can_be_watched() || self.config.twice && self.config.fs.is_local();
        if can && world.oracle.is_quiet(now) && todo.counters().unwatched > 0 {
            return Err(Failure::NeverWatched);
        }
        Ok(())
    }

    fn report(&mut self, error: Option<pullcord::Error>) -> Checked {
        match error {
            Some(error) => self.report_text(error.to_string()),
            None => Ok(()),
        }
    }

    /// The queue reported a problem: once is right.
    fn report_text(&mut self, text: String) -> Checked {
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

/// Waits in the outer loop, and then fetches the events of the inner one.
fn wait_inside(
    outer: &mut dyn Notifier,
    inner: &mut dyn Notifier,
    events: &mut Events,
    timeout: Option<Duration>,
    is_owed: &mut bool,
) -> std::io::Result<()> {
    // After an error the edge is used up: until the inner one was asked, no other may come.
    if !*is_owed {
        outer.wait(events, timeout)?;
    }
    *is_owed = true;
    inner.wait(events, Some(Duration::ZERO))?;
    // On kqueue no edge comes before it was asked and had nothing.
    *is_owed = !events.is_empty();
    Ok(())
}

fn how(via: Via) -> How {
    match via {
        Via::Watch => How::Watch,
        Via::Requeue => How::Requeue,
        _ => How::Scan,
    }
}
