//! Once an `Events` has found its size, neither a wait nor a drain allocates.

#![deny(unsafe_code)]

#[path = "support/allocator.rs"]
mod allocator;
mod support;

use std::process::ExitCode;
use std::time::Duration;

use allocator::{Counting, allocations_of};
use pullcord::{Backend, Drained, Interest, Mode, Sharing, Trigger};
use support::{Desk, MODES, Suite, named, put};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    Suite::default().alone_on_each_backend(named![ten_thousand_wakes_allocate_nothing]).run(&[])
}

fn ten_thousand_wakes_allocate_nothing(backend: Backend) {
    let directory = support::directory();
    let path = directory.path().join("trigger");
    Trigger::make(&path, 0o622).unwrap();
    let mut trigger = Trigger::open(&path, Sharing::Refuse).unwrap();
    let writer = support::writer(&path);
    let mut desk = Desk::new(backend);
    let waker = desk.notifier.waker().unwrap();

    for mode in MODES {
        desk.register(&trigger, 1, Interest::Read, mode);
        let mut wake = || {
            put(&writer);
            desk.wait(None);
            assert_eq!(desk.events.len(), 1);
            assert_eq!(trigger.drain().unwrap(), Drained::Everything);
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
