//! The contract of [`Notifier`]. The same tests run for each backend that can be opened here.

#![deny(unsafe_code)]

mod support;

use std::collections::BTreeSet;
use std::env::{self, consts::OS};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, Interest, Key, Mode, Notifier, Waker};
use support::{
    Desk, Fifo, MODES, PATIENCE, ROLE, Suite, backends, drain, fill, named, put, sys,
    would_not_block,
};

fn main() -> ExitCode {
    Suite::default()
        .on_each_backend(named![
            // register, and the events of the source
            a_source_that_is_already_ready_is_reported_in_every_mode,
            a_level_source_is_reported_until_it_is_drained,
            an_edge_source_is_reported_after_each_arrival_once_drained,
            an_edge_source_is_reported_each_time_it_is_writable_again,
            a_one_shot_source_is_reported_once_until_registered_again,
            a_one_shot_source_is_also_silent_after_a_hang_up,
            a_one_shot_event_disarms_both_directions,
            registering_again_changes_the_key,
            registering_again_changes_the_interest,
            registering_again_changes_the_mode,
            a_number_used_for_another_file_can_be_registered_again,
            a_number_used_for_another_file_can_be_removed,
            keys_need_not_be_unique,
            the_reserved_key_is_refused,
            a_regular_file_and_a_directory_are_refused_alike,
            // deregister
            a_removed_source_is_silent,
            deregistering_an_unregistered_source_succeeds,
            // FIFOs
            a_fifo_end_registered_for_both_reports_its_own_direction,
            a_hung_up_fifo_is_readable_and_its_bytes_come_first,
            the_last_writer_leaving_is_reported,
            a_write_end_whose_readers_left_is_writable,
            a_write_end_whose_readers_left_is_writable_though_full,
            an_empty_fifo_with_its_own_write_end_is_never_readable,
            // wait
            a_wait_is_never_early,
            the_longest_wait_can_be_ended,
            a_wait_reports_at_most_as_many_events_as_fit,
            with_space_for_one_event_every_source_is_reported,
            // the waker
            a_wake_ends_a_wait_in_another_thread,
            a_thousand_wakes_before_a_wait_end_one_wait,
            no_wake_of_many_threads_is_lost,
            a_wake_does_not_hide_an_event,
            a_waker_may_outlive_its_notifier,
            // the notifier itself
            a_notifier_moves_to_another_thread,
            a_notifier_can_be_used_inside_another_loop,
        ])
        .alone_on_each_backend(named![
            a_source_closed_while_registered_is_reported_at_most_once,
            sources_closed_while_registered_are_all_found_with_room_for_one_event,
            a_disarmed_source_that_is_closed_is_silent,
            a_number_used_for_another_file_is_reported_as_an_error_at_most_once,
            a_number_used_again_after_many_reports_is_found,
            a_signal_ends_a_wait_with_no_events_and_no_error,
            descriptors_beyond_fd_setsize_work_or_fail_with_a_message,
            without_free_descriptors_an_open_notifier_continues,
            a_forked_child_does_not_affect_its_parents_notifier,
            no_descriptor_leaks_across_exec,
        ])
        .once(named![the_environment_chooses_the_backend])
        .run(named![backend_of_the_environment])
}

const READ: Interest = Interest::Read;
const WRITE: Interest = Interest::Write;
const BOTH: Interest = Interest::Both;

/// Two connected sockets that do not block.
fn socket_pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

fn a_source_that_is_already_ready_is_reported_in_every_mode(backend: Backend) {
    for mode in MODES {
        let fifo = Fifo::new();
        let (near, far) = socket_pair();
        let mut desk = Desk::new(backend);

        desk.register(&fifo.reader, 1, READ, mode);
        desk.expect_nothing();
        put(&fifo.writer);
        put(&far);
        desk.register(&fifo.reader, 1, READ, mode);
        desk.register(&fifo.writer, 2, WRITE, mode);
        desk.register(&near, 3, BOTH, mode);
        desk.expect([(1, "r"), (2, "w"), (3, "rw")]);

        fill(&fifo.writer);
        drain(&near);
        desk.register(&fifo.writer, 2, WRITE, mode);
        desk.register(&near, 3, READ, mode);
        desk.deregister(&fifo.reader);
        desk.expect_nothing();
    }
}

