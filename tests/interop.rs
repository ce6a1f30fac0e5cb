//! One descriptor in other event loops: every entry and warning of a queue makes it readable, and no loop
//! needs the queue's deadline.

#![cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_vendor = "apple",
))]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{
    Origin, OtherReaders, OwnedEntry, QueueOptions, Receiver, Trigger, WatchMode, pull,
};

/// How long a test waits for an event that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// The number of queued entries at the start. They need many turns.
const WAITING: usize = 1000;

/// An event loop that waits for one descriptor, and has a timer.
trait Loop {
    fn new(fd: OwnedFd) -> Self;
    /// Waits until the descriptor is readable, without a deadline of the queue. Returns false after
    /// `timeout`, which is a timer of the loop. Panics if the loop reports another descriptor.
    fn wait(&mut self, timeout: Duration) -> bool;
    /// Called after each turn, which has ended with `None`.
    fn end_turn(&mut self) {}
    /// Registers another receiver, which is readable, with another key. Then removes and drops it.
    fn come_and_go(&mut self, other: Receiver);
}

/// A queue in a directory of its own.
struct Fixture {
    root: tempfile::TempDir,
    drafts: usize,
}

impl Fixture {
    fn new() -> Fixture {
        let parent = std::env::var_os("PULLCORD_TEST_DIR").map(PathBuf::from);
        let root = tempfile::tempdir_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap();
        for directory in ["lock", "mess", "todo"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        let fixture = Fixture { root, drafts: 0 };
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        fixture
    }

    fn trigger(&self) -> PathBuf {
        self.root.path().join("lock/trigger")
    }

    /// Without an interval whose end would wake a loop that has missed something.
    fn options(&self) -> QueueOptions {
        let options = QueueOptions::qmail(self.root.path()).unwrap();
        options.verify_interval(Duration::from_secs(3600)).rescan_interval(None)
    }

    fn entry(&self, name: &str) -> PathBuf {
        self.root.path().join("todo").join(name)
    }

    /// Writes an entry under another name, and links it.
    fn link(&mut self, name: &str) -> PathBuf {
        self.drafts += 1;
        let draft = self.root.path().join("mess").join(self.drafts.to_string());
        fs::write(&draft, "a message").unwrap();
        fs::hard_link(&draft, self.entry(name)).unwrap();
        fs::remove_file(draft).unwrap();
        self.entry(name)
    }
}

fn duplicate(mail: &Receiver) -> OwnedFd {
    mail.as_fd().try_clone_to_owned().unwrap()
}

/// Makes one turn: returns the entries until `None`.
fn turn(mail: &mut Receiver) -> Vec<OwnedEntry> {
    std::iter::from_fn(|| mail.try_recv().map(|entry| entry.into_owned())).collect()
}

/// Waits and makes one turn for each wake-up, until `is_done` returns true.
fn run<L: Loop>(
    waits: &mut L,
    mail: &mut Receiver,
    what: &str,
    mut is_done: impl FnMut(&mut Receiver, Vec<OwnedEntry>) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(waits.wait(left), "waited for {what}");
        let entries = turn(mail);
        waits.end_turn();
        if is_done(mail, entries) {
            return;
        }
    }
}

/// Runs the loop until an entry of this name comes, and returns it.
fn expect<L: Loop>(waits: &mut L, mail: &mut Receiver, name: &str) -> OwnedEntry {
    let mut found = None;
    run(waits, mail, name, |_, entries| {
        found = found.take().or(entries.into_iter().find(|entry| entry.name == name));
        found.is_some()
    });
    found.unwrap()
}

/// Runs the loop until it is quiet.
fn settle<L: Loop>(waits: &mut L, mail: &mut Receiver) {
    while waits.wait(Duration::from_millis(50)) {
        turn(mail);
        waits.end_turn();
    }
}

/// Runs the loop for a time.
fn settle_for<L: Loop>(waits: &mut L, mail: &mut Receiver, time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if waits.wait(left) {
            turn(mail);
            waits.end_turn();
        }
    }
}

