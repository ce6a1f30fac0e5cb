//! Unusual loops around a queue. With each of them the queue does not spin and misses no entry.

mod queue_fixture;

use std::fs;
use std::time::{Duration, Instant};

use pullcord::{Backend, Key, QueueOptions, WarningKind, WatchGrade, WatchMode, WriteMethod};
use queue_fixture::{PATIENCE, QueueFixture, WATCH_MODES, on_each_backend};

#[test]
fn without_a_trigger_a_loop_that_reports_one_does_not_spin() {
    for watch in WATCH_MODES {
        let mut fixture = QueueFixture::new(Backend::best(), None);
        let options = QueueOptions::directories([fixture.path("todo")]).watch(watch);
        let mut queue = options.open().unwrap();
        while queue.next_entry(Instant::now()).is_some() {}
        for _ in 0..10_000 {
            queue.set_trigger_readable();
            let now = Instant::now();
            while queue.next_entry(now).is_some() {}
            let timeout = queue.prepare_fds(now).timeout.unwrap();
            assert!(timeout > Duration::from_millis(1), "watch {watch}: {timeout:?}");
        }
        let stats = queue.stats();
        assert!(stats.scans <= 2 && stats.trigger_reads == 0, "watch {watch}: {stats:?}");
        fixture.link("1");
    }
}

/// With equal keys, an event may come from either descriptor.
#[test]
fn equal_keys_neither_lose_mail_nor_spin() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            for with_trigger in [true, false] {
                let options = fixture.options().watch(watch);
                let options = if with_trigger { options } else { options.without_trigger() };
                let options = options.poll_interval(Duration::from_millis(100));
                fixture.close();
                let mut queue = options.open().unwrap();
                queue.register(&mut *fixture.notifier, [Key(3), Key(3)]);
                fixture.queue = Some(queue);
                fixture.turn_for(Duration::from_millis(100));
                for message in 0..20 {
                    let entry = fixture.link(format!("{message}"));
                    if with_trigger {
                        fixture.pull();
                    }
                    fixture.expect(&[&entry]);
                    fs::remove_file(entry).unwrap();
                }
                fixture.turn_for(Duration::from_millis(50));
                let before = fixture.stats();
                let begun = Instant::now();
                let mut turns = 0;
                while begun.elapsed() < Duration::from_secs(1) {
                    fixture.turn(Duration::from_secs(1));
                    turns += 1;
                }
                assert!(turns <= 15, "{turns} turns in a second");
                assert!(fixture.stats().scans <= before.scans + 12);
            }
        });
    }
}

#[test]
fn repeated_registration_changes_neither_the_pace_nor_the_entries() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            fixture.open(&fixture.options().watch(watch));
            fixture.settle();
            let before = fixture.stats();
            let begun = Instant::now();
            let mut turns: u128 = 0;
            while begun.elapsed() < Duration::from_millis(500) {
                fixture.pull();
                let queue = fixture.queue.as_mut().unwrap();
                queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
                fixture.turn(Duration::from_millis(100));
                turns += 1;
            }
            let elapsed = begun.elapsed().as_millis();
            let scans = u128::from(fixture.stats().scans - before.scans);
            assert!(scans <= elapsed / 2 + 6, "{scans} scans in {elapsed} ms");
            assert!(turns <= elapsed * 6 / 5 + 12, "{turns} turns in {elapsed} ms");
            let entry = fixture.link("1");
            fixture.pull();
            fixture.expect(&[entry]);
        });
    }
}

#[test]
fn with_neither_trigger_nor_watch_directories_are_polled_at_the_interval() {
    on_each_backend(Some(2), |mut fixture| {
        let poll = Duration::from_millis(200);
        let options = fixture.options().without_trigger().watch(WatchMode::Off);
        fixture.open(&options.poll_interval(poll));
        fixture.turn_for(Duration::from_millis(50));
        let (begun, before) = (Instant::now(), fixture.stats());
        for message in 0..4 {
            let entry = fixture.link(format!("1/{message}"));
            let linked = Instant::now();
            fixture.expect(&[&entry]);
            assert!(linked.elapsed() < poll * 3, "after {:?}", linked.elapsed());
            fs::remove_file(entry).unwrap();
        }
        fixture.turn_for(Duration::from_secs(1));
        let (elapsed, after) = (begun.elapsed(), fixture.stats());
        let scans = u128::from(after.directories_read - before.directories_read);
        let longest = elapsed.as_millis() / poll.as_millis() + 1;
        assert!(scans <= 3 * longest, "{scans} directories read in {elapsed:?}");
        assert!(scans >= 3 * 4, "{scans} directories read in {elapsed:?}");

        fixture.open(&options_without_poll(&fixture));
        fixture.turn_for(Duration::from_millis(50));
        assert_eq!(fixture.wait(Duration::ZERO), None);
    });
}

