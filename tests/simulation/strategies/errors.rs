//! Each error of each call that a strategy makes. A writer pulls, one call fails, and a minute later another
//! writer pulls. A call that is made only after a failure then fails for twelve seconds as well.
//!
//! A row names the effects that the errors of a call have alone. Each must be found for each error that is not
//! harmless, and no other effect. Each call that a strategy makes must have failed with each of its errors.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use pullcord_platform::sim::Call;

use super::program::{Case, Name, Outcome, run};
use crate::history::{Config, Event, Op, PLAIN, WatchMode, calls, time};
use crate::oracle::SECOND;

/// The consequence of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// The first entry is not returned before the second pull, although its pull was delivered.
    Forgotten,
    /// The second entry waits for the rescan: its pull was refused, or did not wake the program.
    Deaf,
    Spin,
    NeedlessScan,
}

use Effect::{Deaf, Forgotten, NeedlessScan, Spin};

/// A call, and the effects of its errors.
struct Row {
    call: Call,
    effects: &'static [Effect],
    /// The platform repeats the call after these errors.
    harmless: &'static [&'static str],
}

const fn row(call: Call, effects: &'static [Effect]) -> Row {
    Row { call, effects, harmless: &[] }
}

/// The older strategies open the trigger and the directory once after each pull. If the trigger cannot be opened,
/// they are deaf. If the directory cannot be read, they forget the pull.
const OLD: &[Row] = &[
    Row { call: Call::Open, effects: &[Forgotten, Deaf], harmless: &["EINTR"] },
    row(Call::Fstat, &[Deaf]),
    row(Call::Getdents, &[Forgotten]),
    row(Call::Fdopendir, &[Forgotten]),
    row(Call::Readdir, &[Forgotten]),
];

const NAMES: [Name; 6] = [
    Name::Reopen,
    Name::EarlyClose,
    Name::EarlyCloseOpenedLate,
    Name::Drain,
    Name::DrainOpenedLate,
    Name::Pullcord,
];

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name: Name| {
        Trial::test(format!("strategies::errors::{name:?}"), move || {
            check(name);
            Ok(())
        })
    };
    NAMES.map(trial).into()
}

/// A call, and the number of its error.
type Error = (Call, usize);

/// The greatest number of errors that a call has.
const MOST_ERRORS: usize = 16;

/// The findings for one strategy.
#[derive(Default)]
struct Findings {
    /// The effects of one error alone.
    alone: BTreeSet<(Error, Effect)>,
    /// The effects of one error, and of a call after it that fails for a time.
    together: BTreeSet<Effect>,
    reached: BTreeSet<Error>,
    made: BTreeSet<Call>,
}

fn check(name: Name) {
    let mut findings = Findings::default();
    let mut failed = Vec::new();
    each_place(|place| {
        let mut trace = 0;
        for error in 0..MOST_ERRORS {
            let fault = calls(place, Op::FailNext(error, 1));
            let outcome = run_with(name, &[fault]);
            trace = if error == 0 { outcome.trace } else { trace };
            // A call with fewer errors counts them round.
            let [struck] = outcome.struck[..] else { break };
            if struck.1 != error {
                break;
            }
            let effects = effects(&outcome);
            findings.alone.extend(effects.into_iter().map(|effect| (struck, effect)));
            findings.count(&outcome);
            failed.push(fault);
        }
        trace
    });
    let is_after_failure = |call: &&Call| !findings.reached.iter().any(|(it, _)| it == *call);
    let after_failure: Vec<Call> = findings.made.iter().filter(is_after_failure).copied().collect();
    for (call, fault) in
        after_failure.iter().flat_map(|call| failed.iter().map(move |it| (call, it)))
    {
        let number = Call::ALL.iter().position(|it| it == call).expect("a call");
        for error in 0..call.errors().len() {
            let outcome = run_with(name, &[*fault, time(0, Op::FailFor(number, error, 12_000))]);
            findings.together.extend(effects(&outcome));
            findings.count(&outcome);
        }
    }
    findings.check(name);
}

/// Calls `explore` with the number of each call. Ends when four places in a row have the same trace: the fault
/// then strikes the call after the next sleep. Fewer may be calls that cannot fail, such as close(2).
fn each_place(mut explore: impl FnMut(u32) -> u64) {
    let (mut last, mut equal) = (0, 0);
    for place in 0..100 {
        let trace = explore(place);
        equal = if trace == last { equal + 1 } else { 1 };
        if equal == 4 {
            return;
        }
        last = trace;
    }
    panic!("the program does not sleep");
}

impl Findings {
    fn count(&mut self, outcome: &Outcome) {
        self.reached.extend(outcome.struck.iter().copied());
        self.made.extend(outcome.made.iter().copied());
    }

    /// Compares the findings with the rows, and the injected errors with those of the calls.
    fn check(&self, name: Name) {
        let is_old = name != Name::Pullcord;
        let mut known = BTreeSet::new();
        for row in OLD.iter().filter(|row| is_old && self.made.contains(&row.call)) {
            for (number, error) in row.call.error_names().iter().enumerate() {
                let effects = row.effects.iter().filter(|_| !row.harmless.contains(error));
                known.extend(effects.map(|effect| ((row.call, number), *effect)));
            }
        }
        assert_eq!(self.alone, known, "{name:?}: one error");
        let effects = if is_old { &[Forgotten, Deaf][..] } else { &[] };
        assert_eq!(self.together, effects.iter().copied().collect(), "{name:?}: after an error");
        for call in &self.made {
            for (number, error) in call.error_names().iter().enumerate() {
                // A registration is not interrupted, and a wait only by a signal.
                let is_excepted = (call, *error) == (&Call::Kevent, "EINTR");
                let is_reached = self.reached.contains(&(*call, number)) != is_excepted;
                assert!(is_reached, "{name:?}: {} and {error}", call.name());
            }
        }
    }
}

fn effects(outcome: &Outcome) -> Vec<Effect> {
    // A failed step is done again after 100 ms, and once more after 200 ms.
    let is_late =
        |writer, pulled| outcome.returned_at(writer).is_none_or(|at| at > pulled + SECOND / 2);
    let effects = [
        (Forgotten, is_late(0, SECOND)),
        (Deaf, is_late(1, 61 * SECOND)),
        (Spin, outcome.spins),
        (NeedlessScan, outcome.needless_scan),
    ];
    effects.into_iter().filter(|(_, is_found)| *is_found).map(|(effect, _)| effect).collect()
}

/// Runs a strategy without a watch, through the faults between two pulls.
fn run_with(name: Name, faults: &[Event]) -> Outcome {
    let config = Config { watch: WatchMode::Off, ..PLAIN };
    let first = [time(1000, Op::Link(0, 0)), time(0, Op::Pull)];
    let second = [time(60_000, Op::Link(0, 1)), time(0, Op::Pull)];
    let events = [&first, faults, &second].concat();
    let case = Case { name, config, events: &events, settle: 15_000, at_rest: true, wakeups: 2000 };
    run(&case, false)
}
