//! A queue with a loop of its own: blocking, or inside another loop with one descriptor.

mod alarm;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use pullcord_platform::clock;

use crate::queue::{Entry, OwnedEntry, Queue, Warning};
use crate::{Backend, Events, Key, Notifier, Result, Waker};
use alarm::Alarm;

const TRIGGER: Key = Key(0);
const WATCH: Key = Key(1);

/// The trigger, the watch, the two sources of the alarm, and the waker. One event that finds no room would
/// bring no edge later.
const SOURCES: usize = 5;

/// How long [`Receiver::try_recv`] leaves a notifier alone that cannot wait.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// On kqueue(2), the most turns of 64 entries before [`Receiver::try_recv`] returns `None`.
const MAX_TURNS: usize = 4;

/// A [`Queue`] and the notifier that it waits on.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let todo = directory.path();
/// # std::fs::write(todo.join("4711"), "a message")?;
/// use pullcord::QueueOptions;
///
/// let mut mail = QueueOptions::directories([todo]).receiver()?;
/// while let Some(entry) = mail.recv()? {
///     println!("deliver {}", entry.path().display());
///     std::fs::remove_file(entry.path())?;
/// #   break;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # In another event loop
///
/// The descriptor of a receiver ([`AsFd`](std::os::fd::AsFd)) is enough: it becomes readable for an
/// entry, for a deadline, for a warning, for a requeued entry whose time has come, and for the
/// [`Waker`]. Register it once, level- or edge-triggered; its number stays the same while the receiver
/// lives. When it is readable, call [`try_recv`](Receiver::try_recv) until it returns `None`. The loop
/// needs no timeout for it.
///
/// The descriptor is that of an epoll or a kqueue instance. It does not exist on systems that have
/// select(2) only; use [`Queue::prepare_fds`] there.
///
/// # After a fork
///
/// A child process must not use a receiver that it has inherited. Dropping it there leaves the
/// parent's alone.
pub struct Receiver {
    queue: Queue,
    notifier: Box<dyn Notifier>,
    events: Events,
    /// Makes the descriptor readable; none where there is no descriptor.
    alarm: Option<Alarm>,
    /// The descriptor has no new edge before the notifier was asked and had nothing: kqueue(2).
    must_be_empty: bool,
    turn: Turn,
}

/// The state of the turn that `recv` and `try_recv` share.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    is_active: bool,
    /// How many turns `try_recv` has made since it returned `None`.
    count: usize,
    /// The waker was used, and no call has returned for it.
    is_woken: bool,
    /// There is a new warning, and `recv_timeout` has not ended for it.
    is_warned: bool,
}

/// The ends of a wait without an entry, besides the waker.
#[derive(Clone, Copy, Debug)]
struct Until {
    deadline: Option<Instant>,
    /// A new warning.
    warning: bool,
}

impl Receiver {
    /// Returns a receiver on the best notifier of this system.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE`, `ENFILE` or `ENOMEM`: it uses four descriptors besides those of the
    /// queue.
    pub fn new(queue: Queue) -> io::Result<Receiver> {
        Receiver::with_backend(queue, Backend::best())
    }

