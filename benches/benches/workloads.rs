//! Runs the workloads with `cargo bench -p pullcord-bench [-- OPTIONS]`, as `pullcord bench` does.

use std::io::{IsTerminal, Write};

use clap::Parser;
use pullcord_bench::Options;

/// Measures pullcord beside raw system calls and its peers.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
    /// Passed by cargo to every benchmark, ignored
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> std::io::Result<()> {
    let Command { options, .. } = Command::parse();
    let shown = std::io::stderr().is_terminal();
    let report = pullcord_bench::run(&options, &mut |progress| {
        if shown {
            let pullcord_bench::Progress { workload, done, total } = progress;
            let _ = write!(std::io::stderr(), "\r{workload}: {done} of {total}\x1b[K");
        }
    })?;
    if shown {
        eprint!("\r\x1b[K");
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