fn one_descriptor_is_enough<L: Loop>() {
    for watch in [WatchMode::Auto, WatchMode::Off] {
        entries_come::<L>(watch);
    }
    deadlines_come::<L>();
    polls_and_verifications_come::<L>();
}

fn entries_come<L: Loop>(watch: WatchMode) {
    let mut fixture = Fixture::new();
    let waiting: BTreeSet<_> = (0..WAITING).map(|n| fixture.link(&n.to_string())).collect();
    let mut mail = fixture.options().watch(watch).receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    let mut seen = BTreeSet::new();
    run(&mut waits, &mut mail, "the entries that wait", |_, entries| {
        assert!(entries.len() <= 64, "{} entries in a turn", entries.len());
        seen.extend(entries.iter().map(OwnedEntry::path));
        seen == waiting
    });
    waiting.iter().for_each(|path| fs::remove_file(path).unwrap());
    settle(&mut waits, &mut mail);

    for n in 0..200 {
        let name = format!("new-{n}");
        let path = fixture.link(&name);
        pull(fixture.trigger()).unwrap();
        expect(&mut waits, &mut mail, &name);
        fs::remove_file(path).unwrap();
    }

    // A burst from another thread.
    let names: BTreeSet<_> = (0..WAITING).map(|n| fixture.entry(&format!("burst-{n}"))).collect();
    let writer = thread::spawn(move || {
        for n in 0..WAITING {
            fixture.link(&format!("burst-{n}"));
            pull(fixture.trigger()).unwrap();
        }
        fixture
    });
    let mut seen = BTreeSet::new();
    run(&mut waits, &mut mail, "the burst", |_, entries| {
        for path in entries.iter().map(OwnedEntry::path).filter(|path| names.contains(path)) {
            let _ = fs::remove_file(&path); // may be returned twice
            seen.insert(path);
        }
        seen == names
    });
    drop((writer.join().unwrap(), waits));
}

/// Checks a requeued entry, `requeue` in a timer of the loop, the waker, and a warning.
fn deadlines_come<L: Loop>() {
    let mut fixture = Fixture::new();
    fixture.link("again");
    let mut mail = fixture.options().receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    let entry = expect(&mut waits, &mut mail, "again");
    settle(&mut waits, &mut mail);

    let when = Instant::now() + Duration::from_secs(1);
    mail.requeue(&entry, when).unwrap();
    let again = expect(&mut waits, &mut mail, "again");
    assert_eq!(again.origin, Origin::Requeue);
    assert!(Instant::now() >= when);

    for _ in 0..20 {
        settle(&mut waits, &mut mail);
        mail.requeue(&entry, Instant::now()).unwrap();
        expect(&mut waits, &mut mail, "again");
    }

    settle(&mut waits, &mut mail);
    let waker = mail.waker().unwrap();
    let wakes = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        waker.wake().unwrap();
    });
    run(&mut waits, &mut mail, "the waker", |_, _| true);
    wakes.join().unwrap();
    settle(&mut waits, &mut mail);
    drop((waits, mail));

    // The waker, the trigger, the timer and the watch are ready together. Each must be handled.
    let mut mail = fixture.options().verify_interval(None).receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    for n in 0..20 {
        settle(&mut waits, &mut mail);
        mail.waker().unwrap().wake().unwrap();
        pull(fixture.trigger()).unwrap();
        mail.requeue(&entry, Instant::now()).unwrap();
        let new = fixture.link(&format!("beside-the-others-{n}"));
        let mut seen = BTreeSet::new();
        run(&mut waits, &mut mail, "all of them", |_, entries| {
            seen.extend(entries.into_iter().map(|entry| entry.path()));
            seen.contains(&new) && seen.contains(&entry.path())
        });
    }
}