fn a_level_source_is_reported_until_it_is_drained(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&reader, 1, READ, Mode::Level);
    desk.register(&writer, 2, WRITE, Mode::Level);
    for _ in 0..3 {
        desk.expect([(2, "w")]);
        put(&writer);
        put(&writer);
        desk.expect([(1, "r"), (2, "w")]);
        (&reader).read_exact(&mut [0]).unwrap();
        desk.expect([(1, "r"), (2, "w")]);
        fill(&writer);
        desk.expect([(1, "r")]);
        desk.expect([(1, "r")]);
        drain(&reader);
    }
}

fn an_edge_source_is_reported_after_each_arrival_once_drained(backend: Backend) {
    let fifo = Fifo::new();
    let (near, far) = socket_pair();
    let mut desk = Desk::new(backend);
    desk.register(&fifo.reader, 1, READ, Mode::Edge);
    desk.register(&near, 2, READ, Mode::Edge);
    for round in 0..1000 {
        put(&fifo.writer);
        desk.expect([(1, "r")]);
        drain(&fifo.reader);
        desk.expect_nothing();
        put(&far);
        desk.expect([(2, "r")]);
        drain(&near);
        // Several arrivals cause at least one event, with or without a wait between them.
        for arrival in 0..round % 4 {
            put(&fifo.writer);
            if arrival == round % 3 {
                desk.expect([(1, "r")]);
            }
        }
        if drain(&fifo.reader) > 0 {
            desk.wait(Duration::ZERO);
        }
    }
}

fn an_edge_source_is_reported_each_time_it_is_writable_again(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&writer, 1, WRITE, Mode::Edge);
    for _ in 0..100 {
        desk.expect([(1, "w")]);
        fill(&writer);
        desk.expect_nothing();
        drain(&reader);
    }
}

fn a_one_shot_source_is_reported_once_until_registered_again(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    for key in 0..100 {
        desk.register(&reader, key, READ, Mode::OneShot);
        desk.expect_nothing();
        put(&writer);
        desk.expect([(key, "r")]);
        desk.expect_nothing();
        put(&writer);
        desk.expect_nothing();
        drain(&reader);
        put(&writer);
        desk.expect_nothing();
        drain(&reader);
    }
}

fn a_one_shot_source_is_also_silent_after_a_hang_up(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    drop(writer);
    let mut desk = Desk::new(backend);
    for key in 0..3 {
        desk.register(&reader, key, READ, Mode::OneShot);
        desk.expect([(key, "r")]);
        desk.expect_nothing();
        desk.expect_nothing();
    }
}

fn a_one_shot_event_disarms_both_directions(backend: Backend) {
    let (near, far) = socket_pair();
    let mut desk = Desk::new(backend);

    desk.register(&near, 1, BOTH, Mode::OneShot);
    desk.expect([(1, "w")]);
    put(&far);
    desk.expect_nothing();

    drain(&near);
    fill(&near);
    desk.register(&near, 1, BOTH, Mode::OneShot);
    desk.expect_nothing();
    put(&far);
    desk.expect([(1, "r")]);
    drain(&far);
    desk.expect_nothing();

    desk.register(&near, 1, BOTH, Mode::OneShot);
    desk.expect([(1, "rw")]);
    desk.expect_nothing();
}

fn registering_again_changes_the_key(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    put(&writer);
    for mode in MODES {
        let mut desk = Desk::new(backend);
        for key in [0, 7, usize::MAX - 1] {
            desk.register(&reader, key, READ, mode);
            desk.expect([(key, "r")]);
        }
    }
}

fn registering_again_changes_the_interest(backend: Backend) {
    let (near, far) = socket_pair();
    put(&far);
    let all = [(READ, "r"), (WRITE, "w"), (BOTH, "rw")];
    for mode in MODES {
        let mut desk = Desk::new(backend);
        for (before, _) in all {
            for (interest, ready) in all {
                desk.register(&near, 1, before, mode);
                desk.register(&near, 1, interest, mode);
                desk.expect([(1, ready)]);
            }
        }
    }
}

fn registering_again_changes_the_mode(backend: Backend) {
    for before in MODES {
        for mode in MODES {
            let Fifo { reader, writer, .. } = Fifo::new();
            let mut desk = Desk::new(backend);
            put(&writer);
            desk.register(&reader, 1, READ, before);
            desk.expect([(1, "r")]);
            desk.register(&reader, 1, READ, mode);
            desk.expect([(1, "r")]);

            let repeats = mode == Mode::Level || mode == Mode::Edge && !backend.has_native_edge();
            if repeats {
                desk.expect([(1, "r")]);
            } else {
                desk.expect_nothing();
            }
            drain(&reader);
            desk.expect_nothing();
            put(&writer);
            if mode == Mode::OneShot {
                desk.expect_nothing();
            } else {
                desk.expect([(1, "r")]);
            }
        }
    }
}