    /// Returns a receiver on this notifier.
    ///
    /// # Errors
    ///
    /// Fails with `Unsupported` for a backend that does not exist on this system, and for select(2)
    /// where there is another one, since it has no descriptor. Otherwise as [`new`](Receiver::new).
    pub fn with_backend(queue: Queue, backend: Backend) -> io::Result<Receiver> {
        if !backend.has_pollable_fd() && Backend::best().has_pollable_fd() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{backend} has no descriptor for a receiver: use {}", Backend::best()),
            ));
        }
        let must_be_empty = backend == Backend::Kqueue;
        Receiver::with_notifier(queue, backend.open()?, must_be_empty)
    }

    pub(crate) fn with_notifier(
        queue: Queue,
        mut notifier: Box<dyn Notifier>,
        must_be_empty: bool,
    ) -> io::Result<Receiver> {
        let alarm = Alarm::open(&mut *notifier)?;
        let mut receiver = Receiver {
            queue,
            notifier,
            events: Events::with_capacity(SOURCES),
            alarm,
            must_be_empty,
            turn: Turn::default(),
        };
        receiver.queue.register(&mut *receiver.notifier, [TRIGGER, WATCH]);
        // The first turn sets the timer.
        receiver.wake_self();
        Ok(receiver)
    }

    /// Waits for the next entry, and returns it. Returns `None` only after the [`Waker`] was used. A
    /// signal does not end the wait, and neither does a warning: a program that reports warnings while
    /// no mail comes calls [`recv_timeout`](Receiver::recv_timeout). Blocks.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Notifier::wait`], if it cannot wait at all. No entry is lost then.
    pub fn recv(&mut self) -> io::Result<Option<Entry<'_>>> {
        self.recv_until(Until { deadline: None, warning: false })
    }

    /// Waits for the next entry, but not longer than `timeout`. Returns `None` after the timeout, after
    /// the [`Waker`] was used, and once for each new warning, which
    /// [`next_warning`](Receiver::next_warning) then returns. `Duration::MAX` means without a timeout.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let mut mail = pullcord::QueueOptions::qmail("/var/qmail/queue")?.receiver()?;
    /// loop {
    ///     if let Some(entry) = mail.recv_timeout(Duration::MAX)? {
    ///         println!("deliver {}", entry.path().display());
    ///     }
    ///     while let Some(warning) = mail.next_warning() {
    ///         eprintln!("{warning}");
    ///     }
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> io::Result<Option<Entry<'_>>> {
        self.recv_until(Until { deadline: clock::now().checked_add(timeout), warning: true })
    }

    fn recv_until(&mut self, until: Until) -> io::Result<Option<Entry<'_>>> {
        let Until { deadline, warning } = until;
        let mut has_waited = false;
        loop {
            let now = clock::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if self.turn.is_active {
                if let Some(found) = self.queue.next_found(now) {
                    return Ok(Some(self.queue.entry(found)));
                }
                let Turn { is_woken, mut is_warned, .. } = std::mem::take(&mut self.turn);
                is_warned |= self.queue.take_warning_news();
                let is_over = has_waited && left == Some(Duration::ZERO);
                self.turn.is_warned = is_warned && !warning;
                if is_woken || is_warned && warning || is_over {
                    self.end_turn();
                    return Ok(None);
                }
            }
            let timeout = self.queue.prepare(&mut *self.notifier, now);
            self.wait([timeout, left].into_iter().flatten().min())?;
            has_waited = true;
        }
    }

    /// Returns the next entry that is ready. Never waits.
    ///
    /// `None` means that no entry is ready, or that 64 entries were returned and other parts of the program
    /// should have their turn (on kqueue(2), 256 while more keep coming). In either case the descriptor
    /// becomes readable, with a new edge, as soon as there is something to return. A loop must therefore call
    /// this function until it returns `None` before it waits again.
    ///
    /// If the notifier fails, [`next_warning`](Receiver::next_warning) reports it once, and the
    /// descriptor becomes readable again after 100 ms.
    pub fn try_recv(&mut self) -> Option<Entry<'_>> {
        loop {
            if !self.turn.is_active {
                self.turn.count += 1;
                if let Err(error) = self.wait(Some(Duration::ZERO)) {
                    self.queue.wait_failed(error);
                    self.be_readable_after(clock::now(), RETRY_DELAY);
                    return None;
                }
            }
            let now = clock::now();
            if let Some(found) = self.queue.next_found(now) {
                return Some(self.queue.entry(found));
            }
            let count = self.turn.count;
            self.turn = Turn::default();
            self.end_turn();
            if !self.must_be_empty || self.events.is_empty() {
                return None;
            }
            if count >= MAX_TURNS && self.renew_registration() {
                return None;
            }
            self.turn.count = count;
        }
    }

    /// Makes the descriptor of a kqueue readable with a new edge although there are events left. Returns
    /// false if that cannot be done.
    fn renew_registration(&mut self) -> bool {
        let is_empty = self.queue.deregister(&mut *self.notifier).is_ok()
            && self.wait(Some(Duration::ZERO)).is_ok()
            && (self.events.is_empty()
                || self.wait(Some(Duration::ZERO)).is_ok() && self.events.is_empty());
        self.queue.register(&mut *self.notifier, [TRIGGER, WATCH]);
        self.turn = Turn::default();
        if is_empty {
            self.wake_self();
        }
        is_empty
    }

    /// Returns whether a turn has begun and [`try_recv`](Receiver::try_recv) has not returned `None`: its
    /// next call does not ask the notifier first.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_in_turn(&self) -> bool {
        self.turn.is_active
    }

    /// Waits for events, and passes them on.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.notifier.wait(&mut self.events, timeout)?;
        self.queue.wait_succeeded();
        self.turn.is_active = true;
        self.turn.is_woken |= self.events.woken();
        for event in &self.events {
            if !self.alarm.as_mut().is_some_and(|alarm| alarm.take(event.key)) {
                let _ = self.queue.handle_event(event);
            }
        }
        Ok(())
    }

    /// Ends a turn: the descriptor becomes readable when there is more to do.
    fn end_turn(&mut self) {
        let now = clock::now();
        let timeout = self.queue.prepare(&mut *self.notifier, now);
        let has_news = self.queue.take_warning_news();
        self.turn.is_warned |= has_news;
        if let Some(timeout) = if has_news { Some(Duration::ZERO) } else { timeout } {
            self.be_readable_after(now, timeout);
        }
    }

    /// Makes the descriptor readable, with a new edge, once the timeout is over at the latest.
    fn be_readable_after(&mut self, now: Instant, timeout: Duration) {
        let Some(alarm) = &mut self.alarm else { return };
        if let Err(error) = alarm.ring_after(&mut *self.notifier, now, timeout) {
            self.queue.wait_failed(error);
        }
    }

    /// Makes the descriptor readable, with a new edge.
    fn wake_self(&mut self) {
        self.be_readable_after(clock::now(), Duration::ZERO);
    }

    /// Returns an entry again once `not_before` has come: see [`Queue::requeue`]. Wakes a loop that
    /// waits for the descriptor, if that is needed.
    ///
    /// # Errors
    ///
    /// As [`Queue::requeue`].
    pub fn requeue(&mut self, entry: &OwnedEntry, not_before: Instant) -> Result<()> {
        self.queue.requeue(entry, not_before)?;
        let now = clock::now();
        self.be_readable_after(now, not_before.saturating_duration_since(now));
        Ok(())
    }

    /// Returns the next warning, or `None`. Makes no system call.
    pub fn next_warning(&mut self) -> Option<Warning> {
        self.queue.next_warning()
    }

    /// Returns a handle that ends a wait from another thread: [`recv`](Receiver::recv) then returns
    /// `None`, and the descriptor becomes readable.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Notifier::waker`].
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.notifier.waker()
    }

    /// Returns the queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Returns the queue. Makes the descriptor readable, since the caller may change a deadline.
    pub fn queue_mut(&mut self) -> &mut Queue {
        self.wake_self();
        &mut self.queue
    }

    /// Returns the descriptor that another loop waits for: the same as `as_fd`, for programs that are
    /// compiled for all systems. Returns `None` on systems with neither epoll nor kqueue.
    pub fn pollable_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.notifier.pollable_fd()
    }

    /// Closes the receiver, for a program that ends when it has nothing to do, and that its supervisor
    /// starts again on a pull. [`Queue::close`] describes the result.
    ///
    /// # Errors
    ///
    /// As [`Queue::close`].
    pub fn close(self) -> Result<bool> {
        self.queue.close()
    }

    /// Returns the queue, and closes the notifier.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Queue::deregister`].
    pub fn into_queue(mut self) -> Result<Queue> {
        self.queue.deregister(&mut *self.notifier)?;
        Ok(self.queue)
    }
}

