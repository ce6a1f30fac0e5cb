//! Measures the latency and the system calls of a wake. A reader sleeps on a FIFO, and another process
//! pulls it at random times. The latency ends when the reader runs and the FIFO is empty again.
//!
//! Both processes stay on one processor if the system allows it. Otherwise they sometimes run on one
//! processor and sometimes on two. To wake a sleeping processor takes ten times as long as everything
//! that is compared here.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::affinity::Pinned;
use crate::loops::{self, Loop, Pulled, Work};
use crate::raw::{self, Puller, Unpatched};
use crate::rounds::{Claim, Plan, Rounds, Spread, percentile};
use crate::{Options, Report, Steps};

/// The figures of one implementation.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The median latency.
    #[serde(serialize_with = "Spread::median")]
    pub p50_us: Spread,
    /// The 99th percentile of the latency.
    #[serde(serialize_with = "Spread::median")]
    pub p99_us: Spread,
    /// The number of system calls of a wake. `None` if they cannot be counted.
    pub syscalls: Option<f64>,
    /// The ratio to the raw loop's `p50_us`.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

/// Reads a FIFO until the puller has made all pulls.
type Reading = fn(&Path, &mut Puller) -> io::Result<()>;

/// The reading function of a loop.
struct Read(Reading);

impl Work for Read {
    fn with<L: Loop, F: Pulled>() -> Read {
        Read(read::<L, F>)
    }
}

struct Candidate {
    name: &'static str,
    raw: &'static str,
    read: Reading,
    p99: Vec<f64>,
}

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let home = tempfile::tempdir()?;
    let fifo = home.path().join("trigger");
    pullcord::Trigger::create(&fifo, 0o622).map_err(io::Error::other)?;
    let loops = loops::all::<Read>(options).into_iter().map(|one| (one.name, one.raw, one.work.0));
    let qmail: (_, _, Reading) = ("unpatched qmail", loops::RAW_SELECT, unpatched);
    let mut candidates: Vec<_> = loops
        .chain([qmail].into_iter().filter(|(name, ..)| options.includes(name)))
        .map(|(name, raw, read)| Candidate { name, raw, read, p99: Vec::new() })
        .collect();
    let find = |wanted| candidates.iter().position(|one| one.name == wanted);
    let mut claims = Vec::new();
    for (ours, raw) in [(loops::OURS, loops::RAW), (loops::OUR_SELECT, loops::RAW_SELECT)] {
        let text = format!("wake: {ours} / {raw}, p50");
        claims.extend(Claim::between(text, find(ours), find(raw), 1.05));
    }
    let plan = Plan::of(options, 5);
    steps.expect(candidates.len() * plan.rounds);
    let pulls = if options.quick { 50 } else { 150 };
    let pinned = Pinned::here();
    if pinned.is_none() {
        report
            .notes
            .push("wake: measured on any processor, because pinning is not allowed here".into());
    }
    let rounds = Rounds::of(plan, &claims, &mut candidates, steps, |candidate| {
        let mut puller = Puller::start(&fifo, pulls)?;
        (candidate.read)(&fifo, &mut puller)?;
        let mut latencies = puller.latencies();
        latencies.sort_by(f64::total_cmp);
        candidate.p99.push(percentile(&latencies, 99.0) / 1e3);
        Ok(percentile(&latencies, 50.0) / 1e3)
    })?;
    let find = |wanted| candidates.iter().position(|one| one.name == wanted);
    for (number, candidate) in candidates.iter().enumerate() {
        report.wake.push(Row {
            implementation: candidate.name,
            p50_us: rounds.spread(number),
            p99_us: Spread::of(candidate.p99.iter().copied()),
            syscalls: system_calls(&fifo, candidate.read)?,
            vs_raw: find(candidate.raw).map(|raw| rounds.ratio(number, raw)),
        });
    }
    report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
    Ok(())
}

/// Returns the number of system calls of a wake of this implementation.
pub(crate) fn system_calls_of(name: &str) -> io::Result<Option<f64>> {
    let only = Options { only: vec![name.into()], ..Options::default() };
    let Some(one) = loops::all::<Read>(&only).into_iter().find(|one| one.name == name) else {
        return Ok(None);
    };
    let home = tempfile::tempdir()?;
    let fifo = home.path().join("trigger");
    pullcord::Trigger::create(&fifo, 0o622).map_err(io::Error::other)?;
    system_calls(&fifo, one.work.0)
}

/// Returns the number of system calls of a wake. Returns `None` if they cannot be counted.
fn system_calls(fifo: &Path, read: Reading) -> io::Result<Option<f64>> {
    const PULLS: usize = 20;
    let mut puller = Puller::start(fifo, PULLS)?;
    let calls = raw::system_calls(|| read(fifo, &mut puller))?;
    Ok(calls.map(|calls| calls.len() as f64 / PULLS as f64))
}

fn read<L: Loop, F: Pulled>(fifo: &Path, puller: &mut Puller) -> io::Result<()> {
    let (mut poll, mut trigger) = (L::open()?, F::open(fifo)?);
    poll.add(trigger.as_fd(), 0)?;
    puller.begin();
    while puller.goes_on() {
        poll.wait(|_| {
            trigger.drain()?;
            puller.seen();
            Ok(())
        })?;
        if L::ONE_SHOT {
            poll.change(trigger.as_fd(), 0)?;
        }
    }
    puller.end();
    poll.remove(trigger.as_fd())
}

fn unpatched(fifo: &Path, puller: &mut Puller) -> io::Result<()> {
    let mut trigger = Unpatched::open(fifo)?;
    puller.begin();
    while puller.goes_on() {
        trigger.wait()?;
        puller.seen();
    }
    puller.end();
    Ok(())
}