fn a_number_used_for_another_file_can_be_registered_again(backend: Backend) {
    for before in MODES {
        for mode in MODES {
            let (old, new) = (Fifo::new(), Fifo::new());
            let mut desk = Desk::new(backend);
            desk.register(&old.reader, 1, READ, before);
            sys::replace(&old.reader, &new.reader);
            desk.register(&old.reader, 2, READ, mode);
            desk.expect_nothing();
            put(&new.writer);
            desk.expect([(2, "r")]);
        }
    }
}

fn a_number_used_for_another_file_can_be_removed(backend: Backend) {
    let (old, new) = (Fifo::new(), Fifo::new());
    let mut desk = Desk::new(backend);
    desk.register(&old.reader, 1, READ, Mode::Level);
    sys::replace(&old.reader, &new.reader);
    desk.deregister(&old.reader);
    put(&new.writer);
    desk.expect_nothing();
    desk.register(&old.reader, 2, READ, Mode::Level);
    desk.expect([(2, "r")]);
}

fn keys_need_not_be_unique(backend: Backend) {
    let (one, other) = (Fifo::new(), Fifo::new());
    let mut desk = Desk::new(backend);
    for fifo in [&one, &other] {
        desk.register(&fifo.reader, 1, READ, Mode::Level);
        put(&fifo.writer);
    }
    desk.expect([(1, "r")]);
    assert_eq!(desk.events.len(), 2);
    desk.deregister(&one.reader);
    desk.expect([(1, "r")]);
    assert_eq!(desk.events.len(), 1);
}

fn the_reserved_key_is_refused(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    let refused = desk.notifier.register(&reader, Key::RESERVED, READ, Mode::Level);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    put(&writer);
    desk.expect_nothing();
}

fn a_regular_file_and_a_directory_are_refused_alike(backend: Backend) {
    let directory = support::directory();
    let file = File::create(directory.path().join("file")).unwrap();
    let directory = File::open(directory.path()).unwrap();
    let mut desk = Desk::new(backend);
    for source in [&file, &directory] {
        for interest in [READ, WRITE, BOTH] {
            for mode in MODES {
                let refused = desk.notifier.register(source, Key(1), interest, mode).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
                assert!(refused.to_string().contains("regular file"), "{refused}");
            }
        }
        desk.expect_nothing();
        desk.deregister(source);
    }
}

fn a_removed_source_is_silent(backend: Backend) {
    let (near, far) = socket_pair();
    for mode in MODES {
        let mut desk = Desk::new(backend);
        desk.register(&near, 1, BOTH, mode);
        put(&far);
        desk.deregister(&near);
        desk.expect_nothing();
        put(&far);
        desk.expect_nothing();
        desk.register(&near, 2, BOTH, mode);
        desk.expect([(2, "rw")]);
        desk.deregister(&near);
        desk.expect_nothing();
    }
}

fn deregistering_an_unregistered_source_succeeds(backend: Backend) {
    let (never, twice) = (Fifo::new(), Fifo::new());
    let mut desk = Desk::new(backend);
    desk.deregister(&never.reader);
    desk.register(&twice.reader, 1, READ, Mode::OneShot);
    put(&twice.writer);
    desk.expect([(1, "r")]);
    desk.deregister(&twice.reader);
    desk.deregister(&twice.reader);
    desk.expect_nothing();
}

fn a_fifo_end_registered_for_both_reports_its_own_direction(backend: Backend) {
    // On other systems the direction that an end does not have is refused (OpenBSD's kqueue), or reported
    // nevertheless if FIFOs are implemented with sockets.
    if !["linux", "freebsd"].contains(&OS) {
        return;
    }
    for mode in MODES {
        let Fifo { reader, writer, .. } = Fifo::new();
        let mut desk = Desk::new(backend);
        desk.register(&reader, 1, BOTH, mode);
        desk.expect_nothing();
        desk.register(&writer, 2, BOTH, mode);
        desk.expect([(2, "w")]);
        desk.deregister(&writer);
        put(&writer);
        desk.expect([(1, "r")]);
    }
}

