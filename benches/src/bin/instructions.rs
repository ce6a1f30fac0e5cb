//! Counts the instructions outside the kernel of a wake, an arrival and a scan, for the raw loops and
//! for pullcord. `benches/instructions` runs it. It needs valgrind.
//!
//! With `--assert` it fails if pullcord uses more instructions than the table in `instructions.rs`
//! allows, with `--max NAME=COUNT` if the named work uses more than `COUNT`.

use std::collections::HashMap;
use std::env;
use std::io;
use std::process::ExitCode;

use pullcord_bench::instructions::{Counts, PAIRS, TARGET, perform};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let maxima = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["perform", name, side] => {
            println!("{}", perform(name, side)?);
            return Ok(ExitCode::SUCCESS);
        }
        ["--assert"] => PAIRS.iter().map(|pair| (pair.name, pair.most)).collect(),
        asked => maxima(asked)?,
    };
    let mut exit = ExitCode::SUCCESS;
    println!("{:<24}{:>8}{:>10}{:>8}  at most", "instructions", "raw", "pullcord", "ratio");
    for pair in PAIRS {
        let Counts { raw, ours } = pair.count(&env::current_exe()?)?;
        let ratio = ours / raw;
        print!("{:<24}{raw:>8.1}{ours:>10.1}{ratio:>8.3}", pair.name);
        if pair.name.starts_with("wake") {
            print!("  {TARGET} x raw: {}", if ratio <= TARGET { "met" } else { "MISSED" });
        }
        if let Some(most) = maxima.get(pair.name) {
            let kept = ours <= *most;
            print!("  {most}: {}", if kept { "kept" } else { "EXCEEDED" });
            if !kept {
                exit = ExitCode::FAILURE;
            }
        }
        println!();
    }
    Ok(exit)
}

/// Parses `--max NAME=COUNT`, which may be repeated.
fn maxima<'a>(arguments: &[&'a str]) -> io::Result<HashMap<&'a str, f64>> {
    let mut maxima = HashMap::new();
    for pair in arguments.chunks(2) {
        let most = match pair {
            ["--max", most] => most.split_once('='),
            _ => None,
        };
        let known = most.filter(|(name, _)| PAIRS.iter().any(|pair| pair.name == *name));
        let count = known.and_then(|(name, most)| Some((name, most.parse().ok()?)));
        let (name, most) = count.ok_or_else(|| {
            io::Error::other(format!(
                "{arguments:?}: cannot read the arguments: use --assert, or --max NAME=COUNT with a name \
                 from the table"
            ))
        })?;
        maxima.insert(name, most);
    }
    Ok(maxima)
}
