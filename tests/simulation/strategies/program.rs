//! A program around a strategy: a loop like that of the command `pullcord storm`, with the timeout
//! of the old programs.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use pullcord::{Backend, Event as Readiness, Events, Notifier, QueueOptions};
use pullcord_platform::clock;
use pullcord_platform::sim::{self, Call, Kernel};
use pullcord_platform::watch::REPORTS_NAMES;
use pullcord_strategies::{
    Drain, EarlyClose, Pullcord, Reader, Receive, Reopen, Result as StepResult, Strategy,
};

use crate::history::{Config, Event, History, Layout, Op, WatchMode};
use crate::oracle::{MS, SECOND};
use crate::world::{self, Shared, World};

/// `SLEEP_TODO` of qmail-send: a scan is due this long after the last one.
pub(crate) const RESCAN: u64 = 1500 * SECOND;

/// How long qmail-send sleeps after it could not open the directory.
const AFTER_FAILURE: u64 = 10 * SECOND;

/// A way to treat the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Reopen,
    EarlyClose,
    /// Opens the trigger again after the scan, not before it.
    EarlyCloseOpenedLate,
    Drain,
    DrainOpenedLate,
    Pullcord,
}

/// A run of one strategy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) name: Name,
    pub(crate) config: Config,
    pub(crate) events: &'a [Event],
    /// How long the run continues after the last event, in milliseconds.
    pub(crate) settle: u64,
    /// The events begin after the first scan. Otherwise they begin with its first system call.
    pub(crate) at_rest: bool,
    /// More wake-ups than this without an event are a spin, and end the run.
    pub(crate) wakeups: usize,
}

/// The observations of a run. Times are nanoseconds since the events began.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) scans: Vec<u64>,
    pub(crate) wakeups: Vec<u64>,
    pub(crate) returned: Vec<(u64, String)>,
    pub(crate) pulls: Vec<(usize, Result<usize, i32>)>,
    /// The names in the directories at the end.
    pub(crate) waiting: Vec<String>,
    pub(crate) errors: Vec<String>,
    /// The calls that failed by injection, each with the number of its error.
    pub(crate) struck: Vec<(Call, usize)>,
    /// The calls that were made since the events began.
    pub(crate) made: Vec<Call>,
    pub(crate) trace: u64,
    pub(crate) spins: bool,
    /// A scan that neither the start, a pull, a timeout, a failure nor a new trigger explains.
    pub(crate) needless_scan: bool,
    pub(crate) log: Vec<String>,
}

/// The name of a writer's entry.
pub(crate) fn entry_of(writer: usize) -> String {
    (4711 + writer % 4).to_string()
}

impl Outcome {
    /// Pulls that failed with `ENXIO` or `EPIPE`: no process was reading.
    pub(crate) fn refused(&self, errno: i32) -> usize {
        self.pulls.iter().filter(|(_, pull)| *pull == Err(errno)).count()
    }

    /// The times at which a writer's entry was returned.
    pub(crate) fn returned_at(&self, writer: usize) -> Option<u64> {
        let name = entry_of(writer);
        self.returned.iter().find(|(_, returned)| *returned == name).map(|(at, _)| *at)
    }

    pub(crate) fn scans_between(&self, from: u64, to: u64) -> usize {
        self.scans.iter().filter(|at| (from..to).contains(*at)).count()
    }
}

/// Closes the trigger, scans, opens the trigger. No scan follows a pull that is refused meanwhile. No known
/// program does this. It shows why the order matters.
struct OpenedLate {
    reader: Reader,
    drains: bool,
}

impl Strategy for OpenedLate {
    fn scan(&mut self, notifier: &mut dyn Notifier, receive: &mut Receive<'_>) -> StepResult<()> {
        let drained = if self.drains { self.reader.drain() } else { Ok(()) };
        let closed = self.reader.close(notifier);
        let scanned = self.reader.scan(receive);
        let opened = self.reader.open(notifier);
        drained.and(closed).and(scanned).and(opened)
    }

    fn woken(&mut self, _: &Readiness, _: &mut dyn Notifier) -> StepResult<()> {
        Ok(())
    }

