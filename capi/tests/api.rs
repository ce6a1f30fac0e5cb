//! The C API in C: each entry once, and no call does harm. Under valgrind too.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use pullcord::{PullOutcome, pull};
use support::{Program, Queue};

const WAITING: usize = 100;
const COMING: usize = 200;

/// Runs `tests/c/api.c` by `command` on a queue that holds entries, and adds more.
fn takes_every_entry(mut command: Command, waits_with: &str) {
    let queue = Queue::new();
    (0..WAITING).for_each(|number| queue.link(&format!("waiting-{number}")));
    let count = (WAITING + COMING).to_string();
    let arguments = [queue.path().as_os_str(), count.as_ref(), waits_with.as_ref()];
    let mut running =
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "open\n" {
        for number in 0..COMING {
            queue.link(&format!("coming-{number}"));
            // Once the program has taken all of them, it removes the trigger and exits.
            let pulled = pull(queue.trigger());
            assert!(matches!(pulled, Ok(PullOutcome::Delivered)) || number + 1 == COMING);
        }
    }
    let done = running.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {errors}", done.status);
    assert!(queue.is_empty());
}

fn program() -> Program {
    Program::compile("cc", &["api.c"], &["-pthread"])
}

#[test]
fn poll_needs_one_descriptor() {
    takes_every_entry(program().command(), "poll");
}

#[test]
fn select_needs_one_descriptor() {
    takes_every_entry(program().command(), "select");
}

#[test]
fn an_edge_triggered_loop_needs_one_descriptor() {
    takes_every_entry(program().command(), "edge");
}

#[test]
fn threads_wait_and_close_and_are_never_left_alone() {
    let queue = Queue::new();
    Program::compile("cc", &["threads.c"], &["-pthread"]).run(&[queue.path()]);
}

/// A message that is printed on a closed standard error must not be a pull: each would be a scan, and
/// each scan would return the entry again.
#[test]
fn closed_standard_descriptors_stay_closed() {
    let queue = Queue::new();
    queue.link("message");
    let daemon = Program::compile("cc", &["daemon.c"], &[]);
    assert_eq!(daemon.run(&[queue.path()]).trim(), "1");
}

#[test]
fn the_example_prints_every_entry() {
    let queue = Queue::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/watch.c");
    let program = Program::compile("cc", &[source], &[]);
    queue.link("waiting");
    let mut example = program.command().arg(queue.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    let mut seen = BTreeSet::new();
    let mut expect = |name: &str| {
        let path = queue.path().join("todo").join(name);
        while !seen.contains(path.to_str().unwrap()) {
            seen.insert(lines.next().unwrap().unwrap());
        }
    };
    expect("waiting");
    for number in 0..100 {
        let name = format!("coming-{number}");
        queue.link(&name);
        expect(&name);
    }
    example.kill().unwrap();
    example.wait().unwrap();
}

#[test]
#[ignore = "needs valgrind"]
fn valgrind_finds_no_leak_and_no_error() {
    let program = program();
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
    valgrind.args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]).arg(program.path());
    takes_every_entry(valgrind, "select");
}
