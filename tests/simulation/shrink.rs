//! Shortens a failing history: fewer events, smaller gaps, a simpler configuration.

use std::mem::discriminant;

use crate::history::{Config, Event, Gap, History, PLAIN};
use crate::oracle::Failure;
use crate::run::run;

/// The maximum number of runs for one failure.
const BUDGET: usize = 3000;

/// The shortest history found that still fails in the same way. The failure is printed before this.
pub(crate) fn shrink(history: &History, failure: &Failure) -> History {
    let mut best = history.clone();
    let mut budget = BUDGET;
    let mut fails = |candidate: &History| {
        budget = budget.saturating_sub(1);
        budget > 0
            && run(candidate, false)
                .failure
                .is_some_and(|found| discriminant(&found) == discriminant(failure))
    };
    loop {
        let before = best.clone();
        // Chunks, from the half down to single events.
        let mut size = best.events.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < best.events.len() {
                let end = (at + size).min(best.events.len());
                match [false, true].map(|keep| without(&best, at, end, keep)) {
                    [short, _] if fails(&short) => best = short,
                    [_, slow] if fails(&slow) => best = slow,
                    _ => at += size,
                }
            }
            size /= 2;
        }
        for at in 0..best.events.len() {
            for gap in smaller(best.events[at].gap) {
                let mut candidate = best.clone();
                candidate.events[at] = Event { gap, ..best.events[at] };
                if fails(&candidate) {
                    best = candidate;
                    break;
                }
            }
        }
        for config in plainer(&best.config) {
            let candidate = History { config, events: best.events.clone() };
            if fails(&candidate) {
                best = candidate;
            }
        }
        if best == before {
            return best;
        }
    }
}

/// The history without some events. `keep`: the events after them come no earlier than before.
fn without(history: &History, at: usize, end: usize, keep: bool) -> History {
    let mut short = history.clone();
    let removed: Vec<Event> = short.events.drain(at..end).collect();
    let milliseconds = |event: &Event| match event.gap {
        Gap::Time(time) => time,
        Gap::Calls(_) => 0,
    };
    let time: u64 = removed.iter().map(milliseconds).sum();
    if let Some(next) = short.events.get_mut(at).filter(|_| keep) {
        next.gap = Gap::Time(time + milliseconds(next));
    }
    short
}

fn smaller(gap: Gap) -> Vec<Gap> {
    match gap {
        Gap::Calls(calls) => [0, calls / 2, calls.saturating_sub(1)]
            .into_iter()
            .filter(|it| *it < calls)
            .map(Gap::Calls)
            .collect(),
        Gap::Time(time) => [0, 1, time / 2, time.saturating_sub(1)]
            .into_iter()
            .filter(|it| *it < time)
            .map(Gap::Time)
            .collect(),
    }
}

/// Returns configurations that each have one more setting of `PLAIN`.
fn plainer(config: &Config) -> Vec<Config> {
    let c = *config;
    [
        Config { layout: PLAIN.layout, in_place: None, ..c },
        Config { trigger: PLAIN.trigger, ..c },
        Config { watch: PLAIN.watch, ..c },
        Config { wait: PLAIN.wait, ..c },
        Config { consumer: PLAIN.consumer, ..c },
        Config { fs: PLAIN.fs, ..c },
        Config { rescan: PLAIN.rescan, ..c },
        Config { batch: PLAIN.batch, ..c },
        Config { events: PLAIN.events, ..c },
        Config { watches: PLAIN.watches, ..c },
        Config { privileged: PLAIN.privileged, ..c },
        Config { path: PLAIN.path, ..c },
        Config { old_edges: PLAIN.old_edges, ..c },
        Config { equal_keys: PLAIN.equal_keys, ..c },
        Config { twice: PLAIN.twice, ..c },
        Config { in_place: PLAIN.in_place, ..c },
    ]
    .into_iter()
    .filter(|it| it != config)
    .collect()
}