pullcord_platform::if_pollable! {
    /// The descriptor that another loop waits for: see [`Receiver`].
    impl std::os::fd::AsFd for Receiver {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            match self.pollable_fd() {
                Some(fd) => fd,
                None => unreachable!("with_backend refuses a notifier without a descriptor"),
            }
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use super::*;
    use crate::notifier::tests::{Call, Failing};
    use crate::{Interest, Mode, QueueOptions, Trigger, WatchMode, pull};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// As on kqueue(2), where the notifier must be asked until it has nothing.
    #[test]
    fn mail_that_never_stops_ends_a_turn_of_256_entries_and_is_all_returned() {
        const ENTRIES: usize = 2_000;
        if !Backend::best().has_pollable_fd() {
            return;
        }
        let todo = tempfile::tempdir().unwrap();
        let queue = QueueOptions::directories([todo.path()]).open().unwrap();
        let inner = Backend::best().open().unwrap();
        let mut mail = Receiver::with_notifier(queue, inner, true).unwrap();
        let mut outer = Backend::best().open().unwrap();
        let fd = mail.pollable_fd().unwrap();
        outer.register(&fd, Key(1), Interest::Read, Mode::Edge).unwrap();
        let mut events = Events::with_capacity(1);
        let add = |number: usize| fs::write(todo.path().join(number.to_string()), "").unwrap();

        let (mut seen, mut added, mut longest) = (HashSet::new(), 200, 0);
        (0..added).for_each(add);
        let deadline = Instant::now() + PATIENCE;
        while seen.len() < ENTRIES {
            assert!(Instant::now() < deadline, "only {} arrive", seen.len());
            outer.wait(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "only {} arrive: no new edge", seen.len());
            let mut turn = 0;
            while let Some(path) = mail.try_recv().map(|entry| entry.path()) {
                // For each entry that is returned, another one comes.
                let _ = fs::remove_file(&path);
                if seen.insert(path) && added < ENTRIES {
                    add(added);
                    added += 1;
                }
                turn += 1;
                assert!(turn <= MAX_TURNS * 64, "a turn without an end");
            }
            longest = longest.max(turn);
        }
        if mail.queue().is_fully_watched() {
            assert_eq!(longest, MAX_TURNS * 64, "some turns are as long as they may be");
        }
    }

    #[test]
    fn a_turn_that_ends_with_entries_left_is_followed_by_an_edge_and_needs_no_timer() {
        let mut outer = Backend::best().open().unwrap();
        let todo = tempfile::tempdir().unwrap();
        (0..200).for_each(|n| fs::write(todo.path().join(n.to_string()), "").unwrap());
        let mut mail = QueueOptions::directories([todo.path()]).receiver().unwrap();
        let Some(fd) = mail.pollable_fd() else { return };
        outer.register(&fd, Key(1), Interest::Read, Mode::Edge).unwrap();
        let (mut events, mut seen) = (Events::with_capacity(1), 0);
        while seen < 200 {
            outer.wait(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "only {seen} entries, and no new edge");
            while mail.try_recv().is_some() {
                seen += 1;
            }
            let soon = clock::now() + Duration::from_secs(1);
            if seen < 200 {
                let timer = mail.alarm.as_ref().and_then(Alarm::set_for);
                assert!(timer.is_none_or(|at| at > soon), "{timer:?}");
            }
        }
    }

    /// Receives until the queue has read its directories and has nothing to do.
    fn settle(mail: &mut Receiver) {
        let deadline = Instant::now() + PATIENCE;
        while mail.recv_timeout(Duration::ZERO).unwrap().is_some()
            || mail.queue().is_scanning()
            || mail.queue().stats().scans == 0
        {
            assert!(Instant::now() < deadline, "{:?}", mail.queue().stats());
        }
    }

    /// As on a system that has select(2) only.
    #[test]
    fn a_receiver_on_a_notifier_without_a_descriptor_is_woken() {
        for watch in [WatchMode::Auto, WatchMode::Off] {
            let root = tempfile::tempdir().unwrap();
            let fifo = root.path().join("trigger");
            Trigger::create(&fifo, 0o622).unwrap();
            let options = QueueOptions::directories([root.path()]).trigger(&fifo).watch(watch);
            let notifier = Backend::Select.open().unwrap();
            let queue = options.open().unwrap();
            let mut mail = Receiver::with_notifier(queue, notifier, false).unwrap();
            assert!(mail.pollable_fd().is_none());
            settle(&mut mail);
            fs::write(root.path().join("1"), "").unwrap();
            pull(&fifo).unwrap();
            let entry = mail.recv_timeout(PATIENCE).unwrap().map(|entry| entry.name.to_owned());
            assert_eq!(entry.as_deref(), Some("1".as_ref()), "watch {watch}");
        }
    }

    #[test]
    fn a_timeout_of_zero_in_the_middle_of_a_turn_asks_the_notifier_once() {
        let todo = tempfile::tempdir().unwrap();
        let mut mail = QueueOptions::directories([todo.path()]).receiver().unwrap();
        settle(&mut mail);
        if !mail.queue().is_fully_watched() {
            return;
        }
        fs::write(todo.path().join("1"), "").unwrap();
        assert_eq!(mail.recv().unwrap().unwrap().name, "1");
        fs::write(todo.path().join("2"), "").unwrap();
        let entry = mail.recv_timeout(Duration::ZERO).unwrap();
        assert_eq!(entry.map(|entry| entry.name.to_owned()), Some("2".into()));
    }

    #[test]
    fn a_warning_of_a_turn_of_try_recv_ends_the_next_wait() {
        let root = tempfile::tempdir().unwrap();
        let options = QueueOptions::directories([root.path().join("missing")]).must_exist(false);
        let mut mail = options.receiver().unwrap();
        let begun = Instant::now();
        while mail.try_recv().is_some() || mail.queue().stats().warnings == 0 {
            assert!(begun.elapsed() < PATIENCE, "no warning");
        }
        let begun = Instant::now();
        assert!(mail.recv_timeout(PATIENCE).unwrap().is_none());
        assert!(begun.elapsed() < PATIENCE, "the warning does not end the wait");
        assert!(mail.next_warning().is_some());
    }

    #[test]
    fn after_a_wait_without_an_entry_the_descriptor_is_readable_at_the_next_deadline() {
        let todo = tempfile::tempdir().unwrap();
        let options = QueueOptions::directories([todo.path()]).watch(WatchMode::Off);
        let options = options.verify_interval(None).rescan_interval(None);
        let mut mail = options.poll_interval(Duration::from_millis(50)).receiver().unwrap();
        settle(&mut mail);
        let Some(fd) = mail.pollable_fd() else { return };
        let mut outer = Backend::best().open().unwrap();
        outer.register(&fd, Key(1), Interest::Read, Mode::Level).unwrap();
        let mut events = Events::with_capacity(1);
        outer.wait(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "the poll does not wake the loop");
    }

    /// On kqueue(2) there is a new edge only after the notifier had nothing to report.
    #[test]
    fn a_registration_is_renewed_only_if_nothing_else_is_reported() {
        let todo = tempfile::tempdir().unwrap();
        let refuses = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_refused = refuses.clone();
        let fails = move |call| {
            call == Call::Deregister && is_refused.load(std::sync::atomic::Ordering::Relaxed)
        };
        let inner = Backend::best().open().unwrap();
        if inner.pollable_fd().is_none() {
            return;
        }
        let queue = QueueOptions::directories([todo.path()]).open().unwrap();
        let notifier = Box::new(Failing { inner, fails });
        let mut mail = Receiver::with_notifier(queue, notifier, true).unwrap();
        settle(&mut mail);
        fs::write(todo.path().join("1"), "").unwrap();
        assert!(mail.renew_registration(), "its events are kept for the next turn");
        if mail.queue().is_fully_watched() {
            refuses.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(!mail.renew_registration(), "the watch stays registered");
            refuses.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        let ready = pullcord_platform::always_writable::AlwaysWritable::new().unwrap();
        mail.notifier.register(&ready, Key(9), Interest::Write, Mode::Level).unwrap();
        assert!(!mail.renew_registration(), "it is reported each time");
        mail.notifier.deregister(&ready).unwrap();
        assert!(mail.renew_registration());
        assert_eq!(mail.recv().unwrap().unwrap().name, "1");
    }
}
