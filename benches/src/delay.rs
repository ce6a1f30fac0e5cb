//! Measures how late a wait ends at its timeout. A deadline of a queue depends on it.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events};
use serde::Serialize;

use crate::loops::{OUR_SELECT, OURS};
use crate::rounds::{Claim, Plan, Rounds, Spread, percentile};
use crate::{Options, Report, Steps};

/// The figures of one implementation with one timeout.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The timeout.
    pub timeout_us: u64,
    /// The median of the time between the timeout and the end of the wait.
    #[serde(serialize_with = "Spread::median")]
    pub p50_us: Spread,
    /// The 99th percentile of that time.
    #[serde(serialize_with = "Spread::median")]
    pub p99_us: Spread,
    /// The number of waits that ended before their timeout.
    pub early: usize,
}

/// Sleeps for a time: a notifier, or the operating system alone.
type Sleeper = Box<dyn FnMut(Duration) -> io::Result<()>>;
type Open = fn() -> io::Result<Sleeper>;

/// The operating system alone: clock_nanosleep(2) on Linux and FreeBSD.
const ANCHOR: &str = "std::thread::sleep";
const IMPLEMENTATIONS: [(&str, Open); 5] = [
    (ANCHOR, || {
        Ok(Box::new(|timeout| {
            thread::sleep(timeout);
            Ok(())
        }))
    }),
    (OURS, || ours(Backend::best())),
    (OUR_SELECT, || ours(Backend::Select)),
    ("mio", || {
        let (mut poll, mut events) = (mio::Poll::new()?, mio::Events::with_capacity(64));
        Ok(Box::new(move |timeout| poll.poll(&mut events, Some(timeout))))
    }),
    ("polling", || {
        let (poller, mut events) = (polling::Poller::new()?, polling::Events::new());
        Ok(Box::new(move |timeout| poller.wait(&mut events, Some(timeout)).map(drop)))
    }),
];

/// A notifier of pullcord's.
fn ours(backend: Backend) -> io::Result<Sleeper> {
    let (mut notifier, mut events) = (backend.open()?, Events::with_capacity(64));
    Ok(Box::new(move |timeout| notifier.wait(&mut events, Some(timeout))))
}

const TIMEOUTS: [Duration; 2] = [Duration::from_micros(300), Duration::from_micros(2_500)];

struct Candidate {
    name: &'static str,
    open: Open,
    timeout: Duration,
    p99: Vec<f64>,
    early: usize,
}

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let included = IMPLEMENTATIONS.into_iter().filter(|(name, _)| options.includes(name));
    let mut candidates: Vec<_> = included
        .flat_map(|(name, open)| {
            let of = move |timeout| Candidate { name, open, timeout, p99: Vec::new(), early: 0 };
            TIMEOUTS.map(of)
        })
        .collect();
    let find = |name, timeout| {
        candidates.iter().position(|one| (one.name, one.timeout) == (name, timeout))
    };
    let mut claims = Vec::new();
    for timeout in TIMEOUTS {
        let text = format!("delay: {OURS} / {ANCHOR}, {} us, p50", timeout.as_micros());
        claims.extend(Claim::between(text, find(OURS, timeout), find(ANCHOR, timeout), 1.1));
    }
    let plan = Plan::of(options, 1);
    steps.expect(candidates.len() * plan.rounds);
    let rounds = Rounds::of(plan, &claims, &mut candidates, steps, Candidate::turn)?;
    for (number, candidate) in candidates.iter().enumerate() {
        report.delay.push(Row {
            implementation: candidate.name,
            timeout_us: candidate.timeout.as_micros() as u64,
            p50_us: rounds.spread(number),
            p99_us: Spread::of(candidate.p99.iter().copied()),
            early: candidate.early,
        });
    }
    report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
    Ok(())
}

impl Candidate {
    /// Returns the median of the delay in microseconds.
    fn turn(&mut self) -> io::Result<f64> {
        const WAITS: usize = 20;
        let mut sleeper = (self.open)()?;
        let mut delays = Vec::with_capacity(WAITS);
        for _ in 0..WAITS {
            let begun = Instant::now();
            sleeper(self.timeout)?;
            let slept = begun.elapsed();
            self.early += usize::from(slept < self.timeout);
            delays.push(slept.as_nanos() as f64 / 1e3 - self.timeout.as_nanos() as f64 / 1e3);
        }
        delays.sort_by(f64::total_cmp);
        self.p99.push(percentile(&delays, 99.0));
        Ok(percentile(&delays, 50.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_of_ours_ends_before_its_timeout() {
        for (name, open) in IMPLEMENTATIONS {
            for timeout in TIMEOUTS {
                let mut candidate = Candidate { name, open, timeout, p99: Vec::new(), early: 0 };
                candidate.turn().unwrap();
                if name.starts_with("pullcord") {
                    assert_eq!(candidate.early, 0, "{name}, {timeout:?}");
                }
            }
        }
    }
}
