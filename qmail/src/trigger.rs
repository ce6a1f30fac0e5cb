//! qmail's trigger, as its three functions see it.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{DrainOutcome, OtherReaders, Trigger};
use pullcord_platform::file;
use pullcord_platform::timer::Timer;

use crate::ffi::{FdSetBuilder, ReadySet};
use crate::scan_pacer::ScanPacer;

/// Seen from the queue directory, which every qmail program has changed into.
pub(crate) const PATH: &str = "lock/trigger";

/// How often it is looked whether the path names another FIFO by now, or can be opened again; and
/// how often `todo` is read for as long as it cannot.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct QmailTrigger {
    trigger: Option<Trigger>,
    timer: Option<Timer>,
    awaits: Awaits,
    pace: ScanPacer,
    looked: Option<Instant>,
    said: Said,
}

/// What the next `select` waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Pull,
    /// Somebody pulled within the pause. The pull stays in the FIFO until the pause is over.
    EndOfPause,
    /// The path leads to no FIFO that can be read: `todo` is read now and then instead.
    Retry,
}

/// What was said, so as to be said once.
struct Said {
    does_not_fit: bool,
    cannot_open: bool,
}

impl QmailTrigger {
    pub(crate) const fn new() -> QmailTrigger {
        QmailTrigger {
            trigger: None,
            timer: None,
            awaits: Awaits::Pull,
            pace: ScanPacer::new(),
            looked: None,
            said: Said { does_not_fit: false, cannot_open: false },
        }
    }

    pub(crate) fn set(&mut self, now: Instant) {
        if self.timer.is_none() {
            // Without one, scans are not paced.
            self.timer = Timer::new().ok();
        }
        self.follow(now);
        // What is left after one drain wakes the next select.
        self.drain();
        if self.awaits == Awaits::EndOfPause {
            self.awaits = Awaits::Pull;
        }
        self.pace.scan_begins(now);
    }

    pub(crate) fn selprep(&mut self, now: Instant, wanted: &mut FdSetBuilder<'_>) {
        self.pace.turn_begins(now);
        if self.looked.is_none_or(|then| now.duration_since(then) >= LOOK) && self.follow(now) {
            // Whoever pulled the new one until now has found nobody: pull for them.
            let _ = pullcord::pull(Path::new(PATH));
        }
        let fits = match self.awaits {
            Awaits::Pull => self.trigger.as_ref().is_none_or(|trigger| wanted.add(trigger)),
            Awaits::EndOfPause | Awaits::Retry => {
                self.timer.as_ref().is_none_or(|timer| wanted.add(timer))
            }
        };
        if !fits {
            let why = "its descriptor is beyond FD_SETSIZE: close some, or mail waits for the next \
                       regular scan";
            say_once(
                &mut self.said.does_not_fit,
                format_args!("{PATH}: cannot wait for it: {why}"),
            );
        }
    }

    pub(crate) fn pulled(&mut self, now: Instant, ready: &ReadySet<'_>) -> bool {
        self.pace.scan_is_over();
        match self.awaits {
            Awaits::Pull => {
                self.trigger.as_ref().is_some_and(|trigger| ready.has(trigger))
                    && !self.pauses(now)
                    && self.drain()
            }
            Awaits::EndOfPause => self.time_is_up(ready) && self.drain(),
            Awaits::Retry => self.time_is_up(ready),
        }
    }

    /// Opens what the path names, unless it is open; true if it is another FIFO now.
    fn follow(&mut self, now: Instant) -> bool {
        self.looked = Some(now);
        if self.trigger.as_ref().is_some_and(|trigger| !trigger.is_replaced()) {
            return false;
        }
        // Allow: qmail-send has a lock of its own against a second one, and has never looked.
        match Trigger::open(PATH, OtherReaders::Allow) {
            Ok(trigger) => {
                self.trigger = Some(trigger);
                self.awaits = Awaits::Pull;
                self.said.cannot_open = false;
                true
            }
            Err(e) => {
                say_once(&mut self.said.cannot_open, e);
                if self.awaits != Awaits::Retry && self.starts(LOOK) {
                    self.awaits = Awaits::Retry;
                }
                false
            }
        }
    }

    /// Whether a pull comes too soon after the last scan: then its turn comes with the timer.
    fn pauses(&mut self, now: Instant) -> bool {
        let pauses = self.pace.left(now).is_some_and(|left| self.starts(left));
        if pauses {
            self.awaits = Awaits::EndOfPause;
        }
        pauses
    }

    fn starts(&mut self, wait: Duration) -> bool {
        self.timer.as_mut().is_some_and(|timer| timer.set(wait).is_ok())
    }

    fn time_is_up(&mut self, ready: &ReadySet<'_>) -> bool {
        let up = self.timer.as_ref().is_some_and(|timer| ready.has(timer));
        if up {
            self.awaits = Awaits::Pull;
        }
        up
    }

    /// Takes the pulls out; true if there was one, or may have been.
    fn drain(&mut self) -> bool {
        let drained = self.trigger.as_mut().map(Trigger::drain);
        drained.is_some_and(|drained| !matches!(drained, Ok(DrainOutcome::Empty)))
    }
}

/// Says it on standard error, once. But not into a pipe: descriptor 2 of a qmail-todo is the one by
/// which it gives orders to qmail-clean.
fn say_once(said: &mut bool, what: impl Display) {
    let stderr = io::stderr();
    if !*said && file::fstat(&stderr).is_ok_and(|status| !status.is_fifo()) {
        let _ = writeln!(stderr.lock(), "pullcord: {what}");
    }
    *said = true;
}
