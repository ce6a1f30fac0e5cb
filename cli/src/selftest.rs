//! `pullcord selftest`: what this system really does, for a report.

mod backends;
mod fifos;
mod watches;

use std::path::Path;

use pullcord::Escaped;
use serde::Serialize;

use crate::failure::Failure;
use crate::{print, print_json};

/// Try what pullcord relies on, on this machine, and print what was observed
///
/// Takes some seconds and a temporary directory (TMPDIR chooses it), and leaves nothing behind. The
/// output of --json is what a report about an unusual system should contain: it names the system
/// and what was tried, and nothing else of this machine.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Print one object {"system", "release", "machine", "version", "as_expected", "observations":
    /// [{"about", "what", "observed", "as_expected"}]}
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is as pullcord expects
  1  something is not: please report it, with the output of --json
  2  there is no temporary directory to work in";

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
    about: String,
    what: &'static str,
    observed: String,
    /// None where either answer is fine, and only to be known.
    as_expected: Option<bool>,
}

/// What was observed of one thing.
struct Notes<'a> {
    about: String,
    observations: &'a mut Vec<Observation>,
}

impl Notes<'_> {
    /// Something that has to be so.
    fn expect(&mut self, what: &'static str, observed: std::io::Result<bool>) {
        let (observed, as_expected) = match observed {
            Ok(holds) => (if holds { "yes" } else { "no" }.into(), holds),
            Err(e) => (e.to_string(), false),
        };
        self.note(what, observed, Some(as_expected));
    }

    /// Something that is one way here and another way there.
    fn observe(&mut self, what: &'static str, observed: impl ToString) {
        self.note(what, observed.to_string(), None);
    }

    fn note(&mut self, what: &'static str, observed: String, as_expected: Option<bool>) {
        let about = self.about.clone();
        self.observations.push(Observation { about, what, observed, as_expected });
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
    Err(Failure::failed("something is not as expected here: please report it, with --json"))
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let Report { system, release, machine, version, .. } = self;
        print(format!("pullcord {version} on {system} {release}, {machine}"))?;
        for Observation { about, what, observed, as_expected } in &self.observations {
            let mark = match as_expected {
                Some(true) => '✓',
                Some(false) => '✗',
                None => '·',
            };
            print(format!("{mark} {about}: {what}: {observed}"))?;
        }
        Ok(())
    }
}
