//! Rules of the queue, with a few histories for each. Most rules are about the watch beside the scan.

use libtest_mimic::Trial;
use pullcord_platform::sim::{Call, FsKind, Mutant};
use pullcord_platform::watch::REPORTS_NAMES;

use super::{Defect, Without, with_and_without};
use crate::history::{
    Config, Consumer, Event, History, Layout, Op, PLAIN, Trigger, WatchMode, calls, time,
};
use crate::run::{Outcome, run};

/// A rule, and a few histories of which some show the defect that it prevents.
struct Row {
    title: &'static str,
    mutant: Mutant,
    config: Config,
    /// Returns the history of this number.
    events: fn(u32) -> Vec<Event>,
    count: u32,
    defects: &'static [Defect],
}

/// One entry per read of a directory, so that a scan takes many calls.
const SLOW: Config = Config { trigger: Trigger::None, batch: 1, ..PLAIN };
const TWO: Config = Config { layout: Layout::Directories(2), ..SLOW };

const ROWS: &[Row] = &[
    // The scan continues in the next turn, which drains the trigger first. A scan that is in progress
    // returns no new entry.
    Row {
        title: "directory marked clean after the scan",
        mutant: Mutant::CleanedLate,
        config: Config {
            layout: Layout::Directories(3),
            trigger: Trigger::Apart,
            watch: WatchMode::Off,
            fs: FsKind::Btrfs,
            ..SLOW
        },
        events: |number| {
            let links = (0..12).map(|name| time(0, Op::Link(name / 4, name)));
            links.chain([calls(number, Op::Link(1, 0)), time(0, Op::Pull)]).collect()
        },
        count: 80,
        defects: &[Defect::Lost],
    },
    Row {
        title: "watch overruled by the scan",
        mutant: Mutant::ScanFirst,
        config: SLOW,
        events: |number| full(vec![calls(number / 4, Op::Link(0, number as usize % 4))]),
        count: 4 * 60,
        defects: &[Defect::Lost],
    },
    Row {
        title: "watch overruled by the scan, and entries left in the queue",
        mutant: Mutant::ScanFirst,
        config: Config { consumer: Consumer::Leaves, ..SLOW },
        events: one_more,
        count: 4 * 40,
        defects: &[Defect::Twice],
    },
    // btrfs does not return entries that arrive after the open.
    Row {
        title: "watch added after the open",
        mutant: Mutant::WatchedLate,
        config: Config { fs: FsKind::Btrfs, ..SLOW },
        events: |number| vec![calls(number, Op::Link(0, 0))],
        count: 30,
        defects: &[Defect::Lost],
    },
    Row {
        title: "watch not read after a batch",
        mutant: Mutant::NotAbsorbed,
        config: Config { consumer: Consumer::Leaves, ..SLOW },
        events: one_more,
        count: 4 * 40,
        defects: &[Defect::Twice],
    },
    // While the first directory is read, an entry of the second one is reported, returned and removed.
    // Another entry of this name arrives while the watch overflows.
    Row {
        title: "watch trusted after an overflow",
        mutant: Mutant::OverflowForgiven,
        config: Config { events: 4, ..TWO },
        events: |number| between_two_of_a_name(number, Op::Hidden(1, 10)),
        count: 40 * 40,
        defects: &[Defect::Lost],
    },
    // This is the same, with another directory in the place of the second one.
    Row {
        title: "watch trusted after its directory was replaced",
        mutant: Mutant::LossForgiven,
        // The entries need two turns. The directory is watched again between them.
        config: Config { layout: Layout::Directories(10), ..SLOW },
        events: |number| {
            vec![
                calls(number / 60, Op::Link(9, 0)),
                calls(number % 60, Op::Replace(9)),
                time(0, Op::Link(9, 0)),
            ]
        },
        count: 60 * 60,
        defects: &[Defect::Lost],
    },
    Row {
        title: "watch lost, and its directory not read",
        mutant: Mutant::LossUnread,
        config: Config { trigger: Trigger::None, ..PLAIN },
        events: |_| {
            let add = Call::ALL.iter().position(|call| *call == Call::InotifyAdd);
            vec![
                time(2000, Op::MountOver(0)),
                time(0, Op::Link(0, 0)),
                time(0, Op::FailFor(add.expect("a call"), 0, 20_000)),
                time(0, Op::Pull),
                // This does nothing, so that the history continues.
                time(40_000, Op::Close(0)),
            ]
        },
        count: 1,
        defects: &[Defect::Lost],
    },
];

/// Returns a history with four entries at the start, followed by the given events.
fn full(rest: Vec<Event>) -> Vec<Event> {
    (0..4).map(|name| time(0, Op::Link(0, name))).chain(rest).collect()
}

/// Returns a history in which two entries of one name arrive, with another event between them.
fn between_two_of_a_name(number: u32, event: Op) -> Vec<Event> {
    full(vec![
        calls(number / 40, Op::Link(1, 0)),
        calls(number % 40, event),
        time(0, Op::Link(1, 0)),
    ])
}

/// Returns a history with three entries at the start. A fourth one arrives this number of calls later.
fn one_more(number: u32) -> Vec<Event> {
    let last = number as usize % 4;
    let links = (0..4).filter(|name| *name != last).map(|name| time(0, Op::Link(0, name)));
    links.chain([calls(number / 4, Op::Link(0, last))]).collect()
}

/// Returns a test for each row. The rules of the watch are those of a watch that reports names.
pub(crate) fn trials() -> Vec<Trial> {
    let names = |row: &&Row| REPORTS_NAMES || row.config.watch == WatchMode::Off;
    let rows = ROWS.iter().filter(names);
    rows.flat_map(|row| {
        let names = [format!("rules::no {}", row.title), format!("mutants::{}", row.title)];
        with_and_without(row, names, passes, fails)
    })
    .collect()
}

fn histories(row: &Row) -> impl Iterator<Item = History> {
    (0..row.count).map(|number| History { config: row.config, events: (row.events)(number) })
}

/// Runs the histories with the rule.
fn passes(row: &Row) {
    for history in histories(row) {
        assert_eq!(defect(&run(&history, false)), None, "{history}");
    }
}

/// Runs the histories without the rule.
fn fails(row: &Row) {
    let _off = Without::rule(Some(row.mutant));
    let mut found = Vec::new();
    for history in histories(row) {
        let Some(defect) = defect(&run(&history, false)) else { continue };
        if !found.contains(&defect) {
            println!("{}: {defect:?}: {history}", row.title);
            found.push(defect);
        }
    }
    assert_eq!(found, row.defects, "{}", row.title);
}

fn defect(outcome: &Outcome) -> Option<Defect> {
    match &outcome.failure {
        Some(failure) => {
            let defect = Defect::of(failure);
            assert!(defect.is_some(), "another failure: {failure}");
            defect
        }
        // If entries are left in the queue, no directory is read again within these histories.
        None => (outcome.repeats > 0).then_some(Defect::Twice),
    }
}
