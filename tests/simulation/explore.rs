//! Runs the enumeration and random histories on all processors for a given time. Prints one line of JSON.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pullcord_platform::sim::{Call, Census};

use crate::history::History;
use crate::oracle::Failure;
use crate::printed::printed;
use crate::run::run;
use crate::shrink::shrink;
use crate::world::{Reached, STATES};
use crate::{more, mutants, random};

/// The origin of a history: its stream, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// One error of a call, from the start on.
    Fault(usize),
    /// One operation or fault before each of the first calls.
    Single(usize),
    /// Two operations.
    Pair(usize),
    /// One operation in a configuration that the others do not have.
    More(usize),
    Random(u64),
}

impl Source {
    pub(crate) fn history(self) -> History {
        match self {
            Source::Fault(number) => random::fault(number).expect("it was counted"),
            Source::Single(number) => random::single(number),
            Source::Pair(number) => random::pair(number),
            Source::More(number) => more::single(number).expect("it was counted"),
            Source::Random(seed) => random::history(seed),
        }
    }

    /// The `turn`th history of a run with this seed: the errors of calls first, then three streams in turns. The
    /// enumeration is visited in steps that reach each of its histories once.
    pub(crate) fn nth(seed: u64, turn: u64) -> Source {
        if random::fault(turn as usize).is_some() {
            return Source::Fault(turn as usize);
        }
        let after_the_mutants = turn.checked_sub(mutants::explored::HISTORIES);
        let more = after_the_mutants.map(|number| number as usize);
        if let Some(number) = more.filter(|number| more::single(*number).is_some()) {
            return Source::More(number);
        }
        let (singles, pairs) = random::enumerated();
        let step = |count: usize| {
            let number = (turn / 3).wrapping_add(seed.wrapping_mul(7919));
            (u128::from(number) * 2_654_435_761 % count as u128) as usize
        };
        match turn % 3 {
            0 if turn / 3 < singles as u64 => Source::Single(step(singles)),
            1 if turn / 3 < pairs as u64 => Source::Pair(step(pairs)),
            _ => Source::Random((seed << 32).wrapping_add(turn)),
        }
    }
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    histories: u64,
    steps: u64,
    calls: u64,
    nanoseconds: u64,
    arrivals: u64,
    returned: u64,
    repeats: u64,
    overflows: u64,
    census: Census,
    reached: Reached,
    warnings: BTreeMap<String, u64>,
    traces: HashSet<u64>,
    /// The sum of all traces: two builds that behave alike have the same.
    digest: u64,
    failures: Vec<(u64, Source, Failure)>,
    unrepeatable: Vec<Source>,
}

impl Findings {
    fn add(&mut self, other: Findings) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.calls += other.calls;
        self.nanoseconds += other.nanoseconds;
        self.arrivals += other.arrivals;
        self.returned += other.returned;
        self.repeats += other.repeats;
        self.overflows += other.overflows;
        self.census.add(&other.census);
        self.reached.add(other.reached);
        for (warning, count) in other.warnings {
            *self.warnings.entry(warning).or_default() += count;
        }
        self.traces.extend(other.traces);
        self.digest = self.digest.wrapping_add(other.digest);
        self.failures.extend(other.failures);
        self.unrepeatable.extend(other.unrepeatable);
    }

    /// Runs one history, and adds its results.
    fn explore(&mut self, turn: u64, source: Source) {
        let history = source.history();
        let outcome = run(&history, false);
        self.histories += 1;
        self.steps += outcome.steps as u64;
        self.calls += outcome.calls;
        self.nanoseconds += outcome.time;
        self.arrivals += outcome.arrivals;
        self.returned += outcome.returned;
        self.repeats += outcome.repeats;
        self.overflows += outcome.overflows;
        self.census.add(&outcome.census);
        self.reached.add(outcome.reached);
        for warning in &outcome.warnings {
            *self.warnings.entry(kind_of(warning)).or_default() += 1;
        }
        self.traces.insert(outcome.trace);
        self.digest = self.digest.wrapping_add(outcome.trace);
        if turn % 100 == 0 && run(&history, false).trace != outcome.trace {
            self.unrepeatable.push(source);
        }
        self.failures.extend(outcome.failure.map(|failure| (turn, source, failure)));
    }
}

/// Returns the operation of a warning, without its path and cause.
fn kind_of(warning: &str) -> String {
    let attempt = warning.split(": cannot ").nth(1).unwrap_or(warning);
    attempt.split(": ").next().unwrap_or(attempt).into()
}

/// A thread ends after so many failures.
const MOST_FAILURES: usize = 5;

