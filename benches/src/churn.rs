//! Measures the cost of registering, changing and removing a descriptor. Programs whose descriptors
//! often come and go pay this cost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde::Serialize;

use crate::loops::{self, Loop, Pulled, Work};
use crate::rounds::{Claim, Plan, Rounds, Spread, how_often};
use crate::{Options, Report, Steps, cpu_time};

/// The figures of one implementation.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: &'static str,
    /// The processor time that registering, changing and removing take together.
    #[serde(serialize_with = "Spread::median")]
    pub ns: Spread,
    /// The ratio to the time of the raw loop on the same kernel interface.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let mut implementations = loops::all::<Turn>(options);
    let find = |wanted| implementations.iter().position(|one| one.name == wanted);
    let text = format!("churn: {} / {}", loops::OURS, loops::RAW);
    let claim = Claim::between(text, find(loops::OURS), find(loops::RAW), 1.1);
    // On kqueue and select the check for regular files has a cost. The table shows it; there is no target.
    let claims: Vec<_> = claim.into_iter().filter(|_| cfg!(target_os = "linux")).collect();
    let plan = Plan::of(options, 5);
    steps.expect(implementations.len() * plan.rounds);
    let (reader, _writer) = io::pipe()?;
    let rounds = Rounds::of(plan, &claims, &mut implementations, steps, |implementation| {
        (implementation.work.0)(reader.as_fd())
    })?;
    let find = |wanted| implementations.iter().position(|one| one.name == wanted);
    for (number, implementation) in implementations.iter().enumerate() {
        report.churn.push(Row {
            implementation: implementation.name,
            ns: rounds.spread(number),
            vs_raw: find(implementation.raw).map(|raw| rounds.ratio(number, raw)),
        });
    }
    report.targets.extend(claims.iter().map(|claim| rounds.target(claim)));
    Ok(())
}

/// Returns the nanoseconds that it takes to register, change and remove this descriptor.
struct Turn(fn(BorrowedFd<'_>) -> io::Result<f64>);

impl Work for Turn {
    fn with<L: Loop, F: Pulled>() -> Turn {
        Turn(turn::<L>)
    }
}

fn turn<L: Loop>(source: BorrowedFd<'_>) -> io::Result<f64> {
    let mut poll = L::open()?;
    let mut run = |times| {
        let begun = cpu_time::of_this_thread();
        for key in 0..times {
            poll.add(source, key)?;
            poll.change(source, key + 1)?;
            poll.remove(source)?;
        }
        Ok::<_, io::Error>(cpu_time::of_this_thread() - begun)
    };
    let each = run(100)? / 100;
    let times = how_often(Duration::from_millis(1), each, 10_000);
    Ok(run(times)?.as_nanos() as f64 / times as f64)
}