/// Checks a poll. Also checks that a verification finds a missing trigger and a replaced directory.
fn polls_and_verifications_come<L: Loop>() {
    let mut fixture = Fixture::new();
    let interval = Duration::from_millis(200);
    let options = fixture.options().without_trigger().watch(WatchMode::Off);
    let mut mail = options.poll_interval(interval).receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    settle_for(&mut waits, &mut mail, 2 * interval);
    fixture.link("polled");
    expect(&mut waits, &mut mail, "polled");
    fs::remove_file(fixture.entry("polled")).unwrap();
    drop((waits, mail));

    let mut mail = fixture.options().verify_interval(interval).receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    settle_for(&mut waits, &mut mail, 2 * interval);
    while mail.next_warning().is_some() {}
    fs::remove_file(fixture.trigger()).unwrap();
    run(&mut waits, &mut mail, "the warning of a trigger", |mail, _| mail.next_warning().is_some());
    Trigger::create(fixture.trigger(), 0o622).unwrap();
    let todo = fixture.root.path().join("todo");
    fs::rename(&todo, fixture.root.path().join("old")).unwrap();
    fs::create_dir(&todo).unwrap();
    fixture.link("verified");
    expect(&mut waits, &mut mail, "verified");
}

/// Other receivers come and go beside one that stays. A reused descriptor number must not fail. The receiver
/// that stays must still be reported, and no other one.
fn ten_thousand_receivers_come_and_go<L: Loop>() {
    let (mut fixture, others) = (Fixture::new(), Fixture::new());
    let mut mail = fixture.options().receiver().unwrap();
    let mut waits = L::new(duplicate(&mail));
    for n in 1..=10_000 {
        let other_readers = OtherReaders::Reject;
        let options = others.options().other_readers(other_readers).watch(WatchMode::Off);
        let options = if n % 2 == 0 { options } else { options.without_trigger() };
        waits.come_and_go(options.receiver().unwrap());
        if n % 1_000 == 0 {
            let name = n.to_string();
            let path = fixture.link(&name);
            pull(fixture.trigger()).unwrap();
            expect(&mut waits, &mut mail, &name);
            fs::remove_file(path).unwrap();
        }
    }
}

mod in_polling {
    use polling::{Event, Events, PollMode, Poller};

    use super::*;

    struct InPolling<const MODE: usize> {
        poller: Poller,
        events: Events,
        fd: OwnedFd,
    }

    const MAIL: usize = 7;
    const OTHER: usize = 8;
    const MODES: [PollMode; 3] = [PollMode::Level, PollMode::Edge, PollMode::Oneshot];

    impl<const MODE: usize> Loop for InPolling<MODE> {
        fn new(fd: OwnedFd) -> Self {
            let poller = Poller::new().unwrap();
            // SAFETY: the value owns the descriptor, and removes it when it is dropped.
            unsafe { poller.add_with_mode(&fd, Event::readable(MAIL), MODES[MODE]).unwrap() };
            InPolling { poller, events: Events::new(), fd }
        }

        fn wait(&mut self, timeout: Duration) -> bool {
            self.events.clear();
            self.poller.wait(&mut self.events, Some(timeout)).unwrap();
            let is_other = self.events.iter().any(|event| event.key != MAIL);
            assert!(!is_other, "another receiver is readable");
            !self.events.is_empty()
        }

        fn end_turn(&mut self) {
            if MODES[MODE] == PollMode::Oneshot {
                let readable = Event::readable(MAIL);
                self.poller.modify_with_mode(&self.fd, readable, PollMode::Oneshot).unwrap();
            }
        }

        fn come_and_go(&mut self, other: Receiver) {
            let readable = Event::readable(OTHER);
            // SAFETY: it is removed before it is dropped.
            unsafe { self.poller.add_with_mode(&other.as_fd(), readable, MODES[MODE]).unwrap() };
            self.poller.delete(other.as_fd()).unwrap();
        }
    }

    impl<const MODE: usize> Drop for InPolling<MODE> {
        fn drop(&mut self) {
            self.poller.delete(&self.fd).unwrap();
        }
    }

    #[test]
    fn level() {
        one_descriptor_is_enough::<InPolling<0>>();
    }

    #[test]
    fn edge() {
        one_descriptor_is_enough::<InPolling<1>>();
    }

    #[test]
    fn one_shot() {
        one_descriptor_is_enough::<InPolling<2>>();
    }

