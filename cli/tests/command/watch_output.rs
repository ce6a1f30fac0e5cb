//! Standard output of `pullcord watch`: one that blocks, one that does not, and one that is closed.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Stdio};

use pullcord::Trigger;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Queue, eventually, pullcord};

/// More messages than fit into a pipe, which holds 65,536 bytes on Linux.
const MESSAGES: usize = 2_000;

/// Starts `watch` on a queue of `MESSAGES` messages, with this standard output.
fn watching(queue: &Queue, to: impl Into<Stdio>) -> Child {
    for number in 0..MESSAGES {
        queue.link(format!("todo/{number:060}"));
    }
    let mut command = pullcord(["watch", "--watch", "off"]);
    command.arg(queue.root()).stdout(to).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn an_output_that_does_not_block_gets_all_lines() {
    let queue = Queue::flat();
    let fifo = queue.path("output");
    Trigger::create(&fifo, 0o600).unwrap();
    let open = |options: &mut OpenOptions| {
        options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(&fifo).unwrap()
    };
    let reader = open(OpenOptions::new().read(true));
    let writer = open(OpenOptions::new().write(true));
    fcntl_setfl(&reader, fcntl_getfl(&reader).unwrap() - OFlags::NONBLOCK).unwrap();

    let mut child = watching(&queue, writer.try_clone().unwrap());
    // The test does not read until the pipe is full.
    eventually("the pipe is full", || {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        (poll(&mut [PollFd::new(&writer, PollFlags::OUT)], Some(&now)) == Ok(0)).then_some(())
    });
    drop(writer);
    let lines = BufReader::new(reader).lines().take(MESSAGES);
    let names: std::collections::BTreeSet<_> = lines.map(Result::unwrap).collect();
    assert_eq!(names.len(), MESSAGES, "whole lines, each once");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_signal_ends_it_although_its_output_is_not_read() {
    for signal in [Signal::TERM, Signal::INT] {
        let queue = Queue::flat();
        let mut child = watching(&queue, Stdio::piped());
        // It has started to write, and the test no longer reads its output.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = eventually("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
}

#[test]
fn with_count_it_ends_once_its_output_is_written_or_a_signal_comes() {
    let queue = Queue::flat();
    for number in 0..MESSAGES {
        queue.link(format!("todo/{number:060}"));
    }
    for is_read in [true, false] {
        let mut command = pullcord(["watch", "--watch", "off", "--count"]);
        command.arg(MESSAGES.to_string()).arg(queue.root());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The counters are printed when all entries are found. Most of the lines are not written then.
        let mut counters = String::new();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        messages.read_line(&mut counters).unwrap();
        assert!(counters.contains(&format!("printed {MESSAGES};")), "{counters}");
        if is_read {
            let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
            assert_eq!(lines.count(), MESSAGES);
        } else {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        }
        let status = eventually("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "read: {is_read}");
    }
}

#[test]
fn it_ends_quietly_once_its_reader_is_gone() {
    let queue = Queue::flat();
    let mut child = watching(&queue, Stdio::piped());
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(io::read_to_string(child.stderr.unwrap()).unwrap(), "");
}

/// The output buffer holds a mebibyte, and the queue is not read while it is full. The lines of this test
/// are nine times as long in all.
#[test]
fn entries_that_find_the_output_full_are_printed_later() {
    const NAMES: usize = 40_000;
    let queue = Queue::flat();
    for number in 0..NAMES {
        std::fs::write(queue.path(format!("todo/{number:0200}")), "").unwrap();
    }
    let mut command = pullcord(["watch", "--watch", "off", "--count"]);
    command.arg(NAMES.to_string()).arg(queue.root());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let reader = child.stdout.take().unwrap();
    #[cfg(target_os = "linux")]
    eventually("the output is full, and the command waits", || {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_readable = poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&now)) == Ok(1);
        let state = crate::support::stat(child.id()).map(|(state, _)| state);
        (is_readable && state == Some('S')).then_some(())
    });
    let lines = BufReader::new(reader).lines();
    let names: std::collections::BTreeSet<_> = lines.map(Result::unwrap).collect();
    assert_eq!(names.len(), NAMES);
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
