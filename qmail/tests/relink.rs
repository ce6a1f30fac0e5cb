//! The relink under a loop like qmail-send's: no spin, no pull refused, none lost. The same loop with the
//! trigger that is closed and re-opened spins, so that these tests can fail.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{PullOutcome, Trigger, pull};
use support::{Loop, Program, Queue, wait_until};

const A_WHILE: Duration = Duration::from_millis(300);

fn relinked() -> Program {
    Program::compile("cc", &["loop.c"], &[])
}

/// A writer that has written one byte and does not close.
fn held(queue: &Queue) -> File {
    let mut writer = File::options().write(true).open(queue.trigger()).unwrap();
    writer.write_all(b"\0").unwrap();
    writer
}

#[test]
fn a_writer_that_holds_the_fifo_open_costs_one_scan() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &[], Stdio::null());
    let _held = held(&queue);
    wait_until("its scan", || relinked.report().scans == 2);
    let done = relinked.does_in(A_WHILE);
    assert_eq!((done.turns, done.scans), (0, 0), "{done:?}");
}

#[test]
fn a_trigger_that_is_closed_and_re_opened_spins() {
    let queue = Queue::new();
    let reopening = Program::compile("cc", &["loop.c", "reopen.c"], &[]);
    let mut reopening = Loop::start(&reopening, &queue, &[], Stdio::null());
    let _held = held(&queue);
    let done = reopening.does_in(A_WHILE);
    assert!(done.scans > 300, "the spin is not seen: {done:?}");
}

#[test]
fn a_storm_is_paced_without_a_refused_pull_or_a_lost_entry() {
    const WRITERS: usize = 8;
    const MESSAGES: usize = 200;
    const PULLS_EACH: usize = 20;
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &[], Stdio::null());
    let start = Instant::now();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let queue = &queue;
            scope.spawn(move || {
                let _held = File::options().write(true).open(queue.trigger()).unwrap();
                for message in 0..MESSAGES {
                    queue.link(&format!("{writer}-{message}"));
                    for _ in 0..PULLS_EACH {
                        assert_ne!(pull(queue.trigger()).unwrap(), PullOutcome::NoReader);
                    }
                }
            });
        }
    });
    let all = (WRITERS * MESSAGES) as u64;
    wait_until("every message", || relinked.report().messages == all);
    let took = start.elapsed();
    let done = relinked.report();
    assert!(queue.is_empty());
    // The least price of a scan is 400 us, and 10 ms are the credit.
    assert!(
        done.scans as u128 <= 26 + took.as_micros() / 400,
        "more scans than their price allows: {done:?}, {took:?}"
    );
    assert!(done.idle <= done.scans, "each pause may wake once: {done:?}");
    wait_until("the end of it", || relinked.does_in(A_WHILE).turns == 0);
}

/// The linker that can count is GNU's, as is the C library whose names these are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn nothing_is_allocated_after_the_start() {
    let queue = Queue::new();
    let wrap = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign";
    let counting = Program::compile("cc", &["loop.c", "count.c"], &[wrap]);
    let mut counting = Loop::start(&counting, &queue, &[], Stdio::null());
    let at_start = counting.report().allocations;
    assert!(at_start > 0, "they are not counted");
    for scans in 2..50 {
        pull(queue.trigger()).unwrap();
        wait_until("its scan", || counting.report().scans >= scans);
    }
    assert_eq!(counting.report().allocations, at_start);
}

#[test]
fn a_replaced_fifo_is_noticed_and_the_mail_of_the_meantime_found() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &[], Stdio::null());
    let fresh = queue.path().join("lock/fresh");
    Trigger::create(&fresh, 0o622).unwrap();
    fs::rename(&fresh, queue.trigger()).unwrap();
    queue.link("queued");
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::NoReader);
    wait_until("a turn that looks", || relinked.report().messages == 1);
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
}

#[test]
fn while_the_fifo_is_missing_the_queue_is_read_all_the_same() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &[], Stdio::null());
    fs::remove_file(queue.trigger()).unwrap();
    queue.link("first");
    wait_until("a turn that looks, and a second", || relinked.report().messages == 1);
    queue.link("second");
    wait_until("a second", || queue.is_empty());
    Trigger::create(queue.trigger(), 0o622).unwrap();
    wait_until("a reader", || pull(queue.trigger()).unwrap() == PullOutcome::Delivered);
}

