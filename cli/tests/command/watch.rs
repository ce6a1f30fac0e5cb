//! `pullcord watch`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, DrainOutcome, OtherReaders, PullOutcome, Trigger};
use rustix::process::Signal;

use crate::support::{PATIENCE, Queue, Running, eventually, output, pullcord, text};

/// Starts `watch` and waits until it has printed a first entry.
fn watching(queue: &Queue, arguments: &[&str]) -> Running {
    let first = queue.link("todo/first");
    let mut command = pullcord(["watch"]);
    let running = Running::start(command.arg(queue.root()).args(arguments));
    assert!(running.line().contains("first"));
    fs::remove_file(first).unwrap();
    running
}

#[test]
fn linked_and_pulled_entries_are_printed_on_every_backend() {
    for (backend, watch) in
        Backend::available().flat_map(|backend| ["auto", "off"].map(|watch| (backend, watch)))
    {
        let queue = Queue::flat();
        let running = watching(&queue, &["--backend", backend.as_str(), "--watch", watch]);
        for number in 0..10 {
            let linked = queue.link(format!("todo/{number}"));
            pullcord::pull(queue.trigger()).unwrap(); // there may be no reader
            assert_eq!(running.line(), linked.to_str().unwrap(), "{backend}, --watch {watch}");
        }
    }
}

