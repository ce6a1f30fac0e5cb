//! System calls, counted: what a test can assert.

use std::io;

use crate::arrive::{Kind, Spool, is_new};
use crate::{raw, wake};

/// How many system calls a wake takes, of the implementation with this name in the table of `wake`;
/// `None` where there is no such one, or they cannot be counted.
///
/// # Errors
///
/// Whatever keeps the workload from running.
pub fn of_a_wake(name: &str) -> io::Result<Option<f64>> {
    wake::system_calls_of(name)
}

/// How many times pullcord reads a directory to learn of `arrivals` messages, one by one, in a queue
/// in which `backlog` others wait, of which it knows: with its watch, or by the trigger alone. `None`
/// where that cannot be counted.
///
/// # Errors
///
/// Whatever keeps the workload from running.
pub fn directory_reads(
    watching: bool,
    backlog: usize,
    arrivals: usize,
) -> io::Result<Option<usize>> {
    let mut spool = Spool::with(backlog)?;
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
