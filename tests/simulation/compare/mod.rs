//! Compares the simulated kernel with the kernel of this system. Both make the same calls, and every
//! result must be the same, `errno` included. Only the order of directory entries, times and inode numbers
//! may differ. Files with equal inode numbers on one kernel must have equal ones on the other.
//!
//! | file | contents |
//! |---|---|
//! | `script` | the calls, and their results |
//! | `generate` | scripts from a seed |
//! | `player` | makes the calls; compiled once for each kernel |
//! | `real`, `simulated` | the two kernels |
//! | `exceptions` | the results that are not compared |
//! | `readings` | directory reads, whose order is free |
//! | `arrivals` | entries that arrive during a directory read; compiled once for each kernel |
//! | `run` | runs scripts on both, and shrinks the one that differs |
//! | `report` | the result |
//! | `file_systems` | where scripts are run |

#![allow(clippy::duplicate_mod, reason = "the same calls are compiled for each of the two kernels")]
#![allow(clippy::unnecessary_cast, reason = "the widths differ between systems")]

mod exceptions;
mod file_systems;
mod generate;
mod readings;
mod real;
mod report;
mod run;
mod script;
mod simulated;

use std::path::Path;
use std::thread;

use pullcord_platform::sim::FsKind;

use real::Limits;
use real::arrivals::When;
pub(crate) use report::{Difference, Report};
use run::Comparison;

/// The number of scripts that run in parallel. Each sleeps most of the time, because the kernel takes
/// milliseconds to end a watch or a mount.
const THREADS: usize = 32;

/// Runs `scripts` scripts, made from `seed`, on both kernels, with files in `directory`.
fn compare_at(
    place: &str,
    seed: u64,
    scripts: usize,
    directory: &Path,
) -> Result<Report, Difference> {
    let limits = &Limits::new().expect("fewer descriptors are always permitted");
    let threads = if limits.threads_can_be_private() { THREADS } else { 1 };
    // The scripts run in threads, because each thread gives up its descriptors and its mounts.
    let results: Vec<Result<Report, Difference>> = thread::scope(|scope| {
        let run = |first| {
            let numbers = (first..scripts).step_by(threads);
            move || Comparison::new(place, directory, limits).run(seed, numbers)
        };
        let threads: Vec<_> = (0..threads).map(|first| scope.spawn(run(first))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    let mut report = Report::default();
    let mut first: Option<Difference> = None;
    for result in results {
        match result {
            Ok(part) => report.add(part),
            Err(difference) => {
                if first.as_ref().is_none_or(|first| difference.number < first.number) {
                    first = Some(difference);
                }
            }
        }
    }
    first.map_or(Ok(report), Err)
}

/// The result of a comparison on every available file system.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) reports: Vec<Report>,
    /// Messages about the file systems that are not available.
    pub(crate) left_out: Vec<String>,
}

impl Reports {
    /// Returns the sum of all reports.
    pub(crate) fn total(self) -> Report {
        let mut total = Report::default();
        self.reports.into_iter().for_each(|report| total.add(report));
        total.place = "all".into();
        total
    }
}

/// Compares on every available file system: in `directory`, in /dev/shm, and on images that are created
/// in `directory` and mounted.
pub(crate) fn compare_everywhere(
    seed: u64,
    scripts: usize,
    directory: &Path,
) -> Result<Reports, Difference> {
    let everywhere = || {
        let own = tempfile::tempdir_in(directory).expect("a directory for the comparison");
        let (places, left_out) = file_systems::all(own.path());
        let reports = places.iter().map(|it| compare_at(&it.name, seed, scripts, &it.path));
        Ok(Reports { reports: reports.collect::<Result<_, _>>()?, left_out })
    };
    // A thread can have its own mounts.
    thread::scope(|scope| scope.spawn(everywhere).join().expect("it does not panic"))
}

/// Adds entries while a directory is read, on the real and on the simulated file systems. Both must return
/// as many of them as the library relies on. Returns the results as messages.
///
/// # Panics
///
/// Panics if a file system returns too few or too many.
pub(crate) fn look_at_arrivals(directory: &Path) -> Vec<String> {
    let everywhere = || {
        let own = tempfile::tempdir_in(directory).expect("a directory for the comparison");
        let (places, mut found) = file_systems::all(own.path());
        for place in &places {
            let base = tempfile::tempdir_in(&place.path).expect("a directory for the test");
            let Some(kind) = simulated::kind(real::magic(base.path())) else {
                found.push(format!("{}: not simulated", place.name));
                continue;
            };
            for when in [When::AfterOpen, When::DuringScan] {
                let path = base.path().join(format!("{when:?}"));
                let path = path.to_str().expect("a path in UTF-8");
                let real = real::arrivals::returned(path, when);
                simulated::boot_plain(kind);
                let simulated_when = match when {
                    When::AfterOpen => simulated::arrivals::When::AfterOpen,
                    When::DuringScan => simulated::arrivals::When::DuringScan,
                };
                let simulated = simulated::arrivals::returned("/d", simulated_when);
                found.push(format!(
                    "{}, {when:?}: {real} % of new entries were returned, simulated {simulated} %",
                    place.name
                ));
                for (which, percent) in [("real", real), ("simulated", simulated)] {
                    let is_so = is_as_expected(kind, when, percent);
                    assert!(is_so, "{which} {kind:?}, {when:?}: {percent} % of new entries");
                }
            }
        }
        found
    };
    thread::scope(|scope| scope.spawn(everywhere).join().expect("see the message above"))
}

/// Returns whether a file system has returned its known share of the new entries.
fn is_as_expected(kind: FsKind, when: When, percent: usize) -> bool {
    match (kind, when) {
        // Only the entries that existed when it was opened.
        (FsKind::Btrfs, _) => percent == 0,
        (_, When::AfterOpen) => percent == 100,
        // Only the entries that existed at the first read.
        (FsKind::Tmpfs, _) => percent == 0,
        // The share depends on the blocks in which the new entries are.
        (FsKind::Xfs, _) => true,
        // The entries that follow in the order of a hash. Half of the directory was read before.
        _ => (30..=70).contains(&percent),
    }
}