    fn scan_count(&self) -> u64 {
        self.reader.scan_count()
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn start(name: Name, config: &Config, notifier: &mut dyn Notifier) -> Box<dyn Strategy> {
    const HOME: &[u8] = b"/v/q";
    let trigger = path(&world::trigger(config, HOME).expect("each strategy has a trigger"));
    let directory = path(&world::directory(config, HOME, 0));
    let late = |notifier: &mut dyn Notifier, drains| {
        let reader = Reader::start(&trigger, &directory, notifier).expect("no fault is injected");
        Box::new(OpenedLate { reader, drains })
    };
    match name {
        Name::Reopen => Box::new(Reopen::start(trigger, directory, notifier).expect("no fault")),
        Name::EarlyClose => {
            Box::new(EarlyClose::start(trigger, directory, notifier).expect("no fault"))
        }
        Name::EarlyCloseOpenedLate => late(notifier, false),
        Name::Drain => Box::new(Drain::start(trigger, directory, notifier).expect("no fault")),
        Name::DrainOpenedLate => late(notifier, true),
        Name::Pullcord => {
            let options = match config.layout {
                Layout::Directories(count) => {
                    let paths = (0..count).map(|n| path(&world::directory(config, HOME, n)));
                    QueueOptions::directories(paths).trigger(trigger)
                }
                _ => QueueOptions::qmail(path(HOME)).expect("a queue"),
            };
            Box::new(Pullcord::start(&options.watch(config.watch), notifier).expect("no fault"))
        }
    }
}

thread_local! {
    /// A block above the memory of a run. Without it, glibc returns that memory to the system after each
    /// run, which takes as long as the run.
    static ABOVE: Vec<u8> = {
        let room: Vec<Vec<u8>> = (0..16).map(|_| Vec::with_capacity(60_000)).collect();
        let above = Vec::with_capacity(60_000);
        drop(room);
        above
    };
}

/// Runs a strategy through a history.
pub(crate) fn run(case: &Case<'_>, keep_log: bool) -> Outcome {
    ABOVE.with(|_| ());
    let mut kernel = world::boot(&case.config);
    if keep_log {
        kernel.keep_log();
    }
    sim::boot(kernel);
    let mut outcome = Outcome::default();
    let is_old = case.name != Name::Pullcord;
    let backend = if is_old { Backend::Select } else { Backend::best() };
    let mut notifier = backend.open().expect("no fault is injected");
    let mut program = Program {
        strategy: start(case.name, &case.config, &mut *notifier),
        begin: 0,
        rescan_at: sim::with(|kernel| kernel.now()),
        is_old,
        outcome: &mut outcome,
    };
    if case.at_rest {
        program.scan(&mut *notifier);
        *program.outcome = Outcome::default();
    }
    let (begin, before) = sim::with(|kernel| (kernel.now(), kernel.census().clone()));
    program.begin = begin;
    let history = History { config: case.config, events: case.events.to_vec() };
    let world = Rc::new(RefCell::new(World::new(&history, begin, case.settle * MS)));
    sim::with(|kernel| kernel.set_world(Box::new(Shared(world.clone()))));
    program.live(case, &mut *notifier, &world);
    drop(program);
    drop(notifier);
    let mut kernel = sim::halt().expect("booted above");
    outcome.log = kernel.take_log();
    let census = kernel.census();
    for call in Call::ALL.iter().copied() {
        let failed = census.failed(call).enumerate().filter(|(_, (_, count))| *count > 0);
        outcome.struck.extend(failed.map(|(error, _)| (call, error)));
        let is_made = census.made(call) > before.made(call);
        outcome.made.extend(is_made.then_some(call));
    }
    outcome.trace = kernel.trace();
    outcome.pulls = world.borrow().pulls.clone();
    let count = if let Layout::Directories(count) = case.config.layout { count } else { 1 };
    for number in 0..count {
        let Ok(ino) = kernel.find(&world::directory(&case.config, b"/v/q", number)) else {
            continue;
        };
        let names = kernel.tree().entries(ino).iter().map(|entry| entry.name.clone());
        outcome.waiting.extend(names.map(|name| String::from_utf8_lossy(&name).into_owned()));
    }
    outcome
}

/// Returns the number of calls that have failed by injection.
fn failed_calls(kernel: &Kernel) -> u64 {
    let failed = Call::ALL.iter().flat_map(|call| kernel.census().failed(*call));
    failed.map(|(_, count)| count).sum()
}

struct Program<'a> {
    strategy: Box<dyn Strategy>,
    begin: u64,
    /// Returns the time at which the old programs scan without a pull.
    rescan_at: u64,
    is_old: bool,
    outcome: &'a mut Outcome,
}

impl Program<'_> {
    /// The loop, until the world ends or the strategy spins.
    fn live(&mut self, case: &Case<'_>, notifier: &mut dyn Notifier, world: &RefCell<World>) {
        let mut events = Events::with_capacity(4);
        // The start.
        let mut reasons = 1;
        let (mut happened, mut wakeups) = (0, 0);
        let replacements = case.events.iter().filter(|it| it.op == Op::ReplaceTrigger).count();
        reasons += replacements as u64;
        if case.config.watch != WatchMode::Off && !REPORTS_NAMES {
            // The watch reports no names. Each entry is a reason when it appears and when it disappears.
            let links = case.events.iter().filter(|it| matches!(it.op, Op::Link(..))).count();
            reasons += 2 * links as u64;
        }
        // A failed watch is a reason twice: when it is lost, and when it is restored.
        let per_fault = if case.config.watch == WatchMode::Off { 1 } else { 2 };
        loop {
            let own = match self.strategy.prepare(notifier, clock::now()) {
                Ok(own) => own,
                Err(error) => {
                    self.outcome.errors.push(error.to_string());
                    Some(Duration::ZERO)
                }
            };
            let now = sim::with(|kernel| kernel.now());
            let rescan = Duration::from_nanos(self.rescan_at.saturating_sub(now));
            if let Err(error) = notifier.wait(&mut events, Some(own.unwrap_or(rescan))) {
                self.outcome.errors.push(error.to_string());
                // The notifier belongs to the program, so the program makes the pause.
                sim::with(|kernel| kernel.rest(10 * MS));
            }
            let now = sim::with(|kernel| kernel.now());
            if world.borrow().is_over {
                return;
            }
            self.outcome.wakeups.push(now - self.begin);
            for event in &events {
                if let Err(error) = self.strategy.woken(event, notifier) {
                    self.outcome.errors.push(error.to_string());
                }
            }
            let is_due = now >= self.rescan_at;
            if is_due && self.is_old && now >= self.begin + RESCAN {
                reasons += 1;
            }
            if !events.is_empty() || !self.is_old || is_due {
                self.scan(notifier);
            }
            let struck = sim::with(|kernel| failed_calls(kernel)) * per_fault;
            let world = world.borrow();
            let delivered = world.pulls.iter().filter(|(_, pull)| pull.is_ok()).count() as u64;
            self.outcome.needless_scan |= self.strategy.scan_count() > reasons + delivered + struck;
            wakeups = if world.happened == happened { wakeups + 1 } else { 0 };
            happened = world.happened;
            if wakeups > case.wakeups {
                self.outcome.spins = true;
                return;
            }
        }
    }

