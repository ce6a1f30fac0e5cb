//! A receiver in another event loop, which waits for one descriptor without a timeout. All entries and
//! warnings of the receiver must arrive, level- and edge-triggered.

// On other systems a notifier and a receiver have no descriptor.
#![cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_vendor = "apple",
))]

mod queue_fixture;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Events, Interest, Key, Mode, Notifier, Origin, OwnedEntry, QueueOptions, Receiver,
    Trigger, Warning, WarningKind,
};
use queue_fixture::{PATIENCE, QueueFixture, WATCH_MODES};

/// A loop that uses only the descriptor of the receiver.
struct Outer {
    notifier: Box<dyn Notifier>,
    events: Events,
    mail: Receiver,
    wakeups: usize,
}

impl Outer {
    fn new(mail: Receiver, mode: Mode) -> Outer {
        let mut notifier = Backend::best().open().unwrap();
        notifier.register(&mail, Key(1), Interest::Read, mode).unwrap();
        Outer { notifier, events: Events::with_capacity(4), mail, wakeups: 0 }
    }

    /// Waits without a deadline of the receiver. A timeout means that an event was missed.
    #[track_caller]
    fn wait(&mut self, what: &str) {
        assert!(self.wait_for(PATIENCE), "{what} does not arrive");
    }

    /// Returns whether the descriptor is readable within this time.
    fn wait_for(&mut self, time: Duration) -> bool {
        self.notifier.wait(&mut self.events, Some(time)).unwrap();
        let is_readable = self.events.iter().any(|event| event.key == Key(1) && event.readable);
        self.wakeups += usize::from(is_readable);
        is_readable
    }

    /// Makes the one turn that follows a wake-up.
    fn turn(&mut self) -> Vec<OwnedEntry> {
        let mut entries = Vec::new();
        while let Some(entry) = self.mail.try_recv() {
            entries.push(entry.into_owned());
        }
        entries
    }

    /// Makes turns until this many entries have arrived.
    #[track_caller]
    fn receive(&mut self, count: usize) -> Vec<OwnedEntry> {
        let mut entries = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while entries.len() < count {
            assert!(Instant::now() < deadline, "only {} of {count} entries arrive", entries.len());
            self.wait("an entry");
            entries.extend(self.turn());
        }
        entries
    }

    /// Makes turns until a warning arrives.
    #[track_caller]
    fn receive_warning(&mut self) -> Warning {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no warning arrives");
            self.wait("a warning");
            self.turn();
            if let Some(warning) = self.mail.next_warning() {
                return warning;
            }
        }
    }

    /// Makes turns until the descriptor is no longer readable. Fails if it stays readable.
    #[track_caller]
    fn drain(&mut self) -> Vec<OwnedEntry> {
        let mut entries = Vec::new();
        let mut turns = 0;
        while self.wait_for(Duration::from_millis(50)) {
            entries.extend(self.turn());
            turns += 1;
            assert!(turns < 100, "the descriptor stays readable after 100 turns");
        }
        entries
    }
}

/// Runs the test in each mode, with and without a watch.
fn on_each(
    configure: impl Fn(&QueueFixture) -> QueueOptions,
    test: impl Fn(&mut QueueFixture, &mut Outer),
) {
    for watch in WATCH_MODES {
        for mode in [Mode::Level, Mode::Edge] {
            println!("watch {watch}, {mode:?}");
            let mut fixture = QueueFixture::new(Backend::best(), Some(2));
            let mail = configure(&fixture).watch(watch).receiver().unwrap();
            let mut outer = Outer::new(mail, mode);
            test(&mut fixture, &mut outer);
        }
    }
}

/// Without an interval whose end would wake a loop that has missed something.
fn without_intervals(fixture: &QueueFixture) -> QueueOptions {
    fixture.options().verify_interval(Duration::from_secs(3600)).rescan_interval(None)
}

fn paths(entries: Vec<OwnedEntry>) -> BTreeSet<PathBuf> {
    queue_fixture::sorted(entries.iter().map(OwnedEntry::path).collect())
}

#[test]
fn a_thousand_entries_arrive_with_one_turn_for_each_wakeup() {
    on_each(without_intervals, |fixture, outer| {
        outer.drain();
        let linked: BTreeSet<_> = (0..1000).map(|n| fixture.link(format!("1/{n}"))).collect();
        fixture.pull();
        let wakeups = outer.wakeups;
        assert_eq!(paths(outer.receive(1000)), linked);
        let wakeups = outer.wakeups - wakeups;
        assert!((1000 / 64..100).contains(&wakeups), "{wakeups} wake-ups");
        linked.iter().for_each(|path| fs::remove_file(path).unwrap());
        assert!(outer.drain().is_empty());
    });
}

