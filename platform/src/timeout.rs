//! Timeouts: never early, of any length, and in the units of each system call.

use std::io;
use std::time::{Duration, Instant};

use crate::clock;

/// The longest timeout of one system call. epoll_wait(2) counts milliseconds in an `int`, and
/// select(2) may refuse more than some 100 million seconds; a day is far below both.
pub(crate) const MAX_SLICE: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a wait may end before its timeout is over by the clock that the caller reads. Seen on FreeBSD,
/// whose ticks an emulator had lost; Linux counts timeouts and the clock alike.
const MAY_END_EARLY: bool = !cfg!(any(target_os = "linux", target_os = "android"));

/// Waits for at most `timeout` by calls of `wait`, which returns the number of events. A signal ends
/// it with 0 events. For implementations of [`Notifier`](crate::Notifier).
///
/// # Errors
///
/// Fails with the error of `wait`, except `Interrupted`.
#[inline]
pub(crate) fn wait_with_timeout(
    timeout: Option<Duration>,
    mut wait: impl FnMut(Option<Duration>) -> io::Result<usize>,
) -> io::Result<usize> {
    let found = match timeout {
        Some(timeout)
            if timeout.as_secs() >= MAX_SLICE.as_secs() || MAY_END_EARLY && !timeout.is_zero() =>
        {
            wait_until(clock::now().checked_add(timeout), clock::now, &mut wait)
        }
        _ => wait(timeout),
    };
    match found {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
        found => found,
    }
}

/// Waits until `deadline` by the clock `now`, or without a timeout if the clock cannot represent it.
#[cold]
fn wait_until(
    deadline: Option<Instant>,
    now: impl Fn() -> Instant,
    wait: &mut impl FnMut(Option<Duration>) -> io::Result<usize>,
) -> io::Result<usize> {
    let Some(deadline) = deadline else { return wait(None) };
    loop {
        let remaining = deadline.saturating_duration_since(now());
        let found = wait(Some(remaining.min(MAX_SLICE)))?;
        if found > 0 || now() >= deadline {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeout_is_slept_in_slices_and_not_cut_short() {
        let mut asked = Vec::new();
        let found = wait_with_timeout(Some(3 * MAX_SLICE), |slice| {
            asked.push(slice);
            Ok(usize::from(asked.len() == 3))
        });
        assert_eq!(found.unwrap(), 1);
        assert_eq!(asked, [Some(MAX_SLICE); 3]);
    }

    #[test]
    fn a_wait_that_ends_early_by_the_clock_is_continued() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let clock = std::cell::Cell::new(start);
        let mut asked = Vec::new();
        let mut wait = |slice: Option<Duration>| {
            asked.push(slice.unwrap());
            clock.set(clock.get() + slice.unwrap() - Duration::from_millis(7) / asked.len() as u32);
            Ok(usize::from(asked.len() == 3))
        };
        assert_eq!(wait_until(Some(start + second), || clock.get(), &mut wait).unwrap(), 1);
        assert_eq!(asked[..2], [second, Duration::from_millis(7)]);
        assert_eq!(asked.len(), 3);
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_for_ever() {
        let found =
            wait_with_timeout(Some(Duration::MAX), |slice| Ok(usize::from(slice.is_none())));
        assert_eq!(found.unwrap(), 1);
    }

    #[test]
    fn a_signal_ends_the_sleep_without_an_error() {
        let interrupted = |_| Err(io::Error::from(io::ErrorKind::Interrupted));
        assert_eq!(wait_with_timeout(None, interrupted).unwrap(), 0);
        assert_eq!(wait_with_timeout(Some(2 * MAX_SLICE), interrupted).unwrap(), 0);
    }
}
