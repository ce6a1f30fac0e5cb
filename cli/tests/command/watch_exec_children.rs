//! The processes that `pullcord watch --exec` starts, as proc(5) shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use pullcord::Trigger;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Queue, Running, children_of, eventually, output, pullcord, stat, text};

/// Starts the command with these words of a shell before it.
fn after(shell: &str, queue: &Queue, options: &[&str], command: &[&str]) -> Command {
    let inner = pullcord(["watch"]);
    let mut outer = Command::new("sh");
    outer.args(["-c", &format!(r#"{shell} exec "$0" "$@""#)]).arg(inner.get_program()).arg("watch");
    outer.args(options).arg(queue.root()).arg("--exec").args(command);
    for (variable, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(variable, value),
            None => outer.env_remove(variable),
        };
    }
    outer.env("LOG", queue.path("log"));
    outer
}

/// SIGPIPE is ignored, SIGUSR1 too, and descriptors are open, as a careless parent leaves them.
#[test]
fn a_command_inherits_no_descriptor_no_ignored_sigpipe_and_no_variable_of_a_supervisor() {
    const SCRIPT: &str = r#"
        ls /proc/$$/fd
        {
            echo stdin: $(readlink /proc/$$/fd/0)
            echo group: $(cut -d ' ' -f 5 /proc/$$/stat) $$
            grep -E 'Sig(Blk|Ign)' /proc/self/status
            echo variables: $(env | grep -cE 'LISTEN_|NOTIFY_SOCKET|WATCHDOG_')
        } > "$LOG""#;
    const PIPE: u64 = 1 << 12;
    const USR1: u64 = 1 << 9;
    let queue = Queue::flat();
    let fifo = queue.path("other");
    Trigger::create(&fifo, 0o600).unwrap();
    queue.link("todo/a");
    let shell = format!("trap '' PIPE USR1; exec 3<>{0} 7</etc/passwd 9>&2;", fifo.display());
    let mut command =
        after(&shell, &queue, &["--count", "1", "--json"], &["sh", "-c", SCRIPT, "sh"]);
    for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID"]
    {
        command.env(variable, "1");
    }
    let done = output(&mut command);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let log = fs::read_to_string(queue.path("log")).unwrap();
    let values: BTreeMap<_, _> = log.lines().map(|line| line.split_once(':').unwrap()).collect();
    let value = |name: &str| values[name].trim();
    // Standard output is used for objects.
    let fds: Vec<_> = text(&done.stderr).lines().take_while(|line| line.len() < 4).collect();
    assert_eq!(fds, ["0", "1", "2"]);
    assert_eq!(value("stdin"), "/dev/null");
    let group: Vec<_> = value("group").split(' ').collect();
    assert_eq!(group[0], group[1], "a process group of its own");
    assert_eq!(value("variables"), "0");
    let mask = |name: &str| u64::from_str_radix(value(name), 16).unwrap();
    assert_eq!(mask("SigBlk"), 0);
    assert_eq!(mask("SigIgn") & PIPE, 0, "SIGPIPE as at a login");
    assert_ne!(mask("SigIgn") & USR1, 0, "what the parent ignores stays ignored, as with nohup");
}

#[test]
fn after_1000_short_commands_beside_a_long_one_there_is_no_zombie_and_was_one_fork_each() {
    const ENTRIES: usize = 1_000;
    const SCRIPT: &str = r#"
        case "$PULLCORD_NAME" in
        long) exec sleep 1000 ;;
        esac
        exec rm -- "$1""#;
    let queue = Queue::flat();
    queue.link("todo/long");
    let options = ["--jobs", "2", "--json"];
    let command = ["sh", "-c", SCRIPT, "sh"];
    let running = Running::start(&mut after("", &queue, &options, &command));
    let line = || serde_json::from_str::<Value>(&running.line()).unwrap();
    let long = line();
    assert_eq!((&long["run"], &long["id"]), (&"start".into(), &"long".into()));
    for number in 0..ENTRIES {
        queue.link(format!("todo/{number}"));
    }
    let mut ended = BTreeSet::new();
    let mut pids = Vec::new();
    while ended.len() < ENTRIES {
        let line = line();
        if line["run"] == "end" {
            assert_eq!(line["outcome"], "removed", "{line}");
            ended.insert(line["id"].as_str().unwrap().to_owned());
        } else {
            pids.push(line["pid"].as_u64().unwrap());
        }
    }
    assert_eq!(pids.len(), ENTRIES, "one start each");
    let children = children_of(running.id());
    assert_eq!(children, [long["pid"].as_u64().unwrap() as u32], "only the long one is left");
    running.signal(Signal::TERM);
    assert_eq!(running.output().status.code(), Some(0));
}

/// Twice the length of inotify's queue: the kernel forgets some of them, and pullcord none.
#[test]
fn entries_that_wait_for_a_command_use_no_memory() {
    const ENTRIES: usize = 32_768;
    let queue = Queue::flat();
    queue.link("todo/first");
    let script = r#"echo run >> "$LOG"; exec sleep 1000"#;
    let options = ["--jobs", "1", "--grace", "0"];
    let running = Running::start(&mut after("", &queue, &options, &["sh", "-c", script, "sh"]));
    eventually("it runs", || queue.path("log").exists().then_some(()));
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = resident();
    let written = queue.path("mess/written");
    fs::write(&written, "").unwrap();
    for number in 0..ENTRIES {
        fs::hard_link(&written, queue.path(format!("todo/{number}"))).unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 512, "{grown} kB, for {ENTRIES} entries");
    running.signal(Signal::TERM);
    assert_eq!(running.output().status.code(), Some(0));
}

/// A parent that has SIGCHLD blocked passes that on.
#[test]
fn commands_are_reaped_although_sigchld_is_blocked() {
    let can_block = Command::new("env").args(["--block-signal=CHLD", "true"]).output().unwrap();
    if !can_block.status.success() {
        println!("left out: env(1) of coreutils 8.31 is needed");
        return;
    }
    let queue = Queue::flat();
    for number in 0..3 {
        queue.link(format!("todo/{number}"));
    }
    let script = r#"grep SigBlk /proc/$PPID/status >> "$LOG"; rm -- "$1""#;
    let shell = r#"set -- "$0" "$@"; set -- --block-signal=CHLD "$@"; exec env "$@";"#;
    let options = ["--jobs", "3", "--count", "3"];
    let done = output(&mut after(shell, &queue, &options, &["sh", "-c", script, "sh"]));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(text(&done.stderr).contains("succeeded 3"), "{done:?}");
    let log = fs::read_to_string(queue.path("log")).unwrap();
    // While it starts another command, all signals are blocked.
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16);
    let is_blocked = |line: &str| mask(line).unwrap() & 1 << 16 != 0;
    assert!(log.lines().all(is_blocked), "the test has blocked it: {log}");
}

