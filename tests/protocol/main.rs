//! The protocol between writers, trigger and reader, and that between watch and scan, explored by a
//! model checker: everything that a few writers, one failing system call and any delay can lead to.
//!
//! Each way to treat the trigger is explored to its end, and what is found against it must be just
//! what is known: nothing against ours, and the defect that each of its rules is there for once the
//! rule is dropped. "In the end" is said as what must never be, since a spin has no end to look at:
//! no reader at rest, with nothing but the tick to wake it, while an entry waits; and no more than so
//! many wake-ups since the last pull.
//!
//! ARCHITECTURE.md lays the models beside the code. Change both, or neither.

#![deny(unsafe_code)]

mod fifo;
mod pulls;
mod reader;
mod set;
mod watch;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::hash::Hash;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use stateright::{Checker, HasDiscoveries, Model};

use pulls::{HEARD_IS_SERVED, NO_SPIN, NONE_REFUSED, Pulls, REASON, REFUSED_IS_SERVED};
use watch::{NONE_LOST, NONE_TWICE, Side, Watcher, Watching};

fn main() -> ExitCode {
    let trials = trigger().into_iter().chain(watch());
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn trigger() -> Vec<Trial> {
    use reader::*;
    let failing = |reader| Pulls { faults: 1, ..Pulls::of(reader) };
    vec![
        finds("reopen", Pulls::of(REOPEN), &[NO_SPIN, NONE_REFUSED, REASON]),
        finds("early-close", Pulls::of(EARLY_CLOSE), &[NO_SPIN, NONE_REFUSED, REASON]),
        finds(
            "early-close, opened behind the scan",
            Pulls::of(EARLY_CLOSE_OPENED_LATE),
            &[NO_SPIN, NONE_REFUSED, REASON, REFUSED_IS_SERVED],
        ),
        // A writer that closes behind the re-open hangs up: a scan for nothing.
        finds("drain", Pulls::of(DRAIN), &[NONE_REFUSED, REASON]),
        finds(
            "drain, opened behind the scan",
            Pulls::of(DRAIN_OPENED_LATE),
            &[NONE_REFUSED, REASON, REFUSED_IS_SERVED],
        ),
        finds(
            "drain, and one call fails",
            failing(DRAIN),
            &[HEARD_IS_SERVED, NONE_REFUSED, REASON, REFUSED_IS_SERVED],
        ),
        finds("pullcord, and one call fails", failing(PULLCORD), &[]),
        finds(
            "pullcord with two directories, and one call fails",
            Pulls { directories: 2, ..failing(PULLCORD) },
            &[],
        ),
        // Until it has followed, nobody reads the new one; they are served by the scan that follows.
        finds(
            "pullcord whose trigger is replaced, and one call fails",
            Pulls { replacements: 1, ticks: 0, ..failing(PULLCORD) },
            &[NONE_REFUSED],
        ),
        finds("pullcord without a write end", Pulls::of(WITHOUT_WRITE_END), &[NO_SPIN]),
        finds("pullcord, forgetting when a scan fails", failing(FORGETFUL), &[HEARD_IS_SERVED]),
        finds("pullcord, drained behind the scan", Pulls::of(DRAINED_LATE), &[HEARD_IS_SERVED]),
        finds("pullcord, cleaned behind the scan", Pulls::of(CLEANED_LATE), &[HEARD_IS_SERVED]),
    ]
}

fn watch() -> Vec<Trial> {
    use watch::PULLCORD;
    let by = Watching::by;
    let undisturbed = |watcher| Watching { faults: 0, mounts: 0, ..by(watcher) };
    vec![
        finds("watch", by(PULLCORD), &[]),
        finds("watch that names nothing", by(Watcher { names_entries: false, ..PULLCORD }), &[]),
        finds(
            "watch overruled by the scan",
            undisturbed(Watcher { yields: Side::Watch, ..PULLCORD }),
            &[NONE_LOST, NONE_TWICE],
        ),
        finds(
            "watch armed behind the open",
            undisturbed(Watcher { arms_first: false, ..PULLCORD }),
            &[NONE_LOST],
        ),
        finds(
            "watch not read after a batch",
            undisturbed(Watcher { absorbs: false, ..PULLCORD }),
            &[NONE_TWICE],
        ),
        finds(
            "watch trusted after an overflow",
            undisturbed(Watcher { overflow_clears: false, ..PULLCORD }),
            &[NONE_LOST],
        ),
        finds(
            "watch trusted after its directory was mounted over",
            by(Watcher { losing_clears: false, ..PULLCORD }),
            &[NONE_LOST],
        ),
        finds(
            "watch lost, and its directory not read",
            by(Watcher { losing_dirties: false, ..PULLCORD }),
            &[NONE_LOST],
        ),
    ]
}

/// A test that explores all that `model` can come to, and expects just these properties not to hold.
fn finds<M>(name: &'static str, model: M, expected: &'static [&'static str]) -> Trial
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    Trial::test(name, move || {
        let checker = model.clone().checker().spawn_bfs().join();
        let mut report = format!("{name}: {} states", checker.unique_state_count());
        let mut found = BTreeSet::new();
        for property in model.properties() {
            let is_discovered = checker.discovery(property.name).is_some();
            if !property.expectation.discovery_is_failure() {
                assert!(is_discovered, "{name}: it never happens that {}", property.name);
            } else if is_discovered {
                found.insert(property.name);
                let trace = shortest(&model, property.name);
                write!(report, "\n  not true that {}: {trace:?}", property.name)?;
            }
        }
        println!("{report}");
        assert_eq!(found, expected.iter().copied().collect(), "{name}");
        Ok(())
    })
}

/// The shortest way to what contradicts a property. The checker's first one may be longer.
fn shortest<M>(model: &M, property: &'static str) -> Vec<M::Action>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let mut trace = Vec::new();
    let mut depth = usize::MAX;
    loop {
        let checker = model.clone().checker().target_max_depth(depth);
        let until_found = HasDiscoveries::AnyOf([property].into());
        let checker = checker.finish_when(until_found).spawn_bfs().join();
        let Some(path) = checker.discovery(property) else { return trace };
        trace = path.into_actions();
        depth = trace.len() + 1;
    }
}
