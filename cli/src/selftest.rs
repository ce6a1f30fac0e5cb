//! `pullcord selftest`: tests the system calls on which pullcord relies, on this machine.

mod backends;
mod fifos;
mod watches;

use std::path::Path;

use pullcord::Escaped;
use serde::Serialize;

use crate::failure::Failure;
use crate::{print, print_json};

/// Test the system calls on which pullcord relies, and print the observations
///
/// Needs some seconds and a temporary directory (TMPDIR selects it), and removes all its files. Add the
/// output of --json to a report about an unusual system. It contains the system and the checks, and no
/// other data of this machine.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Print one object {"system", "release", "machine", "version", "as_expected", "observations":
    /// [{"subject", "check", "observed", "as_expected"}]}
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every observation is as pullcord expects
  1  an observation is not as expected: please report it, with the output of --json
  2  no temporary directory can be made";

#[derive(Serialize)]
struct Report {
    system: String,
    release: String,
    machine: String,
    version: &'static str,
    as_expected: bool,
    observations: Vec<Observation>,
}

#[derive(Serialize)]
struct Observation {
    subject: String,
    check: &'static str,
    observed: String,
    /// `None` if both results are accepted.
    as_expected: Option<bool>,
}

/// Records the observations of one subject.
struct Recorder<'a> {
    subject: String,
    observations: &'a mut Vec<Observation>,
}

impl Recorder<'_> {
    /// Records a check that must hold.
    fn expect(&mut self, check: &'static str, observed: std::io::Result<bool>) {
        let (observed, as_expected) = match observed {
            Ok(holds) => (if holds { "yes" } else { "no" }.into(), holds),
            Err(e) => (e.to_string(), false),
        };
        self.record(check, observed, Some(as_expected));
    }

    /// Records a check whose result differs between systems.
    fn observe(&mut self, check: &'static str, observed: impl ToString) {
        self.record(check, observed.to_string(), None);
    }

    fn record(&mut self, check: &'static str, observed: String, as_expected: Option<bool>) {
        let subject = self.subject.clone();
        self.observations.push(Observation { subject, check, observed, as_expected });
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = tempfile::tempdir().map_err(|e| {
        let place = std::env::temp_dir();
        Failure::at_start(&place, "make a temporary directory in it", e)
    })?;
    let uname = rustix::system::uname();
    let word = |word: &std::ffi::CStr| Escaped(Path::new(&*word.to_string_lossy())).to_string();
    let mut report = Report {
        system: word(uname.sysname()),
        release: word(uname.release()),
        machine: word(uname.machine()),
        version: env!("CARGO_PKG_VERSION"),
        as_expected: true,
        observations: Vec::new(),
    };
    fifos::observe(directory.path(), &mut report.observations);
    backends::observe(directory.path(), &mut report.observations);
    watches::observe(directory.path(), &mut report.observations);
    report.as_expected = report.observations.iter().all(|seen| seen.as_expected != Some(false));

    if arguments.json {
        print_json(&report)?;
    } else {
        report.print()?;
    }
    if report.as_expected {
        return Ok(());
    }
    Err(Failure::failed(
        "an observation is not as expected: please report it, with the output of --json",
    ))
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let Report { system, release, machine, version, .. } = self;
        print(format!("pullcord {version} on {system} {release}, {machine}"))?;
        for Observation { subject, check, observed, as_expected } in &self.observations {
            let mark = match as_expected {
                Some(true) => '✓',
                Some(false) => '✗',
                None => '·',
            };
            print(format!("{mark} {subject}: {check}: {observed}"))?;
        }
        Ok(())
    }
}
