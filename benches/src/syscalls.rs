//! Counts system calls, so that tests can assert the counts.

use std::io;

use crate::arrive::{Kind, PARTS, Spool, is_new};
use crate::{raw, wake};

/// Returns the number of system calls of a wake. `name` is an implementation in the table of `wake`.
/// Returns `None` if the name is unknown or the calls cannot be counted.
///
/// # Errors
///
/// Fails if the workload cannot run.
pub fn of_a_wake(name: &str) -> io::Result<Option<f64>> {
    wake::system_calls_of(name)
}

/// Returns how many times pullcord reads a directory to find `arrivals` messages. They arrive one by one
/// in a queue with `backlog` other messages, which pullcord has already returned. With `watching` it uses
/// its watch, otherwise only the trigger. Returns `None` if the reads cannot be counted.
///
/// # Errors
///
/// Fails if the workload cannot run.
pub fn directory_reads(
    watching: bool,
    backlog: usize,
    arrivals: usize,
) -> io::Result<Option<usize>> {
    let mut spool = Spool::with(PARTS, backlog)?;
    let kind = if watching { Kind::WatchingPulled } else { Kind::Scanning };
    let mut reader = kind.open(&spool)?;
    let calls = raw::system_calls(|| {
        raw::mark();
        for _ in 0..arrivals {
            spool.link(kind.is_pulled())?;
            let mut found = 0;
            while found == 0 {
                reader.wake(&mut |_, name| found += usize::from(is_new(name)))?;
            }
        }
        raw::mark();
        Ok(())
    })?;
    Ok(calls.map(|calls| calls.iter().filter(|call| raw::READS_DIRECTORY.contains(call)).count()))
}
