//! The benchmark of libevent and libev: a ring of pipes, of which some contain a byte. Each event reads
//! the byte and writes it to the next pipe.
//!
//! The active pipes are spread over the ring and the bytes move in step. Therefore an edge-triggered loop
//! also finds exactly one byte for each event.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::loops::{self, Loop, Pulled, Work};
use crate::rounds::{Claim, Plan, Rounds, Spread, how_often};
use crate::{Options, Report, Steps, cpu_time, limits};

/// The figures of one implementation on a ring of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The number of pipes in the ring.
    pub fds: usize,
    /// The number of pipes that contain a byte.
    pub active: usize,
    /// The processor time of each event, with its read and its write.
    pub ns: Spread,
    /// The ratio to the time of the raw loop on the same kernel interface.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let implementations = loops::all_and_installed::<Turn>(options);
    let plan = Plan::of(options, 5);
    let cells = cells(options);
    steps.expect(cells.len() * implementations.len() * plan.rounds);
    for (fds, active) in cells {
        let ring = Ring::of(fds)?;
        if ring.0.len() < fds && ring.0.len() < 2 * active {
            continue;
        }
        let (asked, fds) = (fds, ring.0.len());
        let short = format!(
            "ring: {fds} pipes instead of {asked}, which need {} descriptors; raise the limit (ulimit -n)",
            2 * asked + OTHERS
        );
        if fds < asked && !report.notes.contains(&short) {
            report.notes.push(short);
        }
        let find = |wanted| implementations.iter().position(|one| one.name == wanted);
        let mut claims = Vec::new();
        let mut must = |one, other, most| {
            let text = format!("ring {fds}/{active}: {one} / {other}");
            claims.extend(Claim::between(text, find(one), find(other), most));
        };
        // With more pipes, the caches decide.
        must(loops::OURS, loops::RAW, if fds <= 100 { 1.01 } else { 1.03 });
        must(loops::OURS, "mio", 1.02);
        must(loops::OURS, loops::STATIC, 1.02);
        must(loops::OUR_SELECT, loops::RAW_SELECT, 1.05);
        if active == 1 {
            loops::POLLING.iter().for_each(|polling| must(loops::OURS, polling, 0.6));
        }
        let mut candidates = implementations.clone();
        let time = Duration::from_millis(1);
        let rounds = Rounds::of(plan, &claims, &mut candidates, steps, |implementation| {
            (implementation.work.0)(&ring, active, time)
        })?;
        report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
        for (number, implementation) in implementations.iter().enumerate() {
            report.ring.push(Row {
                implementation: implementation.name,
                fds,
                active,
                ns: rounds.spread(number),
                vs_raw: find(implementation.raw).map(|raw| rounds.ratio(number, raw)),
            });
        }
    }
    Ok(())
}

/// Returns the sizes of the rings, each with its number of active pipes. At most half of the pipes may be
/// active.
fn cells(options: &Options) -> Vec<(usize, usize)> {
    let or = |asked: &[u32], usual: &[usize]| -> Vec<usize> {
        if asked.is_empty() { usual.into() } else { asked.iter().map(|n| *n as usize).collect() }
    };
    let usual: &[usize] = if options.quick { &[1, 100, 1000] } else { &[1, 10, 100, 1000, 10_000] };
    let (fds, active) = (or(&options.fds, usual), or(&options.active, &[1, 10, 100]));
    let pairs = fds.iter().flat_map(|fds| active.iter().map(|active| (*fds, *active)));
    pairs.filter(|(fds, active)| 2 * active <= *fds || (*fds, *active) == (1, 1)).collect()
}

/// The number of descriptors that are reserved for other uses.
const OTHERS: usize = 64;

/// A ring of pipes.
struct Ring(Vec<(PipeReader, PipeWriter)>);

/// Runs the ring with a number of active pipes for about a duration. Returns the time for each event in
/// nanoseconds.
#[derive(Clone, Copy)]
struct Turn(fn(&Ring, usize, Duration) -> io::Result<f64>);

impl Work for Turn {
    fn with<L: Loop, F: Pulled>() -> Turn {
        Turn(turn::<L>)
    }
}

impl Ring {
    /// Creates a ring of `fds` pipes, or of as many as the limit of descriptors allows.
    fn of(fds: usize) -> io::Result<Ring> {
        let allowed = limits::allow_descriptors(2 * fds + OTHERS).saturating_sub(OTHERS) / 2;
        (0..fds.min(allowed)).map(|_| io::pipe()).collect::<io::Result<_>>().map(Ring)
    }

    fn take(&self, pipe: usize) -> io::Result<()> {
        (&self.0[pipe].0).read_exact(&mut [0])
    }

    fn put(&self, pipe: usize) -> io::Result<()> {
        (&self.0[pipe].1).write_all(&[1])
    }

    fn pass_on(&self, pipe: usize) -> io::Result<()> {
        self.take(pipe)?;
        self.put(if pipe + 1 < self.0.len() { pipe + 1 } else { 0 })
    }

    /// Waits until `events` events have been handled.
    fn run<L: Loop>(
        &self,
        poll: &mut L,
        events: usize,
        see_to: impl Fn(&Ring, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut seen = 0;
        let mut fired = Vec::with_capacity(loops::EVENTS);
        while seen < events {
            poll.wait(|pipe| {
                seen += 1;
                if L::ONE_SHOT {
                    fired.push(pipe);
                }
                see_to(self, pipe)
            })?;
            for pipe in fired.drain(..) {
                poll.change(self.0[pipe].0.as_fd(), pipe)?;
            }
        }
        Ok(())
    }
}

fn turn<L: Loop>(ring: &Ring, active: usize, time: Duration) -> io::Result<f64> {
    let mut poll = L::open()?;
    for (key, (reader, _)) in ring.0.iter().enumerate() {
        poll.add(reader.as_fd(), key)?;
    }
    for number in 0..active {
        ring.put(number * ring.0.len() / active)?;
    }
    let begun = Instant::now();
    let warm_up = 4 * active.max(4);
    ring.run(&mut poll, warm_up, Ring::pass_on)?;
    let laps = how_often(time, begun.elapsed() * active as u32 / warm_up as u32, 100_000);
    let begun = cpu_time::of_this_thread();
    ring.run(&mut poll, laps * active, Ring::pass_on)?;
    let taken = cpu_time::of_this_thread() - begun;
    ring.run(&mut poll, active, Ring::take)?;
    for (reader, _) in &ring.0 {
        poll.remove(reader.as_fd())?;
    }
    Ok(taken.as_nanos() as f64 / (laps * active) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implementation_passes_each_byte_on_and_leaves_the_ring_empty() {
        let ring = Ring::of(20).unwrap();
        for implementation in loops::all_and_installed::<Turn>(&Options::default()) {
            for active in [1, 10] {
                (implementation.work.0)(&ring, active, Duration::from_millis(1)).unwrap();
            }
        }
    }
}
