//! The simulated kernel is compared with the one of this system: both make the same calls, and every
//! result must be the same, `errno` included. Free are only the order of directory entries, times,
//! and inode numbers (which files are the same is compared).
//!
//! | file | contents |
//! |---|---|
//! | `script` | the calls, and their results |
//! | `generate` | scripts from a seed |
//! | `player` | makes the calls; compiled once for each kernel |
//! | `real`, `simulated` | the two kernels |
//! | `exceptions` | the results that are not compared |
//! | `readings` | directory reads, whose order is free |
//! | `arrivals` | entries that come during a directory read; compiled once for each kernel |
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

/// How many scripts run at a time. Each sleeps most of the time: the kernel takes milliseconds to
/// end a watch or a mount.
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
    // In threads, since each gives up its descriptors and its mounts.
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

/// The result of a comparison on every file system that can be had.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) reports: Vec<Report>,
    /// The file systems that cannot be had, in words.
    pub(crate) left_out: Vec<String>,
}

impl Reports {
    /// All of them in one.
    pub(crate) fn total(self) -> Report {
        let mut total = Report::default();
        self.reports.into_iter().for_each(|report| total.add(report));
        total.place = "all".into();
        total
    }
}

/// Compares on every file system that can be had: in `directory`, in /dev/shm, and on images that
/// are made in `directory` and mounted.
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
    // A thread, since its mounts are its own.
    thread::scope(|scope| scope.spawn(everywhere).join().expect("it does not panic"))
}

/// Adds entries while a directory is read, on the real file systems and on the simulated ones. Both must
/// return as many of them as the library relies on. Returns the results in words.
///
/// # Panics
///
/// Panics if one of them does not.
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
    thread::scope(|scope| scope.spawn(everywhere).join().expect("as it says"))
}

/// Whether a file system returns as many of the new entries as it is known to do.
fn is_as_expected(kind: FsKind, when: When, percent: usize) -> bool {
    match (kind, when) {
        // Only the entries that existed when it was opened.
        (FsKind::Btrfs, _) => percent == 0,
        (_, When::AfterOpen) => percent == 100,
        // Only the entries that existed at the first read.
        (FsKind::Tmpfs, _) => percent == 0,
        // Few or many, by the blocks that its new entries come into.
        (FsKind::Xfs, _) => true,
        // Those that lie ahead in the order of a hash. Half was read when they came.
        _ => (30..=70).contains(&percent),
    }
}
