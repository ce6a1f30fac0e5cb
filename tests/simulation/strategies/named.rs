//! Named histories. Each shows one defect of the old strategies, and that pullcord does not have it.

use libtest_mimic::Trial;

use super::program::{Case, Name, Outcome, RESCAN, run};
use crate::history::{Config, Event, Op, PLAIN, WatchMode, calls, time};
use crate::oracle::{MS, SECOND};

const OLD: [Name; 3] = [Name::Reopen, Name::EarlyClose, Name::Drain];
const UNWATCHED: Config = Config { watch: WatchMode::Off, ..PLAIN };

/// The bound for an entry that is returned immediately.
const AT_ONCE: u64 = 20 * MS;

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| {
        Trial::test(format!("strategies::{name}"), move || {
            test();
            Ok(())
        })
    };
    vec![
        trial("reopen_spins_while_a_writer_holds_the_trigger_open", reopen_spins),
        trial("early_close_spins_while_a_writer_holds_the_trigger_open", early_close_spins),
        trial("drain_and_pullcord_scan_once_while_a_writer_holds_the_trigger_open", no_spin),
        trial("a_writer_that_writes_no_byte_wakes_no_strategy_until_it_closes", no_byte),
        trial("old_strategies_refuse_a_pull_between_close_and_open", refused_open),
        trial("old_strategies_break_a_pull_between_close_and_open", broken_write),
        trial("drain_scans_twice_for_a_writer_that_closes_after_the_re_open", scans_twice),
        trial("drain_does_not_scan_while_a_user_floods_the_trigger", flood),
        trial("old_strategies_forget_a_pull_if_the_directory_cannot_be_opened", forgotten_pull),
        trial("old_strategies_are_deaf_if_the_trigger_cannot_be_opened", deaf),
        trial("pullcord_serves_every_pull_at_once_though_any_one_call_fails", one_call_fails),
    ]
}

fn at_rest(name: Name, events: &[Event], settle: u64) -> Outcome {
    let (config, at_rest, wakeups) = (UNWATCHED, true, usize::MAX);
    run(&Case { name, config, events, settle, at_rest, wakeups }, false)
}

/// Returns the outcome of this history: after a second, a writer links an entry, pulls, and holds the
/// trigger open for 100 ms. Five more seconds follow.
fn held(name: Name) -> Outcome {
    let events = [
        time(1000, Op::Link(0, 0)),
        time(0, Op::Open(0)),
        time(0, Op::Write(0)),
        time(100, Op::Close(0)),
    ];
    at_rest(name, &events, 5000)
}

const HELD: (u64, u64) = (SECOND, SECOND + 100 * MS);

fn spins(name: Name) {
    let outcome = held(name);
    let scans = outcome.scans_between(HELD.0, HELD.1);
    assert!(scans > 10_000, "{name:?}: {scans} scans in 100 ms, more than 100,000 a second");
    let wakeups = outcome.wakeups.iter().filter(|at| (HELD.0..HELD.1).contains(*at)).count();
    assert!(wakeups >= scans, "{name:?}: {wakeups} wake-ups");
    let after = outcome.scans_between(HELD.1 + MS, u64::MAX);
    assert_eq!(after, 0, "{name:?}: with the writer gone, the bytes are gone");
    assert!(outcome.returned_at(0).is_some(), "it spins, but it loses nothing");
}

fn reopen_spins() {
    spins(Name::Reopen);
}

fn early_close_spins() {
    spins(Name::EarlyClose);
}

fn no_spin() {
    for (name, most) in [(Name::Drain, 2), (Name::Pullcord, 1)] {
        let outcome = held(name);
        let scans = outcome.scans_between(HELD.0, u64::MAX);
        assert!((1..=most).contains(&scans), "{name:?}: {scans} scans");
        let wakeups = outcome.wakeups.len();
        assert!(wakeups <= 4, "{name:?}: {wakeups} wake-ups");
        assert!(outcome.returned_at(0).is_some_and(|at| at < HELD.0 + AT_ONCE), "{name:?}");
    }
}