#[test]
fn a_descriptor_that_does_not_fit_is_reported_once_and_never_into_a_pipe() {
    let queue = Queue::new();
    let program = relinked();
    let said = queue.path().join("said");
    let to_a_file = File::create(&said).unwrap();
    let mut crowded = Loop::start(&program, &queue, &["crowded"], to_a_file.into());
    for _ in 0..5 {
        crowded.report();
    }
    crowded.end();
    let said = fs::read_to_string(said).unwrap();
    assert!(said.contains("FD_SETSIZE") && said.lines().count() == 1, "{said:?}");

    let to_a_pipe = Loop::start(&program, &queue, &["crowded"], Stdio::piped());
    assert_eq!(to_a_pipe.end(), "", "descriptor 2 of a qmail-todo is no place for words");
}

#[test]
fn the_writers_pull_is_heard_and_ends_nobody() {
    let queue = Queue::new();
    let puller = Program::compile("cc", &["pull.c"], &[]);
    puller.run(&[queue.path()]); // nobody listens
    let mut relinked = Loop::start(&relinked(), &queue, &[], Stdio::null());
    queue.link("message");
    puller.run(&[queue.path()]);
    wait_until("the message", || relinked.report().messages == 1);
}

#[test]
fn a_manager_that_asks_twice_in_a_turn_receives_the_same_answer() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &["twice"], Stdio::null());
    queue.link("message");
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
    wait_until("the message", || relinked.report().messages == 1);
}

/// After 64 turns without a question it is woken every 20 ms.
#[test]
fn a_manager_that_does_not_ask_for_a_second_does_not_spin() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &["silent"], Stdio::null());
    queue.link("message");
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
    wait_until("the message", || relinked.report().messages == 1);
    let done = relinked.report();
    // A report is a turn, too, in which the timer may have expired.
    assert!(done.turns <= 64 + 50 + 20, "{done:?}");
}

/// qmail-send forgets the pull then; a second later it is told once more.
#[test]
fn a_scan_that_could_not_begin_is_tried_again() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &["failing"], Stdio::null());
    queue.link("message");
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
    // A report would end the wait of select.
    wait_until("the message", || queue.is_empty());
    assert_eq!(relinked.report().scans, 2, "the one that failed is not counted");
    wait_until("the end of it", || relinked.does_in(A_WHILE).turns == 0);
}

/// A message on a closed standard error would be a pull if the FIFO had taken its number: each scan would
/// cause the next one.
#[test]
fn a_manager_with_closed_standard_descriptors_does_not_pull_its_own_trigger() {
    let queue = Queue::new();
    let mut relinked = Loop::start(&relinked(), &queue, &["closed"], Stdio::null());
    queue.link("message");
    assert_eq!(pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
    wait_until("the message", || relinked.report().messages == 1);
    let done = relinked.does_in(A_WHILE);
    assert_eq!((done.turns, done.scans), (0, 0), "{done:?}");
}

#[test]
fn added_descriptors_can_be_removed_from_the_set() {
    let queue = Queue::new();
    Program::compile("cc", &["clear.c"], &[]).run(&[queue.path()]);
}

/// As `docs/qmail.md` says, and with a static C library: the printed libraries are all that it takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn unused_sections_are_left_out_and_a_static_link_needs_no_other_library() {
    let queue = Queue::new();
    let size_with = |options: &[&str]| {
        let program = Program::compile("cc", &["clear.c"], options);
        program.run(&[queue.path()]);
        fs::metadata(program.path()).unwrap().len()
    };
    let (whole, documented) = (size_with(&["-s"]), size_with(&["-s", "-Wl,--gc-sections"]));
    assert!(documented < whole / 2, "{documented} of {whole} bytes");
    size_with(&["-static", "-Wl,--gc-sections"]);
    let page = include_str!("../../docs/qmail.md");
    let libraries = support::native_libs();
    for line in page.lines().filter(|line| line.contains("-Wl,--gc-sections -")) {
        let are_named = libraries.split_whitespace().all(|library| line.contains(library));
        assert!(are_named, "{libraries}: {line}");
    }
}

/// The names of the archive are qmail's, and none of the C API.
#[test]
fn the_archive_has_qmails_names_only() {
    if !support::has_command("nm") {
        support::left_out("nm is not here");
        return;
    }
    let archive = support::built().join("libpullcord_qmail.a");
    let printed = std::process::Command::new("nm").arg("--defined-only").arg(archive).output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    // A line of an object's name has one word, that of a symbol has three.
    let names = printed.lines().filter_map(|line| line.split_whitespace().nth(2));
    // On macOS each name of C begins with an underscore.
    let names: Vec<_> = names.map(|name| name.strip_prefix('_').unwrap_or(name)).collect();
    for name in ["trigger_set", "trigger_selprep", "trigger_pulled", "trigger_clear", "triggerpull"]
    {
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.iter().any(|name| name.starts_with("pullcord_")));
}