    #[test]
    fn others_come_and_go() {
        ten_thousand_receivers_come_and_go::<InPolling<0>>();
        ten_thousand_receivers_come_and_go::<InPolling<1>>();
        ten_thousand_receivers_come_and_go::<InPolling<2>>();
    }
}

mod in_calloop {
    use calloop::generic::Generic;
    use calloop::{EventLoop, Interest, Mode, PostAction};

    use super::*;

    struct InCalloop<const EDGE: bool>(EventLoop<'static, bool>);

    impl<const EDGE: bool> Loop for InCalloop<EDGE> {
        fn new(fd: OwnedFd) -> Self {
            let event_loop = EventLoop::<bool>::try_new().unwrap();
            let mode = if EDGE { Mode::Edge } else { Mode::Level };
            let source = Generic::new(fd, Interest::READ, mode);
            let readable = |_, _: &mut _, is_readable: &mut bool| {
                *is_readable = true;
                Ok(PostAction::Continue)
            };
            event_loop.handle().insert_source(source, readable).unwrap();
            InCalloop(event_loop)
        }

        fn wait(&mut self, timeout: Duration) -> bool {
            let mut is_readable = false;
            self.0.dispatch(timeout, &mut is_readable).unwrap();
            is_readable
        }

        fn come_and_go(&mut self, other: Receiver) {
            let mode = if EDGE { Mode::Edge } else { Mode::Level };
            let source = Generic::new(other, Interest::READ, mode);
            let readable = |_, _: &mut _, _: &mut bool| panic!("another receiver is readable");
            let token = self.0.handle().insert_source(source, readable).unwrap();
            self.0.handle().remove(token);
        }
    }

    #[test]
    fn level() {
        one_descriptor_is_enough::<InCalloop<false>>();
    }

    #[test]
    fn edge() {
        one_descriptor_is_enough::<InCalloop<true>>();
    }

    #[test]
    fn others_come_and_go() {
        ten_thousand_receivers_come_and_go::<InCalloop<false>>();
        ten_thousand_receivers_come_and_go::<InCalloop<true>>();
    }
}

mod in_async_io {
    use std::pin::pin;
    use std::task::Poll;

    use async_io::{Async, Timer};

    use super::*;

    impl Loop for Async<OwnedFd> {
        fn new(fd: OwnedFd) -> Self {
            Async::new_nonblocking(fd).unwrap()
        }

        fn wait(&mut self, timeout: Duration) -> bool {
            let mut timer = Timer::after(timeout);
            async_io::block_on(async {
                let mut readable = pin!(self.readable());
                std::future::poll_fn(|context| {
                    if let Poll::Ready(readable) = readable.as_mut().poll(context) {
                        readable.unwrap();
                        return Poll::Ready(true);
                    }
                    pin!(&mut timer).poll(context).map(|_| false)
                })
                .await
            })
        }

        fn come_and_go(&mut self, other: Receiver) {
            let mut other = <Self as Loop>::new(duplicate(&other));
            assert!(other.wait(PATIENCE), "the event of another receiver is lost");
        }
    }

    #[test]
    fn readable() {
        one_descriptor_is_enough::<Async<OwnedFd>>();
    }

    #[test]
    fn others_come_and_go() {
        ten_thousand_receivers_come_and_go::<Async<OwnedFd>>();
    }
}

/// The loop's registration stays valid when the trigger is replaced and when the watch overflows.
#[test]
fn the_number_of_the_descriptor_stays_the_same() {
    use std::os::fd::AsRawFd;
    let mut fixture = Fixture::new();
    let interval = Duration::from_millis(20);
    let mut mail = fixture.options().verify_interval(interval).receiver().unwrap();
    let number = mail.as_fd().as_raw_fd();
    for n in 0..20 {
        fs::remove_file(fixture.trigger()).unwrap();
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        let name = n.to_string();
        fixture.link(&name);
        while mail.recv().unwrap().unwrap().name != name.as_str() {}
        thread::sleep(2 * interval);
        while mail.recv_timeout(Duration::ZERO).unwrap().is_some() {}
        assert_eq!(mail.as_fd().as_raw_fd(), number);
    }
    assert!(mail.queue().stats().trigger_reopens > 0, "{:?}", mail.queue().stats());
}

#[cfg(feature = "mio")]
mod in_mio {
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};
    use pullcord::{DirWatcher, DrainOutcome};

