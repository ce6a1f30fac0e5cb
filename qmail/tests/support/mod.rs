//! The loop of a queue manager in C, and its counters.
#![allow(dead_code)] // each test uses its part

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

#[path = "../../../capi/tests/support/mod.rs"]
mod c;

pub(crate) use c::*;

/// The loop of `tests/c/loop.c`, running on a queue.
pub(crate) struct Loop {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The counters of the loop so far.
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

    /// Returns the work of the loop during a time without a new pull.
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

    /// Ends it; returns its standard error, if that is a pipe.
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