/// SIGCHLD that is ignored makes the kernel reap, and the exit codes would be lost.
#[test]
fn exit_codes_are_seen_although_sigchld_was_ignored() {
    let queue = Queue::flat();
    queue.link("todo/a");
    let mut command = after("trap '' CHLD;", &queue, &["--json"], &["sh", "-c", "exit 3", "sh"]);
    let running = Running::start(&mut command);
    assert!(running.line().contains(r#""run":"start""#));
    let end: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!((&end["exit_code"], &end["outcome"]), (&3.into(), &"retry".into()));
    running.signal(Signal::TERM);
    assert_eq!(running.output().status.code(), Some(0));
}

/// As after an upgrade of pullcord: kill(2) ends it, and a command goes on without it.
#[test]
fn a_command_survives_a_kill_of_pullcord_and_holds_nothing_of_it() {
    let queue = Queue::flat();
    queue.link("todo/a");
    let script = r#"echo $$ >> "$LOG"; exec sleep 1000"#;
    let options = ["--watch", "off"];
    let mut running = Running::start(&mut after("", &queue, &options, &["sh", "-c", script, "sh"]));
    let pid: u32 =
        eventually("it runs", || fs::read_to_string(queue.path("log")).ok()?.trim().parse().ok());
    running.signal(Signal::KILL);
    running.end();
    assert!(stat(pid).is_some());
    let pulled = pullcord::pull(queue.trigger()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(pulled, pullcord::PullOutcome::NoReader, "the command does not read the trigger");
}