/// Explores for a time, or until `most` histories were run.
pub(crate) fn explore(seed: u64, time: Duration, most: u64, threads: usize) -> Findings {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let mut findings = Findings::default();
    let progress = std::io::stderr().is_terminal();
    thread::scope(|scope| {
        let work = || {
            let mut mine = Findings::default();
            while begun.elapsed() < time && mine.failures.len() < MOST_FAILURES {
                let from = next.fetch_add(64, Ordering::Relaxed);
                if from >= most {
                    break;
                }
                for turn in from..(from + 64).min(most) {
                    mine.explore(turn, Source::nth(seed, turn));
                }
            }
            mine
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while progress && workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(200));
            let done = next.load(Ordering::Relaxed);
            eprint!("\r{done} histories, {:.0} s", begun.elapsed().as_secs_f64());
        }
        for worker in workers {
            findings.add(worker.join().expect("a failure is a result and must not panic"));
        }
    });
    if progress {
        eprintln!();
    }
    findings.failures.sort_by_key(|(turn, ..)| *turn);
    findings
}

/// The time that the processors have spent on this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one time.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every system has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Explores, prints the failures and the line of JSON. Returns whether all is well. `is_alone`: no
/// other thread prints meanwhile, so that all that is printed is the library's.
pub(crate) fn report(seed: u64, time: Duration, most: u64, threads: usize, is_alone: bool) -> bool {
    eprintln!("pullcord {} simulation, seed {seed}", env!("CARGO_PKG_VERSION"));
    let begun = (Instant::now(), processor_time());
    let run = || explore(seed, time, most, threads);
    // On a terminal the progress is printed.
    let (findings, text) = if is_alone && !std::io::stderr().is_terminal() {
        printed(run).expect("standard output and standard error can be redirected")
    } else {
        (run(), String::new())
    };
    let seconds = [begun.0.elapsed(), processor_time().saturating_sub(begun.1)];
    let mut failures = Vec::new();
    if !text.is_empty() {
        failures.push(format!("printed meanwhile: {text}"));
    }
    // Printed first, and then made short: that may take a while.
    for (_, source, failure) in &findings.failures {
        eprintln!("{source:?}: {failure}\n  {}", source.history());
    }
    for (_, source, failure) in findings.failures.iter().take(10) {
        let short = shrink(&source.history(), failure);
        eprintln!("{source:?}, shortened:\n  {short}");
        failures.push(format!("{failure} by {short}"));
    }
    for source in &findings.unrepeatable {
        failures.push(format!("{source:?} has a different trace in each run"));
    }
    failures.extend(findings.gaps());
    println!("{}", findings.json(seed, seconds.map(|time| time.as_secs_f64()), &failures));
    failures.is_empty()
}

