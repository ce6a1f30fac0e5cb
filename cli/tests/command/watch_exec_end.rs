//! How `pullcord watch --exec` ends: the commands that run are asked to end, then killed.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::support::{Queue, Running, eventually, output, pullcord, text};

/// Ends by a signal only, and so do the processes that it starts; each writes its number.
const SLEEPER: &str = r#"
    sh -c 'echo $$ >> "$LOG"; trap "echo asked >> \"$LOG\"; exit 1" TERM; while :; do sleep 0.01; done' &
    echo $$ >> "$LOG"
    wait"#;

/// Does not end when it is asked to.
const STUBBORN: &str = r#"
    trap "echo asked >> \"$LOG\"" TERM
    echo $$ >> "$LOG"
    while :; do sleep 0.01; done"#;

fn exec(queue: &Queue, options: &[&str], script: &str) -> Command {
    let mut command = pullcord(["watch"]);
    command.args(options).arg(queue.root());
    command.args(["--exec", "sh", "-c", script, "sh"]).env("LOG", queue.path("log"));
    command
}

/// Returns the lines of the log, once there are so many.
fn log(queue: &Queue, lines: usize) -> Vec<String> {
    eventually("the commands run", || {
        let log = fs::read_to_string(queue.path("log")).ok()?;
        let log: Vec<_> = log.lines().map(str::to_owned).collect();
        (log.len() >= lines).then_some(log)
    })
}

fn runs(pid: &str) -> bool {
    test_kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap()).is_ok()
}

#[test]
fn a_signal_ends_the_commands_with_all_their_processes_before_it_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let queue = Queue::flat();
        let linked = ["todo/a", "todo/b", "todo/c"].map(|name| queue.link(name));
        let running = Running::start(&mut exec(&queue, &["--jobs", "2"], SLEEPER));
        let pids = log(&queue, 4);
        assert!(pids.iter().all(|pid| runs(pid)));
        running.signal(signal);
        let done = running.output();
        assert_eq!(done.status.code(), Some(0), "{signal:?}: {done:?}");
        assert!(!pids.iter().any(|pid| runs(pid)), "all processes of all commands have ended");
        let log = log(&queue, 6);
        assert_eq!(log.iter().filter(|line| *line == "asked").count(), 2, "{log:?}");
        let said = text(&done.stderr);
        assert!(said.contains("started 2, succeeded 0, failed 2"), "no other one: {said}");
        assert!(said.contains("commands still run: 2") && said.contains("10 s"), "{said}");
        assert_eq!(said.matches("it is run after the next start").count(), 2, "{said}");
        assert!(linked.iter().all(|path| path.exists()));

        let again = r#"rm -- "$1""#;
        let done = output(&mut exec(&queue, &["--idle-exit", "0.1"], again));
        assert_eq!(done.status.code(), Some(0));
        assert!(!linked.iter().any(|path| path.exists()), "what was killed is not done");
    }
}

#[test]
fn commands_that_do_not_end_are_killed_after_the_grace_time_or_by_a_second_signal() {
    for (grace, is_signalled) in [("0.3", false), ("100000", true)] {
        let queue = Queue::flat();
        queue.link("todo/a");
        let running = Running::start(&mut exec(&queue, &["--grace", grace], STUBBORN));
        let pid = log(&queue, 1).remove(0);
        let begun = Instant::now();
        running.signal(Signal::TERM);
        log(&queue, 2);
        if is_signalled {
            running.signal(Signal::TERM);
        }
        let done = running.output();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert!(is_signalled || begun.elapsed() >= Duration::from_millis(300), "not early");
        assert!(!runs(&pid), "it was killed");
        let said = text(&done.stderr);
        assert!(said.contains("were killed: 1") && said.contains("SIGKILL"), "{said}");
    }
}

/// A command that has left a process behind does not delay the end by --count.
#[test]
fn a_process_that_a_finished_command_has_left_behind_is_not_waited_for() {
    const SCRIPT: &str = r#"sleep 1000 > /dev/null 2>&1 & echo $! >> "$LOG""#;
    let queue = Queue::flat();
    queue.link("todo/a");
    let done = output(&mut exec(&queue, &["--count", "1"], SCRIPT));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let pid = log(&queue, 1).remove(0);
    assert!(runs(&pid), "it is not ended either");
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}
