//! Runs scripts on both kernels, and compares the results.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Instant;

use pullcord_platform::sim::{self, FsKind};

use super::generate;
use super::readings::Readings;
use super::real::{self, Ground, Limits};
use super::report::{Difference, Report, Step};
use super::script::{Detail, Op, Outcome, Script};
use super::simulated;
use crate::rng::Rng;
use crate::run::message;

/// The comparison of one thread.
pub(super) struct Comparison {
    place: String,
    ground: Ground,
    kind: Option<FsKind>,
    simulated: simulated::Host,
    errors: BTreeMap<&'static str, BTreeSet<i32>>,
    events: BTreeSet<u32>,
    readings: u64,
}

impl Comparison {
    pub(super) fn new(place: &str, directory: &Path, limits: &Limits) -> Comparison {
        let ground = Ground::new(directory, limits)
            .unwrap_or_else(|error| panic!("{}: cannot prepare: {error}", directory.display()));
        let kind = simulated::kind(ground.magic());
        let (simulated, errors, events) = Default::default();
        let place = place.to_owned();
        Comparison { place, ground, kind, simulated, errors, events, readings: 0 }
    }

    pub(super) fn run(
        mut self,
        seed: u64,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<Report, Difference> {
        let begin = Instant::now();
        let mut scripts = 0;
        for number in numbers {
            scripts += 1;
            let mut rng = Rng::new(seed.wrapping_add(number as u64));
            let script = generate::script(&mut rng, self.ground.means);
            let first = self.play(&script);
            if differ(&first) {
                let length = script.ops.len();
                let script = self.shrink(script);
                let (place, again) = (self.place.clone(), self.play(&script));
                // A difference that does not occur again is shown unchanged.
                let steps = if differ(&again) { again } else { first };
                return Err(Difference { place, seed, number, length, script, steps });
            }
        }
        let mut left_out = self.ground.left_out.clone();
        if self.kind.is_none() {
            left_out.push("statfs(2): this file system is not simulated".into());
        }
        let functions = self.simulated.calls;
        Ok(Report {
            place: self.place,
            kind: self.kind,
            scripts,
            calls: functions.values().sum(),
            time: begin.elapsed(),
            functions,
            errors: self.errors,
            events: self.events,
            exceptions: std::mem::take(&mut self.ground.host.exceptions),
            readings: self.readings,
            left_out,
        })
    }

    /// Runs a script on both kernels, up to the first difference.
    fn play(&mut self, script: &Script) -> Vec<Step> {
        let root = self.ground.enter(script);
        let kind = self.kind.unwrap_or(FsKind::Tmpfs);
        simulated::boot(script, &root, kind, self.ground.quirks);
        let mut real = real::player::Player::new(&mut self.ground.host, &root);
        let mut simulated = simulated::player::Player::new(&mut self.simulated, &root);
        let mut readings = Readings::default();
        let mut steps: Vec<Step> = Vec::new();
        for op in &script.ops {
            if self.kind.is_none() && matches!(op, Op::Statfs(_)) {
                continue;
            }
            let real = real.play(op);
            let simulated = panic::catch_unwind(AssertUnwindSafe(|| simulated.play(op)));
            let simulated = simulated.map_err(|panic| message(&*panic));
            let wrong = match &simulated {
                Err(_) => Some("the simulation panicked".into()),
                Ok(simulated) if !is_same(simulated, &real) => Some("the results differ".into()),
                Ok(simulated) => readings.look(op, &root, [simulated, &real]).err(),
            };
            if let Err(errno) = real.returned {
                self.errors.entry(op.name()).or_default().insert(errno);
            }
            if let Detail::Watched(events) = &real.detail {
                self.events.extend(events.iter().map(|event| event.mask));
            }
            let ends = wrong.is_some();
            steps.push(Step { op: op.clone(), simulated, real, wrong });
            if ends {
                break;
            }
        }
        self.readings += readings.ended;
        real.end();
        if steps.last().is_none_or(|step| step.simulated.is_ok()) {
            simulated.end();
        }
        sim::halt();
        self.ground.leave();
        steps
    }

    /// Leaves out calls as long as the rest still differs.
    fn shrink(&mut self, mut script: Script) -> Script {
        let mut budget = 3000;
        let mut chunk = script.ops.len();
        while chunk > 0 && budget > 0 {
            let mut at = 0;
            let mut progress = false;
            while at < script.ops.len() && budget > 0 {
                let mut shorter = script.clone();
                shorter.ops.drain(at..(at + chunk).min(script.ops.len()));
                budget -= 1;
                if differ(&self.play(&shorter)) {
                    (script, progress) = (shorter, true);
                } else {
                    at += chunk;
                }
            }
            if !progress || chunk > 1 {
                chunk /= 2;
            }
        }
        script
    }
}

/// Returns whether the results of a script differ.
fn differ(steps: &[Step]) -> bool {
    steps.last().is_some_and(|step| step.wrong.is_some())
}

/// Returns whether two results are the same.
fn is_same(simulated: &Outcome, real: &Outcome) -> bool {
    match (&simulated.detail, &real.detail) {
        (Detail::Listed(_), Detail::Listed(_)) => simulated.returned == real.returned,
        _ => simulated == real,
    }
}
