//! After an `Events` has reached its size, a wait and a drain do not allocate. An entry that a reliable
//! watch reports does not allocate either. If a notifier cannot allocate memory, it returns an error.

#![deny(unsafe_code)]

#[path = "support/allocator.rs"]
mod allocator;
mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocator::{Counting, allocations_of, without_memory};
use pullcord::{
    Backend, DrainOutcome, Events, Interest, Key, Mode, OtherReaders, QueueOptions, Trigger, pull,
};
use support::{Desk, MODES, Suite, named, put};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    Suite::default()
        .alone_on_each_backend(named![
            ten_thousand_wakeups_allocate_nothing,
            an_entry_that_the_watch_reports_allocates_nothing,
            without_memory_a_notifier_returns_an_error_and_continues,
        ])
        .alone(named![an_entry_that_a_receiver_returns_allocates_nothing])
        .run(&[])
}

fn ten_thousand_wakeups_allocate_nothing(backend: Backend) {
    let directory = support::directory();
    let path = directory.path().join("trigger");
    Trigger::create(&path, 0o622).unwrap();
    let mut trigger = Trigger::open(&path, OtherReaders::Reject).unwrap();
    let writer = support::writer(&path);
    let mut desk = Desk::new(backend);
    let waker = desk.notifier.waker().unwrap();

    for mode in MODES {
        desk.register(&trigger, 1, Interest::Read, mode);
        let mut wake = || {
            put(&writer);
            desk.wait(None);
            assert_eq!(desk.events.len(), 1);
            assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
            waker.wake().unwrap();
            assert!(desk.wait(None));
            if mode == Mode::OneShot {
                desk.register(&trigger, 1, Interest::Read, mode);
            }
            desk.wait(Duration::ZERO);
        };
        wake();
        let allocated = allocations_of(|| (0..10_000).for_each(|_| wake()));
        assert_eq!(allocated, 0, "under {mode:?}");
    }
}

fn without_memory_a_notifier_returns_an_error_and_continues(backend: Backend) {
    let fifo = support::Fifo::new();
    let high = support::sys::duplicate_from(&fifo.reader, 200);
    let mut notifier = backend.open().unwrap();
    put(&fifo.writer);
    let mut register =
        || notifier.register(&high, Key(1), Interest::Read, Mode::Level).map_err(|e| e.kind());
    let result = without_memory(&mut register);
    // The kqueue backend allocates nothing.
    let expected = if backend == Backend::Kqueue { Ok(()) } else { Err(ErrorKind::OutOfMemory) };
    assert_eq!(result, expected);
    register().unwrap();

    let mut events = Events::with_capacity(4);
    let mut wait = || notifier.wait(&mut events, None).map_err(|e| e.kind());
    let result = without_memory(&mut wait);
    // select has allocated everything at the registration.
    let expected = if backend == Backend::Select { Ok(()) } else { Err(ErrorKind::OutOfMemory) };
    assert_eq!(result, expected);
    wait().unwrap();
    assert_eq!(events.len(), 1);
}

fn an_entry_that_the_watch_reports_allocates_nothing(backend: Backend) {
    let directory = support::directory();
    let todo = directory.path().join("todo");
    fs::create_dir(&todo).unwrap();
    let trigger = directory.path().join("trigger");
    Trigger::create(&trigger, 0o622).unwrap();
    let mut queue = QueueOptions::directories([&todo]).trigger(&trigger).open().unwrap();
    if !queue.is_fully_watched() {
        return; // without names, each arrival opens and reads a directory, which allocates
    }
    let mut notifier = backend.open().unwrap();
    queue.register(&mut *notifier, [Key(0), Key(1)]);
    let mut events = Events::with_capacity(4);
    let mut found = 0;
    let mut turn = || {
        let timeout = queue.prepare(&mut *notifier, Instant::now());
        notifier.wait(&mut events, timeout).unwrap();
        for event in &events {
            let _ = queue.handle_event(event);
        }
        let now = Instant::now();
        while let Some(entry) = queue.next_entry(now) {
            assert!(entry.name.len() < 10);
            found += 1;
        }
        found
    };
    measure(&todo, &trigger, &mut turn);
}

fn an_entry_that_a_receiver_returns_allocates_nothing() {
    let directory = support::directory();
    let todo = directory.path().join("todo");
    fs::create_dir(&todo).unwrap();
    let trigger = directory.path().join("trigger");
    Trigger::create(&trigger, 0o622).unwrap();
    let mut mail = QueueOptions::directories([&todo]).trigger(&trigger).receiver().unwrap();
    if !mail.queue().is_fully_watched() {
        return;
    }
    let mut found = 0;
    measure(&todo, &trigger, &mut || {
        assert!(mail.recv().unwrap().unwrap().name.len() < 10);
        found += 1;
        found
    });
}

/// Adds entries in bursts and receives them with `turn`, which returns the number received so far.
fn measure(todo: &Path, trigger: &Path, turn: &mut dyn FnMut() -> usize) {
    for burst in 0..20 {
        for number in 0..10 {
            fs::write(todo.join((10 * burst + number).to_string()), "").unwrap();
        }
        pull(trigger).unwrap();
        let allocated = allocations_of(|| while turn() < 10 * (burst + 1) {});
        // The first scan stores the names that the watch reports during it.
        assert!(allocated == 0 || burst == 0, "{allocated} in burst {burst}");
    }
}