/// Calls, errors and states that no run reaches, with the reason. If one is reached, that is a failure: it
/// must be removed from this list.
const NEVER: &[(&str, &str)] = &[
    (
        "write",
        "the library writes only to its own waker and in `pull`, which other processes call here",
    ),
    ("ftruncate", "the library truncates nothing"),
    ("poll", "the library waits by other calls"),
    #[cfg(not(pullcord_sim = "bsd"))]
    ("kqueue", NOT_HERE),
    #[cfg(not(pullcord_sim = "bsd"))]
    ("kevent", NOT_HERE),
    #[cfg(pullcord_sim = "bsd")]
    (
        "kevent: EINTR",
        "only a registration fails by injection; a signal of the history ends a wait",
    ),
    #[cfg(pullcord_sim = "none")]
    ("pipe2", "select has no descriptor, so that no receiver is made for another loop"),
    #[cfg(pullcord_sim = "none")]
    ("statfs", "without a watch no file system is checked"),
    #[cfg(not(any(pullcord_sim = "bsd", pullcord_sim = "none")))]
    ("fdopendir", "directories are read by getdents64"),
    #[cfg(not(any(pullcord_sim = "bsd", pullcord_sim = "none")))]
    ("readdir", "directories are read by getdents64"),
    #[cfg(not(any(pullcord_sim = "bsd", pullcord_sim = "none")))]
    ("event: IN_MODIFY", "the library does not ask for it: one file would cause thousands"),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("getdents64", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("inotify_init1", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("inotify_add_watch", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("inotify_rm_watch", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("epoll_create1", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("epoll_ctl", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("epoll_wait", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("epoll_pwait2", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("timerfd_create", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("timerfd_settime", NOT_HERE),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("overflow", "only inotify overflows"),
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    ("event", NOT_HERE),
];

const NOT_HERE: &str = "this kernel has none";

/// A run of so many histories must reach everything else: the numbers of `.ci/run`.
const ENOUGH: u64 = if cfg!(pullcord_sim = "bsd") {
    20_000
} else if cfg!(pullcord_sim = "none") {
    30_000
} else {
    100_000
};

/// The operations whose failures are reported. Each must have been reported, and no other.
const WARNINGS: &[&str] = &[
    "look at the queue",
    "look at the trigger",
    // Select opens nothing.
    #[cfg(not(pullcord_sim = "none"))]
    "open the notifier",
    "open the trigger",
    "read the directory",
    "read the trigger",
    #[cfg(not(pullcord_sim = "none"))]
    "rely on the directory watch",
    "use the descriptor as the trigger",
    "use the directory",
    #[cfg(not(pullcord_sim = "none"))]
    "wait for the directory watch",
    // A wait of kqueue(2) needs no memory, and neither does its timer.
    #[cfg(not(any(pullcord_sim = "bsd", pullcord_sim = "none")))]
    "wait for the queue",
    "wait for the trigger",
    #[cfg(not(pullcord_sim = "none"))]
    "watch the directory",
    "watch the queue",
];

impl Findings {
    /// Returns the states that a long run must reach, and that this one has not.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if self.histories < ENOUGH {
            return gaps;
        }
        let things = self.things();
        // The name of a call also excepts its errors.
        let is_of = |thing: &str, name: &str| {
            thing.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
        };
        for (thing, count) in &things {
            match NEVER.iter().find(|(name, _)| is_of(thing, name)) {
                None if *count == 0 => gaps.push(format!("never reached: {thing}")),
                Some((_, reason)) if *count > 0 => {
                    gaps.push(format!("reached, although excepted: {thing}: {reason}"));
                }
                _ => {}
            }
        }
        for (name, _) in NEVER {
            if !things.iter().any(|(thing, _)| is_of(thing, name)) {
                gaps.push(format!("excepted, but unknown: {name}"));
            }
        }
        for warning in self.warnings.keys() {
            if !WARNINGS.contains(&warning.as_str()) {
                gaps.push(format!("a warning that is not listed: {warning}"));
            }
        }
        if (self.traces.len() as u64) < self.histories / 4 {
            gaps.push(format!("only {} distinct traces", self.traces.len()));
        }
        gaps
    }

    /// Returns how often each goal of a run was reached: calls and their errors, states, events of a
    /// watch, warnings.
    fn things(&self) -> Vec<(String, u64)> {
        let mut things = Vec::new();
        for call in Call::ALL {
            things.push((call.name().into(), self.census.made(*call)));
            let failed = self.census.failed(*call).zip(call.error_names());
            things.extend(
                failed.map(|((_, count), error)| (format!("{}: {error}", call.name()), count)),
            );
        }
        things.extend(self.states().map(|(state, count)| (state.into(), count)));
        let events = self.census.events();
        things.extend(events.map(|(event, count)| (format!("event: {event}"), count)));
        let warning = |warning: &&str| {
            let count = self.warnings.get(*warning).copied().unwrap_or(0);
            (format!("cannot {warning}"), count)
        };
        things.extend(WARNINGS.iter().map(warning));
        things
    }

    fn states(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let states = STATES.into_iter().zip(self.reached.0);
        states.chain([("overflow", self.overflows)])
    }

    /// The line of JSON. `processor` is the time of all threads, which other programs on the machine
    /// do not lengthen much.
    fn json(&self, seed: u64, [seconds, processor]: [f64; 2], failures: &[String]) -> String {
        let mut json = String::from("{");
        let per_second = self.histories as f64 / seconds;
        let _ = write!(json, "\"seed\":{seed},\"histories\":{},", self.histories);
        let _ = write!(json, "\"histories_per_second\":{per_second:.0},\"steps\":{},", self.steps);
        let _ = write!(
            json,
            "\"calls\":{},\"calls_per_second\":{:.0},\"calls_per_processor_second\":{:.0},",
            self.calls,
            self.calls as f64 / seconds,
            self.calls as f64 / processor
        );
        let hours = self.nanoseconds as f64 / 3.6e12;
        let _ =
            write!(json, "\"virtual_hours\":{hours:.1},\"distinct_traces\":{},", self.traces.len());
        let _ = write!(json, "\"digest\":\"{:016x}\",", self.digest);
        let _ = write!(
            json,
            "\"arrivals\":{},\"returned\":{},\"repeats\":{},",
            self.arrivals, self.returned, self.repeats
        );
        let mut faults = Vec::new();
        for call in Call::ALL {
            let failed: Vec<_> = self
                .census
                .failed(*call)
                .zip(call.error_names())
                .filter(|((_, count), _)| *count > 0)
                .map(|((_, count), name)| format!("\"{name}\":{count}"))
                .collect();
            if !failed.is_empty() {
                faults.push(format!("\"{}\":{{{}}}", call.name(), failed.join(",")));
            }
        }
        let _ = write!(json, "\"faults\":{{{}}},", faults.join(","));
        let pairs = Call::ALL.iter().flat_map(|call| {
            let failed = self.census.failed(*call).zip(call.error_names());
            failed.filter(|((_, count), _)| *count == 0).map(|(_, error)| (call.name(), *error))
        });
        let never: Vec<_> = pairs.map(|(call, error)| format!("\"{call}: {error}\"")).collect();
        let _ = write!(json, "\"never_injected\":[{}],", never.join(","));
        let states: Vec<_> = self
            .states()
            .chain(self.census.events())
            .map(|(state, count)| format!("\"{state}\":{count}"))
            .collect();
        let _ = write!(json, "\"states\":{{{}}},", states.join(","));
        let warnings: Vec<_> = self
            .warnings
            .iter()
            .map(|(warning, count)| format!("{}:{count}", quoted(warning)))
            .collect();
        let _ = write!(json, "\"warnings\":{{{}}},", warnings.join(","));
        let failures: Vec<_> = failures.iter().map(|failure| quoted(failure)).collect();
        let _ = write!(json, "\"failures\":[{}]}}", failures.join(","));
        json
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
