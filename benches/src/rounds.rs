//! Measures in rounds: on a noisy machine two loops can only be compared side by side.
//!
//! In each round every implementation has one turn. The order changes from round to round. Ratios are
//! computed within a round, so that a temporary slowdown of the machine affects both sides of a ratio.
//! The result is the median over the rounds. The report also has the minimum, the maximum, and the range
//! in which another run's median may lie, so that noise is not mistaken for a result.

use std::io;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::report::{Target, Verdict};
use crate::{Options, Steps};

/// The distribution of a quantity over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The maximum.
    pub max: f64,
    /// The lower end of the interval that contains the true median with a confidence of 99 %. With only
    /// a few rounds this is the minimum, and the confidence is lower.
    #[serde(skip)]
    pub no_less: f64,
    /// The upper end of that interval.
    #[serde(skip)]
    pub no_more: f64,
}

impl Spread {
    /// Returns the distribution of the values. There must be at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        // The number of values below the true median has a binomial distribution with p = 0.5. Its mean
        // is n / 2, its standard deviation is sqrt(n) / 2, and 99 % are within 2.58 of these.
        let middle = last as f64 / 2.0;
        let reach = 1.29 * (values.len() as f64).sqrt();
        Spread {
            min: values[0],
            median: percentile(&values, 50.0),
            max: values[last],
            no_less: values[(middle - reach).max(0.0).floor() as usize],
            no_more: values[((middle + reach).ceil() as usize).min(last)],
        }
    }

    /// Returns the distribution of the values multiplied by `factor`.
    pub(crate) fn times(self, factor: f64) -> Spread {
        let Spread { min, median, max, no_less, no_more } = self;
        Spread {
            min: min * factor,
            median: median * factor,
            max: max * factor,
            no_less: no_less * factor,
            no_more: no_more * factor,
        }
    }

    /// Serialises only the median.
    pub(crate) fn median<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.median)
    }

    /// Serialises only the median, or null.
    pub(crate) fn median_or_null<S: Serializer>(
        spread: &Option<Spread>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        spread.map(|spread| spread.median).serialize(to)
    }
}

/// Returns the value that `percent` per cent of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[(last as f64 * percent / 100.0).round() as usize]
}

/// A limit of the ratio of two candidates, each by its number.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) text: String,
    pub(crate) one: usize,
    pub(crate) other: usize,
    /// The limit of the median.
    pub(crate) most: f64,
}

impl Claim {
    /// Returns a claim, if both candidates take part.
    pub(crate) fn between(
        text: String,
        one: Option<usize>,
        other: Option<usize>,
        most: f64,
    ) -> Option<Claim> {
        Some(Claim { text, one: one?, other: other?, most })
    }
}

/// The number of rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The rounds of every candidate.
    pub(crate) rounds: usize,
    /// How often as many rounds are made at most, while a claim is open.
    pub(crate) blocks: usize,
}

impl Plan {
    /// Returns the plan of a workload, each of whose turns is short enough for `times` as many rounds.
    pub(crate) fn of(options: &Options, times: usize) -> Plan {
        let (rounds, blocks) = if options.quick { (5, 1) } else { (21, 2) };
        Plan { rounds: times * rounds, blocks }
    }
}

/// One quantity of several implementations, with one value for each round in which it had a turn.
#[derive(Debug)]
pub(crate) struct Rounds(Vec<Vec<Option<f64>>>);

impl Rounds {
    /// Runs the rounds. Every candidate has one turn in each round. While a claim is open, its two
    /// candidates have as many rounds again: `steps` expects these additional turns.
    pub(crate) fn of<T>(
        plan: Plan,
        claims: &[Claim],
        candidates: &mut [T],
        steps: &mut Steps<'_>,
        mut turn: impl FnMut(&mut T) -> io::Result<f64>,
    ) -> io::Result<Rounds> {
        let mut rounds = Rounds(vec![Vec::new(); candidates.len()]);
        let mut having_turns: Vec<_> = (0..candidates.len()).collect();
        for block in 0..plan.blocks {
            if block > 0 {
                having_turns = rounds.undecided(claims);
                steps.expect(having_turns.len() * plan.rounds);
            }
            let count = having_turns.len();
            for round in block * plan.rounds..(block + 1) * plan.rounds {
                rounds.0.iter_mut().for_each(|values| values.push(None));
                for place in 0..count {
                    let place = if round % 2 == 0 { place } else { count - place };
                    let next = having_turns[(round + place) % count];
                    rounds.0[next][round] = Some(turn(&mut candidates[next])?);
                    steps.done();
                }
            }
        }
        Ok(rounds)
    }

