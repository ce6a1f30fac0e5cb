//! How a loop waits for a queue: its descriptors, its events and its timeout.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::core::retry::Thing;
use super::core::warnings::Problem;
use super::{Queue, WarningKind};
use crate::error::Result;
use crate::{Event, Key, Notifier};

/// The descriptors that a loop without a [`Notifier`] must wait for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WaitFds<'a> {
    /// The trigger, to be waited for until it is readable; `None` while it need not be waited for.
    pub trigger: Option<BorrowedFd<'a>>,
    /// The watch, to be waited for until it is readable; `None` while there is none, and while it
    /// need not be waited for.
    pub watch: Option<BorrowedFd<'a>>,
    /// How long to wait at most; `None` means without a timeout.
    pub timeout: Option<Duration>,
}

impl Queue {
    /// Registers the queue with a notifier: the trigger under the first key, the watch under the
    /// second. Pass the events of these keys to [`handle_event`](Queue::handle_event).
    ///
    /// If the notifier refuses a descriptor, [`next_warning`](Queue::next_warning) reports it, the
    /// queue tries again, and meanwhile it looks at the descriptor itself, at least once a second.
    pub fn register(&mut self, notifier: &mut dyn Notifier, keys: [Key; 2]) {
        self.sources.keys = Some(keys);
        self.sources.trigger.replaced();
        self.sources.watch.replaced();
        self.update_registration(notifier, super::clock::now());
    }

    /// Removes the queue from a notifier. Call it before the queue is dropped if the notifier lives
    /// on.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Notifier::deregister`]; then it may be called again.
    pub fn deregister(&mut self, notifier: &mut dyn Notifier) -> Result<()> {
        let trigger = self.trigger.fd().map_or(Ok(()), |fd| notifier.deregister(&fd));
        trigger.map_err(|e| self.trigger.error("stop waiting for the trigger", e))?;
        let watch = self.watches.watcher().map_or(Ok(()), |watch| notifier.deregister(watch));
        watch.map_err(|e| {
            crate::Error::new(self.options.first_path(), "stop waiting for the directory watch", e)
        })?;
        self.sources.keys = None;
        Ok(())
    }

    /// Begins a turn, and returns how long to wait at most; `None` means without a timeout. Call it
    /// before each wait, with the notifier that the queue is [registered](Queue::register) with.
    ///
    /// It changes the registration where that is needed, which is not the case for pulls after a
    /// quiet time, nor for entries that a reliable watch reports.
    #[must_use = "the loop must not wait longer than this"]
    pub fn prepare(&mut self, notifier: &mut dyn Notifier, now: Instant) -> Option<Duration> {
        self.work.end_turn();
        self.notice_time(now);
        self.update_registration(notifier, now);
        self.timeout(now)
    }

