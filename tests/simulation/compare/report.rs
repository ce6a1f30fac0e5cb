//! The results of a comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use libc::{
    IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR,
    IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW, IN_UNMOUNT,
};
use pullcord_platform::sim::FsKind;

use super::exceptions::EXCEPTIONS;
use super::script::{Op, Outcome, Script};

/// The result of a comparison without a difference.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) place: String,
    /// The kind of the file system there.
    pub(crate) kind: Option<FsKind>,
    pub(crate) scripts: usize,
    /// Calls of each kernel.
    pub(crate) calls: u64,
    pub(crate) time: Duration,
    /// How often each function was called.
    pub(crate) functions: BTreeMap<&'static str, u64>,
    /// The errors that each kind of call ended with, on both kernels.
    pub(crate) errors: BTreeMap<&'static str, BTreeSet<i32>>,
    /// How often each exception was applied to a call.
    pub(crate) exceptions: BTreeMap<&'static str, u64>,
    /// The masks of all events that the real kernel has reported.
    pub(crate) events: BTreeSet<u32>,
    /// Directories that were read to their end.
    pub(crate) readings: u64,
    /// Messages about the parts that could not be compared here.
    pub(crate) left_out: Vec<String>,
}

const EVENTS: [(&str, u32); 13] = [
    ("IN_CLOSE_WRITE", IN_CLOSE_WRITE),
    ("IN_MODIFY", IN_MODIFY),
    ("IN_ATTRIB", IN_ATTRIB),
    ("IN_CREATE", IN_CREATE),
    ("IN_DELETE", IN_DELETE),
    ("IN_DELETE_SELF", IN_DELETE_SELF),
    ("IN_IGNORED", IN_IGNORED),
    ("IN_ISDIR", IN_ISDIR),
    ("IN_MOVED_FROM", IN_MOVED_FROM),
    ("IN_MOVED_TO", IN_MOVED_TO),
    ("IN_MOVE_SELF", IN_MOVE_SELF),
    ("IN_Q_OVERFLOW", IN_Q_OVERFLOW),
    ("IN_UNMOUNT", IN_UNMOUNT),
];

impl Report {
    pub(super) fn add(&mut self, part: Report) {
        self.scripts += part.scripts;
        self.calls += part.calls;
        self.time = self.time.max(part.time);
        self.readings += part.readings;
        (self.place, self.kind, self.left_out) = (part.place, part.kind, part.left_out);
        self.events.extend(part.events);
        for (name, count) in part.functions {
            *self.functions.entry(name).or_default() += count;
        }
        for (name, errors) in part.errors {
            self.errors.entry(name).or_default().extend(errors);
        }
        for (name, count) in part.exceptions {
            *self.exceptions.entry(name).or_default() += count;
        }
    }

    /// The parts that no script reached: functions of the simulated C library, and events of inotify(7).
    pub(crate) fn uncalled(&self) -> Vec<String> {
        let is_left_out = |what: &str| self.left_out.iter().any(|it| it.starts_with(what));
        let (no_mounts, no_limits) = (is_left_out("mounts: "), is_left_out("/proc/"));
        let functions = functions_of_the_simulation().into_iter().filter(|name| {
            let mounts = no_mounts && matches!(&name[..], "mount" | "umount2");
            let left_out = mounts || is_left_out(&format!("{name}: "));
            !left_out && !self.functions.contains_key(name.as_str())
        });
        let seen = self.events.iter().fold(0, |all, mask| all | mask);
        let events = EVENTS.into_iter().filter(|(_, mask)| {
            let excused = no_mounts && *mask == IN_UNMOUNT || no_limits && *mask == IN_Q_OVERFLOW;
            !excused && seen & mask == 0
        });
        functions.chain(events.map(|(name, _)| name.to_owned())).collect()
    }

    /// Returns the exceptions that did not occur. The list must not contain them.
    pub(crate) fn unmade_exceptions(&self) -> Vec<&'static str> {
        EXCEPTIONS.iter().copied().filter(|name| !self.exceptions.contains_key(name)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { place, kind, scripts, calls, readings, .. } = self;
        let seconds = self.time.as_secs_f64().max(1e-9);
        let (speed, rate) = (*scripts as f64 / seconds, *calls as f64 / seconds);
        let kind =
            kind.map_or("a file system that is not simulated".into(), |it| format!("{it:?}"));
        let errors: usize = self.errors.values().map(BTreeSet::len).sum();
        write!(
            f,
            "{place} ({kind}): {scripts} scripts, {calls} calls, {readings} directories read, \
             {errors} different errors, no difference; {speed:.0} scripts/s, {rate:.0} calls/s"
        )?;
        self.left_out.iter().try_for_each(|what| write!(f, "\n  left out: {what}"))
    }
}

/// A script whose results differ.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) place: String,
    pub(crate) seed: u64,
    /// The number of the script.
    pub(crate) number: usize,
    /// The number of its calls before it was shrunk.
    pub(crate) length: usize,
    /// The shrunk script.
    pub(crate) script: Script,
    /// The results of the shrunk script.
    pub(super) steps: Vec<Step>,
}

/// A call, and its results.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    /// The message, if it panicked.
    pub(super) simulated: Result<Outcome, String>,
    pub(super) real: Outcome,
    /// The difference, if the results differ.
    pub(super) wrong: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { place, seed, number, length, script, steps } = self;
        let shrunk = script.ops.len();
        writeln!(f, "{place}, seed {seed}, script {number}: {length} calls, shrunk to {shrunk}")?;
        writeln!(f, "as_owner: {}", script.as_owner)?;
        for Step { op, simulated, real, wrong } in steps {
            // The longest paths are cut.
            writeln!(f, "  {:.400}", format!("{op:x?}"))?;
            match simulated {
                Ok(simulated) if simulated == real => writeln!(f, "    = {real}")?,
                Ok(simulated) => {
                    writeln!(f, "    simulated: {simulated}\n    real:      {real}")?;
                }
                Err(panic) => {
                    writeln!(f, "    simulated: panic: {panic}\n    real:      {real}")?;
                }
            }
            if let Some(wrong) = wrong {
                writeln!(f, "    {wrong}")?;
            }
        }
        Ok(())
    }
}

/// The names of all functions of the simulated C library.
fn functions_of_the_simulation() -> Vec<String> {
    let source = include_str!("../../../platform/src/sim/libc.rs");
    let mut names = Vec::new();
    let mut in_changes = false;
    for line in source.lines() {
        let line = line.trim();
        in_changes = line == "changes! {" || in_changes && line != "}";
        let declared = line.strip_prefix("pub unsafe fn ");
        let listed = declared.or(in_changes.then_some(line)).unwrap_or_default();
        let name = listed.split('(').next().unwrap_or_default();
        if listed.contains('(') && !name.contains('$') {
            names.push(name.to_owned());
        }
    }
    assert!(names.len() > 25, "the source was not parsed correctly: {names:?}");
    names
}
