//! `EVFILT_TIMER` in a kqueue of its own, the BSDs and macOS: a descriptor that becomes readable at a
//! time.
//!
//! Its limitations, and how this module handles them:
//! - A timer has no descriptor. So it is in a kqueue of its own, which has one.
//! - Such a kqueue stays readable until it is asked: [`Timer::acknowledge`] asks it.
//! - The usual unit is a millisecond, and only some systems have finer ones. Times are rounded up.
//! - Setting a timer again does not restart it on every system: it is deleted first.

// The fields' types differ from one system to the next, so that a cast needed on one is none on
// another.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::kqueue::{KqueueFd, change};
use crate::{Key, bsd};

/// The longest time, which every system can hold in milliseconds.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of the only timer.
const IDENT: i32 = 0;

/// A descriptor that becomes readable at a time.
#[derive(Debug)]
pub struct Timer(KqueueFd);

impl Timer {
    /// kqueue(2): opens a timer that is not set.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, `ENFILE` or `ENOMEM`.
    pub fn new() -> io::Result<Timer> {
        KqueueFd::new().map(Timer)
    }

    /// Makes the descriptor readable once `after` is over, in place of any other time, and silent until
    /// then. It may be readable earlier, after a day at the latest. Zero makes it readable after a
    /// millisecond.
    ///
    /// # Errors
    ///
    /// Fails with `ENOMEM`.
    pub fn set(&mut self, after: Duration) -> io::Result<()> {
        let timer = bsd::EVFILT_TIMER as i64;
        let delete = change(IDENT, timer, bsd::EV_DELETE as u32, Key(0));
        let add = (bsd::EV_ADD as u32) | (bsd::EV_ONESHOT as u32);
        let mut add = change(IDENT, timer, add, Key(0));
        let milliseconds = after.min(MAX).as_nanos().div_ceil(1_000_000).max(1);
        add.0.data = milliseconds as _;
        self.0.apply_changes(&[delete, add])
    }

    /// Makes the descriptor silent after it became readable. Never blocks.
    pub fn acknowledge(&mut self) {
        let mut expired = [change(0, 0, 0, Key(0)); 2];
        let _ = self.0.wait(&mut expired, Some(Duration::ZERO));
    }
}

/// Readable when the time is over.
impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