    use super::*;

    const MAIL: Token = Token(3);
    const OTHER: Token = Token(4);

    struct InMio {
        poll: Poll,
        events: Events,
        _fd: OwnedFd,
        /// Each second one of the other receivers is only dropped, which removes it too.
        deregisters: bool,
    }

    impl Loop for InMio {
        fn new(fd: OwnedFd) -> Self {
            let poll = Poll::new().unwrap();
            let source = fd.as_raw_fd();
            poll.registry().register(&mut SourceFd(&source), MAIL, Interest::READABLE).unwrap();
            InMio { poll, events: Events::with_capacity(8), _fd: fd, deregisters: false }
        }

        fn wait(&mut self, timeout: Duration) -> bool {
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => true,
                polled => {
                    polled.unwrap();
                    let is_other = self.events.iter().any(|event| event.token() != MAIL);
                    assert!(!is_other, "another receiver is readable");
                    !self.events.is_empty()
                }
            }
        }

        fn come_and_go(&mut self, mut other: Receiver) {
            let registry = self.poll.registry();
            registry.register(&mut other, OTHER, Interest::READABLE).unwrap();
            self.deregisters = !self.deregisters;
            if self.deregisters {
                registry.deregister(&mut other).unwrap();
            }
        }
    }

    #[test]
    fn edge() {
        one_descriptor_is_enough::<InMio>();
    }

    #[test]
    fn others_come_and_go() {
        ten_thousand_receivers_come_and_go::<InMio>();
    }

    #[test]
    fn a_receiver_is_a_source() {
        let mut fixture = Fixture::new();
        let mut mail = fixture.options().receiver().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        poll.registry().register(&mut mail, Token(0), Interest::READABLE).unwrap();
        poll.registry().reregister(&mut mail, MAIL, Interest::READABLE).unwrap();
        for n in 0..200 {
            let name = n.to_string();
            fixture.link(&name);
            pull(fixture.trigger()).unwrap();
            loop {
                poll.poll(&mut events, Some(PATIENCE)).unwrap();
                assert!(events.iter().any(|event| event.token() == MAIL), "waited for {name}");
                if turn(&mut mail).iter().any(|entry| entry.name == name.as_str()) {
                    break;
                }
            }
        }
        poll.registry().deregister(&mut mail).unwrap();
        fixture.link("silent");
        pull(fixture.trigger()).unwrap();
        poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
        assert!(events.is_empty());
    }

    #[test]
    fn a_directory_watcher_is_a_source() {
        let mut fixture = Fixture::new();
        let Ok(mut watcher) = DirWatcher::new() else { return }; // not on every system
        watcher.watch(fixture.root.path().join("todo")).unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        poll.registry().register(&mut watcher, MAIL, Interest::READABLE).unwrap();
        for n in 0..100 {
            fixture.link(&n.to_string());
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [MAIL]);
            let mut reported = 0;
            while watcher.read_events().unwrap() > 0 {
                reported += std::iter::from_fn(|| watcher.next_event().map(drop)).count();
            }
            assert!(reported > 0);
        }
    }

    #[test]
    fn a_trigger_is_a_source() {
        let fixture = Fixture::new();
        let mut trigger = Trigger::open(fixture.trigger(), OtherReaders::Reject).unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        poll.registry().register(&mut trigger, MAIL, Interest::READABLE).unwrap();
        for _ in 0..100 {
            pull(fixture.trigger()).unwrap();
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [MAIL]);
            assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
        }
    }
}

#[cfg(feature = "tokio")]
mod in_async_fd {
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::runtime::{Builder, Runtime};
    use tokio::time;

    use super::*;

    /// With workers, another thread may notice an edge at any time. Without them, only `wait` does.
    struct InAsyncFd<const WORKERS: bool> {
        readiness: AsyncFd<OwnedFd>,
        runtime: Runtime,
    }

