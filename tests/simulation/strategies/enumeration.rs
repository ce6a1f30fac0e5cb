//! Explores every placement of a few writers' steps and of one fault between the system calls of each
//! strategy. The found defects must be exactly the known ones.
//!
//! The rules of pullcord also have rows. A row with a rule switched off must find the defect that the rule
//! prevents.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use pullcord_platform::sim::Mutant;

use super::program::{Case, Name, Outcome, entry_of, run};
use crate::history::{Config, Event, Gap, Layout, Op, PLAIN, WatchMode};
use crate::mutants::Without;

/// A property that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Defect {
    /// An entry waits for the rescan, although the pull for it was delivered or found the trigger
    /// full.
    Forgotten,
    /// The same, for an entry whose pull failed. It was linked before.
    RefusedAndForgotten,
    /// A pull failed with `ENXIO` or `EPIPE`.
    Refused,
    /// The strategy wakes up endlessly without an event.
    Spin,
    /// A scan without a reason.
    NeedlessScan,
}

use Defect::{Forgotten, NeedlessScan, Refused, RefusedAndForgotten, Spin};

/// A strategy, its surroundings, and the defects that it has there.
struct Row {
    title: &'static str,
    name: Name,
    config: Config,
    /// Other events. Each occurs once, at any place.
    beside: &'static [Op],
    /// The rule of pullcord that is switched off.
    mutant: Option<Mutant>,
    defects: &'static [Defect],
}

/// Without a watch each pull is a reason to scan. A second way to an entry would hide defects.
const UNWATCHED: Config = Config { watch: WatchMode::Off, ..PLAIN };

const ROW: Row = Row {
    title: "",
    name: Name::Pullcord,
    config: UNWATCHED,
    beside: &[],
    mutant: None,
    defects: &[],
};

/// The next call fails, of any kind.
const FAULT: &[Op] = &[Op::FailNext(0, 1)];

const ROWS: &[Row] = &[
    Row { title: "reopen", name: Name::Reopen, defects: &[Spin, Refused, NeedlessScan], ..ROW },
    Row {
        title: "early-close",
        name: Name::EarlyClose,
        defects: &[Spin, Refused, NeedlessScan],
        ..ROW
    },
    Row {
        title: "early-close, opened after the scan",
        name: Name::EarlyCloseOpenedLate,
        defects: &[Spin, Refused, NeedlessScan, RefusedAndForgotten],
        ..ROW
    },
    // A writer that closes after the reopen causes a hang-up, and so a scan without a reason.
    Row { title: "drain", name: Name::Drain, defects: &[Refused, NeedlessScan], ..ROW },
    Row {
        title: "drain, opened after the scan",
        name: Name::DrainOpenedLate,
        defects: &[Refused, NeedlessScan, RefusedAndForgotten],
        ..ROW
    },
    Row {
        title: "drain, and one call fails",
        name: Name::Drain,
        beside: FAULT,
        defects: &[Forgotten, Refused, NeedlessScan, RefusedAndForgotten],
        ..ROW
    },
    Row { title: "pullcord", ..ROW },
    Row { title: "pullcord, and one call fails", beside: FAULT, ..ROW },
    Row {
        title: "pullcord with two directories, and one call fails",
        config: Config { layout: Layout::Directories(2), ..UNWATCHED },
        beside: FAULT,
        ..ROW
    },
    // Until the verification has opened the new trigger, no process reads it. The scan that follows
    // finds the entry.
    Row {
        title: "pullcord whose trigger is replaced, and one call fails",
        beside: &[Op::ReplaceTrigger, Op::FailNext(0, 1)],
        defects: &[Refused],
        ..ROW
    },
    Row {
        title: "pullcord without a write end",
        mutant: Some(Mutant::WithoutWriteEnd),
        defects: &[Spin],
        ..ROW
    },
    Row {
        title: "pullcord that forgets a directory when its scan fails",
        beside: FAULT,
        mutant: Some(Mutant::Forgetful),
        defects: &[Forgotten],
        ..ROW
    },
    Row {
        title: "pullcord that drains after the scan",
        mutant: Some(Mutant::DrainedLate),
        defects: &[Forgotten],
        ..ROW
    },
];

/// Returns a test for each row.
pub(crate) fn trials() -> Vec<Trial> {
    let rows = ROWS.iter();
    rows.map(|row| {
        Trial::test(format!("strategies::enumerate::{}", row.title), move || {
            check(row);
            Ok(())
        })
    })
    .collect()
}

