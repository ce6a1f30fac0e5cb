//! Measures pullcord beside raw system calls and beside its peers.
//!
//! `cargo bench -p pullcord-bench` and `pullcord bench` share these workloads. `BENCHMARKS.md` explains
//! each figure.

#![deny(unsafe_code, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod affinity;
pub mod arrive;
pub mod churn;
mod cpu_time;
pub mod delay;
mod dynamic;
mod fill;
pub mod growth;
pub mod instructions;
mod limits;
mod loops;
mod machine;
mod memory;
pub mod open;
mod plot;
pub mod queues;
mod raw;
mod report;
pub mod ring;
mod rng;
mod rounds;
pub mod scan;
pub mod syscalls;
pub mod wake;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use machine::Machine;
pub use report::{Report, Target, Verdict};
pub use rounds::Spread;

/// The options of a run: the workloads, their sizes and the output.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Workloads to run, all if not given
    #[arg(long = "workload", value_name = "W", value_enum, value_delimiter = ',')]
    pub workloads: Vec<Workload>,
    /// Fewer rounds and smaller sizes
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Write plots into this directory, as SVG
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Numbers of pipes in the ring
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = from_one())]
    pub fds: Vec<u32>,
    /// Numbers of pipes in the ring that are active at once
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = from_one())]
    pub active: Vec<u32>,
    /// Only implementations whose name contains one of these
    #[arg(long, value_name = "IMPL", value_delimiter = ',')]
    pub only: Vec<String>,
}

fn from_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

impl Options {
    fn includes(&self, implementation: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| implementation.contains(part.as_str()))
    }
}

/// One kind of work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// A ring of pipes, in each event of which a byte is passed on
    Ring,
    /// A sleeping reader of a FIFO, pulled by another process
    Wake,
    /// A message linked into a queue in which others wait
    Arrive,
    /// A directory of many entries, read to its end
    Scan,
    /// A descriptor registered, changed and removed
    Churn,
    /// A queue of many directories opened
    Open,
    /// A message in one of many queues of a process
    Queues,
    /// A wait that ends at its timeout
    Delay,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Workload::Ring => "ring",
            Workload::Wake => "wake",
            Workload::Arrive => "arrive",
            Workload::Scan => "scan",
            Workload::Churn => "churn",
            Workload::Open => "open",
            Workload::Queues => "queues",
            Workload::Delay => "delay",
        })
    }
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The workload that runs now.
    pub workload: Workload,
    /// The number of finished turns.
    pub done: usize,
    /// The number of all turns.
    pub total: usize,
}

/// Counts the turns of a workload and reports them.
struct Steps<'a> {
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

impl Steps<'_> {
    fn expect(&mut self, more: usize) {
        self.progress.total += more;
        (self.tell)(self.progress);
    }

    fn done(&mut self) {
        self.progress.done += 1;
        (self.tell)(self.progress);
    }
}

/// Runs the workloads. Calls `tell` after every turn.
///
/// # Errors
///
/// Fails if a directory cannot be created or a descriptor cannot be opened. If the cause is a limit, the
/// message contains the remedy.
pub fn run(options: &Options, tell: &mut dyn FnMut(Progress)) -> io::Result<Report> {
    const ALL: [Workload; 8] = [
        Workload::Ring,
        Workload::Wake,
        Workload::Arrive,
        Workload::Queues,
        Workload::Scan,
        Workload::Open,
        Workload::Churn,
        Workload::Delay,
    ];
    let wanted =
        |workload: &Workload| options.workloads.is_empty() || options.workloads.contains(workload);
    let mut report = Report::new(Machine::here(&std::env::temp_dir()));
    for workload in ALL.into_iter().filter(wanted) {
        let progress = Progress { workload, done: 0, total: 0 };
        let mut steps = Steps { progress, tell };
        match workload {
            Workload::Arrive => arrive::run(options, &mut steps, &mut report)?,
            Workload::Scan => scan::run(options, &mut steps, &mut report)?,
            Workload::Ring => ring::run(options, &mut steps, &mut report)?,
            Workload::Wake => wake::run(options, &mut steps, &mut report)?,
            Workload::Churn => churn::run(options, &mut steps, &mut report)?,
            Workload::Open => open::run(options, &mut steps, &mut report)?,
            Workload::Queues => queues::run(options, &mut steps, &mut report)?,
            Workload::Delay => delay::run(options, &mut steps, &mut report)?,
        }
    }
    report.growth = growth::rows(&report);
    if let Some(directory) = &options.plot {
        plot::write(&report, directory)?;
    }
    Ok(report)
}
