//! `pullcord bench`: what a wait, a pull, an arrival and a scan cost on this machine.

use indicatif::{ProgressBar, ProgressStyle};
use pullcord_bench::{Options, Progress};

use crate::failure::Failure;
use crate::{print, print_json};

/// Measure select, kqueue and epoll, beside raw system calls, mio, polling, notify, libev and libevent
///
/// Implementations take turns within a round, and ratios are taken within the round, so that a
/// noisy machine is noisy to all of them. BENCHMARKS.md says what each figure means.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  measured, whether the targets were met or not: the last table says that
  1  something could not be measured";

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Hidden where standard error is no terminal.
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