    fn register(runtime: &Runtime, fd: OwnedFd) -> AsyncFd<OwnedFd> {
        let _context = runtime.enter();
        // SAFETY: the value owns the descriptor, and only lends it.
        unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE).unwrap() }
    }

    /// Waits until the descriptor is readable, and clears that before the turn.
    fn is_readable(runtime: &Runtime, fd: &AsyncFd<OwnedFd>, timeout: Duration) -> bool {
        runtime.block_on(async {
            let readable = time::timeout(timeout, fd.readable()).await;
            readable.map(|readable| readable.unwrap().clear_ready()).is_ok()
        })
    }

    impl<const WORKERS: bool> Loop for InAsyncFd<WORKERS> {
        fn new(fd: OwnedFd) -> Self {
            let mut builder =
                if WORKERS { Builder::new_multi_thread() } else { Builder::new_current_thread() };
            let runtime = builder.worker_threads(2).enable_all().build().unwrap();
            InAsyncFd { readiness: register(&runtime, fd), runtime }
        }

        fn wait(&mut self, timeout: Duration) -> bool {
            is_readable(&self.runtime, &self.readiness, timeout)
        }

        fn come_and_go(&mut self, other: Receiver) {
            let readiness = register(&self.runtime, duplicate(&other));
            let is_readable = is_readable(&self.runtime, &readiness, PATIENCE);
            assert!(is_readable, "the event of another receiver is lost");
        }
    }

    #[test]
    fn in_one_thread() {
        one_descriptor_is_enough::<InAsyncFd<false>>();
    }

    #[test]
    fn with_workers() {
        one_descriptor_is_enough::<InAsyncFd<true>>();
    }

    #[test]
    fn others_come_and_go() {
        ten_thousand_receivers_come_and_go::<InAsyncFd<false>>();
        ten_thousand_receivers_come_and_go::<InAsyncFd<true>>();
    }
}

#[cfg(feature = "tokio")]
mod in_tokio {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::sync::mpsc;
    use std::task::Poll;

    use futures_core::Stream;
    use pullcord::interop::AsyncReceiver;
    use tokio::runtime::{Builder, Runtime};
    use tokio::time;

    use super::*;

    fn runtimes() -> [Runtime; 2] {
        [
            Builder::new_current_thread().enable_all().build().unwrap(),
            Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        ]
    }

    fn remove(path: &std::path::Path) {
        fs::remove_file(path).unwrap();
    }

    async fn expect(mail: &mut AsyncReceiver, name: &str) -> OwnedEntry {
        loop {
            let entry = time::timeout(PATIENCE, mail.recv()).await;
            let entry = entry.unwrap_or_else(|_| panic!("waited for {name}")).unwrap();
            if entry.name == name {
                return entry;
            }
        }
    }

    #[test]
    fn entries_come_one_by_one_and_in_a_burst() {
        for runtime in runtimes() {
            for watch in [WatchMode::Auto, WatchMode::Off] {
                let mut fixture = Fixture::new();
                let queue = fixture.options().watch(watch).open().unwrap();
                runtime.block_on(async move {
                    let mut mail = AsyncReceiver::new(queue).unwrap();
                    let task = tokio::spawn(async move {
                        for n in 0..200 {
                            let path = fixture.link(&n.to_string());
                            pull(fixture.trigger()).unwrap();
                            expect(&mut mail, &n.to_string()).await;
                            remove(&path);
                        }
                        let writer = thread::spawn(move || {
                            for n in 0..WAITING {
                                fixture.link(&format!("burst-{n}"));
                                pull(fixture.trigger()).unwrap();
                            }
                            fixture
                        });
                        let mut seen = BTreeSet::new();
                        while seen.len() < WAITING {
                            let entry = time::timeout(PATIENCE, mail.recv()).await;
                            let entry = entry.expect("an entry of the burst").unwrap();
                            if entry.name.to_str().unwrap().starts_with("burst-") {
                                let _ = fs::remove_file(entry.path()); // it may come twice
                                seen.insert(entry.name);
                            }
                        }
                        writer.join().unwrap();
                    });
                    task.await.unwrap();
                });
            }
        }
    }

