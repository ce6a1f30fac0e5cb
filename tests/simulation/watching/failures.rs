//! A watch that fails, overflows or is refused by the notifier, and a clock that goes back.

use libc::{EIO, ENOMEM, ENOTDIR};

use super::*;

pub(super) const TESTS: &[Test] = &[
    ("after_an_overflow_each_entry_is_returned_by_one_scan", overflow, On::Linux),
    ("an_overflow_watches_a_bounded_number_of_directories_in_a_turn", bounded, On::Linux),
    ("a_watch_that_cannot_be_read_is_reported_once_and_opened_anew", watcher, On::Linux),
    ("a_directory_that_a_new_watch_cannot_find_at_once_is_watched_later", not_found, On::Linux),
    ("without_trigger_and_watch_directories_are_polled_until_the_watch_works", poll, On::Linux),
    ("a_notifier_that_refuses_the_watch_delays_an_entry_by_a_second", refused_watch, On::Linux),
    ("a_notifier_that_refuses_the_trigger_delays_a_pull_by_a_second", refused_trigger, On::Linux),
    ("a_trigger_that_is_not_awaited_is_emptied_after_a_jump_of_the_time", emptied, On::Linux),
    ("an_unfinished_entry_that_cannot_be_looked_at_is_not_returned", unknown, On::All),
    ("an_entry_that_is_written_is_returned_after_a_jump_of_the_time", written, On::Watching),
];

/// How far the time of the program jumps.
const JUMP: Duration = Duration::from_secs(3600);

/// Starts a program on a directory with 40 entries, in the middle of its first scan. The watch has reported
/// another entry, `x`, which was returned and removed.
fn in_the_middle_of_a_scan(config: Config, options: QueueOptions) -> Program {
    let mut program = Program::start(config, || {
        create_many("/v/q/d0", 40);
        options
    });
    program.turn_until_returned(8);
    create("/v/q/d0/x");
    program.turn(Duration::ZERO);
    program.turn(Duration::ZERO);
    assert!(program.take_counts().contains_key("/v/q/d0/x"));
    assert!(program.queue.is_scanning());
    remove("/v/q/d0/x");
    program
}

fn overflow() {
    let config = Config { events: 4, ..with_directories(1) };
    let mut program = in_the_middle_of_a_scan(config, directories(1));
    (0..6).for_each(|number| create(&format!("/v/q/d0/.{number}")));
    create("/v/q/d0/x");
    program.turn_until_returned(41);
    program.run_for(5000);
    let counts = program.take_counts();
    assert_eq!(counts.get("/v/q/d0/x"), Some(&1), "it is another entry: {counts:?}");
    assert_eq!(counts.len(), 41);
    // At most one turn of the scan that was given up.
    let again = counts.values().filter(|count| **count > 1).count();
    assert!(again <= 8, "{counts:?}");
    assert_eq!(program.queue.stats().watch_overflows, 1);
    assert_eq!(program.take_warned(), []);
}

fn bounded() {
    const DIRECTORIES: usize = 20;
    let config = Config { events: 4, ..with_directories(DIRECTORIES) };
    let mut program = Program::start(config, || directories(DIRECTORIES));
    program.run_for(1000);
    (0..6).for_each(|number| create(&format!("/v/q/d0/.{number}")));
    let mut armed = Vec::new();
    for _ in 0..60 {
        let before = made(Call::InotifyAdd);
        program.turn(Duration::from_millis(1));
        armed.push(made(Call::InotifyAdd) - before);
    }
    armed.retain(|count| *count > 0);
    assert_eq!(armed, [2; DIRECTORIES / 2], "four calls for each");
}

fn watcher() {
    let options = directories(1).trigger(TRIGGER);
    let mut program = in_the_middle_of_a_scan(with_directories(1), options);
    let entry = "/v/q/d0/x".to_owned();
    // The size of the pending events is not known, which each batch of a scan must wait for.
    fail(Call::Ioctl, EIO, 5000);
    program.turn(Duration::ZERO);
    create("/v/q/d0/x");
    pull();
    program.run_for(1000);
    let text = program.take_warning(WarningKind::Unwatched);
    assert!(text.contains("/v/q/d0: cannot watch the queue"), "{text}");
    assert!(!program.queue.is_fully_watched());
    assert!(program.take_counts().contains_key(&entry), "it is another entry");
    create("/v/q/d0/y");
    pull();
    program.run_for(1000);
    assert!(program.take_counts().contains_key("/v/q/d0/y"));
    program.run_for(5000);
    assert_eq!(program.take_warned(), []);
    assert!(program.queue.is_fully_watched());

    // A requeued entry stays requeued while the same directory is watched by the new watch.
    for number in 0..40 {
        remove(&format!("/v/q/d0/{number:02}"));
    }
    remove("/v/q/d0/y");
    program.take_returned();
    remove("/v/q/d0/x");
    create("/v/q/d0/x");
    program.run_for(300);
    program.requeue(60);
    fail(Call::Read, EIO, 1000);
    create("/v/q/d0/.hidden");
    program.run_for(5000);
    let warned = program.take_warned();
    let unwatched = |(kind, _): &&(WarningKind, String)| *kind == WarningKind::Unwatched;
    assert_eq!(warned.iter().filter(unwatched).count(), 1, "it came back: {warned:?}");
    assert!(program.queue.is_fully_watched());
    create("/v/q/d0/z");
    program.run_for(300);
    assert_eq!(program.take_returned(), ["/v/q/d0/z"]);
    program.run_for(60_000);
    assert_eq!(program.take_returned(), ["/v/q/d0/x"]);
}

