//! Random numbers that are the same in every run.

use std::time::Duration;

/// Marsaglia's xorshift. It is random enough to stay out of step with timers.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new() -> Rng {
        Rng(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns a duration between 0.5 and 1.5 times `mean`.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        mean / 2 + mean.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