    /// tokio may notice the edge of the second entry before the first turn has ended.
    #[test]
    fn an_entry_that_comes_between_two_calls_is_returned() {
        for runtime in runtimes() {
            for watch in [WatchMode::Auto, WatchMode::Off] {
                let mut fixture = Fixture::new();
                let queue = fixture.options().watch(watch).open().unwrap();
                runtime.block_on(async {
                    let mut mail = AsyncReceiver::new(queue).unwrap();
                    for n in 0..20 {
                        let (first, second) = (format!("{n}-first"), format!("{n}-second"));
                        let path = fixture.link(&first);
                        pull(fixture.trigger()).unwrap();
                        expect(&mut mail, &first).await;
                        remove(&path);
                        let path = fixture.link(&second);
                        pull(fixture.trigger()).unwrap();
                        time::sleep(Duration::from_millis(5)).await;
                        match n % 2 {
                            0 => drop(expect(&mut mail, &second).await),
                            _ => loop {
                                let readable = time::timeout(PATIENCE, mail.readable()).await;
                                readable.unwrap_or_else(|_| panic!("for {second}")).unwrap();
                                let mut names = Vec::new();
                                while let Some(entry) = mail.try_recv() {
                                    names.push(entry.name.to_owned());
                                }
                                if names.iter().any(|name| *name == *second) {
                                    break;
                                }
                            },
                        }
                        remove(&path);
                    }
                });
            }
        }
    }

