//! Todo in other people's loops: what makes a foreign loop go deaf or spin if it is got wrong.

#![cfg(any(feature = "mio", feature = "polling", feature = "tokio"))]

mod office;

use std::fs;
use std::time::Duration;
#[cfg(any(feature = "mio", feature = "tokio"))]
use std::time::Instant;

use office::Office;
#[cfg(any(feature = "mio", feature = "tokio"))]
use office::PATIENCE;
#[cfg(any(feature = "mio", feature = "tokio"))]
use pullcord::Todo;
use pullcord::{Backend, PullOutcome, Trigger, WatchMode, pull};
#[cfg(any(feature = "mio", feature = "polling"))]
use pullcord::{Notifier, interop};

/// Todo as on a notifier of ours.
#[cfg(any(feature = "mio", feature = "polling"))]
fn rides_on(notifier: Box<dyn Notifier>) {
    let mut office = Office::new(Backend::best(), None);
    office.notifier = notifier;
    office.open_on(office.queue().watch(WatchMode::Off).tick(Duration::from_millis(20)));
    for message in 0..100 {
        if message % 10 == 0 {
            fs::remove_file(office.trigger()).unwrap();
            Trigger::create(office.trigger(), 0o622).unwrap();
        }
        let entry = office.link(message.to_string());
        while pull(office.trigger()).unwrap() == PullOutcome::NoReader {
            office.turn(Duration::from_millis(20));
        }
        office.expect(std::slice::from_ref(&entry));
        fs::remove_file(entry).unwrap();
    }
    // Without the tick's help.
    take_out(&mut office);
    office.open_on(office.queue().watch(WatchMode::Off));
    for message in 0..100 {
        let entry = office.link(message.to_string());
        office.pull();
        office.expect(std::slice::from_ref(&entry));
        fs::remove_file(entry).unwrap();
    }
    // With a watch, where there is one.
    take_out(&mut office);
    office.open_on(office.queue());
    for message in 0..100 {
        let entry = office.link(message.to_string());
        office.pull();
        office.expect(std::slice::from_ref(&entry));
        fs::remove_file(entry).unwrap();
    }
}

/// Whoever opens the queue next is its only reader, though the notifier lives on.
#[cfg(any(feature = "mio", feature = "polling"))]
fn take_out(office: &mut Office) {
    office.settle_for_a_while();
    let mut todo = office.todo.take().unwrap();
    todo.deregister(&mut *office.notifier).unwrap();
    drop(todo);
    assert_eq!(pull(office.trigger()).unwrap(), PullOutcome::NoReader);
}

#[test]
#[cfg(feature = "mio")]
fn todo_runs_on_mio() {
    rides_on(Box::new(interop::MioNotifier::open().unwrap()));
}

#[test]
#[cfg(feature = "polling")]
fn todo_runs_on_polling() {
    rides_on(Box::new(interop::PollingNotifier::open().unwrap()));
}

/// A queue that only the trigger tells of.
#[cfg(any(feature = "mio", feature = "tokio"))]
fn unwatched() -> (Office, Todo) {
    let office = Office::new(Backend::best(), None);
    let todo = Todo::open(office.queue().watch(WatchMode::Off)).unwrap();
    (office, todo)
}

#[cfg(feature = "mio")]
mod in_mio {
    use std::path::PathBuf;

    use mio::{Events, Interest, Poll, Token};
    use pullcord::{DrainOutcome, OtherReaders, todo::Queue};

    use super::*;

    const TODO: Token = Token(3);

    struct Loop {
        poll: Poll,
        events: Events,
    }

    impl Loop {
        fn new(todo: &mut Todo) -> Loop {
            let poll = Poll::new().unwrap();
            poll.registry().register(todo, TODO, Interest::READABLE).unwrap();
            Loop { poll, events: Events::with_capacity(8) }
        }

        fn turn(&mut self, todo: &mut Todo, patience: Duration) -> Vec<PathBuf> {
            self.poll.registry().reregister(todo, TODO, Interest::READABLE).unwrap();
            let timeout = todo.sources(Instant::now()).timeout.min(patience);
            self.poll.poll(&mut self.events, Some(timeout)).unwrap();
            if self.events.iter().any(|event| event.token() == TODO) {
                todo.trigger_ready();
                todo.watch_ready();
            }
            let mut paths = Vec::new();
            while let Some(entry) = todo.next(Instant::now()) {
                paths.push(entry.unwrap().path());
            }
            paths
        }

        fn expect(&mut self, todo: &mut Todo, wanted: PathBuf) {
            let deadline = Instant::now() + PATIENCE;
            while !self.turn(todo, PATIENCE).contains(&wanted) {
                assert!(Instant::now() < deadline, "waited for {}", wanted.display());
            }
        }
    }

    #[test]
    fn every_pull_is_heard_though_the_trigger_rests_in_between() {
        let (mut office, mut todo) = unwatched();
        let mut turns = Loop::new(&mut todo);
        for message in 0..200 {
            let entry = office.link(message.to_string());
            office.pull();
            turns.expect(&mut todo, entry.clone());
            fs::remove_file(entry).unwrap();
        }
    }