    /// Begins a turn, for a loop that is no [`Notifier`]: returns the descriptors to wait for, and how
    /// long. Call [`set_trigger_readable`](Queue::set_trigger_readable) and
    /// [`set_watch_readable`](Queue::set_watch_readable) once they are readable.
    ///
    /// A descriptor that is replaced keeps its number. A loop that keeps registrations in the kernel
    /// must therefore register the descriptors anew before each wait.
    pub fn prepare_fds(&mut self, now: Instant) -> WaitFds<'_> {
        self.work.end_turn();
        self.notice_time(now);
        let (is_trigger_wanted, is_watch_wanted) = self.wanted();
        let timeout = self.timeout(now);
        WaitFds {
            trigger: self.trigger.fd().filter(|_| is_trigger_wanted),
            watch: self.watches.watcher().map(std::os::fd::AsFd::as_fd).filter(|_| is_watch_wanted),
            timeout,
        }
    }

    /// Takes an event of the notifier. Returns false if its key is none of the queue's. Makes no
    /// system call.
    #[must_use = "another part of the program must handle an event with another key"]
    #[inline]
    pub fn handle_event(&mut self, event: &Event) -> bool {
        let Some([trigger, watch]) = self.sources.keys else { return false };
        let is_trigger = event.key == trigger;
        if is_trigger {
            self.set_trigger_readable();
        }
        let is_watch = event.key == watch;
        if is_watch {
            self.set_watch_readable();
        }
        is_trigger || is_watch
    }

    /// Records that the trigger is readable. Makes no system call. Has no effect if the trigger need
    /// not be waited for.
    #[inline(never)]
    pub fn set_trigger_readable(&mut self) {
        self.work.stats.wakeups += 1;
        self.sources.trigger.readable |= self.has_trigger() && self.needs_trigger();
    }

    /// Records that the watch is readable. Makes no system call.
    #[inline]
    pub fn set_watch_readable(&mut self) {
        self.work.stats.wakeups += 1;
        self.sources.watch.readable |= self.watches.watcher().is_some();
    }

    /// Returns whether pulls say anything that the watch does not say.
    #[inline]
    pub(super) fn needs_trigger(&self) -> bool {
        self.options.verify_interval.is_none()
            || !self.watches.all_reliable() && !mutant!(PullsNotAwaited)
            || self.schedule.has_unfinished() && !mutant!(UnfinishedNotAwaited)
    }

    /// Returns whether the queue waits for the trigger and for the watch.
    #[inline]
    fn wanted(&self) -> (bool, bool) {
        let trigger = self.trigger.is_wanted()
            && !self.sources.trigger.readable
            && self.needs_trigger()
            && !self.retry.is_failing(Thing::Trigger);
        let watch = !self.sources.watch_rests && !self.retry.is_failing(Thing::Watcher);
        (trigger, watch)
    }

    #[inline]
    fn update_registration(&mut self, notifier: &mut dyn Notifier, now: Instant) {
        if self.retry.is_any_failing() || !self.is_registration_settled() {
            self.change_registration(notifier, now);
        }
    }

    #[inline]
    fn is_registration_settled(&self) -> bool {
        let (is_trigger_wanted, is_watch_wanted) = self.wanted();
        self.sources.trigger.is_settled(is_trigger_wanted)
            && self.sources.watch.is_settled(is_watch_wanted)
    }

    #[inline(never)]
    fn change_registration(&mut self, notifier: &mut dyn Notifier, now: Instant) {
        let Some([trigger_key, watch_key]) = self.sources.keys else { return };
        let (is_trigger_wanted, is_watch_wanted) = self.wanted();
        let fd = self.trigger.fd();
        let trigger = self.sources.trigger.update(notifier, fd, trigger_key, is_trigger_wanted);
        if let Err(e) = trigger {
            let error = self.trigger.error("wait for the trigger", e);
            self.registration_failed(error, now);
        }
        let fd = self.watches.watcher().map(std::os::fd::AsFd::as_fd);
        let watch = self.sources.watch.update(notifier, fd, watch_key, is_watch_wanted);
        if let Err(e) = watch {
            let error =
                crate::Error::new(self.options.first_path(), "wait for the directory watch", e);
            self.registration_failed(error, now);
        }
        let is_blocked = self.sources.trigger.is_blocked() || self.sources.watch.is_blocked();
        if !is_blocked && self.retry.succeeded(Thing::Registration) {
            self.warnings.mended(Problem::Registration);
        }
    }

    #[cold]
    fn registration_failed(&mut self, error: crate::Error, now: Instant) {
        self.warn(Problem::Registration, WarningKind::Registration, error);
        if !mutant!(RegistrationForgotten) {
            self.retry.failed(Thing::Registration, now);
        }
    }

    /// Returns how long to wait at most: zero if there is work to do now.
    #[inline(always)]
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let verified_at = self.verification.next_at().filter(|_| !mutant!(VerificationNotAwaited));
        let due = earlier(self.schedule.next_at(now), verified_at);
        let due = if self.is_more_awaited() { self.earliest(due, now) } else { due };
        Some(due?.saturating_duration_since(now))
    }

    /// Returns whether anything is due at some time besides the rescan, a scan and the verification.
    fn is_more_awaited(&self) -> bool {
        self.is_paced() || self.retry.is_any_failing() || !self.appointments.is_empty()
    }

    /// Returns whether a descriptor is not waited for until the pace permits another round. A scan that is
    /// blocked goes on at the time of an appointment, and pulls are taken after it.
    #[inline]
    fn is_paced(&self) -> bool {
        self.sources.watch_rests || self.sources.trigger.readable && !self.is_scan_blocked()
    }

    #[inline(never)]
    fn earliest(&self, due: Option<Instant>, now: Instant) -> Option<Instant> {
        let paced_at = self.is_paced().then(|| self.schedule.round_allowed_at().unwrap_or(now));
        let retried_at = self.retry.next_at().filter(|_| !mutant!(RetryNotAwaited));
        let returned_at = self.appointments.next_at().filter(|_| !mutant!(AppointmentNotAwaited));
        [paced_at, retried_at, returned_at].into_iter().fold(due, earlier)
    }

    /// Returns whether work is ready now.
    #[inline]
    fn has_work(&self) -> bool {
        self.schedule.is_round_active() && !self.is_scan_blocked() && !mutant!(RoundNotAwaited)
            || self.arrivals.has_buffered()
            || self.watches.has_buffered_events() && !mutant!(EventsNotAwaited)
            || self.sources.watch.readable && !self.sources.watch_rests
            || self.verification.is_pending() && !mutant!(PassNotAwaited)
    }
}

