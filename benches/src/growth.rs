//! How a cost grows: with the descriptors, the messages that wait, the entries, the directories, the queues.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Report;

/// The growth of one implementation's cost in one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The cost and the number that it may depend on.
    pub cost: &'static str,
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// The least and the greatest number that were measured.
    pub range: (usize, usize),
    /// The cost at these numbers, in nanoseconds.
    pub ns: (f64, f64),
    /// The function that fits best.
    pub growth: Growth,
}

/// A function of the number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// The greatest cost is at most 1.3 times the least.
    Constant,
    /// A fixed cost and a cost for each, in nanoseconds.
    Linear(f64, f64),
    /// A power of the number: its exponent.
    Power(f64),
}

/// A cost is constant if its extremes differ by at most this factor. Other work of the machine causes such
/// differences.
const CONSTANT: f64 = 1.3;

impl Growth {
    /// Returns the function that fits the points best: of the two with the same number of parameters, the one
    /// with the smaller sum of squared relative differences.
    fn of(points: &[(f64, f64)]) -> Growth {
        let costs = || points.iter().map(|(_, cost)| *cost);
        let least = costs().fold(f64::INFINITY, f64::min);
        if costs().fold(0.0, f64::max) <= CONSTANT * least {
            return Growth::Constant;
        }
        let (fixed, each) = linear(points);
        let (factor, exponent) = power(points);
        let difference = |fitted: &dyn Fn(f64) -> f64| {
            points.iter().map(|(number, cost)| (fitted(*number) / cost - 1.0).powi(2)).sum::<f64>()
        };
        let of_line = difference(&|number| fixed + each * number);
        let of_power = difference(&|number| factor * number.max(1.0).powf(exponent));
        if of_line <= of_power { Growth::Linear(fixed, each) } else { Growth::Power(exponent) }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Growth::Constant => f.pad("constant"),
            Growth::Linear(fixed, each) => f.pad(&format!("linear: {fixed:.0} + {each:.1} each")),
            Growth::Power(exponent) => f.pad(&format!("power: exponent {exponent:.2}")),
        }
    }
}

impl Serialize for Growth {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Returns the fixed cost and the cost for each with the least squares of relative differences. Neither is
/// negative.
fn linear(points: &[(f64, f64)]) -> (f64, f64) {
    // Each difference is divided by the cost: the unknowns are the factors of 1 / cost and number / cost.
    let sum = |value: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| value(*x, *y)).sum();
    let (aa, ab, bb): (f64, f64, f64) =
        (sum(&|_, y| 1.0 / y / y), sum(&|x, y| x / y / y), sum(&|x, y| x * x / y / y));
    let (a, b): (f64, f64) = (sum(&|_, y| 1.0 / y), sum(&|x, y| x / y));
    let determinant = aa * bb - ab * ab;
    let (fixed, each) = ((a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant);
    if each < 0.0 {
        (a / aa, 0.0)
    } else if fixed < 0.0 {
        (0.0, b / bb)
    } else {
        (fixed, each)
    }
}

/// Returns the factor and the exponent of the line through the logarithms.
fn power(points: &[(f64, f64)]) -> (f64, f64) {
    let logarithms = || points.iter().map(|(x, y)| (x.max(1.0).ln(), y.ln()));
    let count = points.len() as f64;
    let (mean_x, mean_y) = (
        logarithms().map(|(x, _)| x).sum::<f64>() / count,
        logarithms().map(|(_, y)| y).sum::<f64>() / count,
    );
    let covariance: f64 = logarithms().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = logarithms().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let exponent = covariance / variance;
    ((mean_y - exponent * mean_x).exp(), exponent)
}

/// Returns the growth of each cost that was measured for three numbers at least.
pub(crate) fn rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let ring = report.ring.iter().filter(|row| row.active == 1);
    add(
        &mut rows,
        "an event, by pipes",
        ring.map(|row| (row.implementation, row.fds, row.ns.median)),
    );
    let arrive = report.arrive.iter().filter(|row| row.p50_us.is_some());
    add(
        &mut rows,
        "an arrival, by messages waiting",
        arrive.map(|row| (row.implementation.as_str(), row.backlog, row.ns_per_entry.median)),
    );
    add(
        &mut rows,
        "an arrival, by queues",
        report.queues.iter().map(|row| (row.implementation, row.queues, row.ns.median)),
    );
    let total = |ns: f64, number: usize| ns * number as f64;
    add(
        &mut rows,
        "a scan, by entries",
        report.scan.iter().map(|row| {
            (row.implementation, row.entries, total(row.ns_per_entry.median, row.entries))
        }),
    );
    add(
        &mut rows,
        "opening, by directories",
        report.open.iter().map(|row| {
            (row.implementation, row.directories, total(row.ns_each.median, row.directories))
        }),
    );
    rows
}

fn add<'a>(
    rows: &mut Vec<Row>,
    cost: &'static str,
    points: impl Iterator<Item = (&'a str, usize, f64)>,
) {
    let mut lines: Vec<(&str, Vec<(usize, f64)>)> = Vec::new();
    for (name, number, ns) in points {
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push((number, ns)),
            None => lines.push((name, vec![(number, ns)])),
        }
    }
    for (name, points) in lines {
        if let ([(least, first), .., (greatest, last)], 3..) = (&points[..], points.len()) {
            let fitted: Vec<_> = points.iter().map(|(number, ns)| (*number as f64, *ns)).collect();
            rows.push(Row {
                cost,
                implementation: name.to_owned(),
                range: (*least, *greatest),
                ns: (*first, *last),
                growth: Growth::of(&fitted),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cost: impl Fn(f64) -> f64) -> Growth {
        Growth::of(&[0.0, 10.0, 100.0, 1000.0, 10_000.0].map(|number| (number, cost(number))))
    }

    #[test]
    fn constant_linear_and_other_growth_are_told_apart() {
        assert_eq!(of(|_| 700.0), Growth::Constant);
        assert_eq!(of(|number| if number == 100.0 { 800.0 } else { 700.0 }), Growth::Constant);
        let Growth::Linear(fixed, each) = of(|number| 500.0 + 56.0 * number) else { panic!() };
        assert!((fixed - 500.0).abs() < 1.0 && (each - 56.0).abs() < 0.1, "{fixed} {each}");
        let Growth::Power(exponent) = of(|number| 9.0 * number.max(1.0).powi(2)) else { panic!() };
        assert!((exponent - 2.0).abs() < 0.01, "{exponent}");
        let Growth::Power(exponent) = of(|number| 500.0 * number.max(1.0).sqrt()) else { panic!() };
        assert!((exponent - 0.5).abs() < 0.01, "{exponent}");
    }

    #[test]
    fn linear_growth_tolerates_noise_of_a_tenth() {
        let noisy = |number: f64| {
            (500.0 + 56.0 * number) * if (number as u64).is_multiple_of(100) { 1.1 } else { 0.9 }
        };
        let Growth::Linear(_, each) = of(noisy) else { panic!("{:?}", of(noisy)) };
        assert!((50.0..62.0).contains(&each), "{each}");
        // A cost that falls has no negative part.
        assert_eq!(linear(&[(0.0, 3.0), (10.0, 2.0), (20.0, 1.0)]).1, 0.0);
        assert_eq!(linear(&[(1.0, 1.0), (10.0, 30.0), (20.0, 80.0)]).0, 0.0);
    }
}
