//! The two descriptors that a queue waits for, as a notifier knows them.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::{Interest, Key, Mode, Notifier};

/// One of the two descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    /// It may be readable.
    pub(super) readable: bool,
    /// Whether the notifier waits for it; `None` if that is not known.
    is_registered: Option<bool>,
    /// The notifier has refused it: it is not tried again before the time of
    /// [`unblock`](Source::unblock).
    is_blocked: bool,
}

impl Source {
    /// Returns whether [`update`](Source::update) has nothing to do.
    #[inline]
    pub(super) fn is_settled(&self, is_wanted: bool) -> bool {
        self.is_registered == Some(is_wanted)
    }

    /// Registers the descriptor, or removes it: the one that is wanted and not done yet. A descriptor that is
    /// not open counts as done, until the one that is opened is [`replaced`](Source::replaced).
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Notifier::register`] and [`Notifier::deregister`]. It is blocked
    /// then.
    pub(super) fn update(
        &mut self,
        notifier: &mut dyn Notifier,
        fd: Option<BorrowedFd<'_>>,
        key: Key,
        is_wanted: bool,
    ) -> io::Result<()> {
        let Some(fd) = fd else {
            self.is_registered = Some(is_wanted);
            return Ok(());
        };
        // A registration that was refused may have left an older one in place, which must go at once if
        // it is not wanted: it would end every wait.
        if self.is_settled(is_wanted) || self.is_blocked && is_wanted {
            return Ok(());
        }
        // Level, not edge: bytes that a drain could not see are reported again for as long as they
        // are there. On an edge they would wait for the next pull.
        let mode = if mutant!(EdgeTriggered) { Mode::Edge } else { Mode::Level };
        let done = if is_wanted {
            notifier.register(&fd, key, Interest::Read, mode)
        } else {
            notifier.deregister(&fd)
        };
        match done {
            Ok(()) => self.is_registered = Some(is_wanted),
            Err(_) => (self.is_registered, self.is_blocked) = (None, true),
        }
        done
    }

    /// Lets the notifier be asked again.
    pub(super) fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Records that the descriptor was replaced under its number, which some notifiers notice.
    pub(super) fn replaced(&mut self) {
        if !mutant!(ReplacedKept) {
            (self.is_registered, self.is_blocked) = (None, false);
        }
    }

    /// Returns whether the notifier has refused the descriptor.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }
}

/// Both descriptors, and the keys of their events.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) keys: Option<[Key; 2]>,
    pub(super) trigger: Source,
    pub(super) watch: Source,
    /// The queue does not wait for the watch until its last reads are paid: they brought no entry.
    pub(super) watch_rests: bool,
    /// Pulls said something that the watch does not say, at the last turn.
    pub(super) needs_trigger: bool,
    /// When a descriptor that the notifier has refused was looked at.
    looked_at: Option<Instant>,
}

impl Sources {
    /// Forgets the time of the last look: the clock jumped back.
    pub(super) fn on_jump(&mut self) {
        self.looked_at = None;
    }

    /// Returns whether the descriptors were not looked at for so long. If so, they are looked at now.
    pub(super) fn is_look_due(&mut self, interval: Duration, now: Instant) -> bool {
        let looked_at = *self.looked_at.get_or_insert(now);
        let is_due = now.saturating_duration_since(looked_at) >= interval;
        if is_due {
            self.looked_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_once_an_interval_from_the_first_question_on() {
        const INTERVAL: Duration = Duration::from_secs(6);
        let (mut sources, now) = (Sources::default(), Instant::now() + 100 * INTERVAL);
        assert!(!sources.is_look_due(INTERVAL, now));
        assert!(!sources.is_look_due(INTERVAL, now + INTERVAL / 2));
        assert!(sources.is_look_due(INTERVAL, now + INTERVAL));
        assert!(!sources.is_look_due(INTERVAL, now + INTERVAL));
        let back = now - 10 * INTERVAL;
        sources.on_jump();
        assert!(!sources.is_look_due(INTERVAL, back));
        assert!(sources.is_look_due(INTERVAL, back + INTERVAL));
    }
}