/// The FIFO is readable with bytes and at its end: in both cases a read does not block.
fn a_hung_up_fifo_is_readable_and_its_bytes_come_first(backend: Backend) {
    for mode in MODES {
        let Fifo { reader, writer, .. } = Fifo::new();
        put(&writer);
        drop(writer);
        let mut desk = Desk::new(backend);
        desk.register(&reader, 1, READ, mode);
        desk.expect([(1, "r")]);
        assert_eq!(would_not_block((&reader).read(&mut [0; 8])), Some(1));
        desk.register(&reader, 1, READ, mode);
        desk.expect([(1, "r")]);
        assert_eq!(would_not_block((&reader).read(&mut [0; 8])), Some(0));
    }
}

fn the_last_writer_leaving_is_reported(backend: Backend) {
    // On these systems the close of the last writer causes no event on a kqueue. No code relies on that
    // event, because a trigger always has a writer.
    if cfg!(target_vendor = "apple") && backend == Backend::Kqueue {
        return;
    }
    for mode in MODES {
        let Fifo { reader, writer, .. } = Fifo::new();
        let mut desk = Desk::new(backend);
        desk.register(&reader, 1, READ, mode);
        desk.expect_nothing();
        drop(writer);
        desk.expect([(1, "r")]);
    }
}

fn a_write_end_whose_readers_left_is_writable(backend: Backend) {
    for mode in MODES {
        let Fifo { reader, writer, .. } = Fifo::new();
        drop(reader);
        let mut desk = Desk::new(backend);
        desk.register(&writer, 1, WRITE, mode);
        desk.expect([(1, "w")]);
    }
}

fn a_write_end_whose_readers_left_is_writable_though_full(backend: Backend) {
    for mode in MODES {
        let Fifo { reader, writer, .. } = Fifo::new();
        fill(&writer);
        let mut desk = Desk::new(backend);
        desk.register(&writer, 1, WRITE, mode);
        desk.expect_nothing();
        drop(reader);
        desk.expect([(1, "w")]);
    }
}

/// qmail's `HASNAMEDPIPEBUG1` was for systems where an empty FIFO without writers is readable. A reader
/// that holds a writing end never waits for such a FIFO, even if other writers come and go.
fn an_empty_fifo_with_its_own_write_end_is_never_readable(backend: Backend) {
    for mode in MODES {
        let fifo = Fifo::new();
        let mut desk = Desk::new(backend);
        let empty = || would_not_block((&fifo.reader).read(&mut [0])).is_none();
        for _ in 0..100 {
            desk.register(&fifo.reader, 1, READ, mode);
            assert!(empty(), "an empty FIFO with a writer has ended");
            desk.expect_nothing();
            let other = support::writer(&fifo.path);
            desk.expect_nothing();
            put(&other);
            desk.expect([(1, "r")]);
            drain(&fifo.reader);
            drop(other);
            assert!(empty(), "an empty FIFO with a writer has ended");
            desk.expect_nothing();
        }
    }
}

