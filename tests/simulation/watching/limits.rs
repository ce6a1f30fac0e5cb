//! Directories that cannot be watched, or whose watch is not reliable.

use libc::EIO;

use super::*;

pub(super) const TESTS: &[Test] = &[
    ("without_free_watches_each_directory_is_reported_once_and_watched_later", limit, On::Linux),
    ("a_directory_without_a_free_watch_that_is_gone_is_tried_once_a_second", limit_gone, On::Linux),
    ("a_part_without_a_free_watch_is_forgotten_when_it_is_removed", limit_part, On::Linux),
    ("a_directory_that_is_polled_is_reported_once_until_it_is_watched", polled, On::Watching),
    ("a_polled_part_that_comes_back_is_reported_again", polled_part, On::Watching),
    ("a_network_file_system_is_reported_once_and_not_tried_again", remote, On::Watching),
    (
        "on_a_system_without_a_watch_it_is_reported_once_and_not_tried_again",
        no_watch,
        On::Unwatched,
    ),
    ("where_a_removal_may_hide_entries_a_scan_is_followed_by_another", follow_up, On::Watching),
];

/// The kind and the path of a warning that a directory is not watched.
fn unwatched(path: &str) -> (WarningKind, String) {
    (WarningKind::Unwatched, path.to_owned())
}

fn limit() {
    let config = Config { watches: 0, ..with_directories(2) };
    let mut program = Program::start(config, || directories(2).trigger(TRIGGER));
    program.removes = true;
    program.run_for(10_000);
    assert!(program.warned.iter().all(|it| it.to_string().contains("max_user_watches")));
    assert_eq!(program.take_warned(), [unwatched("/v/q/d0"), unwatched("/v/q/d1")]);
    let reason = program.queue.status().next().expect("it is there").reason;
    assert!(reason.is_some_and(|reason| reason.contains("cannot watch")), "{reason:?}");
    create("/v/q/d0/1");
    pull();
    program.run_for(300);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
    let attempts = program.calls_in(20, Call::InotifyAdd);
    assert!((38..44).contains(&attempts), "{attempts} attempts in 20 s, for two directories");

    set_watches(usize::MAX);
    program.run_for(3000);
    assert!(program.queue.is_fully_watched());
    create("/v/q/d1/2");
    program.run_for(300);
    assert_eq!(program.take_returned(), ["/v/q/d1/2"], "without a pull");

    // The limit is reached when another directory takes the place of the first one.
    set_watches(0);
    rename("/v/q/d0", "/v/q/old");
    create_directory("/v/q/d0");
    create("/v/q/d0/3");
    program.run_for(1000);
    assert_eq!(program.take_returned(), ["/v/q/d0/3"], "its watch has not reported it");
    assert_eq!(program.take_warned(), [unwatched("/v/q/d0")]);
}