#[test]
fn with_a_reliable_watch_the_trigger_is_not_opened() {
    let queue = Queue::flat();
    if !queue.is_fully_watched() {
        return;
    }
    let mut reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    let running = watching(&queue, &["--json", "--count", "11"]);
    for number in 0..10 {
        queue.link(format!("todo/{number}"));
        assert!(running.line().contains(r#""origin":"watch""#), "without a pull");
        queue.pull();
        assert_eq!(reader.drain().unwrap(), DrainOutcome::Drained, "no pull is taken");
    }

    let queue = Queue::flat();
    let running = watching(&queue, &[]);
    assert_eq!(pullcord::pull(queue.trigger()).unwrap(), PullOutcome::NoReader);
    running.signal(Signal::TERM);
    let done = running.output();
    assert!(text(&done.stderr).contains("unwatched_directories 0"), "{done:?}");
}

#[test]
fn an_entry_in_a_part_of_a_split_queue_is_printed() {
    let queue = Queue::split(23);
    let linked = queue.link("todo/22/4711");
    let done = output(pullcord(["watch", "--count", "1"]).arg(queue.root()));
    assert!(done.status.success());
    assert_eq!(text(&done.stdout).trim_end(), linked.to_str().unwrap());
}

#[test]
fn entries_in_todo_itself_and_in_a_queue_with_a_missing_part_are_printed() {
    let queue = Queue::split(4);
    fs::remove_dir(queue.path("todo/2")).unwrap();
    let linked = ["todo/3/a", "todo/b"].map(|name| queue.link(name).into_os_string());
    let done = output(pullcord(["watch", "--count", "2"]).arg(queue.root()));
    assert!(done.status.success());
    let seen = text(&done.stdout).lines().map(Into::into);
    assert_eq!(seen.collect::<BTreeSet<_>>(), BTreeSet::from(linked));
}

#[test]
fn a_trigger_in_a_watched_directory_is_not_printed() {
    let queue = Queue::flat();
    let fifo = queue.path("todo/trigger");
    Trigger::create(&fifo, 0o622).unwrap();
    let linked = queue.link("todo/4711");
    for watch in ["auto", "off"] {
        let mut command = pullcord(["watch", "--idle-exit", "0.2", "--watch", watch, "--trigger"]);
        let done = output(command.arg(&fifo).arg("--dir").arg(queue.path("todo")));
        assert_eq!(text(&done.stdout).trim_end(), linked.to_str().unwrap(), "--watch {watch}");
    }
}

/// Only the warning wakes the command. The verification finds the problem within ten seconds.
#[test]
fn a_warning_is_printed_without_an_entry() {
    let test = |backend: Backend| {
        let queue = Queue::flat();
        let running = watching(&queue, &["--watch", "off", "--backend", backend.as_str()]);
        fs::remove_file(queue.trigger()).unwrap();
        let complaint = running.complaint();
        assert!(complaint.contains(queue.trigger().to_str().unwrap()), "{complaint}");
    };
    thread::scope(|scope| {
        Backend::available().for_each(|backend| drop(scope.spawn(move || test(backend))));
    });
}

#[test]
fn entries_of_any_fifo_and_directories_are_printed() {
    let queue = Queue::split(2);
    let mut command = pullcord(["watch", "--trigger"]);
    command.arg(queue.trigger()).arg("--dir").args([queue.path("todo/0"), queue.path("todo/1")]);
    let running = Running::start(&mut command);
    let linked = ["todo/0/a", "todo/1/b"].map(|name| queue.link(name).into_os_string());
    let seen = [running.line(), running.line()].map(Into::into);
    assert_eq!(BTreeSet::from(seen), BTreeSet::from(linked), "in any order");
}

#[test]
fn postfix_mail_is_printed_only_once_it_is_complete() {
    use std::os::unix::fs::PermissionsExt;
    let queue = Queue::flat();
    for directory in ["public", "maildrop"] {
        fs::create_dir(queue.path(directory)).unwrap();
    }
    Trigger::create(queue.path("public/pickup"), 0o622).unwrap();
    let [ready, unfinished] =
        ["ready", "unfinished"].map(|name| queue.link(format!("maildrop/{name}")));
    fs::set_permissions(&ready, fs::Permissions::from_mode(0o744)).unwrap();

    let arguments = ["watch", "--layout", "postfix", "--idle-exit", "0.1"];
    let done = output(pullcord(arguments).arg(queue.root()));
    assert_eq!(text(&done.stdout).trim_end(), ready.to_str().unwrap());
    assert!(unfinished.exists(), "and stays where it is");
}

#[test]
fn an_entry_still_there_is_not_printed_again_and_its_replacement_is() {
    let queue = Queue::flat();
    let running = watching(&queue, &["--watch", "off"]);
    let [a, b, c] = ["todo/a", "todo/b", "todo/c"];
    for name in [a, b] {
        queue.link(name);
        queue.pull();
        assert!(running.line().ends_with(name), "only what is new");
    }
    fs::remove_file(queue.path(a)).unwrap();
    queue.link(a);
    queue.pull();
    assert!(running.line().ends_with(a), "the name was used again");
    queue.link(c);
    queue.pull();
    assert!(running.line().ends_with(c));
}

#[test]
fn json_lines_have_id_path_origin_and_time() {
    let queue = Queue::flat();
    let linked = queue.link("todo/4711");
    let before = jiff::Timestamp::now();
    let done = output(pullcord(["watch", "--json", "--count", "1"]).arg(queue.root()));
    let line = text(&done.stdout).trim_end();

    let keys: Vec<_> =
        ["id", "path", "origin", "at"].map(|key| line.find(&format!("\"{key}\":"))).into();
    assert!(keys.iter().all(Option::is_some) && keys.is_sorted(), "{line}");
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(object.as_object().unwrap().len(), 4);
    assert_eq!(object["id"], "4711");
    assert_eq!(object["path"], linked.to_str().unwrap());
    assert_eq!(object["origin"], "scan");
    let at = object["at"].as_str().unwrap();
    assert_eq!(at.len(), "2001-01-01T00:00:00.000000Z".len(), "{at}");
    let at: jiff::Timestamp = at.parse().unwrap();
    assert!(at.as_microsecond() >= before.as_microsecond() && at <= jiff::Timestamp::now());
}

#[test]
fn a_hostile_name_is_printed_escaped() {
    const HOSTILE: &[u8] = b"\x1b[2J\r\nquite \"harmless\\\"\xff";
    const SHOWN: &str = r#"\u{1b}[2J\r\nquite "harmless\\"\xff"#;
    let queue = Queue::flat();
    // Some file systems accept only names in UTF-8.
    let hostile = fs::write(queue.path("todo").join(OsStr::from_bytes(HOSTILE)), "");
    if hostile.is_err_and(|e| e.kind() != std::io::ErrorKind::PermissionDenied) {
        return;
    }
    let plain = output(pullcord(["watch", "--count", "1"]).arg(queue.root()));
    assert!(text(&plain.stdout).ends_with(&format!("/todo/{SHOWN}\n")), "{plain:?}");
    let json = output(pullcord(["watch", "--count", "1", "--json"]).arg(queue.root()));
    let object: serde_json::Value = serde_json::from_str(text(&json.stdout)).unwrap();
    let name = String::from_utf8_lossy(HOSTILE);
    assert_eq!(object["id"], *name, "escaped as JSON does it, and only so");
    let hex: String = HOSTILE.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(object["path_hex"].as_str().unwrap().ends_with(&hex), "{object}");
    assert!(text(&json.stdout).trim_end().bytes().all(|byte| (b' '..0x7f).contains(&byte)));
}

#[test]
fn signals_end_it_with_0_and_its_counters() {
    for signal in [Signal::TERM, Signal::INT] {
        let queue = Queue::flat();
        let running = watching(&queue, &[]);
        running.signal(signal);
        let done = running.output();
        assert_eq!(done.status.code(), Some(0), "{signal:?}: {done:?}");
        let counters = text(&done.stderr);
        for word in ["printed 1;", "wakeups ", "trigger_reads ", "pulls ", "scans ", "warnings 0"] {
            assert!(counters.contains(word), "{word}: {counters}");
        }
        assert_eq!(counters.lines().count(), 1, "{counters}");
    }
}

#[test]
fn idle_exit_ends_it_after_that_time_without_an_entry() {
    let queue = Queue::flat();
    let begun = Instant::now();
    let done = output(pullcord(["watch", "--idle-exit", "0.25"]).arg(queue.root()));
    assert_eq!(done.status.code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(250), "not early");
    assert!(done.stdout.is_empty() && text(&done.stderr).contains("printed 0;"), "{done:?}");
}

/// The queue returns 64 entries in a turn.
#[test]
fn an_idle_exit_of_zero_ends_it_after_all_entries() {
    let queue = Queue::flat();
    for number in 0..200 {
        queue.link(format!("todo/{number}"));
    }
    let done = output(pullcord(["watch", "--idle-exit", "0"]).arg(queue.root()));
    assert_eq!(text(&done.stdout).lines().count(), 200);
    let mut command = pullcord(["watch", "--idle-exit", "0"]);
    let done = output(command.arg(queue.root()).args(["--exec", "rm"]));
    assert!(text(&done.stderr).contains("succeeded 200"), "{done:?}");
}

#[test]
fn it_ends_quietly_once_its_output_is_closed() {
    let queue = Queue::flat();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    queue.link("todo/unread");
    let mut command = pullcord(["watch"]);
    let mut child =
        command.arg(queue.root()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::io::read_to_string(child.stderr.unwrap()).unwrap(), "");
}

#[test]
fn a_second_reader_is_rejected_unless_other_readers_are_allowed() {
    let queue = Queue::flat();
    let first = watching(&queue, &["--watch", "off"]);
    let refused = output(pullcord(["watch", "--watch", "off"]).arg(queue.root()));
    assert_reader_found(&refused, &queue);

    queue.link("todo/both");
    // The second option is the name in version 0.1.
    for option in ["--allow-other-readers", "--share-trigger"] {
        let arguments = ["watch", "--watch", "off", option, "--count", "1"];
        let second = output(pullcord(arguments).arg(queue.root()));
        assert_eq!(second.status.code(), Some(0), "{option}: {second:?}");
    }
    queue.pull();
    assert!(first.line().ends_with("/todo/both"), "the first one still reads");
}

/// The reader has its trigger closed at first, as during a scan.
#[test]
fn a_reader_that_closes_its_trigger_for_a_time_is_found_by_a_later_attempt() {
    let queue = Queue::flat();
    let running = Running::start(pullcord(["watch", "--watch", "off"]).arg(queue.root()));
    // Opening a FIFO for writing blocks until a reader opens it, which is one of the attempts.
    let (opened, writer) = std::sync::mpsc::channel();
    let fifo = queue.trigger();
    thread::spawn(move || opened.send(fs::OpenOptions::new().write(true).open(fifo)));
    let _writer = writer.recv_timeout(PATIENCE).expect("an attempt").unwrap();
    let _back = Trigger::open(queue.trigger(), OtherReaders::Allow).unwrap();
    assert_reader_found(&running.output(), &queue);
}

fn assert_reader_found(done: &std::process::Output, queue: &Queue) {
    let complaint = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{complaint}");
    for word in [queue.trigger().to_str().unwrap(), "qmail-send", "delay", "--allow-other-readers"]
    {
        assert!(complaint.contains(word), "{word}: {complaint}");
    }
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
#[cfg(target_os = "linux")]
fn out_of_descriptors_it_warns_once_and_loses_nothing() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let queue = Queue::flat();
    let running = watching(&queue, &["--watch", "off"]);
    let limit = |current| {
        let pid = Pid::from_raw(running.id() as i32);
        prlimit(pid, Resource::Nofile, Rlimit { current, ..getrlimit(Resource::Nofile) })
    };
    let before = limit(Some(3)).unwrap();
    let linked = queue.link("todo/late");
    queue.pull();
    let complaint = running.complaint();
    assert!(complaint.contains("todo") && complaint.contains("ulimit -n"), "{complaint}");
    queue.pull();
    limit(before.current).unwrap();
    assert_eq!(running.line(), linked.to_str().unwrap(), "no pull is forgotten");
    running.signal(Signal::TERM);
    let done = running.output();
    assert_eq!(text(&done.stderr).lines().count(), 1, "the counters only: {done:?}");
}
