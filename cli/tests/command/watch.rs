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

/// Watches a queue, and has seen what was in it.
fn watching(queue: &Queue, arguments: &[&str]) -> Running {
    let first = queue.link("todo/first");
    let mut command = pullcord(["watch"]);
    let running = Running::start(command.arg(queue.root()).args(arguments));
    assert!(running.line().contains("first"));
    fs::remove_file(first).unwrap();
    running
}

#[test]
fn what_is_linked_and_pulled_is_printed_on_every_backend() {
    for (backend, watch) in
        Backend::available().flat_map(|backend| ["auto", "off"].map(|watch| (backend, watch)))
    {
        let queue = Queue::flat();
        let running = watching(&queue, &["--backend", backend.as_str(), "--watch", watch]);
        for number in 0..10 {
            let linked = queue.link(format!("todo/{number}"));
            pullcord::pull(queue.trigger()).unwrap(); // nobody may listen
            assert_eq!(running.line(), linked.to_str().unwrap(), "{backend}, --watch {watch}");
        }
    }
}

#[test]
fn where_the_watch_suffices_a_reader_is_left_alone() {
    let queue = Queue::flat();
    if !queue.watch_suffices() {
        return;
    }
    let mut reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    let running = watching(&queue, &["--json", "--count", "11"]);
    for number in 0..10 {
        queue.link(format!("todo/{number}"));
        assert!(running.line().contains(r#""via":"watch""#), "and nobody has to pull");
        queue.pull();
        assert_eq!(reader.drain().unwrap(), DrainOutcome::Drained, "every pull is the reader's");
    }

    let queue = Queue::flat();
    let running = watching(&queue, &[]);
    assert_eq!(pullcord::pull(queue.trigger()).unwrap(), PullOutcome::NoReader);
    running.signal(Signal::TERM);
    let done = running.output();
    assert!(text(&done.stderr).contains(" 0 directories unwatched"), "{done:?}");
}

#[test]
fn a_split_queue_is_found_by_looking() {
    let queue = Queue::split(23);
    let linked = queue.link("todo/22/4711");
    let done = output(pullcord(["watch", "--count", "1"]).arg(queue.root()));
    assert!(done.status.success());
    assert_eq!(text(&done.stdout).trim_end(), linked.to_str().unwrap());
}

#[test]
fn any_fifo_and_directories_can_be_watched() {
    let queue = Queue::split(2);
    let mut command = pullcord(["watch", "--trigger"]);
    command.arg(queue.trigger()).arg("--dir").args([queue.path("todo/0"), queue.path("todo/1")]);
    let running = Running::start(&mut command);
    let linked = ["todo/0/a", "todo/1/b"].map(|name| queue.link(name).into_os_string());
    let seen = [running.line(), running.line()].map(Into::into);
    assert_eq!(BTreeSet::from(seen), BTreeSet::from(linked), "in whatever order");
}

#[test]
fn postfix_mail_is_printed_once_it_is_ready() {
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
fn an_entry_still_there_is_not_printed_again_and_one_in_its_place_is() {
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
fn json_has_the_four_members_and_says_when() {
    let queue = Queue::flat();
    let linked = queue.link("todo/4711");
    let before = jiff::Timestamp::now();
    let done = output(pullcord(["watch", "--json", "--count", "1"]).arg(queue.root()));
    let line = text(&done.stdout).trim_end();

    let keys: Vec<_> =
        ["id", "path", "via", "at"].map(|key| line.find(&format!("\"{key}\":"))).into();
    assert!(keys.iter().all(Option::is_some) && keys.is_sorted(), "{line}");
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(object.as_object().unwrap().len(), 4);
    assert_eq!(object["id"], "4711");
    assert_eq!(object["path"], linked.to_str().unwrap());
    assert_eq!(object["via"], "scan");
    let at = object["at"].as_str().unwrap();
    assert_eq!(at.len(), "2001-01-01T00:00:00.000000Z".len(), "{at}");
    let at: jiff::Timestamp = at.parse().unwrap();
    assert!(at.as_microsecond() >= before.as_microsecond() && at <= jiff::Timestamp::now());
}

#[test]
fn a_hostile_name_writes_nothing_to_the_terminal() {
    const HOSTILE: &[u8] = b"\x1b[2J\r\nquite \"harmless\\\"\xff";
    const SHOWN: &str = r#"\u{1b}[2J\r\nquite "harmless\\"\xff"#;
    let queue = Queue::flat();
    // Some file systems take no names but UTF-8.
    let hostile = fs::write(queue.path("todo").join(OsStr::from_bytes(HOSTILE)), "");
    if hostile.is_err_and(|e| e.kind() != std::io::ErrorKind::PermissionDenied) {
        return;
    }
    let plain = output(pullcord(["watch", "--count", "1"]).arg(queue.root()));
    assert!(text(&plain.stdout).ends_with(&format!("/todo/{SHOWN}\n")), "{plain:?}");
    let json = output(pullcord(["watch", "--count", "1", "--json"]).arg(queue.root()));
    let object: serde_json::Value = serde_json::from_str(text(&json.stdout)).unwrap();
    assert_eq!(object["id"], SHOWN);
}

#[test]
fn signals_end_it_with_its_counters() {
    for signal in [Signal::TERM, Signal::INT] {
        let queue = Queue::flat();
        let running = watching(&queue, &[]);
        running.signal(signal);
        let done = running.output();
        assert_eq!(done.status.code(), Some(0), "{signal:?}: {done:?}");
        let counters = text(&done.stderr);
        for word in ["1 printed", "wakes", "drains", "pulls", "scans", "errors"] {
            assert!(counters.contains(word), "{word}: {counters}");
        }
        assert_eq!(counters.lines().count(), 1, "{counters}");
    }
}

#[test]
fn nothing_for_a_while_ends_it() {
    let queue = Queue::flat();
    let begun = Instant::now();
    let done = output(pullcord(["watch", "--idle-exit", "0.25"]).arg(queue.root()));
    assert_eq!(done.status.code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(250), "not early");
    assert!(done.stdout.is_empty() && text(&done.stderr).contains("0 printed"), "{done:?}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_its_output() {
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
fn a_second_reader_is_refused_unless_it_insists() {
    let queue = Queue::flat();
    let first = watching(&queue, &["--watch", "off"]);
    let refused = output(pullcord(["watch", "--watch", "off"]).arg(queue.root()));
    assert_reader_found(&refused, &queue);

    queue.link("todo/both");
    let insists = output(
        pullcord(["watch", "--watch", "off", "--share-trigger", "--count", "1"]).arg(queue.root()),
    );
    assert_eq!(insists.status.code(), Some(0));
    queue.pull();
    assert!(first.line().ends_with("/todo/both"), "the first still reads");
}

/// As one that has its trigger closed for the length of a scan: the first look finds nobody.
#[test]
fn a_reader_that_closes_now_and_then_is_found_by_a_later_look() {
    let queue = Queue::flat();
    let running = Running::start(pullcord(["watch", "--watch", "off"]).arg(queue.root()));
    // To open a FIFO for writing waits for a reader: for one of the looks.
    let (looked, look) = std::sync::mpsc::channel();
    let fifo = queue.trigger();
    thread::spawn(move || looked.send(fs::OpenOptions::new().write(true).open(fifo)));
    let _writer = look.recv_timeout(PATIENCE).expect("somebody looks").unwrap();
    let _back = Trigger::open(queue.trigger(), OtherReaders::Allow).unwrap();
    assert_reader_found(&running.output(), &queue);
}

fn assert_reader_found(done: &std::process::Output, queue: &Queue) {
    let complaint = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{complaint}");
    for word in [queue.trigger().to_str().unwrap(), "qmail-send", "delay", "--share-trigger"] {
        assert!(complaint.contains(word), "{word}: {complaint}");
    }
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
#[cfg(target_os = "linux")]
fn out_of_descriptors_it_says_so_once_and_goes_on_when_there_are_some() {
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
    assert_eq!(running.line(), linked.to_str().unwrap(), "nothing is forgotten");
    running.signal(Signal::TERM);
    let done = running.output();
    assert_eq!(text(&done.stderr).lines().count(), 1, "the counters only: {done:?}");
}
