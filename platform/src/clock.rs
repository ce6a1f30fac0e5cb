//! The clock: the only place where the library reads the time.

use std::time::Instant;

/// Returns the present time.
#[inline]
pub fn now() -> Instant {
    #[cfg(not(pullcord_sim))]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    let now = Instant::now();
    #[cfg(pullcord_sim)]
    let now = crate::sim::now();
    now
}
