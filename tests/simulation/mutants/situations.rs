//! Rules whose defects appear only in a special situation, and histories that lead to it.

use libtest_mimic::Trial;
use pullcord_platform::sim::{Call, FsKind, Mutant};

use super::Defect::{self, Busy, Lost, Misreported, NeedlessScan, NoEntry, Requeued};
use super::{Without, in_place, with_and_without};
use crate::history::{
    Config, Consumer, Event, History, Layout, Op, PLAIN, Trigger, WatchMode, calls, time,
};
use crate::run::run;

/// A rule, and the situation in which its absence is a defect.
pub(super) struct Situation {
    pub(super) mutant: Mutant,
    pub(super) config: Config,
    /// Returns the history of this number.
    pub(super) events: fn(u32) -> Vec<Event>,
    pub(super) count: u32,
    pub(super) defect: Defect,
}

const OFF: Config = Config { watch: WatchMode::Off, ..PLAIN };
const MAILDROP: Config = Config { layout: Layout::Maildrop, ..PLAIN };

/// Returns an event that does nothing, so that a history continues for this number of milliseconds.
pub(super) const fn wait(milliseconds: u64) -> Event {
    time(milliseconds, Op::Close(0))
}

/// An entry becomes ready in a way that no watch reports, and its writer pulls.
fn silent(_: u32) -> Vec<Event> {
    vec![time(2000, Op::Unready(0, 0)), time(500, Op::ReadySilently(0, 0)), time(0, Op::Pull)]
}

/// Creates eight entries at the start.
fn eight(_: u32) -> Vec<Event> {
    let links = (0..8).map(|name| time(0, Op::Link(0, name)));
    links.chain([time(0, Op::Pull), wait(60_000)]).collect()
}

/// A hostile writer pulls for three seconds.
fn flood(_: u32) -> Vec<Event> {
    vec![time(2000, Op::Flood(3000)), wait(4000)]
}

/// Repeatedly requeues so many entries that they fill each turn. Then another entry arrives.
fn requeued(_: u32) -> Vec<Event> {
    let links = (0..15).map(|name| time(0, Op::Link(name / 4, name % 4)));
    let events = [time(0, Op::RequeueAgain(0, 100_000)), time(0, Op::Pull)];
    let later = [time(500, Op::Link(3, 3)), time(0, Op::Pull), wait(2000)];
    events.into_iter().chain(links).chain(later).collect()
}