#[test]
fn a_directory_that_is_polled_is_reported_once_with_the_reason_and_the_interval() {
    on_each_backend(None, |mut fixture| {
        let poll = Duration::from_millis(200);
        let options = fixture.options().without_trigger().assume_local(false).poll_interval(poll);
        fixture.open(&options.verify_interval(Duration::from_millis(50)));
        let (_, warnings) = fixture.turn_for(poll * 4);
        if pullcord::DirWatcher::new().is_err() {
            return; // which the warning reports
        }
        let [warning] = &warnings[..] else { panic!("reported once: {warnings:?}") };
        assert_eq!(fixture.warned, [WarningKind::Polled]);
        for part in ["todo", "the options say that its file system is not local", "200ms"] {
            assert!(warning.contains(part), "{warning}");
        }
        let status: Vec<_> = fixture.queue().status().collect();
        assert_eq!(status[0].watch, WatchGrade::None);
        assert!(warning.contains(status[0].reason.unwrap()), "{status:?}");
        let entry = fixture.link("1");
        fixture.expect(&[entry]);
    });
}

/// An administrator reads it in the status.
#[test]
fn a_directory_without_a_reliable_watch_has_a_reason_and_one_with_it_has_none() {
    for watch in WATCH_MODES {
        for method in [WriteMethod::Atomic, WriteMethod::OwnerExecutable] {
            let mut fixture = QueueFixture::new(Backend::best(), Some(2));
            fixture.open(&fixture.options().watch(watch).write_method(method));
            fixture.settle();
            for status in fixture.queue().status() {
                assert_eq!(
                    status.reason.is_none(),
                    status.watch == WatchGrade::Names,
                    "{status:?}"
                );
            }
        }
    }
}

fn options_without_poll(fixture: &QueueFixture) -> QueueOptions {
    let options = fixture.options().without_trigger().watch(WatchMode::Off);
    options.poll_interval(None).verify_interval(None).rescan_interval(None)
}

/// The queue handles only events with its own keys.
#[test]
fn an_event_of_another_key_is_left_to_the_loop() {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    let mut queue = fixture.options().open().unwrap();
    let event = |key| pullcord::Event::new(Key(key));
    assert!(!queue.handle_event(&event(7)), "it is not registered");
    queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
    assert!(queue.handle_event(&event(7)) && queue.handle_event(&event(8)));
    assert!(!queue.handle_event(&event(9)));
    queue.deregister(&mut *fixture.notifier).unwrap();
    assert!(!queue.handle_event(&event(7)));
    drop(queue);
    fixture.notifier.wait(&mut fixture.events, Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_queue_moves_from_one_notifier_to_another_and_into_a_receiver() {
    for watch in WATCH_MODES {
        on_each_backend(None, |mut fixture| {
            fixture.open(&fixture.options().watch(watch));
            let entry = fixture.link("1");
            fixture.pull();
            fixture.expect(&[&entry]);
            fs::remove_file(entry).unwrap();
            for backend in Backend::available() {
                let next = backend.open().unwrap();
                let mut notifier = std::mem::replace(&mut fixture.notifier, next);
                let queue = fixture.queue.as_mut().unwrap();
                queue.deregister(&mut *notifier).unwrap();
                queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
                let entry = fixture.link("2");
                fixture.pull();
                for (it, is_awaited) in [(&mut notifier, false), (&mut fixture.notifier, true)] {
                    let patience = if is_awaited { PATIENCE } else { Duration::ZERO };
                    it.wait(&mut fixture.events, Some(patience)).unwrap();
                    assert_eq!(!fixture.events.is_empty(), is_awaited, "without another call");
                }
                fixture.expect(&[&entry]);
                fs::remove_file(entry).unwrap();
            }
            // The old notifier is closed first.
            fixture.notifier = Backend::best().open().unwrap();
            let queue = fixture.queue.as_mut().unwrap();
            queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
            let entry = fixture.link("again");
            fixture.pull();
            fixture.expect(&[&entry]);
            fs::remove_file(entry).unwrap();
            let mut queue = fixture.queue.take().unwrap();
            queue.deregister(&mut *fixture.notifier).unwrap();
            let mut mail = pullcord::Receiver::new(queue).unwrap();
            let entry = fixture.link("3");
            fixture.pull();
            let received = mail.recv_timeout(PATIENCE).unwrap().map(|entry| entry.path());
            assert_eq!(received, Some(entry));
            let mut queue = mail.into_queue().unwrap();
            assert!(!queue.handle_event(&pullcord::Event::new(Key(0))), "it is not registered");
            queue.register(&mut *fixture.notifier, queue_fixture::KEYS);
            fixture.queue = Some(queue);
            let entry = fixture.link("4");
            fixture.pull();
            fixture.expect(&[entry]);
        });
    }
}