    #[test]
    fn a_trigger_that_is_made_anew_is_heard() {
        let (mut office, _) = unwatched();
        let tick = Duration::from_millis(20);
        let mut todo = Todo::open(office.queue().watch(WatchMode::Off).tick(tick)).unwrap();
        let mut turns = Loop::new(&mut todo);
        for message in 0..10 {
            fs::remove_file(office.trigger()).unwrap();
            Trigger::create(office.trigger(), 0o622).unwrap();
            let entry = office.link(message.to_string());
            while pull(office.trigger()).unwrap() == PullOutcome::NoReader {
                turns.turn(&mut todo, tick);
            }
            turns.expect(&mut todo, entry);
        }
    }

    #[test]
    fn what_a_watch_names_is_handed_out() {
        let mut office = Office::new(Backend::best(), None);
        let mut todo = Todo::open(Queue::directories([office.path("todo")])).unwrap();
        if todo.counters().unwatched > 0 {
            return; // the file system of this directory cannot be watched
        }
        let mut turns = Loop::new(&mut todo);
        for message in 0..100 {
            let entry = office.link(message.to_string());
            turns.expect(&mut todo, entry);
        }
    }

    #[test]
    fn once_taken_out_it_is_silent() {
        let (office, mut todo) = unwatched();
        let mut turns = Loop::new(&mut todo);
        while !todo.sources(Instant::now()).timeout.gt(&PATIENCE) {
            turns.turn(&mut todo, Duration::ZERO);
        }
        turns.poll.registry().reregister(&mut todo, TODO, Interest::READABLE).unwrap();
        turns.poll.registry().deregister(&mut todo).unwrap();
        office.pull();
        turns.poll.poll(&mut turns.events, Some(Duration::from_millis(20))).unwrap();
        assert!(turns.events.is_empty());
    }

    #[test]
    fn a_trigger_alone_is_a_source() {
        let (office, todo) = unwatched();
        drop(todo);
        let mut trigger = Trigger::open(office.trigger(), OtherReaders::Reject).unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        poll.registry().register(&mut trigger, TODO, Interest::READABLE).unwrap();
        for _ in 0..100 {
            office.pull();
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [TODO]);
            assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
        }
    }
}

#[cfg(feature = "tokio")]
mod in_tokio {
    use std::collections::BTreeSet;
    use std::thread;

    use pullcord::interop::Entries;
    use tokio::runtime::{Builder, Runtime};
    use tokio::time;

    use super::*;

    fn runtimes() -> [Runtime; 2] {
        [
            Builder::new_current_thread().enable_all().build().unwrap(),
            Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        ]
    }

    #[test]
    fn every_pull_is_heard_though_the_trigger_rests_in_between() {
        for runtime in runtimes() {
            let (mut office, todo) = unwatched();
            runtime.block_on(time_out(async move {
                let mut entries = Entries::of(todo).unwrap();
                let task = tokio::spawn(async move {
                    for message in 0..200 {
                        let entry = office.link(message.to_string());
                        office.pull();
                        while entries.next().await.unwrap().path != entry {}
                        fs::remove_file(entry).unwrap();
                    }
                });
                task.await.unwrap();
            }));
        }
    }

    #[test]
    fn a_cancelled_wait_loses_nothing() {
        for runtime in runtimes() {
            let (mut office, todo) = unwatched();
            let wanted: BTreeSet<_> = (0..500).map(|n| office.path(&format!("todo/{n}"))).collect();
            let writer = thread::spawn(move || {
                for message in 0..500 {
                    office.link(message.to_string());
                    office.pull();
                }
                office
            });
            runtime.block_on(time_out(async {
                let mut entries = Entries::of(todo).unwrap();
                let mut seen = BTreeSet::new();
                while seen != wanted {
                    tokio::select! {
                        biased;
                        entry = entries.next() => {
                            let entry = entry.unwrap().path;
                            fs::remove_file(&entry).unwrap();
                            assert!(seen.insert(entry), "twice");
                        }
                        () = tokio::task::yield_now() => {}
                    }
                }
            }));
            writer.join().unwrap();
        }
    }

    #[test]
    fn other_tasks_have_their_turn_however_much_waits() {
        let (mut office, todo) = unwatched();
        for message in 0..1000 {
            office.link(message.to_string());
        }
        let [current_thread, _] = runtimes();
        current_thread.block_on(time_out(async {
            let mut entries = Entries::of(todo).unwrap();
            let other = tokio::spawn(async {});
            let mut before = 0;
            for _ in 0..1000 {
                entries.next().await.unwrap();
                before += usize::from(!other.is_finished());
            }
            assert!(before <= 64, "{before} entries before the other task ran");
        }));
    }

    #[test]
    fn a_trigger_that_is_made_anew_is_heard() {
        let (mut office, todo) = unwatched();
        drop(todo);
        let tick = Duration::from_millis(20);
        let todo = Todo::open(office.queue().watch(WatchMode::Off).tick(tick)).unwrap();
        let [_, threads] = runtimes();
        threads.block_on(time_out(async {
            let mut entries = Entries::of(todo).unwrap();
            for message in 0..10 {
                fs::remove_file(office.trigger()).unwrap();
                Trigger::create(office.trigger(), 0o622).unwrap();
                let entry = office.link(message.to_string());
                while pull(office.trigger()).unwrap() == PullOutcome::NoReader {
                    let _ = time::timeout(tick, entries.next()).await;
                }
                while entries.next().await.unwrap().path != entry {}
            }
        }));
    }

    async fn time_out<T>(work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = time::timeout(PATIENCE, work).await;
        done.unwrap_or_else(|_| panic!("nothing came in {:?}", begun.elapsed()))
    }
}
