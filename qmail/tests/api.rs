//! The C API from C: every entry once, nothing that C can pass does harm; under valgrind too.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use pullcord::{PullOutcome, pull};
use support::{Program, Queue};

const WAITING: usize = 100;
const COMING: usize = 200;

/// Runs `tests/c/api.c` by `command` on a queue in which mail waits, and to which more comes.
fn takes_every_entry(mut command: Command, waits_with: &str, backend: Option<&str>) {
    let queue = Queue::new();
    (0..WAITING).for_each(|number| queue.link(&format!("waiting-{number}")));
    if let Some(backend) = backend {
        command.env("PULLCORD_BACKEND", backend);
    }
    let count = (WAITING + COMING).to_string();
    let arguments = [queue.path().as_os_str(), count.as_ref(), waits_with.as_ref()];
    let mut running =
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said == "open\n" {
        for number in 0..COMING {
            queue.link(&format!("coming-{number}"));
            // Who has taken all of them may have gone before the last pulls.
            let pulled = pull(queue.trigger()).unwrap();
            assert!(pulled == PullOutcome::Delivered || number + 1 == COMING || queue.is_empty());
        }
    }
    let done = running.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {errors}", done.status);
    assert!(queue.is_empty());
}

fn program() -> Program {
    Program::compile("cc", &["api.c"], &[])
}

#[test]
fn every_entry_comes_by_one_descriptor() {
    takes_every_entry(program().command(), "poll", None);
}

#[test]
fn every_entry_comes_by_select() {
    takes_every_entry(program().command(), "select", None);
}

#[test]
fn every_entry_comes_where_nothing_nests() {
    takes_every_entry(program().command(), "select", Some("select"));
}

#[test]
#[ignore = "needs valgrind"]
fn valgrind_finds_no_leak_and_no_error() {
    let program = program();
    for backend in [None, Some("select")] {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
        valgrind.args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]).arg(program.path());
        takes_every_entry(valgrind, "select", backend);
    }
}