fn no_byte() {
    let events = [time(1000, Op::Open(0)), time(5000, Op::Close(0))];
    for name in OLD {
        let outcome = at_rest(name, &events, 5000);
        assert_eq!(outcome.scans_between(1, 6 * SECOND), 0, "{name:?}");
        let scans = outcome.scans_between(6 * SECOND, u64::MAX);
        assert_eq!(scans, 1, "{name:?}: one hang-up, one scan");
    }
    let outcome = at_rest(Name::Pullcord, &events, 5000);
    // Its own write end prevents the hang-up. The verification after ten seconds is not a scan.
    assert!(outcome.wakeups.iter().all(|at| *at > 7 * SECOND), "{:?}", outcome.wakeups);
    assert!(outcome.wakeups.len() <= 1 && outcome.scans.is_empty(), "{:?}", outcome.wakeups);
}

/// Returns the outcomes of `events` for each number of calls up to 30.
fn placements(name: Name, events: impl Fn(u32) -> Vec<Event>, settle: u64) -> Vec<Outcome> {
    (0..30).map(|number| at_rest(name, &events(number), settle)).collect()
}

fn refused_open() {
    // The first writer wakes the program. The second one follows this number of calls later.
    let events = |number| {
        vec![
            time(1000, Op::Link(0, 0)),
            time(0, Op::Pull),
            calls(number, Op::Link(0, 1)),
            time(0, Op::Open(1)),
            time(0, Op::Write(1)),
            time(0, Op::Close(1)),
        ]
    };
    for name in OLD {
        let outcomes = placements(name, events, 5000);
        let refused = outcomes.iter().filter(|it| it.refused(libc::ENXIO) > 0).count();
        assert!((1..10).contains(&refused), "{name:?}: {refused} of 30");
        let all = outcomes.iter().all(|it| it.returned_at(1).is_some());
        assert!(all, "{name:?}: the scan after the re-open finds an entry whose pull was refused");
    }
    for outcome in placements(Name::Pullcord, events, 5000) {
        assert_eq!(outcome.refused(libc::ENXIO), 0);
        let begin = outcome.returned_at(0).expect("returned");
        assert!(outcome.returned_at(1).is_some_and(|at| at < begin + AT_ONCE));
    }
}

fn broken_write() {
    // The second writer already has the trigger open. It writes this number of calls later.
    let events = |number| {
        vec![
            time(1000, Op::Open(1)),
            time(0, Op::Link(0, 0)),
            time(0, Op::Pull),
            calls(number, Op::Link(0, 1)),
            time(0, Op::Write(1)),
            time(0, Op::Close(1)),
        ]
    };
    for name in OLD {
        let outcomes = placements(name, events, 5000);
        let broken = outcomes.iter().filter(|it| it.refused(libc::EPIPE) > 0).count();
        assert!((1..10).contains(&broken), "{name:?}: {broken} of 30");
        assert!(outcomes.iter().all(|it| it.returned_at(1).is_some()), "{name:?}");
    }
    let outcomes = placements(Name::Pullcord, events, 5000);
    assert!(outcomes.iter().all(|it| it.refused(libc::EPIPE) == 0 && it.returned_at(1).is_some()));
}

fn scans_twice() {
    assert_eq!(held(Name::Drain).scans_between(HELD.0, HELD.1), 1, "for the byte");
    assert_eq!(held(Name::Drain).scans_between(HELD.1, u64::MAX), 1, "for the hang-up");
    assert_eq!(held(Name::Pullcord).scans_between(HELD.1, u64::MAX), 0);
}

