//! Counts the instructions of a wake, an arrival and a scan, outside the kernel, of the raw loops
//! and of pullcord. `benches/instructions` runs it; it needs valgrind.
//!
//! With a number as its argument it fails where pullcord takes more than so many times what the raw
//! loop takes to wake.

use std::env;
use std::io;
use std::process::ExitCode;

use pullcord_bench::instructions::{Counts, PAIRS, perform};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [name, side] = arguments.as_slice() {
        println!("{}", perform(name, side)?);
        return Ok(ExitCode::SUCCESS);
    }
    let most = arguments.first().map(|most| most.parse::<f64>().map_err(io::Error::other));
    let most = most.transpose()?;
    let mut exit = ExitCode::SUCCESS;
    println!("{:<26}{:>8}{:>10}{:>8}", "instructions", "raw", "pullcord", "ratio");
    for pair in PAIRS {
        let Counts { raw, ours } = pair.count(&env::current_exe()?)?;
        let ratio = ours / raw;
        println!("{:<26}{raw:>8.1}{ours:>10.1}{ratio:>8.3}", pair.name);
        if pair.name.starts_with("wake") && most.is_some_and(|most| ratio > most) {
            println!("{}: more than {} times the raw loop", pair.name, most.unwrap_or_default());
            exit = ExitCode::FAILURE;
        }
    }
    Ok(exit)
}
