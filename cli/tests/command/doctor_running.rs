//! Tests `pullcord doctor` on processes that spin, that are stopped, and that work. Linux only, because on
//! other systems it does not see processes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use pullcord::{OtherReaders, Trigger};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::doctor::{Checks, examine_at};
use crate::support::{Queue, Running, copy_binary, eventually, left_out, output, pullcord, stat};

/// `pullcord storm` with one strategy for an hour, in its own temporary directory.
struct Storm {
    running: Running,
    place: TempDir,
}

impl Storm {
    fn start(arguments: &[&str]) -> Storm {
        let place = tempfile::tempdir().unwrap();
        let mut command = pullcord(["storm", "--seconds", "3600"]);
        let running = Running::start(command.args(arguments).env("TMPDIR", place.path()));
        Storm { running, place }
    }

    /// Returns its queue, after its first write.
    fn queue(&self) -> PathBuf {
        eventually("the storm has a queue with a trigger", || {
            let mut entries = fs::read_dir(self.place.path()).unwrap().flatten();
            let queue = entries.next()?.path();
            queue.join("lock/trigger").exists().then_some(queue)
        })
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // The signal makes it end its writers and remove its queue.
        self.running.signal(Signal::INT);
        self.running.end();
    }
}

/// Starts a shell that has the trigger open and sleeps.
fn shell(queue: &Queue, script: &str) -> Running {
    let ready = queue.path("ready");
    let script = format!("{script}; : >\"$2\"; exec sleep 3600");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(queue.trigger()).arg(&ready);
    let running = Running::start(&mut command);
    eventually("the shell is ready", || fs::remove_file(&ready).ok());
    running
}

fn watch(queue: &Queue, binary: &std::path::Path) -> Running {
    let mut command = Command::new(binary);
    command.args(["watch", "--watch", "off"]).arg(queue.root());
    let running = Running::start(&mut command);
    queue.link("todo/1");
    assert!(running.line().ends_with("todo/1"), "it reads");
    running
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_pullcord").into()
}