fn flood() {
    let events = [
        time(1000, Op::Flood(100)),
        time(1, Op::Link(0, 0)),
        time(0, Op::Open(0)),
        time(0, Op::Write(0)),
        time(0, Op::Close(0)),
    ];
    let (begin, end) = (SECOND + MS, SECOND + 100 * MS);
    let drain = at_rest(Name::Drain, &events, 5000);
    assert_eq!(drain.scans_between(begin, end), 0, "the read has no limit");
    assert!(drain.returned_at(0).is_some_and(|at| at >= end));
    let pullcord = at_rest(Name::Pullcord, &events, 5000);
    assert!(pullcord.returned_at(0).is_some_and(|at| at < begin + AT_ONCE));
    let scans = pullcord.scans_between(begin, end);
    assert!((10..=51).contains(&scans), "paced, and not starved: {scans} scans in 100 ms");
}

/// A writer pulls, and one of the following calls fails with the first error of its man page (`EMFILE` for
/// open(2)). Another writer pulls a minute later. No other pull follows.
fn failing(name: Name) -> Vec<Outcome> {
    let events = |number| {
        vec![
            time(1000, Op::Link(0, 0)),
            time(0, Op::Pull),
            calls(number, Op::FailNext(0, 1)),
            time(60_000, Op::Link(0, 1)),
            time(0, Op::Open(1)),
            time(0, Op::Write(1)),
            time(0, Op::Close(1)),
        ]
    };
    placements(name, events, 1_600_000)
}

/// Returns the outcomes with an error message that starts with `message`.
fn with_error<'a>(outcomes: &'a [Outcome], message: &'a str) -> impl Iterator<Item = &'a Outcome> {
    let fails = move |it: &&Outcome| it.errors.iter().any(|error| error.starts_with(message));
    outcomes.iter().filter(fails)
}

fn forgotten_pull() {
    for name in OLD {
        let outcomes = failing(name);
        let mut count = 0;
        for outcome in with_error(&outcomes, "/v/q/todo: cannot read it: Too many open files") {
            count += 1;
            let [first, second] = [0, 1].map(|writer| outcome.returned_at(writer));
            assert!(first >= Some(60 * SECOND), "{name:?}: {first:?}: until another one pulls");
            assert!(second.is_some_and(|at| at < 75 * SECOND), "{name:?}: {second:?}");
        }
        assert!(count > 0, "{name:?}: the call was not reached");
    }
    // Without another pull it waits for the rescan.
    let mut count = 0;
    for number in 0..30 {
        let events =
            [time(1000, Op::Link(0, 0)), time(0, Op::Pull), calls(number, Op::FailNext(0, 1))];
        let outcome = at_rest(Name::Drain, &events, 1_600_000);
        let is_it =
            outcome.errors.iter().any(|it| it.starts_with("/v/q/todo") && it.contains("24"));
        if is_it {
            count += 1;
            let at = outcome.returned_at(0);
            assert!(at.is_some_and(|at| (RESCAN - 11 * SECOND..=RESCAN + SECOND).contains(&at)));
        }
    }
    assert_eq!(count, 1, "one call opens the directory");
}

fn deaf() {
    for name in OLD {
        let outcomes = failing(name);
        let mut count = 0;
        for outcome in with_error(&outcomes, "/v/q/lock/trigger: cannot open it: Too many open") {
            count += 1;
            assert!(outcome.returned_at(0).is_some_and(|at| at < SECOND + AT_ONCE), "{name:?}");
            if outcome.refused(libc::ENXIO) == 0 {
                // The call failed in the reopen for the second pull.
                continue;
            }
            let second = outcome.returned_at(1);
            assert!(second >= Some(RESCAN), "{name:?}: {second:?}: deaf until the rescan");
        }
        assert!(count > 0, "{name:?}: the call was not reached");
    }
}

fn one_call_fails() {
    for outcome in failing(Name::Pullcord) {
        let [first, second] = [0, 1].map(|writer| outcome.returned_at(writer));
        // A directory is opened again 100 ms after a failure.
        assert!(first.is_some_and(|at| at < SECOND + 100 * MS + AT_ONCE), "{first:?}");
        assert!(second.is_some_and(|at| at < 62 * SECOND), "{second:?}");
        assert_eq!(outcome.refused(libc::ENXIO) + outcome.refused(libc::EPIPE), 0);
    }
}