/// Returns the earlier of two times; `None` means never.
#[inline]
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    // A match costs each arrival six instructions.
    if other.is_some() && (one.is_none() || other < one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::notifier::tests::{Call, Failing};
    use crate::queue::tests::Host;
    use crate::{Backend, Events, QueueOptions, WatchMode, pull};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_refused_registration_is_reported_again_after_it_has_succeeded() {
        let host = Host::new();
        let mut queue = host.open(WatchMode::Off);
        let Host { ref fifo, mut now, .. } = host;
        let (refuses, refused) = (AtomicBool::new(true), AtomicUsize::new(0));
        let fails = |call| {
            let fails = call != Call::Wait && refuses.load(Ordering::Relaxed);
            refused.fetch_add(usize::from(fails), Ordering::Relaxed);
            fails
        };
        let mut notifier = Failing { inner: Backend::best().open().unwrap(), fails };
        queue.register(&mut notifier, [Key(1), Key(2)]);
        let mut turns = |queue: &mut Queue, notifier: &mut dyn Notifier| {
            for _ in 0..5 {
                now += SECOND;
                let _ = queue.prepare(notifier, now);
                while queue.next_entry(now).is_some() {}
                let _ = queue.prepare(notifier, now);
            }
            let warnings = std::iter::from_fn(|| queue.next_warning());
            warnings.map(|warning| (warning.kind(), warning.path().to_owned())).collect::<Vec<_>>()
        };
        let reported = [(WarningKind::Registration, fifo.clone())];
        assert_eq!(turns(&mut queue, &mut notifier), reported);
        assert_eq!(turns(&mut queue, &mut notifier), [], "it was reported");
        assert!(refused.load(Ordering::Relaxed) <= 11, "{refused:?} calls in 10 s");
        refuses.store(false, Ordering::Relaxed);
        assert_eq!(turns(&mut queue, &mut notifier), []);

        let mut events = Events::with_capacity(2);
        pull(fifo).unwrap();
        notifier.wait(&mut events, Some(20 * SECOND)).unwrap();
        assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [Key(1)]);

        refuses.store(true, Ordering::Relaxed);
        queue.register(&mut notifier, [Key(1), Key(2)]);
        assert_eq!(turns(&mut queue, &mut notifier), reported);
        let error = queue.deregister(&mut notifier).unwrap_err();
        assert_eq!((error.kind(), error.path()), (io::ErrorKind::OutOfMemory, &**fifo));
        refuses.store(false, Ordering::Relaxed);
        queue.deregister(&mut notifier).unwrap();
        notifier.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "it is removed");
    }

    #[test]
    fn a_readable_watch_is_work_unless_its_last_reads_are_not_paid() {
        let root = tempfile::tempdir().unwrap();
        let mut queue = QueueOptions::directories([root.path()]).open().unwrap();
        let now = Instant::now();
        while queue.prepare_fds(now).timeout == Some(Duration::ZERO) {
            assert!(queue.next_entry(now).is_none());
        }
        if !queue.is_fully_watched() {
            return;
        }
        queue.set_watch_readable();
        assert_eq!(queue.stats().wakeups, 1);
        assert_eq!(queue.prepare_fds(now).timeout, Some(Duration::ZERO));
        while queue.prepare_fds(now).watch.is_some() {
            let hidden = root.path().join(".hidden");
            fs::write(&hidden, "").unwrap();
            fs::remove_file(hidden).unwrap();
            queue.set_watch_readable();
            assert!(queue.next_entry(now).is_none());
        }
        queue.set_watch_readable();
        let timeout = queue.prepare_fds(now).timeout;
        assert!(timeout.is_some_and(|it| !it.is_zero() && it < SECOND), "{timeout:?}");
    }

    #[test]
    fn a_queue_that_was_removed_from_a_notifier_takes_no_event_and_registers_nothing() {
        let host = Host::new();
        let mut queue = host.open(WatchMode::Auto);
        let (has_watch, now) = (queue.watches.watcher().is_some(), host.now);
        assert!(!queue.handle_event(&Event::new(Key(1))), "it is not registered yet");
        let (calls, refuses) = (AtomicUsize::new(0), AtomicBool::new(false));
        // The watch is the second one of both to be removed.
        let fails =
            |_| calls.fetch_add(1, Ordering::Relaxed) == 1 && refuses.load(Ordering::Relaxed);
        let mut notifier = Failing { inner: Backend::best().open().unwrap(), fails };
        queue.register(&mut notifier, [Key(1), Key(2)]);
        let _ = queue.prepare(&mut notifier, now);
        assert!(queue.handle_event(&Event::new(Key(1))) && queue.handle_event(&Event::new(Key(2))));
        assert!(!queue.handle_event(&Event::new(Key(3))));
        if has_watch {
            calls.store(0, Ordering::Relaxed);
            refuses.store(true, Ordering::Relaxed);
            let error = queue.deregister(&mut notifier).unwrap_err();
            assert_eq!((error.kind(), error.path()), (io::ErrorKind::OutOfMemory, &*host.todo));
            refuses.store(false, Ordering::Relaxed);
        }
        queue.deregister(&mut notifier).unwrap();
        assert!(!queue.handle_event(&Event::new(Key(1))), "it is not registered any more");
        calls.store(0, Ordering::Relaxed);
        let _ = queue.prepare(&mut notifier, now + SECOND);
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn after_a_jump_of_the_time_no_wait_is_longer_than_an_interval() {
        let host = Host::new();
        let mut queue = host.open(WatchMode::Off);
        let mut notifier = Backend::best().open().unwrap();
        queue.register(&mut *notifier, [Key(1), Key(2)]);
        let hour = 3600 * SECOND;
        let work = |queue: &mut Queue, now| {
            while queue.prepare_fds(now).timeout == Some(Duration::ZERO) {
                assert!(queue.next_entry(now).is_none());
            }
        };
        let is_soon = |timeout: Option<Duration>| timeout.is_some_and(|it| it <= 10 * SECOND);
        let now = host.now + 2 * hour;
        work(&mut queue, now);
        assert!(is_soon(queue.prepare(&mut *notifier, now - hour)));
        work(&mut queue, now - hour);
        assert!(is_soon(queue.prepare_fds(now - 2 * hour).timeout));
    }
}
