//! C programs, compiled by the system's compiler against what cargo has just built, and run.
#![allow(dead_code)] // each test uses its part

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where cargo puts the libraries of the crate under test.
fn built() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

pub(crate) struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// Compiles sources of `tests/c`, and links the static library as the documentation says.
    pub(crate) fn compile(compiler: &str, sources: &[&str], options: &[&str]) -> Program {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("program");
        let compiled = Command::new(compiler)
            .args(["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(here.join("include"))
            .args(sources.iter().map(|source| here.join("tests/c").join(source)))
            .arg(built().join("libpullcord_qmail.a"))
            .args(env!("NATIVE_STATIC_LIBS").split_whitespace())
            .args(options)
            .arg("-o")
            .arg(&path)
            .output()
            .unwrap_or_else(|e| panic!("{compiler} has to be installed: {e}"));
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{compiler}: {said}");
        Program { path, _directory: directory }
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it to its end, which must be a good one, and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&Path]) -> String {
        let done = self.command().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {said}", done.status);
        String::from_utf8(done.stdout).unwrap()
    }
}

/// A queue as qmail's is, as far as its manager is concerned here.
pub(crate) struct Queue(TempDir);

impl Queue {
    pub(crate) fn new() -> Queue {
        let directory = TempDir::new().unwrap();
        for name in ["lock", "todo", "mess"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let queue = Queue(directory);
        pullcord::Trigger::create(queue.trigger(), 0o622).unwrap();
        queue
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn trigger(&self) -> PathBuf {
        self.path().join("lock/trigger")
    }

    /// Writes a message and links it into `todo`, as qmail-queue does, but does not pull.
    pub(crate) fn link(&self, name: &str) {
        let message = self.path().join("mess").join(name);
        fs::write(&message, "").unwrap();
        fs::hard_link(&message, self.path().join("todo").join(name)).unwrap();
    }

    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.path().join("todo")).unwrap().next().is_none()
    }
}

/// The loop of `tests/c/loop.c`, running on a queue.
pub(crate) struct Loop {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What it has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// Turns in which select found something that is not an order to report.
    pub(crate) turns: u64,
    pub(crate) scans: u64,
    /// Turns that brought neither a scan nor part of one.
    pub(crate) idle: u64,
    pub(crate) messages: u64,
    /// Since it was ready.
    pub(crate) allocations: u64,
}

impl Loop {
    pub(crate) fn start(
        program: &Program,
        queue: &Queue,
        arguments: &[&str],
        stderr: Stdio,
    ) -> Loop {
        let mut child = program
            .command()
            .arg(queue.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut running = Loop { child, orders, answers };
        wait_until("the first scan", || running.report().scans == 1);
        running
    }

    pub(crate) fn report(&mut self) -> Report {
        self.orders.as_ref().unwrap().write_all(b"r").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [turns, scans, idle, messages, allocations] = numbers[..] else { panic!("{line:?}") };
        Report { turns, scans, idle, messages, allocations }
    }

    /// What it does in a while in which nothing new is done to it.
    pub(crate) fn does_in(&mut self, time: Duration) -> Report {
        let before = self.report();
        std::thread::sleep(time);
        let after = self.report();
        Report {
            turns: after.turns - before.turns,
            scans: after.scans - before.scans,
            idle: after.idle - before.idle,
            messages: after.messages - before.messages,
            allocations: after.allocations - before.allocations,
        }
    }

    /// Ends it; returns what it said on standard error, if that is a pipe.
    pub(crate) fn end(mut self) -> String {
        self.orders = None;
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).unwrap();
        }
        assert!(self.child.wait().unwrap().success());
        said
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