fn a_wait_is_never_early(backend: Backend) {
    let Fifo { reader, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    for registered in [false, true] {
        if registered {
            desk.register(&reader, 1, READ, Mode::OneShot);
            desk.wait(PATIENCE); // reports the hang-up, which disarms the source
        }
        for micros in [0, 1, 999, 1000, 1500, 10_000, 33_333] {
            let timeout = Duration::from_micros(micros);
            let begun = Instant::now();
            let woken = desk.wait(timeout);
            let waited = begun.elapsed();
            assert!(waited >= timeout, "{waited:?} of {timeout:?}");
            assert!(desk.events.is_empty() && !woken, "{:?}", desk.events);
        }
    }
}

fn the_longest_wait_can_be_ended(backend: Backend) {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    for timeout in [None, Some(Duration::MAX), Some(Duration::from_secs(u64::MAX / 2)), Some(week)]
    {
        let Fifo { reader, writer, .. } = Fifo::new();
        let mut desk = Desk::new(backend);
        desk.register(&reader, 1, READ, Mode::Level);
        let waker = desk.notifier.waker().unwrap();
        let other = thread::spawn(move || waker.wake().unwrap());
        assert!(desk.wait(timeout), "{timeout:?}: woken");
        other.join().unwrap();
        put(&writer);
        assert!(!desk.wait(timeout), "{timeout:?}: not woken");
        assert_eq!(desk.events.len(), 1, "{timeout:?}");
    }
}

fn a_wait_reports_at_most_as_many_events_as_fit(backend: Backend) {
    let fifos: Vec<_> = (0..10).map(|_| Fifo::new()).collect();
    for (asked, room) in [(0, 1), (1, 1), (3, 3), (10, 10), (1000, 10)] {
        let mut desk = Desk::with_room_for(backend, asked);
        for (key, fifo) in fifos.iter().enumerate() {
            desk.register(&fifo.writer, key, WRITE, Mode::Level);
        }
        for _ in 0..10 {
            desk.wait(PATIENCE);
            assert_eq!(desk.events.len(), room, "asked for {asked}");
        }
    }
}

fn with_space_for_one_event_every_source_is_reported(backend: Backend) {
    const SOURCES: usize = 20;
    let fifos: Vec<_> = (0..SOURCES).map(|_| Fifo::new()).collect();
    let mut desk = Desk::with_room_for(backend, 1);
    for (key, fifo) in fifos.iter().enumerate() {
        desk.register(&fifo.writer, key, WRITE, Mode::Level);
    }
    let waker = desk.notifier.waker().unwrap();
    for round in 0..10 {
        waker.wake().unwrap();
        let (mut keys, mut woken) = (BTreeSet::new(), false);
        for _ in 0..2 * (SOURCES + 1) {
            woken |= desk.wait(PATIENCE);
            keys.extend(desk.events.iter().map(|event| event.key.0));
        }
        assert_eq!(keys.len(), SOURCES, "round {round}: {keys:?}");
        assert!(woken, "round {round}: the waker was not reported");
    }
}

fn a_wake_ends_a_wait_in_another_thread(backend: Backend) {
    let mut desk = Desk::new(backend);
    let waker = desk.notifier.waker().unwrap();
    let (next, rounds) = mpsc::channel();
    let other = thread::spawn(move || rounds.iter().for_each(|()| waker.wake().unwrap()));
    for _ in 0..1000 {
        next.send(()).unwrap();
        assert!(desk.wait(None), "the wait ended for no reason");
        assert!(desk.events.is_empty());
    }
    drop(next);
    other.join().unwrap();
    desk.expect_nothing();
}

fn a_thousand_wakes_before_a_wait_end_one_wait(backend: Backend) {
    let mut desk = Desk::new(backend);
    let wakers = [desk.notifier.waker().unwrap(), desk.notifier.waker().unwrap()];
    for _ in 0..10 {
        for waker in wakers.iter().cycle().take(1000) {
            waker.wake().unwrap();
        }
        assert!(desk.wait(None));
        desk.expect_nothing();
    }
}

/// Memory that was written before a wake is visible after it. If a wake were lost, the wait would not end.
fn no_wake_of_many_threads_is_lost(backend: Backend) {
    const THREADS: usize = 4;
    const WAKES: usize = 5000;
    let done = Arc::new(AtomicUsize::new(0));
    let mut desk = Desk::new(backend);
    for _ in 0..THREADS {
        let waker = desk.notifier.waker().unwrap();
        let done = done.clone();
        thread::spawn(move || {
            for _ in 0..WAKES {
                done.fetch_add(1, Ordering::Relaxed);
                waker.wake().unwrap();
            }
        });
    }
    while done.load(Ordering::Relaxed) < THREADS * WAKES {
        assert!(desk.wait(None), "the wait ended for no reason");
    }
}

fn a_wake_does_not_hide_an_event(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    let waker = desk.notifier.waker().unwrap();
    for mode in MODES {
        desk.register(&reader, 1, READ, mode);
        put(&writer);
        waker.wake().unwrap();
        assert!(desk.wait(PATIENCE), "{mode:?}");
        assert_eq!(desk.events.len(), 1, "{mode:?}");
        drain(&reader);
        desk.expect_nothing();
    }
}

fn a_waker_may_outlive_its_notifier(backend: Backend) {
    let mut notifier = backend.open().unwrap();
    let waker: Waker = notifier.waker().unwrap();
    waker.wake().unwrap();
    drop(notifier);
    for _ in 0..100_000 {
        waker.wake().unwrap();
    }
}

fn a_notifier_moves_to_another_thread(backend: Backend) {
    fn is_send<T: Send + ?Sized>() {}
    is_send::<dyn Notifier>();

    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&reader, 1, READ, Mode::Level);
    put(&writer);
    let moved = thread::spawn(move || {
        desk.expect([(1, "r")]);
        desk
    });
    moved.join().unwrap().expect([(1, "r")]);
}

