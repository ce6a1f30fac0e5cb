//! Measures the cost of an arrival in a process with many queues. One message arrives at a time.
//!
//! Each queue has one directory, and a receiver of its own in one outer loop. One raw loop has a watch and a
//! notifier of its own for each directory too, in the same outer loop. The other one watches all directories
//! with one descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{QueueOptions, Receiver, WatchMode};
use serde::Serialize;

use crate::arrive::{self, NoopReader, Reader, Spool, cost_of, middle, receiver};
use crate::loops::{AnyBest, LEVEL, Loop, Mio, Ours};
use crate::raw::{self, Sink};
use crate::rounds::{Claim, Plan, Rounds, Spread, how_often};
use crate::{Options, Report, Steps, limits};

/// The figures of one implementation with one number of queues.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The number of queues in the process.
    pub queues: usize,
    /// The processor time for a message that arrives in one of them.
    #[serde(serialize_with = "Spread::median")]
    pub ns: Spread,
    /// The ratio to the processor time of the raw loop.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

type Open = fn(&Spool) -> io::Result<Box<dyn Reader>>;

const RAW: &str = "raw, a watch for each";
const OURS: &str = "pullcord receivers";
const IMPLEMENTATIONS: [(&str, Open); 4] = [
    ("raw, one watch for all", |spool| Ok(Box::new(raw::Arrivals::open(&spool.parts, None)?))),
    (RAW, |spool| Ok(Box::new(Each::<Ours<AnyBest, LEVEL>, raw::Arrivals>::open(spool)?))),
    (OURS, |spool| Ok(Box::new(Each::<Ours<AnyBest, LEVEL>, Receiver>::open(spool)?))),
    ("pullcord receivers, mio", |spool| Ok(Box::new(Each::<Mio, Receiver>::open(spool)?))),
];

const SIZES: [usize; 3] = [1, 100, 1_000];
/// The descriptors of a receiver: the watch, the notifier, its timer and its waker.
const DESCRIPTORS_EACH: usize = 4;
const OTHER_DESCRIPTORS: usize = 64;

struct Candidate {
    name: &'static str,
    open: Open,
    spool: usize,
}

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    limits::allow_descriptors(DESCRIPTORS_EACH * 1_000 + OTHER_DESCRIPTORS);
    let mut spools = Vec::new();
    let mut candidates = Vec::new();
    for (spool, queues) in SIZES.into_iter().enumerate() {
        spools.push(Spool::with(queues, 0)?);
        for (name, open) in IMPLEMENTATIONS.into_iter().filter(|(name, _)| options.includes(name)) {
            match open(&spools[spool]) {
                Ok(_) => candidates.push(Candidate { name, open, spool }),
                Err(error) => report.notes.push(format!(
                    "queues: {queues} {name} cannot be opened: {error}; on Linux, each takes one of \
                     fs.inotify.max_user_instances"
                )),
            }
        }
    }
    let find = |name, spool| candidates.iter().position(|c| (c.name, c.spool) == (name, spool));
    let mut claims = Vec::new();
    // With one queue, everything is in the caches of the processor.
    let text = format!("queues: an arrival with {} {OURS} / with {}", SIZES[2], SIZES[1]);
    claims.extend(Claim::between(text, find(OURS, 2), find(OURS, 1), 1.15));
    for (spool, queues) in SIZES.iter().enumerate() {
        let text = format!("queues: {OURS} / {RAW}, {queues} queues");
        claims.extend(Claim::between(text, find(OURS, spool), find(RAW, spool), 1.4));
    }
    let plan = Plan::of(options, 1);
    steps.expect(candidates.len() * plan.rounds);
    let mut turns: Vec<_> = candidates.iter().collect();
    let rounds = Rounds::of(plan, &claims, &mut turns, steps, |candidate| {
        turn(candidate.open, &mut spools[candidate.spool])
    })?;
    for (number, candidate) in candidates.iter().enumerate() {
        report.queues.push(Row {
            implementation: candidate.name,
            queues: SIZES[candidate.spool],
            ns: rounds.spread(number),
            vs_raw: find(RAW, candidate.spool).map(|raw| rounds.ratio(number, raw)),
        });
    }
    report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
    Ok(())
}

/// Returns the processor time of an arrival, in nanoseconds.
fn turn(open: Open, spool: &mut Spool) -> io::Result<f64> {
    let mut reader = open(spool)?;
    let looking = middle(100, || cost_of(&mut NoopReader, spool, 0, false))?;
    cost_of(&mut *reader, spool, 1, false)?;
    let begun = Instant::now();
    cost_of(&mut *reader, spool, 1, false)?;
    let times = how_often(Duration::from_millis(10), begun.elapsed(), 200);
    Ok(middle(times, || cost_of(&mut *reader, spool, 1, false))? - looking)
}

/// The watch of one directory, which another loop waits for.
trait Watching: Send + Sized {
    fn open(directory: &Path) -> io::Result<Self>;

    fn fd(&self) -> io::Result<BorrowedFd<'_>>;

    /// Passes the names that have arrived to `sink`.
    fn take(&mut self, sink: Sink<'_>) -> io::Result<()>;
}

impl Watching for raw::Arrivals {
    fn open(directory: &Path) -> io::Result<Self> {
        raw::Arrivals::open(&[directory.to_owned()], None)
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.as_fd())
    }

    fn take(&mut self, sink: Sink<'_>) -> io::Result<()> {
        self.wake(sink)
    }
}

impl Watching for Receiver {
    fn open(directory: &Path) -> io::Result<Self> {
        // Where a watch is not allowed, it must fail here, and not be polled with a warning.
        receiver(&QueueOptions::directories([directory]).watch(WatchMode::Required))
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        arrive::descriptor(self)
    }

    fn take(&mut self, sink: Sink<'_>) -> io::Result<()> {
        arrive::take(self, sink)
    }
}

/// A watch for each directory, all in one loop.
struct Each<L, W: Watching> {
    outer: L,
    watches: Vec<W>,
}

impl<L: Loop, W: Watching> Each<L, W> {
    fn open(spool: &Spool) -> io::Result<Each<L, W>> {
        let mut all = Each { outer: L::open()?, watches: Vec::new() };
        for (key, directory) in spool.parts.iter().enumerate() {
            let watch = W::open(directory)?;
            all.outer.add(watch.fd()?, key)?;
            all.watches.push(watch);
        }
        Ok(all)
    }
}

impl<L: Loop + Send, W: Watching> Reader for Each<L, W> {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let Each { outer, watches } = self;
        outer.wait(|key| watches[key].take(sink))
    }
}

/// To close an inotify descriptor, Linux waits some 10 ms for the other processors. Many threads wait at
/// the same time.
impl<L, W: Watching> Drop for Each<L, W> {
    fn drop(&mut self) {
        const EACH: usize = 20;
        thread::scope(|threads| {
            while !self.watches.is_empty() {
                let some = self.watches.split_off(self.watches.len().saturating_sub(EACH));
                threads.spawn(move || drop(some));
            }
        });
    }
}
