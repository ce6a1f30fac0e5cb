//! Tests `pullcord doctor`: the files of a queue, the output and the exit codes. `doctor_running` tests
//! processes, and `doctor_mounts` has the tests that need root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pullcord::{OtherReaders, Trigger};
use serde_json::Value;

use crate::support::{Queue, output, pullcord, text};

/// One check: its name, state, message and hint.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) check: String,
    pub(crate) state: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) code: Option<i32>,
    pub(crate) all: Vec<Check>,
    pub(crate) numbers: Value,
}

impl Checks {
    /// Parses the report, and compares the exit code with it.
    pub(crate) fn parse(done: &std::process::Output) -> Checks {
        let report: Value =
            serde_json::from_str(text(&done.stdout)).unwrap_or_else(|e| panic!("{e} in {done:?}"));
        let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let check = |check: &Value| Check {
            check: word(check, "check"),
            state: word(check, "state"),
            message: word(check, "message"),
            hint: word(check, "hint"),
        };
        let all: Vec<_> = report["checks"].as_array().unwrap().iter().map(check).collect();
        let has = |state| all.iter().any(|check| check.state == state);
        let code = if has("error") {
            1
        } else if has("unknown") {
            2
        } else {
            0
        };
        assert_eq!(report["healthy"], code == 0);
        assert_eq!(done.status.code(), Some(code), "{all:?}");
        for check in all.iter().filter(|check| check.state != "ok") {
            assert!(!check.hint.is_empty(), "a hint is missing: {check:?}");
        }
        Checks { code: done.status.code(), all, numbers: report["numbers"].clone() }
    }

    pub(crate) fn find(&self, wanted: &str) -> Option<&Check> {
        // If there are several, the worst one counts.
        let order = ["error", "unknown", "warning", "ok"];
        let found = self.all.iter().filter(|check| check.check == wanted);
        found.min_by_key(|check| order.iter().position(|state| *state == check.state))
    }

    pub(crate) fn state(&self, wanted: &str) -> &str {
        self.find(wanted).map_or("not checked", |check| check.state.as_str())
    }

    #[track_caller]
    pub(crate) fn message(&self, wanted: &str) -> &str {
        &self.find(wanted).unwrap_or_else(|| panic!("{wanted} in {self:?}")).message
    }
}

pub(crate) fn examine_at(root: &Path, options: &[&str]) -> Checks {
    Checks::parse(&output(pullcord(["doctor", "--json"]).args(options).arg(root)))
}

/// Runs a check with a single sample.
fn examine(queue: &Queue, options: &[&str]) -> Checks {
    examine_at(queue.root(), &[&["--seconds", "0"], options].concat())
}

fn read(queue: &Queue) -> Trigger {
    Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap()
}