    /// Returns the candidates of the claims that are open.
    fn undecided(&self, claims: &[Claim]) -> Vec<usize> {
        let open = claims.iter().filter(|claim| self.target(claim).verdict() == Verdict::Open);
        let mut candidates: Vec<_> = open.flat_map(|claim| [claim.one, claim.other]).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// Returns the distribution of one candidate's values.
    pub(crate) fn spread(&self, candidate: usize) -> Spread {
        Spread::of(self.0[candidate].iter().flatten().copied())
    }

    /// Returns the ratio of one candidate to another, computed within each round that has both.
    pub(crate) fn ratio(&self, one: usize, other: usize) -> Spread {
        let pairs = self.0[one].iter().zip(&self.0[other]);
        Spread::of(pairs.filter_map(|(one, other)| Some((*one)? / (*other)?)))
    }

    /// Returns the result for a claim.
    pub(crate) fn target(&self, claim: &Claim) -> Target {
        let ratio = self.ratio(claim.one, claim.other);
        Target { claim: claim.text.clone(), ratio, most: claim.most }
    }
}

/// Returns how many repetitions fill `time`: at least 1, at most `most`.
pub(crate) fn how_often(time: Duration, each: Duration, most: usize) -> usize {
    ((time.as_secs_f64() / each.as_secs_f64()) as usize).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Progress, Workload};

    /// Runs four rounds, and up to twelve while a claim is open.
    fn run(
        claims: &[Claim],
        candidates: &mut [f64],
        mut turn: impl FnMut(&mut f64) -> f64,
    ) -> Rounds {
        let progress = Progress { workload: Workload::Ring, done: 0, total: 4 * candidates.len() };
        let (mut turns, mut last) = (0, progress);
        let mut tell = |progress| last = progress;
        let mut steps = Steps { progress, tell: &mut tell };
        let plan = Plan { rounds: 4, blocks: 3 };
        let rounds = Rounds::of(plan, claims, candidates, &mut steps, |candidate| {
            turns += 1;
            Ok(turn(candidate))
        });
        assert_eq!((last.done, last.total), (turns, turns), "each turn was expected");
        rounds.unwrap()
    }

    #[test]
    fn candidates_of_an_open_claim_have_more_rounds() {
        let claim = |one, other| Claim { text: String::new(), one, other, most: 1.0 };
        // 0 / 1 is 0.5: decided. 0 / 2 is above and below 1 in turns: never decided.
        let (mut turns, mut candidates) = ([0; 4], [1.0, 2.0, 4.0, 8.0]);
        let rounds = run(&[claim(0, 1), claim(0, 2)], &mut candidates, |candidate| {
            let number = candidate.log2() as usize;
            turns[number] += 1;
            if number == 2 { [0.5, 2.0][turns[number] % 2] } else { *candidate }
        });
        assert_eq!(turns, [12, 4, 12, 4]);
        assert_eq!(rounds.target(&claim(0, 2)).verdict(), Verdict::Open);
        assert_eq!(rounds.ratio(0, 1), Spread::of([0.5; 4]), "of the rounds that have both");
    }

    #[test]
    fn each_round_runs_every_candidate_once_in_a_changing_order() {
        let (mut order, mut candidates) = (Vec::new(), [1.0, 2.0, 4.0]);
        let rounds = run(&[], &mut candidates, |candidate| {
            order.push(*candidate);
            *candidate * order.len().div_ceil(3) as f64
        });
        for round in order.chunks(3) {
            assert_eq!(round.iter().sum::<f64>(), 7.0, "{round:?}");
        }
        assert_ne!(order[..3], order[3..6]);
        let Spread { min, median, max, .. } = rounds.spread(0);
        assert_eq!((min, median, max), (1.0, 3.0, 4.0));
        assert_eq!(rounds.ratio(2, 0), Spread::of([4.0; 4]));
    }

    #[test]
    fn the_interval_of_the_median_is_narrow_only_with_many_rounds() {
        let Spread { no_less, median, no_more, .. } = Spread::of((0..101).map(f64::from));
        assert_eq!((no_less, median, no_more), (37.0, 50.0, 63.0));
        let Spread { min, no_less, no_more, max, .. } = Spread::of((0..5).map(f64::from));
        assert_eq!((no_less, no_more), (min, max));
        assert_eq!(Spread::of([7.0]).no_more, 7.0);
    }
}