/// The descriptor is readable while the inner notifier has events. It is not readable after the inner
/// notifier was waited on until no event was left.
fn a_notifier_can_be_used_inside_another_loop(backend: Backend) {
    let mut inner = Desk::new(backend);
    assert_eq!(inner.notifier.pollable_fd().is_some(), backend.has_pollable_fd());
    if !backend.has_pollable_fd() {
        return;
    }
    let fifos = [Fifo::new(), Fifo::new()];
    for (key, fifo) in fifos.iter().enumerate() {
        inner.register(&fifo.reader, key, READ, Mode::Level);
    }
    let waker = inner.notifier.waker().unwrap();
    for outer in backends() {
        for mode in MODES {
            let mut outer = Desk::new(outer);
            outer.register(&inner.notifier.pollable_fd().unwrap(), 9, READ, mode);
            for _ in 0..100 {
                outer.expect_nothing();
                fifos.iter().for_each(|fifo| put(&fifo.writer));
                outer.expect([(9, "r")]);
                while inner.wait(Duration::ZERO) || !inner.events.is_empty() {
                    for event in &inner.events {
                        drain(&fifos[event.key.0].reader);
                    }
                }
                if mode == Mode::OneShot {
                    outer.register(&inner.notifier.pollable_fd().unwrap(), 9, READ, mode);
                }
            }
            waker.wake().unwrap();
            outer.expect([(9, "r")]);
            assert!(inner.wait(Duration::ZERO));
        }
    }
}

/// This is a bug of the caller. It causes no spin and does not affect the other sources. select reports
/// the source as an error. epoll and kqueue drop it without a report.
fn a_source_closed_while_registered_is_reported_at_most_once(backend: Backend) {
    for mode in MODES {
        let (closed, other) = (Fifo::new(), Fifo::new());
        let mut desk = Desk::new(backend);
        desk.register(&closed.reader, 1, READ, mode);
        desk.register(&other.reader, 2, READ, mode);
        drop(closed.reader);

        if backend == Backend::Select {
            desk.wait(PATIENCE);
            let [event] = desk.events.iter().as_slice() else { panic!("{:?}", desk.events) };
            assert!(event.key == Key(1) && event.error && event.readable, "{event:?}");
        }
        let (begun, timeout) = (Instant::now(), Duration::from_millis(20));
        desk.wait(timeout);
        assert!(desk.events.is_empty() && begun.elapsed() >= timeout, "{:?}", desk.events);
        put(&other.writer);
        desk.expect([(2, "r")]);
    }
}

fn sources_closed_while_registered_are_all_found_with_room_for_one_event(backend: Backend) {
    let mut desk = Desk::with_room_for(backend, 1);
    let waker = desk.notifier.waker().unwrap();
    let fifos: Vec<_> = (0..5).map(|_| Fifo::new()).collect();
    for (key, fifo) in fifos.iter().enumerate() {
        desk.register(&fifo.reader, key, READ, Mode::Level);
    }
    drop(fifos);
    waker.wake().unwrap();
    let mut reported = Vec::new();
    while !desk.wait(PATIENCE) {
        reported.extend(desk.events.iter().map(|event| event.key.0));
    }
    let all = if backend == Backend::Select { vec![0, 1, 2, 3, 4] } else { vec![] };
    reported.sort_unstable();
    assert_eq!(reported, all);
    desk.expect_nothing();
}

/// select(2) fails for the other source, and both are closed.
fn a_disarmed_source_that_is_closed_is_silent(backend: Backend) {
    let (disarmed, other) = (Fifo::new(), Fifo::new());
    let mut desk = Desk::new(backend);
    desk.register(&disarmed.reader, 1, READ, Mode::OneShot);
    desk.register(&other.reader, 2, READ, Mode::Level);
    put(&disarmed.writer);
    desk.expect([(1, "r")]);
    drop((disarmed, other));
    for _ in 0..3 {
        desk.wait(Duration::from_millis(20));
        let keys: Vec<_> = desk.events.iter().map(|event| event.key).collect();
        assert!(!keys.contains(&Key(1)), "{keys:?}");
    }
}

