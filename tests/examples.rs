//! Runs the small examples as programs. Each must print the queued entries and the new ones.
//!
//! Cargo builds the examples before these tests, except with `cargo test --test examples`: run
//! `cargo build --examples` first. The queue managers are in `tests/mta.rs`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use pullcord::{Backend, PullOutcome, Trigger, pull};

const PATIENCE: Duration = Duration::from_secs(30);
const ENTRIES: usize = 100;

/// A running example, which is killed when this is dropped.
struct Example {
    child: Child,
    lines: Receiver<String>,
}

impl Example {
    fn start(name: &str, arguments: &[&Path], environment: &[(&str, &str)]) -> Example {
        // This program is target/PROFILE/deps/examples-0123.
        let this = env::current_exe().unwrap();
        let program = this.ancestors().nth(2).unwrap().join("examples").join(name);
        let mut command = Command::new(&program);
        command.args(arguments).envs(environment.iter().copied()).stdout(Stdio::piped());
        let started = command.spawn();
        let mut child = started
            .unwrap_or_else(|e| panic!("{}: {e}; cargo build --examples", program.display()));
        let lines = lines(child.stdout.take().unwrap());
        Example { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line of the example")
    }

    fn ends_well(mut self) {
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (lines, received) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if lines.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    received
}

fn directory() -> tempfile::TempDir {
    let parent = env::var_os("PULLCORD_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).unwrap()
}

/// Checks that the example prints every entry of a directory.
fn prints_every_entry(name: &str, environment: &[(&str, &str)]) {
    let root = directory();
    let (drafts, queue) = (root.path().join("drafts"), root.path().join("queue"));
    fs::create_dir(&drafts).unwrap();
    fs::create_dir(&queue).unwrap();
    let add = |entry: &str| {
        fs::write(drafts.join(entry), "a message").unwrap();
        fs::rename(drafts.join(entry), queue.join(entry)).unwrap();
        queue.join(entry).display().to_string()
    };
    let mut missing: BTreeSet<_> = (0..ENTRIES).map(|n| add(&format!("waiting-{n}"))).collect();
    let example = Example::start(name, &[&queue], environment);
    while !missing.is_empty() {
        missing.remove(&example.line());
    }
    for n in 0..ENTRIES {
        missing.insert(add(&format!("new-{n}")));
    }
    while !missing.is_empty() {
        missing.remove(&example.line());
    }
}

#[test]
fn five_lines_print_every_entry() {
    prints_every_entry("five_lines", &[]);
}

#[test]
#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn ten_lines_print_every_entry() {
    prints_every_entry("ten_lines", &[]);
}

#[test]
fn twenty_lines_print_every_entry_on_each_backend() {
    for backend in Backend::available() {
        prints_every_entry("twenty_lines", &[(Backend::ENV_VAR, backend.as_str())]);
    }
}

#[test]
#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn smol_prints_every_entry() {
    prints_every_entry("smol", &[]);
}

#[test]
fn choose_backend_prints_every_backend() {
    let example = Example::start("choose_backend", &[], &[]);
    for backend in Backend::ALL {
        let line = example.line();
        assert!(line.starts_with(backend.as_str()), "{line}");
    }
    example.ends_well();
}

#[test]
fn drain_prints_every_wake_up() {
    let root = directory();
    let fifo = root.path().join("trigger");
    Trigger::create(&fifo, 0o622).unwrap();
    let example = Example::start("drain", &[&fifo, Path::new("3")], &[]);
    for wake in 1..=3 {
        while pull(&fifo).unwrap() == PullOutcome::NoReader {
            thread::sleep(Duration::from_millis(1));
        }
        let line = example.line();
        assert!(line.starts_with(&format!("wake {wake}: ")), "{line}");
    }
    example.ends_well();
}