const SITUATIONS: &[Situation] = &[
    Situation {
        mutant: Mutant::UnfinishedForgotten,
        config: MAILDROP,
        events: silent,
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::UnfinishedNotAwaited,
        config: MAILDROP,
        events: silent,
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::UnfinishedNotPulled,
        config: MAILDROP,
        events: silent,
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::UnfinishedReturned,
        config: MAILDROP,
        events: |_| vec![time(2000, Op::Unready(0, 0))],
        count: 1,
        defect: NoEntry,
    },
    Situation {
        mutant: Mutant::HiddenReturned,
        config: PLAIN,
        events: |_| vec![time(2000, Op::Hidden(0, 1))],
        count: 1,
        defect: NoEntry,
    },
    Situation {
        mutant: Mutant::DirectoryReturned,
        config: OFF,
        events: |_| vec![time(2000, Op::AddPart), time(12_000, Op::Pull)],
        count: 1,
        defect: NoEntry,
    },
    // A new entry with the name of a requeued one is returned immediately. It must not be returned again
    // at the time of the requeued one.
    Situation {
        mutant: Mutant::AppointmentKept,
        config: Config { consumer: Consumer::Leaves, ..PLAIN },
        events: |_| {
            vec![
                time(2000, Op::RequeueAgain(20_000, 1)),
                time(0, Op::Link(0, 0)),
                time(500, Op::Unlink(0, 0)),
                time(0, Op::Link(0, 0)),
                wait(30_000),
            ]
        },
        count: 1,
        defect: Requeued,
    },
    // A file of the same name, number and time as the one that was returned is a new entry.
    Situation {
        mutant: Mutant::TickTrusted,
        config: MAILDROP,
        events: |number| {
            vec![
                time(2000, Op::Unready(0, 0)),
                time(0, Op::Ready(0, 0)),
                calls(number, Op::Unready(0, 0)),
                time(0, Op::Ready(0, 0)),
            ]
        },
        count: 30,
        defect: Lost,
    },
    // If a removal hides other entries, one scan does not find all of them.
    Situation {
        mutant: Mutant::NotFollowedUp,
        config: Config { fs: FsKind::Remote, batch: 1, ..PLAIN },
        events: eight,
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::RemoteTrusted,
        config: Config { fs: FsKind::Remote, batch: 1, ..PLAIN },
        events: eight,
        count: 1,
        defect: Misreported,
    },
    Situation {
        mutant: Mutant::FollowUpsEndless,
        config: Config { fs: FsKind::Unknown, consumer: Consumer::Leaves, ..PLAIN },
        events: eight,
        count: 1,
        defect: NeedlessScan,
    },
    // There are more directories than a turn compares.
    Situation {
        mutant: Mutant::PassNotAwaited,
        config: Config { layout: Layout::Directories(40), trigger: Trigger::None, ..PLAIN },
        events: |_| vec![time(2000, Op::MountOver(39)), time(0, Op::Link(39, 0)), wait(12_000)],
        count: 1,
        defect: Lost,
    },
    // A directory is bound over another one. Afterwards the path no longer leads to the other one.
    Situation {
        mutant: Mutant::AliasForEver,
        config: Config { layout: Layout::Directories(2), ..PLAIN },
        events: |_| {
            vec![
                time(2000, Op::Bind(0, 1)),
                time(12_000, Op::Unmount(false)),
                time(12_000, Op::Link(1, 0)),
            ]
        },
        count: 1,
        defect: Lost,
    },
    // The watch of one directory becomes the watch of another one, without an event.
    Situation {
        mutant: Mutant::MovedWatchIgnored,
        config: Config { layout: Layout::Directories(2), ..PLAIN },
        events: |_| {
            vec![
                time(2000, Op::Bind(1, 0)),
                time(0, Op::MountOver(1)),
                time(12_000, Op::Link(1, 0)),
            ]
        },
        count: 1,
        defect: Lost,
    },
    // The event that a directory was removed and created again is lost in the overflow.
    Situation {
        mutant: Mutant::OverflowUnarmed,
        config: Config { events: 4, ..PLAIN },
        events: |_| {
            vec![
                time(2000, Op::Hidden(0, 10)),
                time(0, Op::Remake(0)),
                time(12_000, Op::Link(0, 0)),
            ]
        },
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::KindsFixed,
        config: Config { layout: Layout::Directories(4), ..OFF },
        events: requeued,
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::FreezeCharged,
        config: OFF,
        events: |number| {
            vec![
                time(2000, Op::Pull),
                calls(number, Op::Freeze(20_000)),
                time(2000, Op::Link(0, 0)),
                time(0, Op::Pull),
            ]
        },
        count: 10,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::EmptyRoundCheap,
        config: OFF,
        events: flood,
        count: 1,
        defect: Busy,
    },
    // After the first packet, no write makes an edge.
    Situation {
        mutant: Mutant::EdgeTriggered,
        config: Config { old_edges: true, ..OFF },
        events: |_| {
            vec![
                time(2000, Op::Open(0)),
                calls(0, Op::Packets(0)),
                calls(0, Op::Write(0)),
                calls(0, Op::Write(0)),
                time(100, Op::Link(0, 0)),
                time(0, Op::Pull),
                wait(4000),
            ]
        },
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::PullsNotCompared,
        config: Config { consumer: Consumer::Leaves, ..OFF },
        events: |_| [time(0, Op::Link(0, 0))].into_iter().chain(flood(0)).collect(),
        count: 1,
        defect: Busy,
    },
    Situation {
        mutant: Mutant::DrainedUnpaced,
        config: OFF,
        events: flood,
        count: 1,
        defect: Busy,
    },
    Situation {
        mutant: Mutant::NoBackOff,
        config: OFF,
        events: |_| {
            vec![
                time(2000, Op::FailFor(Call::Open as usize, 3, 10_000)),
                time(0, Op::Pull),
                wait(12_000),
            ]
        },
        count: 1,
        defect: Busy,
    },
];

/// Returns a test for each rule. The rules are those of a queue with a watch that reports names.
pub(super) fn trials() -> Vec<Trial> {
    let is_here = !cfg!(any(pullcord_sim = "bsd", pullcord_sim = "none"));
    let situations = SITUATIONS.iter().chain(in_place::SITUATIONS).filter(|_| is_here);
    situations
        .flat_map(|situation| {
            let names = ["rules", "mutants"].map(|kind| format!("{kind}::{:?}", situation.mutant));
            with_and_without(situation, names, passes, fails)
        })
        .collect()
}

fn histories(situation: &Situation) -> Vec<History> {
    let Situation { config, events, count, .. } = situation;
    (0..*count).map(|number| History { config: *config, events: events(number) }).collect()
}

/// Runs the histories with the rule.
fn passes(situation: &Situation) {
    for history in histories(situation) {
        assert_eq!(run(&history, false).failure, None, "{history}");
    }
}

/// Runs the histories without the rule.
fn fails(situation: &Situation) {
    let (histories, defect) = (histories(situation), situation.defect);
    let _off = Without::rule(Some(situation.mutant));
    let failures: Vec<_> = histories.iter().map(|history| run(history, false).failure).collect();
    let is_found = failures.iter().flatten().any(|it| Defect::of(it) == Some(defect));
    assert!(is_found, "{:?}: {failures:?} of {}", situation.mutant, histories[0]);
}