/// Returns files that take the number of a source that was closed while registered. Each is readable.
fn successors() -> (Vec<File>, impl Sized) {
    let directory = support::directory();
    let path = directory.path().join("file");
    std::fs::write(&path, "text").unwrap();
    let fifo = Fifo::new();
    put(&fifo.writer);
    let files = vec![
        fifo.reader.try_clone().unwrap(),
        File::open(&path).unwrap(),
        File::open(directory.path()).unwrap(),
    ];
    (files, (directory, fifo))
}

/// Waits 100 times. Returns the number of events of `key`, and the number of errors among them.
fn count_events(desk: &mut Desk, key: Key) -> (usize, usize) {
    let mut events = Vec::new();
    for _ in 0..100 {
        desk.wait(Duration::from_millis(1));
        events.extend(desk.events.iter().filter(|event| event.key == key).copied());
    }
    (events.len(), events.iter().filter(|event| event.error).count())
}

/// epoll and kqueue drop a source that is closed. select waits for its number, and another file that has
/// this number may stay ready indefinitely.
fn a_number_used_for_another_file_is_reported_as_an_error_at_most_once(backend: Backend) {
    let (files, _kept) = successors();
    for file in &files {
        for mode in MODES {
            let (old, other) = (Fifo::new(), Fifo::new());
            let mut desk = Desk::new(backend);
            desk.register(&old.reader, 1, READ, mode);
            desk.register(&other.reader, 2, READ, Mode::Level);
            sys::replace(&old.reader, file);
            let (events, errors) = count_events(&mut desk, Key(1));
            if backend == Backend::Select && mode != Mode::OneShot {
                assert!(events <= 8 && errors == 1, "{mode:?}, {file:?}: {events} events");
            } else {
                assert!(events <= 1 && errors == 0, "{mode:?}, {file:?}: {events} events");
            }
            put(&other.writer);
            desk.expect([(2, "r")]);
            drain(&other.reader);
            // The number can be registered again.
            sys::replace(&old.reader, &other.reader);
            desk.register(&old.reader, 3, READ, mode);
            desk.expect_nothing();
        }
    }
}

/// A source that was reported often is still compared, although rarely.
fn a_number_used_again_after_many_reports_is_found(backend: Backend) {
    let (files, _kept) = successors();
    let old = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&old.reader, 1, READ, Mode::Level);
    put(&old.writer);
    for _ in 0..5000 {
        desk.expect([(1, "r")]);
    }
    sys::replace(&old.reader, &files[1]);
    let mut waits = 0;
    while !desk.wait(Duration::ZERO) && !desk.events.is_empty() {
        waits += 1;
        assert!(waits <= 1024, "a spin: {:?}", desk.events);
    }
}

/// This is so although the handler was installed with SA_RESTART.
fn a_signal_ends_a_wait_with_no_events_and_no_error(backend: Backend) {
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    let Fifo { reader, writer: _writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&reader, 1, READ, Mode::Level);
    sys::catch(libc::SIGUSR1);
    let waiting = sys::Thread::this();
    // The signal is sent repeatedly, because a signal that arrives before the wait does not end it.
    let nudge = thread::spawn(move || {
        while !ENOUGH.load(Ordering::Relaxed) {
            waiting.signal(libc::SIGUSR1);
            thread::sleep(Duration::from_millis(1));
        }
    });
    for timeout in [None, Some(Duration::MAX), Some(2 * PATIENCE)] {
        for _ in 0..20 {
            assert!(!desk.wait(timeout) && desk.events.is_empty(), "{:?}", desk.events);
        }
    }
    ENOUGH.store(true, Ordering::Relaxed);
    nudge.join().unwrap();
}