    #[test]
    fn deadlines_come_while_the_clock_is_paused() {
        let mut fixture = Fixture::new();
        fixture.link("again");
        let interval = Duration::from_millis(200);
        let options = fixture.options().without_trigger().watch(WatchMode::Off);
        let queue = options.poll_interval(interval).open().unwrap();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        // This uses no timer of tokio, because a paused clock would jump to it.
        let (done, is_done) = mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("nothing came while the clock was paused");
                std::process::exit(1);
            }
        });
        runtime.unwrap().block_on(async {
            let mut mail = AsyncReceiver::new(queue).unwrap();
            let entry = mail.recv().await.unwrap();
            assert_eq!(entry.name, "again");
            let when = Instant::now() + Duration::from_secs(1);
            mail.requeue(&entry, when).unwrap();
            assert_eq!(mail.recv().await.unwrap().origin, Origin::Requeue);
            assert!(Instant::now() >= when);
            remove(&entry.path());
            fixture.link("polled");
            while mail.recv().await.unwrap().name != "polled" {}
        });
        drop(done);
        watchdog.join().unwrap();
    }

    #[test]
    fn a_warning_makes_the_descriptor_readable() {
        let fixture = Fixture::new();
        let interval = Duration::from_millis(50);
        let queue = fixture.options().verify_interval(interval).open().unwrap();
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            let mut mail = AsyncReceiver::new(queue).unwrap();
            while mail.next_warning().is_some() {}
            fs::remove_file(fixture.trigger()).unwrap();
            let warned = time::timeout(PATIENCE, async {
                loop {
                    mail.readable().await.unwrap();
                    while mail.try_recv().is_some() {}
                    if let Some(warning) = mail.next_warning() {
                        return warning;
                    }
                }
            });
            assert_eq!(warned.await.unwrap().path(), fixture.trigger());
        });
    }

    #[test]
    fn a_cancelled_wait_loses_nothing() {
        for runtime in runtimes() {
            let mut fixture = Fixture::new();
            let queue = fixture.options().watch(WatchMode::Off).open().unwrap();
            let wanted: BTreeSet<_> = (0..500).map(|n| fixture.entry(&n.to_string())).collect();
            let writer = thread::spawn(move || {
                for n in 0..500 {
                    fixture.link(&n.to_string());
                    pull(fixture.trigger()).unwrap();
                }
                fixture
            });
            let received = async {
                let mut mail = AsyncReceiver::new(queue).unwrap();
                let mut seen = BTreeSet::new();
                while seen != wanted {
                    tokio::select! {
                        biased;
                        entry = mail.recv() => {
                            let path = entry.unwrap().path();
                            remove(&path);
                            assert!(seen.insert(path), "twice");
                        }
                        () = tokio::task::yield_now() => {}
                    }
                }
            };
            runtime.block_on(async { time::timeout(PATIENCE, received).await.unwrap() });
            writer.join().unwrap();
        }
    }

    #[test]
    fn a_task_that_waits_is_not_polled_again_and_again() {
        let mut fixture = Fixture::new();
        let queue = fixture.options().open().unwrap();
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            let mut mail = AsyncReceiver::new(queue).unwrap();
            let path = fixture.link("1");
            pull(fixture.trigger()).unwrap();
            expect(&mut mail, "1").await;
            remove(&path);
            let mut polls = 0;
            let next = poll_fn(|context| {
                polls += 1;
                mail.poll_recv(context).map(drop)
            });
            let _ = time::timeout(Duration::from_millis(50), next).await;
            assert!(polls <= 20, "{polls} polls");
        });
    }

    #[test]
    fn other_tasks_have_their_turn_after_64_entries() {
        let mut fixture = Fixture::new();
        for n in 0..WAITING {
            fixture.link(&n.to_string());
        }
        let queue = fixture.options().open().unwrap();
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            let mut mail = AsyncReceiver::new(queue).unwrap();
            mail.recv().await.unwrap();
            let mut other = tokio::spawn(async {});
            let mut before = 0;
            for _ in 1..WAITING {
                mail.recv().await.unwrap();
                before += 1;
                if other.is_finished() {
                    assert!(before <= 64, "{before} entries before the other task ran");
                    (other, before) = (tokio::spawn(async {}), 0);
                }
            }
            assert!(before <= 64, "{before} entries, and the other task did not run");
        });
    }

    #[test]
    fn when_the_runtime_ends_a_wait_fails_and_the_stream_ends() {
        let fixture = Fixture::new();
        let [runtime, other] = runtimes();
        let queue = fixture.options().open().unwrap();
        let mut mail = runtime.block_on(async { AsyncReceiver::new(queue).unwrap() });
        drop(runtime);
        other.block_on(async {
            mail.recv().await.unwrap_err();
            mail.readable().await.unwrap_err();
            assert!(mail.try_recv().is_none());
            let first = poll_fn(|context| Pin::new(&mut mail).poll_next(context)).await;
            assert!(first.is_some_and(|entry| entry.is_err()));
            let second = poll_fn(|context| Pin::new(&mut mail).poll_next(context)).await;
            assert!(second.is_none());
        });
    }

    #[test]
    fn a_wait_that_a_runtime_interrupts_by_its_end_does_not_panic() {
        let fixture = Fixture::new();
        let [_, runtime] = runtimes();
        let queue = fixture.options().open().unwrap();
        /// Reports whether the task ends by a panic, which tokio catches.
        struct Ended(mpsc::Sender<bool>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.send(std::thread::panicking()).unwrap();
            }
        }
        let ((report, reported), (end, ended)) = (mpsc::channel(), mpsc::channel());
        runtime.block_on(async {
            let mut mail = AsyncReceiver::new(queue).unwrap();
            tokio::spawn(async move {
                let _ended = Ended(end);
                report.send(()).unwrap();
                let _ = mail.recv().await;
            });
        });
        reported.recv_timeout(PATIENCE).unwrap();
        runtime.shutdown_timeout(PATIENCE);
        assert!(!ended.recv_timeout(PATIENCE).unwrap(), "it panicked");
    }

    /// The other runtime goes on, and so polls the wait again.
    #[test]
    fn a_wait_in_another_runtime_fails_when_the_own_one_ends() {
        let fixture = Fixture::new();
        let [other, runtime] = runtimes();
        let queue = fixture.options().open().unwrap();
        let mut mail = runtime.block_on(async { AsyncReceiver::new(queue).unwrap() });
        let ended = other.block_on(async {
            let mut wait = pin!(time::timeout(PATIENCE, mail.recv()));
            let has_begun =
                poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_pending()));
            assert!(has_begun.await);
            thread::spawn(move || runtime.shutdown_timeout(PATIENCE));
            wait.await
        });
        ended.expect("the wait has ended").unwrap_err();
    }
}
