//! The clock: the only place where the library reads the time.

#[cfg(not(pullcord_sim))]
use std::time::SystemTime;
use std::time::{Duration, Instant};

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

/// Returns the time since 1970 that the wall clock shows, to be compared with the times of files. It
/// may jump.
#[inline]
pub fn wall() -> Duration {
    #[cfg(not(pullcord_sim))]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    #[cfg(pullcord_sim)]
    let wall = crate::sim::wall();
    wall
}
