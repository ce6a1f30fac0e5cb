//! The options of `pullcord watch` about the queue, and about how entries are printed.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Queue, Running, output, pullcord, text};

#[test]
fn directories_are_watched_without_a_trigger() {
    let queue = Queue::split(2);
    let mut command = pullcord(["watch", "--poll", "0.05", "--dir"]);
    let running = Running::start(command.args([queue.path("todo/0"), queue.path("todo/1")]));
    for name in ["todo/0/a", "todo/1/b"] {
        let linked = queue.link(name);
        assert_eq!(running.line(), linked.to_str().unwrap());
    }
}

#[test]
fn a_queue_that_appears_later_is_found() {
    let queue = Queue::flat();
    let late = queue.path("late/queue");
    let refused = output(pullcord(["watch"]).arg(&late));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("--wait"), "{refused:?}");

    let running = Running::start(pullcord(["watch", "--wait", "--poll", "0.05"]).arg(&late));
    fs::create_dir_all(late.join("todo")).unwrap();
    let linked = queue.link("late/queue/todo/4711");
    assert_eq!(running.line(), linked.to_str().unwrap());
    let again = queue.link("late/queue/todo/4712");
    assert_eq!(running.line(), again.to_str().unwrap());
}

#[test]
fn a_file_that_is_written_in_place_is_printed_once_it_is_quiet() {
    let queue = Queue::flat();
    let mut command = pullcord(["watch", "--in-place=0.3", "--format", "{size}", "--dir"]);
    let running = Running::start(command.arg(queue.path("todo")));
    let mut file = fs::File::create(queue.path("todo/message")).unwrap();
    let mut last = Instant::now();
    for _ in 0..5 {
        file.write_all(b"0123456789").unwrap();
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(file);
    let size = running.line();
    // If the machine has stopped meanwhile, the file was quiet before its end.
    if last.elapsed() < Duration::from_secs(2) {
        assert_eq!(size, "50", "complete");
    }
    assert!(last.elapsed() >= Duration::from_millis(290), "not before it was quiet");
}

#[test]
fn a_stock_postfix_is_watched_without_its_socket() {
    let queue = Queue::flat();
    for directory in ["public", "maildrop", "incoming"] {
        fs::create_dir(queue.path(directory)).unwrap();
    }
    let socket = queue.path("public/pickup");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut command = pullcord(["watch", "--layout", "postfix", "--poll", "0.05"]);
    let running = Running::start(command.arg(queue.root()).args(["--dir", "incoming"]));
    let notice = running.complaint();
    assert!(notice.contains(socket.to_str().unwrap()) && notice.contains("socket"), "{notice}");
    assert!(notice.contains("without a trigger"), "{notice}");
    for name in ["maildrop/a", "incoming/b"] {
        let linked = queue.path(name);
        let written = queue.path("mess/written");
        fs::write(&written, "").unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o744)).unwrap();
        fs::rename(written, &linked).unwrap();
        assert_eq!(running.line(), linked.to_str().unwrap());
    }
}

#[test]
fn with_0_names_are_not_escaped_and_end_with_a_nul() {
    let name = OsStr::from_bytes(b"a\n\\b\x1b");
    let queue = Queue::flat();
    let linked = queue.link(queue.path("todo").join(name));
    let done = output(pullcord(["watch", "-0", "--count", "1"]).arg(queue.root()));
    // The lines of the support end with a newline.
    let expected = [linked.as_os_str().as_bytes(), b"\0\n"].concat();
    assert_eq!(done.stdout, expected);
}

#[test]
fn a_format_has_the_fields_of_the_entry() {
    let queue = Queue::flat();
    let linked = queue.link("todo/4711");
    let template = "{{{id}}} {name} {size} {age} {time} {path}";
    let done = output(pullcord(["watch", "--count", "1", "--format", template]).arg(queue.root()));
    let fields: Vec<_> = text(&done.stdout).trim_end().split(' ').collect();
    let size = linked.metadata().unwrap().len().to_string();
    assert_eq!(fields[..3], ["{4711}", "4711", &size]);
    assert!(fields[3].parse::<f64>().is_ok_and(|age| age >= 0.0), "{fields:?}");
    fields[4].parse::<jiff::Timestamp>().unwrap();
    assert_eq!(fields[5], linked.to_str().unwrap());

    let wrong = output(pullcord(["watch", "--format", "{mtime}"]).arg(queue.root()));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("mtime"), "{wrong:?}");
}

#[test]
fn timestamps_come_before_each_line() {
    let queue = Queue::flat();
    let linked = queue.link("todo/4711");
    let before = jiff::Timestamp::now();
    let done = output(pullcord(["watch", "--count", "1", "--timestamps"]).arg(queue.root()));
    let (time, path) = text(&done.stdout).trim_end().split_once(' ').unwrap();
    let time: jiff::Timestamp = time.parse().unwrap();
    assert!(time.as_microsecond() >= before.as_microsecond());
    assert_eq!(path, linked.to_str().unwrap());
}

#[test]
fn new_only_leaves_out_entries_from_before_the_start() {
    let queue = Queue::flat();
    queue.link("todo/old");
    // The change time is older by this time. In doubt an entry is printed.
    std::thread::sleep(Duration::from_millis(50));
    let mut command = pullcord(["watch", "--new-only", "--watch", "off"]);
    let running = Running::start(command.arg(queue.root()));
    queue.pull(); // succeeds after the start
    let new = queue.link("todo/new");
    queue.pull();
    assert_eq!(running.line(), new.to_str().unwrap());
    running.signal(Signal::TERM);
    let done = running.output();
    assert!(done.stdout.is_empty() && text(&done.stderr).contains("printed 1;"), "{done:?}");
}

#[test]
fn a_timeout_with_nothing_found_is_exit_code_4() {
    let queue = Queue::flat();
    let begun = Instant::now();
    let done = output(pullcord(["watch", "--timeout", "0.2"]).arg(queue.root()));
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "not early");
    assert!(text(&done.stderr).contains("nothing was found"), "{done:?}");

    queue.link("todo/found");
    let arguments = ["watch", "--timeout", "0.2", "--idle-exit", "0.4"];
    let done = output(pullcord(arguments).arg(queue.root()));
    assert_eq!(done.status.code(), Some(0), "something was found: {done:?}");
}