#[test]
fn entries_that_were_queued_before_the_registration_arrive() {
    for mode in [Mode::Level, Mode::Edge] {
        let mut fixture = QueueFixture::new(Backend::best(), None);
        let linked: BTreeSet<_> = (0..300).map(|n| fixture.link(format!("{n}"))).collect();
        let mail = without_intervals(&fixture).receiver().unwrap();
        // The receiver may be registered late.
        let mut outer = Outer::new(mail, mode);
        assert_eq!(paths(outer.receive(300)), linked);
    }
}

#[test]
fn each_of_a_hundred_messages_wakes_the_loop() {
    on_each(without_intervals, |fixture, outer| {
        outer.drain();
        for message in 0..100 {
            let path = fixture.link(format!("{}/{message}", message % 2));
            fixture.pull();
            let entries = outer.receive(1);
            assert_eq!(entries[0].path(), path);
            fs::remove_file(path).unwrap();
        }
        assert!(outer.drain().is_empty());
    });
}

/// The writer writes at any moment, also between the end of a turn and the next wait.
#[test]
fn messages_of_a_writer_at_any_moment_all_arrive() {
    const MESSAGES: usize = 3000;
    on_each(without_intervals, |fixture, outer| {
        outer.drain();
        let (todo, trigger) = (fixture.path("todo"), fixture.trigger());
        let writer = std::thread::spawn(move || {
            for message in 0..MESSAGES {
                fs::write(todo.join(format!("{}/{message}", message % 2)), "").unwrap();
                pullcord::pull(&trigger).unwrap();
                for _ in 0..(message * 7919) % 5000 {
                    std::hint::spin_loop();
                }
            }
        });
        let mut seen = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE * 2;
        while seen.len() < MESSAGES {
            assert!(Instant::now() < deadline, "only {} arrive", seen.len());
            outer.wait("a message");
            for entry in outer.turn() {
                let _ = fs::remove_file(entry.path());
                seen.insert(entry.path());
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_requeued_entry_arrives_at_its_time() {
    on_each(without_intervals, |fixture, outer| {
        fixture.link("0/1");
        let entry = outer.receive(1).remove(0);
        outer.drain();
        let at = Instant::now() + Duration::from_secs(1);
        outer.mail.requeue(&entry, at).unwrap();
        let again = outer.receive(1).remove(0);
        let now = Instant::now();
        assert!(now >= at && now < at + Duration::from_secs(2), "{:?}", now - at);
        assert_eq!((again.path(), again.origin), (entry.path(), Origin::Requeue));
    });
}

/// An earlier deadline must replace a later one, and a later one must not delay an earlier one.
#[test]
fn entries_that_are_requeued_from_the_loop_itself_arrive_in_their_order() {
    on_each(without_intervals, |fixture, outer| {
        let linked: Vec<_> = (0..10).map(|n| fixture.link(format!("1/{n}"))).collect();
        let start = Instant::now();
        let at = |n: u32| start + Duration::from_millis(100) * (10 - n) + PATIENCE / 40;
        let (mut first, mut again) = (0, Vec::new());
        let deadline = start + PATIENCE;
        while again.len() < linked.len() {
            assert!(Instant::now() < deadline, "only {again:?} arrive");
            outer.wait("an entry");
            // Between two entries of one turn.
            while let Some(entry) = outer.mail.try_recv() {
                let entry = entry.into_owned();
                if entry.origin == Origin::Requeue {
                    again.push(entry.path());
                    fs::remove_file(entry.path()).unwrap();
                } else if !again.contains(&entry.path()) {
                    let number: u32 = entry.name.to_str().unwrap().parse().unwrap();
                    first += 1;
                    outer.mail.requeue(&entry, at(number)).unwrap();
                }
            }
        }
        assert_eq!(first, linked.len(), "each is returned once before its time");
        again.reverse();
        assert_eq!(again, linked);
        assert!(outer.drain().is_empty());
    });
}

#[test]
fn a_requeue_after_the_turn_wakes_the_loop_that_sleeps() {
    on_each(without_intervals, |fixture, outer| {
        fixture.link("0/1");
        let entry = outer.receive(1).remove(0);
        outer.drain();
        for _ in 0..5 {
            outer.mail.requeue(&entry, Instant::now()).unwrap();
            assert_eq!(outer.receive(1)[0].path(), entry.path());
        }
    });
}

fn verified(fixture: &QueueFixture) -> QueueOptions {
    fixture.options().verify_interval(Duration::from_millis(300)).rescan_interval(None)
}

#[test]
fn a_warning_arrives() {
    on_each(verified, |fixture, outer| {
        outer.drain_verified();
        fs::remove_file(fixture.trigger()).unwrap();
        assert_eq!(outer.receive_warning().kind(), WarningKind::Trigger);
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while outer.mail.queue().stats().trigger_reopens == 0 {
            assert!(Instant::now() < deadline, "the trigger is never opened again");
            outer.wait("the next attempt");
            outer.turn();
        }
    });
}

/// The loop does not ask for warnings, and has nothing else to wait for.
#[test]
fn a_warning_makes_the_descriptor_readable_once_more() {
    on_each(without_intervals, |fixture, outer| {
        outer.drain();
        if !outer.mail.queue().is_fully_watched() {
            return;
        }
        // One directory by two paths: that is reported, and not tried again.
        std::os::unix::fs::symlink("1", fixture.path("todo/5")).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while outer.mail.queue().stats().warnings == 0 {
            assert!(Instant::now() < deadline, "the link is not noticed");
            outer.wait("the link");
            outer.turn();
        }
        outer.wait("the warning");
        outer.turn();
        assert!(outer.drain().is_empty());
        assert_eq!(outer.mail.next_warning().map(|it| it.kind()), Some(WarningKind::Alias));
    });
}

#[test]
fn a_verification_arrives() {
    on_each(verified, |fixture, outer| {
        outer.drain_verified();
        fs::rename(fixture.path("todo/1"), fixture.path("old")).unwrap();
        fs::rename(fixture.path("lock"), fixture.path("old-lock")).unwrap();
        for directory in ["todo/1", "lock"] {
            fs::create_dir(fixture.path(directory)).unwrap();
        }
        Trigger::create(fixture.trigger(), 0o622).unwrap();
        let path = fixture.link("1/17");
        assert_eq!(outer.receive(1)[0].path(), path);
    });
}

impl Outer {
    /// Does the same as `drain` for a queue that is verified so often that it is never idle for long.
    fn drain_verified(&mut self) {
        let end = Instant::now() + Duration::from_millis(200);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.wait_for(left) {
                self.turn();
            }
        }
    }
}

#[test]
fn a_poll_arrives() {
    let configure = |fixture: &QueueFixture| {
        let poll = Duration::from_millis(300);
        without_intervals(fixture).without_trigger().poll_interval(poll)
    };
    on_each(configure, |fixture, outer| {
        for message in 0..5 {
            let path = fixture.link(format!("1/{message}"));
            assert_eq!(outer.receive(1)[0].path(), path);
            fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn a_quiet_time_arrives() {
    let configure = |fixture: &QueueFixture| {
        let quiet = Duration::from_millis(300);
        without_intervals(fixture).write_method(pullcord::WriteMethod::InPlace { quiet })
    };
    on_each(configure, |fixture, outer| {
        outer.drain();
        let path = fixture.path("todo/1/upload");
        fs::write(&path, "a message").unwrap();
        fixture.pull();
        assert_eq!(outer.receive(1)[0].path(), path);
    });
}

#[test]
fn the_waker_wakes_the_loop_once() {
    on_each(without_intervals, |fixture, outer| {
        outer.drain();
        let waker = outer.mail.waker().unwrap();
        for _ in 0..3 {
            let thread = std::thread::spawn({
                let waker = waker.clone();
                move || waker.wake().unwrap()
            });
            outer.wait("the waker");
            thread.join().unwrap();
            assert!(outer.turn().is_empty());
            assert!(outer.drain().is_empty());
        }
        let path = fixture.link("0/1");
        fixture.pull();
        waker.wake().unwrap();
        assert_eq!(outer.receive(1)[0].path(), path);
    });
}

#[test]
fn a_queue_that_is_changed_by_the_loop_wakes_it() {
    on_each(without_intervals, |fixture, outer| {
        fixture.link("0/1");
        let entry = outer.receive(1).remove(0);
        outer.drain();
        outer.mail.queue_mut().requeue(&entry, Instant::now()).unwrap();
        assert_eq!(outer.receive(1)[0].path(), entry.path());
    });
}

#[test]
fn an_idle_receiver_does_not_wake_the_loop() {
    on_each(QueueFixture::options, |fixture, outer| {
        outer.drain();
        assert!(!outer.wait_for(Duration::from_secs(2)), "it is readable for no reason");
        if outer.mail.queue().is_fully_watched() {
            fixture.pull();
            assert!(
                !outer.wait_for(Duration::from_millis(500)),
                "a pull without an entry made it readable"
            );
        }
    });
}
