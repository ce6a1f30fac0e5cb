//! Measures in rounds: on a noisy machine two loops can only be compared side by side.
//!
//! In each round every implementation has one turn. The order changes from round to round. Ratios are
//! computed within a round, so that a temporary slowdown of the machine affects both sides of a ratio.
//! The result is the median over the rounds. The report also has the minimum, the maximum, and the range
//! in which another run's median may lie, so that noise is not mistaken for a result.

use std::io;
use std::time::Duration;

use serde::{Serialize, Serializer};

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

/// One quantity of several implementations, with one value for each round.
#[derive(Debug)]
pub(crate) struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// Runs the rounds. Every candidate has one turn in each round.
    pub(crate) fn of<T>(
        rounds: usize,
        candidates: &mut [T],
        mut turn: impl FnMut(&mut T) -> io::Result<f64>,
    ) -> io::Result<Rounds> {
        let count = candidates.len();
        let mut values = vec![Vec::with_capacity(rounds); count];
        for round in 0..rounds {
            for place in 0..count {
                let next = (round + if round % 2 == 0 { place } else { count - place }) % count;
                values[next].push(turn(&mut candidates[next])?);
            }
        }
        Ok(Rounds(values))
    }

    /// Returns the distribution of one candidate's values.
    pub(crate) fn spread(&self, candidate: usize) -> Spread {
        Spread::of(self.0[candidate].iter().copied())
    }

    /// Returns the ratio of one candidate to another, computed within each round.
    pub(crate) fn ratio(&self, one: usize, other: usize) -> Spread {
        Spread::of(self.0[one].iter().zip(&self.0[other]).map(|(one, other)| one / other))
    }
}

/// Returns how many repetitions fill `time`: at least 1, at most `most`.
pub(crate) fn how_often(time: Duration, each: Duration, most: usize) -> usize {
    ((time.as_secs_f64() / each.as_secs_f64()) as usize).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_runs_every_candidate_once_in_a_changing_order() {
        let (mut order, mut candidates) = (Vec::new(), [1.0, 2.0, 4.0]);
        let rounds = Rounds::of(4, &mut candidates, |candidate| {
            order.push(*candidate);
            Ok(*candidate * order.len().div_ceil(3) as f64)
        });
        let rounds = rounds.unwrap();
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
