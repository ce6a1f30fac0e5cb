//! `EVFILT_TIMER` in a kqueue of its own, the BSDs and macOS: a descriptor that becomes readable at a
//! time.
//!
//! Its limitations, and how this module handles them:
//! - A timer has no descriptor. So it is in a kqueue of its own, which has one.
//! - The usual unit is a millisecond, and only some systems have finer ones. Times are rounded up.
//! - A kqueue stays readable until its event is fetched, and the fetch removes an `EV_ONESHOT` timer. So the
//!   event is never fetched: [`Timer::acknowledge`] sets the timer to a day, which discards the event. Without
//!   `EV_ONESHOT` the kernel would have work at the end of each period until then.
//! - To register a timer may fail for want of memory, or because there are too many. So it is registered once, by
//!   [`Timer::new`], and restarted where the system can do that (see `RESTARTS`).

// The fields' types differ from one system to the next, so that a cast needed on one is none on
// another.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::kqueue::{KqueueFd, RawEvent, change};
use crate::{Key, bsd};

/// The longest time, which every system can hold in milliseconds.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of the only timer.
const IDENT: i32 = 0;

/// Whether `EV_ADD` restarts a registered timer with its new time, and discards an event that was not fetched.
/// That needs no memory which could be refused, and the timer is not counted again. From `kern_event.c`:
/// - FreeBSD since 12: `filt_timertouch` restarts the callout of the timer. The memory that `kqueue_register`
///   prepares is waited for. kqueue(2) promises the restart.
/// - OpenBSD: `filt_timermodify` does the same.
///
/// On the other systems the timer is deleted and added in one call:
/// - macOS: a restart would leave the kqueue readable until it is asked. There is no limit, and memory is waited for.
/// - DragonFly does not restart a timer, and NetBSD only since 10. Between the two changes another process may take
///   the place of the timer, if the system has as many as it permits.
///
/// `tests/timer.rs` and `tests/timer_limit.rs` verify it.
const RESTARTS: bool =
    cfg!(any(target_os = "freebsd", target_os = "openbsd", pullcord_sim = "bsd"));

/// How often the timer is set again after a failure, where it is deleted first. These failures pass.
const ATTEMPTS: usize = 10;

/// A descriptor that becomes readable at a time.
#[derive(Debug)]
pub struct Timer(KqueueFd);

impl Timer {
    /// kqueue(2) and kevent(2): opens a timer that is not set. It may be readable after a day.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, `ENFILE` or `ENOMEM`: also if the limit of timers is reached.
    pub fn new() -> io::Result<Timer> {
        let timer = Timer(KqueueFd::new()?);
        timer.0.apply_changes(&[add(MAX)])?;
        Ok(timer)
    }

    /// Makes the descriptor readable once `after` is over, in place of any other time, and silent until
    /// then. It may be readable earlier, after a day at the latest. Zero makes it readable after a
    /// millisecond.
    ///
    /// # Errors
    ///
    /// None is expected on FreeBSD, OpenBSD and macOS. Fails with `ENOMEM` on NetBSD and DragonFly: the timer is
    /// not set then.
    pub fn set(&mut self, after: Duration) -> io::Result<()> {
        if RESTARTS {
            return self.0.apply_changes(&[add(after)]);
        }
        let delete = change(IDENT, bsd::EVFILT_TIMER as i64, bsd::EV_DELETE as u32, Key(0));
        let mut set = self.0.apply_changes(&[delete, add(after)]);
        for _ in 1..ATTEMPTS {
            set = set.or_else(|_| self.0.apply_changes(&[delete, add(after)]));
        }
        set
    }

    /// Makes the descriptor silent after it became readable. Never blocks.
    pub fn acknowledge(&mut self) {
        // Where this fails, the timer was deleted, and is silent too.
        let _ = self.set(MAX);
    }
}

/// The change that registers the timer, or restarts it.
fn add(after: Duration) -> RawEvent {
    let flags = (bsd::EV_ADD as u32) | (bsd::EV_ONESHOT as u32);
    let mut add = change(IDENT, bsd::EVFILT_TIMER as i64, flags, Key(0));
    let milliseconds = after.min(MAX).as_nanos().div_ceil(1_000_000).max(1);
    add.0.data = milliseconds as _;
    add
}

/// Readable when the time is over.
impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
