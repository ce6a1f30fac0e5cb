//! `pullcord bench`: measures the cost of a wait, a pull, an arrival and a scan on this machine.

use indicatif::{ProgressBar, ProgressStyle};
use pullcord_bench::{Options, Progress};

use crate::failure::Failure;
use crate::{print, print_json};

/// Measure select, kqueue and epoll, beside raw system calls, mio, polling, notify, libev and libevent
///
/// Implementations take turns within a round, and ratios are computed within the round, so that a
/// noisy machine affects all of them. BENCHMARKS.md explains each figure.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  measured, also if targets were missed: see the last table
  1  a workload failed";

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Hidden if standard error is not a terminal.
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{msg:8} {wide_bar} {pos}/{len}").expect("valid"));
    let report =
        pullcord_bench::run(&arguments.options, &mut |Progress { workload, done, total }| {
            bar.set_message(workload.to_string());
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        });
    bar.finish_and_clear();
    let report = report.map_err(|e| Failure::failed(format!("cannot measure: {e}")))?;
    let printed = if arguments.options.json { print_json(&report) } else { print(&report) };
    printed.map(drop)
}
