//! Timeouts: never early, as long as anybody asks for, and in the units of each system call.

use std::io;
use std::time::{Duration, Instant};

use crate::clock;

/// The longest single sleep asked of a kernel. epoll_wait(2) counts milliseconds in an `int`, and
/// select(2) may refuse more than some 100 million seconds; a day is far below both.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Sleeps for `timeout` by calls of `sleep`, which says how many events it found; a signal ends it
/// with none. For those who implement [`Notifier`](crate::Notifier).
///
/// # Errors
///
/// Those of `sleep`, but for `Interrupted`.
#[inline]
pub fn sleep(
    timeout: Option<Duration>,
    mut sleep: impl FnMut(Option<Duration>) -> io::Result<usize>,
) -> io::Result<usize> {
    let found = match timeout {
        Some(long) if long > LONGEST => in_slices(clock::now().checked_add(long), &mut sleep),
        _ => sleep(timeout),
    };
    match found {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
        found => found,
    }
}

/// Sleeps until `deadline`, or for ever where the clock does not reach so far.
fn in_slices(
    deadline: Option<Instant>,
    sleep: &mut impl FnMut(Option<Duration>) -> io::Result<usize>,
) -> io::Result<usize> {
    let Some(deadline) = deadline else { return sleep(None) };
    loop {
        let left = deadline.saturating_duration_since(clock::now());
        let found = sleep(Some(left.min(LONGEST)))?;
        if found > 0 || left <= LONGEST {
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
        let found = sleep(Some(3 * LONGEST), |slice| {
            asked.push(slice);
            Ok(usize::from(asked.len() == 3))
        });
        assert_eq!(found.unwrap(), 1);
        assert_eq!(asked, [Some(LONGEST); 3]);
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_for_ever() {
        let found = sleep(Some(Duration::MAX), |slice| Ok(usize::from(slice.is_none())));
        assert_eq!(found.unwrap(), 1);
    }

    #[test]
    fn a_signal_ends_the_sleep_without_an_error() {
        let interrupted = |_| Err(io::Error::from(io::ErrorKind::Interrupted));
        assert_eq!(sleep(None, interrupted).unwrap(), 0);
        assert_eq!(sleep(Some(2 * LONGEST), interrupted).unwrap(), 0);
    }
}