/// Explores all histories of a row and compares the found defects with the known ones.
fn check(row: &Row) {
    let _off = Without::rule(row.mutant);
    let mut search = Search { row, runs: 0, found: Vec::new(), full: false, served: false };
    let linked_at_open = |writer| Script {
        units: vec![
            vec![Op::Link(writer, writer), Op::Open(writer)],
            vec![Op::Write(writer)],
            vec![Op::Close(writer)],
        ],
        like_the_last: writer > 0,
    };
    let beside: Vec<Script> = row
        .beside
        .iter()
        .map(|op| Script { units: vec![vec![*op]], like_the_last: false })
        .collect();
    let with_beside =
        |scripts: Vec<Script>| scripts.into_iter().chain(beside.clone()).collect::<Vec<_>>();
    let (alone, together) = [(22, 7), (14, 4), (7, 1)][row.beside.len()];
    // One writer with separate steps, from the start.
    for steps in [
        &[Op::Link(0, 0), Op::Open(0), Op::Write(0), Op::Close(0)][..],
        &[Op::Link(0, 0), Op::Open(0), Op::Close(0)],
        &[Op::Link(0, 0), Op::Fill(0), Op::Close(0)],
    ] {
        let units = steps.iter().map(|op| vec![*op]).collect();
        let scripts = with_beside(vec![Script { units, like_the_last: false }]);
        search.explore(&scripts, false, alone);
    }
    // These events are after the first scan. An entry that is linked just before the open is the hardest
    // to find.
    search.explore(&with_beside(vec![linked_at_open(0)]), true, alone);
    search.explore(&with_beside(vec![linked_at_open(0), linked_at_open(1)]), true, together);
    // The second writer finds the trigger full.
    let fills = Script {
        units: vec![vec![Op::Link(0, 0), Op::Fill(0)], vec![Op::Close(0)]],
        like_the_last: false,
    };
    let second = Script { like_the_last: false, ..linked_at_open(1) };
    search.explore(&with_beside(vec![fills, second]), true, together);
    assert!(search.full, "{}: a full trigger is not reached", row.title);
    assert!(search.served, "{}: two served writers are not reached", row.title);
    let found: BTreeSet<Defect> = search.found.iter().map(|(defect, _)| *defect).collect();
    let known: BTreeSet<Defect> = row.defects.iter().copied().collect();
    println!("{}: {} histories", row.title, search.runs);
    for (defect, (events, at_rest)) in &search.found {
        println!("  {defect:?}: at rest: {at_rest}, {events:?}");
    }
    assert_eq!(found, known, "{}: {} histories", row.title, search.runs);
}

/// Steps that follow each other. The operations of one unit happen together.
#[derive(Clone)]
struct Script {
    units: Vec<Vec<Op>>,
    /// The same as the previous script, but later.
    like_the_last: bool,
}

struct Search<'a> {
    row: &'a Row,
    runs: u64,
    /// The shortest history of each defect, and whether it begins at rest.
    found: Vec<(Defect, (Vec<Event>, bool))>,
    /// A pull that found the trigger full, and a run that served two writers, were reached.
    full: bool,
    served: bool,
}

impl Search<'_> {
    /// Runs every history within `calls` calls in which the scripts' units happen in any order. The last
    /// units may not happen.
    fn explore(&mut self, scripts: &[Script], at_rest: bool, calls: u32) {
        let mut done = vec![0; scripts.len()];
        self.extend(scripts, &mut done, &mut Vec::new(), at_rest, calls);
    }

    fn extend(
        &mut self,
        scripts: &[Script],
        done: &mut [usize],
        events: &mut Vec<Event>,
        at_rest: bool,
        calls: u32,
    ) {
        self.run(events, at_rest);
        for number in 0..scripts.len() {
            let script = &scripts[number];
            let Some(unit) = script.units.get(done[number]) else { continue };
            if script.like_the_last && done[number] == 0 && done[number - 1] == 0 {
                continue;
            }
            done[number] += 1;
            for gap in 0..=calls {
                let before = events.len();
                // The event is at the moment of the previous one, or before a later call.
                let gap_of_first = match (before, gap) {
                    (0, gap) => Gap::Calls(gap),
                    (_, 0) => Gap::Time(0),
                    (_, gap) => Gap::Calls(gap - 1),
                };
                let first = Event { gap: gap_of_first, op: unit[0] };
                let others = unit[1..].iter().map(|op| Event { gap: Gap::Time(0), op: *op });
                events.extend([first].into_iter().chain(others));
                self.extend(scripts, done, events, at_rest, calls - gap);
                events.truncate(before);
            }
            done[number] -= 1;
        }
    }

    fn run(&mut self, events: &[Event], at_rest: bool) {
        self.runs += 1;
        let Row { name, config, .. } = *self.row;
        // This is long enough for the sleep after a failure and for a retry.
        let case = Case { name, config, events, settle: 15_000, at_rest, wakeups: 20 };
        let outcome = run(&case, false);
        self.full |= outcome.pulls.iter().any(|(_, pull)| *pull == Err(libc::EAGAIN));
        self.served |= outcome.returned.len() == 2 && outcome.waiting.is_empty();
        for defect in defects(&outcome) {
            match self.found.iter_mut().find(|(known, _)| *known == defect) {
                None => self.found.push((defect, (events.to_vec(), at_rest))),
                Some((_, shortest)) if events.len() < shortest.0.len() => {
                    *shortest = (events.to_vec(), at_rest);
                }
                Some(_) => {}
            }
        }
    }
}

fn defects(outcome: &Outcome) -> Vec<Defect> {
    let mut defects = Vec::new();
    let waits = |writer: usize| !outcome.spins && outcome.waiting.contains(&entry_of(writer));
    for (writer, pull) in &outcome.pulls {
        match pull {
            Err(libc::ENXIO | libc::EPIPE) => {
                defects.push(Refused);
                defects.extend(waits(*writer).then_some(RefusedAndForgotten));
            }
            _ => defects.extend(waits(*writer).then_some(Forgotten)),
        }
    }
    defects.extend(outcome.spins.then_some(Spin));
    defects.extend(outcome.needless_scan.then_some(NeedlessScan));
    defects
}
