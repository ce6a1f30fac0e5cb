//! Once an `Events` has found its size, neither a wait nor a drain allocates; and neither does an
//! arrival that the watch names.

#![deny(unsafe_code)]

#[path = "support/allocator.rs"]
mod allocator;
mod support;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocator::{Counting, allocations_of};
use pullcord::{
    Backend, DrainOutcome, Events, Interest, Key, Mode, OtherReaders, Todo, Trigger, todo::Queue,
};
use support::{Desk, MODES, Suite, named, put};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    Suite::default()
        .alone_on_each_backend(named![
            ten_thousand_wakes_allocate_nothing,
            what_the_watch_names_allocates_nothing,
        ])
        .run(&[])
}

fn ten_thousand_wakes_allocate_nothing(backend: Backend) {
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

fn what_the_watch_names_allocates_nothing(backend: Backend) {
    let directory = support::directory();
    let todo_directory = directory.path().join("todo");
    fs::create_dir(&todo_directory).unwrap();
    let trigger = directory.path().join("trigger");
    Trigger::create(&trigger, 0o622).unwrap();
    let queue = Queue::directories([&todo_directory]).trigger(&trigger);
    let mut todo = Todo::open(queue).unwrap();
    if !todo.watch_suffices() {
        return; // a directory is opened and read for every arrival, which takes memory
    }
    let mut notifier = backend.open().unwrap();
    todo.register(&mut *notifier, [Key(0), Key(1)]).unwrap();
    let mut events = Events::with_capacity(4);
    let mut found = 0;
    let mut turn = || {
        let timeout = todo.prepare(&mut *notifier, Instant::now()).unwrap();
        notifier.wait(&mut events, timeout).unwrap();
        for event in &events {
            todo.ready(event);
        }
        let now = Instant::now();
        while let Some(entry) = todo.next(now) {
            assert!(entry.unwrap().name.len() < 10);
            found += 1;
        }
        found
    };
    for burst in 0..20 {
        for number in 0..10 {
            fs::write(todo_directory.join((10 * burst + number).to_string()), "").unwrap();
        }
        pullcord::pull(&trigger).unwrap();
        let allocated = allocations_of(|| while turn() < 10 * (burst + 1) {});
        // At the start there is a scan, and what was named until then is kept aside.
        assert!(allocated == 0 || burst == 0, "{allocated} in burst {burst}");
    }
}