fn descriptors_beyond_fd_setsize_work_or_fail_with_a_message(backend: Backend) {
    let number = libc::FD_SETSIZE + 77;
    if !sys::limit_descriptors(number + 10) {
        eprintln!("skipped: this process may not have descriptor {number}");
        return;
    }
    let (low, high) = (Fifo::new(), Fifo::new());
    let reader = sys::duplicate_from(&high.reader, number as i32);
    let mut desk = Desk::new(backend);
    desk.register(&low.reader, 1, READ, Mode::Level);
    put(&low.writer);
    put(&high.writer);
    for mode in MODES {
        if let Err(refused) = desk.notifier.register(&reader, Key(2), READ, mode) {
            // On systems where select(2) does not accept longer sets, or where that is not known.
            let known = ["linux", "android", "freebsd", "netbsd", "openbsd", "dragonfly", "macos"];
            assert!(backend == Backend::Select && !known.contains(&OS), "{refused}");
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(refused.to_string().contains(&reader.as_raw_fd().to_string()), "{refused}");
            desk.deregister(&reader);
            desk.expect([(1, "r")]);
            continue;
        }
        desk.expect([(1, "r"), (2, "r")]);
        match mode {
            Mode::Level => desk.expect([(1, "r"), (2, "r")]),
            Mode::Edge => {}
            Mode::OneShot => desk.expect([(1, "r")]),
            other => panic!("no test of {other:?}"),
        }
        desk.deregister(&reader);
        desk.expect([(1, "r")]);
    }
}

fn without_free_descriptors_an_open_notifier_continues(backend: Backend) {
    let Fifo { reader, writer, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    desk.register(&reader, 1, READ, Mode::Level);
    assert!(sys::limit_descriptors(128));
    let mut hoard = Vec::new();
    while let Ok(file) = reader.try_clone() {
        hoard.push(file);
    }
    let refused = desk.notifier.waker().map(drop).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE), "{refused}");
    // select needs no descriptor of its own.
    match backend.open() {
        Ok(_) => assert_eq!(backend, Backend::Select),
        Err(refused) => assert_eq!(refused.raw_os_error(), Some(libc::EMFILE), "{refused}"),
    }
    put(&writer);
    desk.expect([(1, "r")]);

    drop(hoard);
    drain(&reader);
    desk.notifier.waker().unwrap().wake().unwrap();
    assert!(desk.wait(PATIENCE));
}

fn a_forked_child_does_not_affect_its_parents_notifier(backend: Backend) {
    let (shared, fresh) = (Fifo::new(), Fifo::new());
    let mut desk = Desk::new(backend);
    let waker = desk.notifier.waker().unwrap();
    desk.register(&shared.reader, 1, READ, Mode::Level);

    let mut inherited = Some(desk);
    let child = sys::in_child(|| {
        drop(inherited.take());
        let mut own = Desk::new(backend);
        own.notifier.waker().unwrap().wake().unwrap();
        assert!(own.wait(PATIENCE));
        own.register(&shared.reader, 2, READ, Mode::OneShot);
        own.register(&fresh.reader, 3, READ, Mode::Level);
        own.expect_nothing();
        put(&fresh.writer);
        own.expect([(3, "r")]);
        drain(&fresh.reader);
        own.deregister(&shared.reader);
        put(&shared.writer);
        own.expect_nothing();
    });
    assert!(child.success(), "the child: {child}");

    let mut desk = inherited.expect("taken only in the child");
    desk.expect([(1, "r")]);
    drain(&shared.reader);
    put(&fresh.writer);
    desk.expect_nothing();
    waker.wake().unwrap();
    assert!(desk.wait(PATIENCE));
}

fn no_descriptor_leaks_across_exec(backend: Backend) {
    let before = support::descriptors_after_exec();
    let Fifo { reader, .. } = Fifo::new();
    let mut desk = Desk::new(backend);
    let _waker = desk.notifier.waker().unwrap();
    desk.register(&reader, 1, READ, Mode::Level);
    desk.wait(PATIENCE);
    assert_eq!(support::descriptors_after_exec(), before);
}

/// A role: prints the backend that the environment chooses, or the kind of the error.
fn backend_of_the_environment() {
    match Backend::from_env() {
        Ok(backend) => print!("{backend}"),
        Err(error) => print!("{:?}", error.kind()),
    }
}

fn the_environment_chooses_the_backend() {
    let chosen = |value: Option<&str>| {
        let mut role = Command::new(env::current_exe().unwrap());
        role.env(ROLE, "backend_of_the_environment").env_remove(Backend::ENV_VAR);
        role.envs(value.map(|value| (Backend::ENV_VAR, value)));
        String::from_utf8(role.output().unwrap().stdout).unwrap()
    };
    for nothing in [None, Some("")] {
        assert_eq!(chosen(nothing), Backend::best().as_str(), "{nothing:?}");
    }
    for backend in Backend::available() {
        assert_eq!(chosen(Some(backend.as_str())), backend.as_str());
    }
    assert_eq!(chosen(Some("devpoll")), "InvalidInput");
}