#[test]
fn a_spin_is_reported_with_the_process_that_holds_the_trigger_open() {
    let storm = Storm::start(&["--strategy", "reopen", "--scenario", "hold"]);
    let queue = storm.queue();
    let reader = storm.running.id();
    let spins = |checks: Checks| {
        let spin = checks.find("spin")?.clone();
        assert_eq!((spin.state.as_str(), checks.code), ("error", Some(1)));
        Some(spin)
    };
    let spin = eventually("the spin is found", || spins(examine_at(&queue, &[])));
    assert!(spin.message.contains(&format!("({reader}, user ")), "{spin:?}");
    let writers = crate::support::children_of(reader);
    let [writer] = writers.as_slice() else { panic!("{writers:?}") };
    assert!(spin.hint.contains(&format!("kill {writer};")), "{spin:?}");
    assert!(spin.hint.contains("relink"), "{spin:?}");

    // The hint ends the spin.
    let pid = rustix::process::Pid::from_raw(*writer as i32).unwrap();
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    eventually("the writer is stopped", || stat(*writer).filter(|(state, _)| *state == 'T'));
    let spin = eventually("the spin is found", || spins(examine_at(&queue, &[])));
    assert!(spin.hint.contains(&format!("kill -CONT {writer} ")), "{spin:?}");
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn the_patch_of_2001_under_load_is_not_reported() {
    let storm = Storm::start(&["--strategy", "drain", "--writers", "4"]);
    let queue = storm.queue();
    let checks = examine_at(&queue, &[]);
    assert_eq!(checks.code, Some(0), "{checks:?}");
    assert_eq!(checks.state("reader"), "ok", "{checks:?}");
    assert_eq!(checks.state("spin"), "not checked", "{checks:?}");
    assert!(checks.numbers["taken"].as_u64() > Some(0), "{checks:?}");
}

#[test]
fn a_stopped_reader_is_an_error_and_a_continued_one_is_not() {
    let queue = Queue::flat();
    let reader = watch(&queue, &binary());
    let checks = examine_at(queue.root(), &[]);
    assert_eq!((checks.code, checks.state("running")), (Some(0), "ok"), "{checks:?}");
    reader.signal(Signal::STOP);
    eventually("it is stopped", || stat(reader.id()).filter(|(state, _)| *state == 'T'));
    let checks = examine_at(queue.root(), &[]);
    assert_eq!((checks.code, checks.state("stopped")), (Some(1), "error"), "{checks:?}");
    let advice = format!("kill -CONT {}", reader.id());
    assert_eq!(checks.find("stopped").unwrap().hint, advice);
    assert!(Command::new("sh").args(["-c", &advice]).status().unwrap().success());
    eventually("it continues", || stat(reader.id()).filter(|(state, _)| *state != 'T'));
    assert_eq!(examine_at(queue.root(), &[]).code, Some(0));
}

#[test]
fn a_process_name_with_parentheses_blanks_and_a_line_feed_is_parsed() {
    let queue = Queue::flat();
    let name = std::ffi::OsStr::from_bytes(b"a) R 1 (\n");
    let copy = queue.path(name);
    copy_binary(&copy);
    let reader = watch(&queue, &copy);
    reader.signal(Signal::STOP);
    eventually("it is stopped", || {
        fs::read_to_string(format!("/proc/{}/stat", reader.id()))
            .ok()?
            .contains(") T ")
            .then_some(())
    });
    let checks = examine_at(queue.root(), &[]);
    let expected = format!("a) R 1 (\\n ({}, user ", reader.id());
    assert!(checks.message("stopped").contains(&expected), "{checks:?}");
}

#[test]
fn two_readers_are_an_error_and_both_are_named() {
    let queue = Queue::flat();
    let readers = [shell(&queue, "exec 3<>\"$1\""), shell(&queue, "exec 3<>\"$1\"")];
    let checks = examine_at(queue.root(), &["--seconds", "0"]);
    assert_eq!((checks.code, checks.state("reader")), (Some(1), "error"));
    for reader in &readers {
        assert!(checks.message("reader").contains(&format!("({}, ", reader.id())), "{checks:?}");
    }
}

#[test]
fn the_limit_of_the_reader_is_compared_and_not_that_of_this_command() {
    let queue = Queue::flat();
    let open: String = (3..10).map(|number| format!(" {number}<>\"$1\"")).collect();
    let reader = shell(&queue, &format!("ulimit -n 13; exec{open}"));
    let checks = examine_at(queue.root(), &["--seconds", "0"]);
    assert_eq!(checks.state("descriptors"), "error", "{checks:?}");
    let message = checks.message("descriptors");
    assert!(
        message.contains(" of 13 open") && message.contains(&reader.id().to_string()),
        "{message}"
    );
}

#[test]
fn a_reader_of_a_replaced_trigger_is_reported() {
    let queue = Queue::flat();
    let reader = shell(&queue, "exec 3<>\"$1\"");
    fs::remove_file(queue.trigger()).unwrap();
    Trigger::create(queue.trigger(), 0o622).unwrap();
    let checks = examine_at(queue.root(), &["--seconds", "0"]);
    assert_eq!(checks.state("reader"), "error", "{checks:?}");
    assert!(
        checks.message("removed trigger").contains(&format!("({}, ", reader.id())),
        "{checks:?}"
    );
}

/// If some processes cannot be seen, a missing reader is not proved. Then the trigger itself is opened.
#[test]
fn an_ordinary_user_gets_the_message_that_the_reader_cannot_be_seen() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return left_out("needs root, to become another user");
    }
    let queue = Queue::flat();
    let copy = queue.path("pullcord");
    copy_binary(&copy);
    for path in [queue.root().to_path_buf(), queue.path("lock"), queue.path("todo")] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let _reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    let examine = || {
        let mut command = Command::new(&copy);
        command.args(["doctor", "--json", "--seconds", "0"]).arg(queue.root());
        Checks::parse(&output(command.uid(65_534).gid(65_534)))
    };
    let checks = examine();
    assert_eq!(checks.state("reader"), "ok", "{checks:?}");
    assert!(checks.message("reader").contains("not known from here"), "{checks:?}");
    fs::set_permissions(queue.trigger(), PermissionsExt::from_mode(0o600)).unwrap();
    let checks = examine();
    assert_eq!(checks.state("reader"), "unknown", "{checks:?}");
}