/// Makes a file or directory older.
pub(crate) fn set_age(path: &Path, age: Duration) {
    fs::File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

#[test]
fn a_queue_with_a_reader_is_healthy_and_the_reader_is_named() {
    let queue = Queue::split(3);
    let _reader = read(&queue);
    for options in [&[][..], &["--probe"]] {
        let checks = examine(&queue, options);
        assert_eq!(checks.code, Some(0), "{checks:?}");
        assert_eq!(checks.state("reader"), "ok");
        assert_eq!(checks.state("trigger"), "ok");
    }
    if cfg!(target_os = "linux") {
        let checks = examine(&queue, &[]);
        let name = format!("({}, user ", std::process::id());
        assert!(checks.message("reader").contains(&name), "{checks:?}");
    }
}

#[test]
fn a_queue_without_a_reader_is_an_error() {
    let queue = Queue::flat();
    for options in [&[][..], &["--probe"]] {
        let checks = examine(&queue, options);
        assert_eq!((checks.code, checks.state("reader")), (Some(1), "error"));
    }
}

#[test]
fn mail_beside_numbered_directories_and_directories_of_another_split_are_left_over() {
    let queue = Queue::split(3);
    let _reader = read(&queue);
    for part in 0..3 {
        fs::create_dir(queue.path("mess").join(part.to_string())).unwrap();
    }
    queue.link("todo/1/17");
    let checks = examine(&queue, &[]);
    assert_eq!(checks.state("left over"), "not checked", "{checks:?}");
    assert_eq!(checks.state("entries"), "not checked", "a part is not an entry: {checks:?}");
    assert!(checks.message("layout").contains("split into 3 directories"), "{checks:?}");
    assert!(checks.message("layout").contains("1 entries waiting"), "{checks:?}");

    queue.link("todo/18");
    let checks = examine(&queue, &[]);
    assert!(checks.message("left over").contains("1 entries beside"), "{checks:?}");
    assert_eq!(checks.numbers["entries"], 2);

    fs::remove_file(queue.path("todo/18")).unwrap();
    fs::create_dir(queue.path("mess/3")).unwrap();
    let checks = examine(&queue, &[]);
    assert!(checks.message("left over").contains("and mess has 4"), "{checks:?}");
}

#[test]
fn entries_that_no_reader_takes_are_a_warning_for_each_kind() {
    let queue = Queue::flat();
    let _reader = read(&queue);
    queue.link("todo/17");
    queue.link("todo/.hidden");
    queue.link("todo/core");
    fs::create_dir(queue.path("todo/x")).unwrap();
    let checks = examine(&queue, &[]);
    assert_eq!(checks.code, Some(0), "warnings only: {checks:?}");
    let kinds = checks.all.iter().filter(|check| check.check == "entries").count();
    assert_eq!(kinds, 3, "{checks:?}");
    assert_eq!(checks.numbers["entries"], 1, "{checks:?}");
}

#[test]
fn mail_that_waits_for_40_minutes_is_an_error() {
    let queue = Queue::flat();
    let _reader = read(&queue);
    let entry = queue.link("todo/17");
    assert_eq!(examine(&queue, &[]).state("waiting"), "ok");
    set_age(&entry, Duration::from_secs(2_400));
    let checks = examine(&queue, &[]);
    assert_eq!((checks.code, checks.state("waiting")), (Some(1), "error"));
    assert!(checks.message("waiting").contains("40 minutes"), "{checks:?}");
    assert_eq!(checks.numbers["oldest_seconds"].as_u64().unwrap() / 60, 40);
    // Two minutes are also an error if the directory shows that no entry was taken meanwhile.
    set_age(&entry, Duration::from_secs(120));
    assert_eq!(examine(&queue, &[]).state("waiting"), "warning");
    set_age(&queue.path("todo"), Duration::from_secs(119));
    let checks = examine(&queue, &[]);
    assert_eq!(checks.state("waiting"), "error");
    assert!(checks.message("waiting").contains("none was taken within the last minute"));
}

#[test]
fn a_bad_trigger_or_mode_is_reported_and_not_changed() {
    let queue = Queue::flat();
    let mode = |mode| fs::set_permissions(queue.trigger(), PermissionsExt::from_mode(mode));
    let reader = read(&queue);
    mode(0o600).unwrap();
    let checks = examine(&queue, &[]);
    assert_ne!(checks.state("owners"), "ok", "no other user can pull");
    assert!(checks.find("owners").unwrap().hint.contains("chmod 622 "), "{checks:?}");
    mode(0o666).unwrap();
    assert_ne!(examine(&queue, &[]).state("owners"), "ok", "every user can read");
    drop(reader);
    fs::remove_file(queue.trigger()).unwrap();
    assert_eq!(examine(&queue, &[]).state("trigger"), "error");
    fs::write(queue.trigger(), "kept").unwrap();
    assert_eq!(examine(&queue, &["--probe"]).state("trigger"), "error");
    assert_eq!(fs::read(queue.trigger()).unwrap(), b"kept");
}

#[test]
fn the_socket_of_stock_postfix_is_ok_and_no_hint_replaces_it() {
    let queue = Queue::flat();
    for directory in ["public", "maildrop"] {
        fs::create_dir(queue.path(directory)).unwrap();
    }
    let postfix = ["--layout", "postfix"];
    let checks = examine(&queue, &postfix);
    assert_eq!(checks.state("trigger"), "error", "it is missing");
    for check in &checks.all {
        assert!(!check.hint.contains("mkfifo"), "{check:?}");
    }
    let _socket = std::os::unix::net::UnixListener::bind(queue.path("public/pickup")).unwrap();
    let entry = queue.link("maildrop/ABC");
    let checks = examine(&queue, &postfix);
    assert_eq!(checks.state("trigger"), "ok");
    assert_eq!(checks.state("reader"), "not checked");
    assert_eq!(checks.numbers["entries"], 0, "not complete yet");
    fs::set_permissions(&entry, PermissionsExt::from_mode(0o744)).unwrap();
    assert_eq!(examine(&queue, &postfix).numbers["entries"], 1);
}

#[test]
fn a_queue_that_cannot_be_checked_exits_with_2() {
    let queue = Queue::flat();
    for root in [queue.path("missing"), queue.path("mess")] {
        let done = output(pullcord(["doctor"]).arg(&root));
        assert_eq!(done.status.code(), Some(2));
        let said = text(&done.stderr);
        assert!(said.contains(&root.display().to_string()), "{said}");
    }
    let done = output(pullcord(["doctor", "--seconds", "1"]).arg(queue.root()));
    assert_eq!(done.status.code(), Some(2), "too short to judge");
}

#[test]
fn text_output_has_a_line_for_each_check_its_meaning_and_its_hint() {
    let queue = Queue::flat();
    let output = output(pullcord(["doctor", "--seconds", "0"]).arg(queue.root()));
    let said = text(&output.stdout);
    assert!(said.contains("✓ trigger") && said.contains("✗ reader"), "{said}");
    assert!(said.contains("no process is woken by new mail"), "{said}");
    assert!(said.contains("→ start the queue manager"), "{said}");
    assert!(!said.contains('\x1b'), "no colours in a pipe");
    assert_eq!(text(&output.stderr).lines().count(), 1, "no progress in a pipe: {output:?}");
}

/// Runs `doctor --monitor`: the exit code and the one line.
fn monitor(arguments: &[&str], root: &Path) -> (Option<i32>, String) {
    let done = output(pullcord(["doctor", "--monitor"]).args(arguments).arg(root));
    let line = text(&done.stdout);
    assert_eq!(line.lines().count(), 1, "{done:?}");
    (done.status.code(), line.trim_end().into())
}

#[test]
fn monitor_prints_one_line_and_exits_as_a_plugin() {
    let queue = Queue::flat();
    let look = || monitor(&["--seconds", "0"], queue.root());
    let (code, line) = look();
    assert_eq!(code, Some(2), "{line}");
    assert!(line.starts_with("PULLCORD CRITICAL - "), "{line}");

    let reader = read(&queue);
    let (code, line) = look();
    // A machine whose disk is nearly full is a warning.
    if code == Some(0) {
        assert!(line.starts_with("PULLCORD OK - ") && line.contains(" | entries=0;;;0 "), "{line}");
    }
    queue.link("todo/.hidden");
    let (code, line) = look();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.starts_with("PULLCORD WARNING - "), "{line}");
    drop(reader);

    let (code, line) = monitor(&[], &queue.path("missing"));
    assert_eq!(code, Some(3));
    assert!(line.starts_with("PULLCORD UNKNOWN - ") && line.contains("missing"), "{line}");
    for usage in [&["--no-such-option"][..], &["--seconds", "x"], &["--json"], &["second", "third"]]
    {
        let (code, line) = monitor(usage, queue.root());
        assert_eq!(code, Some(3), "{line}");
        assert!(line.starts_with("PULLCORD UNKNOWN - "), "{line}");
    }
    let done = output(&mut pullcord(["watch", "--monitor"]));
    assert_eq!(done.status.code(), Some(2), "only doctor is a plugin: {done:?}");
}