fn not_found() {
    let mut program = Program::start(with_directories(1), || directories(1));
    program.run_for(1000);
    fail(Call::InotifyAdd, ENOTDIR, 3000);
    fail(Call::Read, EIO, 50);
    create("/v/q/d0/.hidden");
    program.run_for(5000);
    assert!(program.queue.is_fully_watched());
    create("/v/q/d0/1");
    program.run_for(300);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

fn poll() {
    let mut program = Program::start(with_directories(1), || directories(1));
    program.run_for(1000);
    fail(Call::Read, EIO, 60_000);
    create("/v/q/d0/.hidden");
    program.run_for(1000);
    program.take_warning(WarningKind::Unwatched);
    create("/v/q/d0/1");
    program.run_for(5000);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

fn refused_watch() {
    let mut program = refused(directories(1));
    program.removes = true;
    for number in 0..3 {
        program.run_for(5000);
        let path = format!("/v/q/d0/{number}");
        create(&path);
        program.run_for(1100);
        assert_eq!(program.take_returned(), [path]);
    }
    program.behind = JUMP;
    program.run_for(3000);
    create("/v/q/d0/9");
    program.run_for(1100);
    assert_eq!(program.take_returned(), ["/v/q/d0/9"]);
    check_refused(&mut program);
}

fn refused_trigger() {
    let mut program = refused(directories(1).trigger(TRIGGER).watch(WatchMode::Off));
    program.removes = true;
    for number in 0..3 {
        program.run_for(5000);
        let path = format!("/v/q/d0/{number}");
        create(&path);
        pull();
        program.run_for(1100);
        assert_eq!(program.take_returned(), [path]);
    }
    check_refused(&mut program);
}

/// Starts a program whose notifier refuses every descriptor for a minute.
fn refused(options: QueueOptions) -> Program {
    Program::start(with_directories(1), || {
        fail(Call::EpollCtl, ENOMEM, 60_000);
        options
    })
}

fn check_refused(program: &mut Program) {
    program.take_warning(WarningKind::Registration);
    program.run_for(60_000);
    let wakeups = program.wakeups_in(30);
    assert!(wakeups <= 10, "{wakeups} wake-ups: it is not tried again");
    assert_eq!(program.take_warned(), []);
}

fn emptied() {
    let mut program = Program::start(with_directories(1), || directories(1).trigger(TRIGGER));
    program.run_for(30_000);
    program.behind = JUMP;
    program.run_for(1000);
    pull();
    let before = program.queue.stats().trigger_reads;
    program.run_for(15_000);
    assert!(program.queue.stats().trigger_reads > before);
}

fn written() {
    let quiet = Duration::from_millis(500);
    let options = || directories(1).write_method(pullcord::WriteMethod::InPlace { quiet });
    let mut program = Program::start(with_directories(1), options);
    program.run_for(1000);
    create("/v/q/d0/1");
    program.run_for(100);
    program.behind = JUMP;
    program.run_for(5000);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

fn unknown() {
    let options = || {
        create("/v/q/d0/1");
        let options = directories(1).trigger(TRIGGER).watch(WatchMode::Off);
        options.write_method(WriteMethod::OwnerExecutable)
    };
    let mut program = Program::start(with_directories(1), options);
    fail(Call::Fstatat, EIO, 500);
    program.run_for(300);
    assert!(program.queue.status().next().expect("it is there").last_error.is_some());
    program.run_for(5000);
    assert!(program.queue.status().next().expect("it is there").last_error.is_none());
    assert!(program.take_returned().is_empty(), "it is not finished");
    set_mode("/v/q/d0/1", 0o755);
    pull();
    program.run_for(300);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}