fn limit_gone() {
    let config = Config { watches: 0, ..with_directories(1) };
    let mut program = Program::start(config, || directories(1).trigger(TRIGGER));
    program.run_for(10_000);
    program.take_warning(WarningKind::Unwatched);
    rename("/v/q/d0", "/v/q/old");
    let attempts = program.calls_in(20, Call::Statfs);
    assert!((19..22).contains(&attempts), "{attempts} attempts in 20 s");
    set_watches(1);
    rename("/v/q/old", "/v/q/d0");
    create("/v/q/d0/1");
    program.run_for(1100);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

fn limit_part() {
    let config = Config { layout: Layout::Split(2), watches: 2, ..PLAIN };
    let options = || QueueOptions::qmail("/v/q").expect("it can be read");
    let mut program = Program::start(config, options);
    program.run_for(5000);
    let part = [unwatched("/v/q/todo/1")];
    assert_eq!(program.take_warned(), part);
    rename("/v/q/todo/1", "/v/q/old");
    program.run_for(3000);
    assert_eq!(program.paths(), ["/v/q/todo", "/v/q/todo/0"]);
    let wakeups = program.wakeups_in(60);
    assert!(wakeups <= 10, "{wakeups} wake-ups: it is not tried again");
    rename("/v/q/old", "/v/q/todo/1");
    program.run_for(5000);
    assert_eq!(program.take_warned(), part, "it came back");
}

fn polled() {
    let config = Config { fs: FsKind::Renumbering, ..with_directories(1) };
    for (interval, text) in [(Some(Duration::from_secs(7)), "7s"), (None, "the rescan interval")] {
        let options = || directories(1).poll_interval(interval);
        let mut program = Program::start(config, options);
        program.run_for(30_000);
        let warning = program.take_warning(WarningKind::Polled);
        for part in ["/v/q/d0", "is not known to be a local file system", text] {
            assert!(warning.contains(part), "{warning}");
        }
        let scans = program.scans(0);
        assert!(scans == if interval.is_some() { 5 } else { 1 }, "{scans}");

        // A local file system is mounted on another directory of this name.
        rename("/v/q/d0", "/v/q/old");
        create_directory("/v/q/d0");
        mount(FsKind::Ext4, "/v/q/d0");
        program.run_for(3000);
        assert_eq!(program.take_warned(), []);
        assert_eq!(program.queue.unwatched_directories(), 0);
        others(|kernel| kernel.unmount(b"/v/q/d0", true)).expect("it is mounted");
        program.run_for(11_000);
        program.take_warning(WarningKind::Polled);
        assert_eq!(program.queue.unwatched_directories(), 1);
    }
    let mut program =
        Program::start(config, || directories(1).trigger(TRIGGER).poll_interval(None));
    program.run_for(30_000);
    assert_eq!(program.take_warned(), [], "pulls come");
}

fn polled_part() {
    let config = Config { layout: Layout::Split(1), fs: FsKind::Unknown, ..PLAIN };
    let options = || QueueOptions::qmail("/v/q").expect("it can be read").without_trigger();
    let mut program = Program::start(config, options);
    let polled = |path: &str| (WarningKind::Polled, path.to_owned());
    program.run_for(1000);
    assert_eq!(program.take_warned(), [polled("/v/q/todo"), polled("/v/q/todo/0")]);
    rename("/v/q/todo/0", "/v/q/old");
    program.run_for(11_000);
    assert_eq!(program.paths(), ["/v/q/todo"]);
    rename("/v/q/old", "/v/q/todo/0");
    program.run_for(11_000);
    assert_eq!(program.take_warned(), [polled("/v/q/todo/0")]);
}

fn remote() {
    let is_named = |text: &str| text.to_lowercase().contains("nfs");
    let config = Config { fs: FsKind::Remote, ..with_directories(1) };
    for (options, kind) in [
        (directories(1).trigger(TRIGGER), WarningKind::Unwatched),
        (directories(1), WarningKind::Polled),
    ] {
        let mut program = Program::start(config, || options.clone());
        program.run_for(10_000);
        let warning = program.take_warning(kind);
        assert!(is_named(&warning), "{warning}");
        let reason = program.queue.status().next().expect("it is there").reason;
        assert!(reason.is_some_and(is_named), "{reason:?}");
        assert_eq!(program.calls_in(60, Call::Statfs), 0);
        assert_eq!(program.take_warned(), []);

        // Its type is not known at first.
        drop(program);
        let mut program = Program::start(config, || {
            fail(Call::Statfs, EIO, 3000);
            options.poll_interval(None)
        });
        program.run_for(10_000);
        assert_eq!(program.take_warned(), [unwatched("/v/q/d0"), (kind, "/v/q/d0".to_owned())]);
        let wakeups = program.wakeups_in(60);
        assert!(wakeups <= 10, "{wakeups} wake-ups: it is not tried again");
    }
}

fn follow_up() {
    let remote = Config { fs: FsKind::Remote, ..with_directories(1) };
    let unknown = Config { fs: FsKind::Unknown, watches: 0, ..remote };
    let local = Config { fs: FsKind::Ext4, ..unknown };
    for (config, follow_ups) in [(remote, 1), (unknown, 1), (local, 0)] {
        if config.watches == 0 && !REPORTS_NAMES {
            continue;
        }
        let mut program = Program::start(config, || directories(1).trigger(TRIGGER));
        program.removes = true;
        program.run_for(30_000);
        let before = program.scans(0);
        create("/v/q/d0/1");
        pull();
        program.run_for(30_000);
        assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
        assert_eq!(program.scans(0) - before, 1 + follow_ups, "{config:?}");
    }
}

fn no_watch() {
    let mut program = Program::start(with_directories(1), || directories(1).trigger(TRIGGER));
    program.run_for(5000);
    assert_eq!(program.take_warned(), [unwatched("/v/q/d0")]);
    // The paths are verified every ten seconds.
    let wakeups = program.wakeups_in(60);
    assert!((6..8).contains(&wakeups), "{wakeups} wake-ups in a minute");
}
