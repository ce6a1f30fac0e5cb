//! Percentiles of latencies.

use std::time::Duration;

use serde::Serialize;

/// In microseconds.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Latency {
    /// Returns the percentiles: each is the smallest measured latency that this share did not exceed.
    pub(crate) fn of(mut latencies: Vec<Duration>) -> Latency {
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100);
            latencies.get(rank.saturating_sub(1)).map_or(0, |latency| latency.as_micros() as u64)
        };
        Latency { p50: percentile(50), p99: percentile(99), max: percentile(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_latencies() {
        let of = |latencies: &[u64]| {
            let Latency { p50, p99, max } =
                Latency::of(latencies.iter().copied().map(Duration::from_micros).collect());
            (p50, p99, max)
        };
        assert_eq!(of(&[]), (0, 0, 0));
        assert_eq!(of(&[7]), (7, 7, 7));
        assert_eq!(of(&(1..=200).rev().collect::<Vec<_>>()), (100, 198, 200));
    }
}