    fn scan(&mut self, notifier: &mut dyn Notifier) {
        let begin = self.begin;
        let outcome = &mut *self.outcome;
        let before = self.strategy.scan_count();
        let now = sim::with(|kernel| kernel.now());
        let scanned = self.strategy.scan(notifier, &mut |item| {
            match item {
                Ok(found) => {
                    let name = found.path.file_name().unwrap_or_default().to_string_lossy();
                    sim::with(|kernel| {
                        kernel.note(|| format!("=> {name}"));
                        outcome.returned.push((kernel.now().saturating_sub(begin), name.into()));
                        // If the watch is not reliable, both may return an entry.
                        let _ = kernel.unlink(found.path.as_os_str().as_bytes());
                    });
                }
                Err(error) => outcome.errors.push(error.to_string()),
            }
            ControlFlow::Continue(())
        });
        if self.strategy.scan_count() > before {
            outcome.scans.push(now.saturating_sub(begin));
        }
        match scanned {
            Ok(()) => self.rescan_at = now + RESCAN,
            Err(error) => {
                let error = error.to_string();
                if error.contains("/todo: cannot") && self.is_old {
                    sim::with(|kernel| kernel.rest(AFTER_FAILURE));
                } else {
                    self.rescan_at = now + RESCAN;
                }
                outcome.errors.push(error);
            }
        }
    }
}
