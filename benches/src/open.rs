//! Measures the cost of opening a queue, for each of its directories. It ends before the first scan.
//!
//! The time is processor time. The directories are empty. Closing is not part of it: to close an inotify
//! descriptor, the kernel waits for other processors.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pullcord::{Backend, Key, Queue, QueueOptions, WatchMode};
use serde::Serialize;

use crate::rounds::{Claim, Plan, Rounds, Spread};
use crate::{Options, Report, Steps, Target, cpu_time, raw};

/// The figures of one implementation with one number of directories.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The number of directories.
    pub directories: usize,
    /// The processor time for each directory.
    #[serde(serialize_with = "Spread::median")]
    pub ns_each: Spread,
    /// The ratio to the time of the raw loop.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

/// Opens the directories and returns the processor time.
type Open = fn(&[PathBuf]) -> io::Result<Duration>;

const OURS: &str = "pullcord watch";
const IMPLEMENTATIONS: [(&str, Open); 3] = [
    (raw::WATCH, |directories| cost_of(|| raw::Arrivals::open(directories, None))),
    (OURS, |directories| cost_of(|| open(directories, WatchMode::Required))),
    ("pullcord scan", |directories| cost_of(|| open(directories, WatchMode::Off))),
];

/// The largest queue of the claims, and the time in which it should open.
const MANY: usize = 10_000;
const AIM: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let sizes = [10, 100, 1_000, MANY];
    let home = tempfile::tempdir()?;
    let all: Vec<_> = (0..MANY).map(|number| home.path().join(number.to_string())).collect();
    all.iter().try_for_each(fs::create_dir)?;
    let plan = Plan::of(options, 1);
    let mut candidates = Vec::new();
    for (name, open) in IMPLEMENTATIONS.into_iter().filter(|(name, _)| options.includes(name)) {
        if let Err(error) = open(&all) {
            report.notes.push(format!("open: {name} is not available here: {error}"));
            continue;
        }
        candidates.extend(sizes.map(|size| (name, open, size)));
    }
    steps.expect(candidates.len() * plan.rounds);
    let find = |wanted, size| {
        candidates.iter().position(|(name, _, number)| (*name, *number) == (wanted, size))
    };
    let text = format!("open: each of {MANY} directories / of 100");
    let claim = Claim::between(text, find(OURS, MANY), find(OURS, 100), 1.3);
    let claims: Vec<_> = claim.into_iter().collect();
    let rounds = Rounds::of(plan, &claims, &mut candidates.clone(), steps, |(_, open, size)| {
        Ok(open(&all[..*size])?.as_nanos() as f64 / *size as f64)
    })?;
    for (number, (implementation, _, directories)) in candidates.iter().enumerate() {
        report.open.push(Row {
            implementation,
            directories: *directories,
            ns_each: rounds.spread(number),
            vs_raw: find(raw::WATCH, *directories).map(|raw| rounds.ratio(number, raw)),
        });
    }
    report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
    if let Some(many) = find(OURS, MANY) {
        report.targets.push(Target {
            claim: format!("open: {OURS}, {MANY} directories / {} ms", AIM.as_millis()),
            ratio: rounds.spread(many).times(MANY as f64 / AIM.as_nanos() as f64),
            most: 1.0,
        });
    }
    Ok(())
}

fn cost_of<T>(open: impl FnOnce() -> io::Result<T>) -> io::Result<Duration> {
    let begun = cpu_time::of_this_thread();
    let opened = open()?;
    let taken = cpu_time::of_this_thread() - begun;
    drop(opened);
    Ok(taken)
}

/// Opens a queue and registers it, so that its watches are armed.
fn open(directories: &[PathBuf], watch: WatchMode) -> io::Result<impl Sized> {
    let mut queue: Queue = QueueOptions::directories(directories).watch(watch).open()?;
    let mut notifier = Backend::best().open()?;
    queue.register(&mut *notifier, [Key(0), Key(1)]);
    Ok((queue, notifier))
}
