//! `pullcord doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Queue, output, pullcord, text};

/// The exit code, and the state and words of each check.
fn examine(queue: &Queue, options: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let mut command = pullcord(["doctor", "--json"]);
    let output = output(command.args(options).arg(queue.root()));
    let report: Value = serde_json::from_str(text(&output.stdout)).unwrap();
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks: Vec<_> = checks
        .map(|check| (word(check, "check"), word(check, "state"), word(check, "says")))
        .collect();
    let wrong = checks.iter().any(|(_, state, _)| state == "wrong");
    assert_eq!(report["healthy"], !wrong);
    assert_eq!(output.status.code(), Some(i32::from(wrong)), "{checks:?}");
    (output.status.code(), checks)
}

fn state<'a>(checks: &'a [(String, String, String)], wanted: &str) -> &'a str {
    let check = checks.iter().find(|(check, ..)| check == wanted);
    check.map_or("not checked", |(_, state, _)| state.as_str())
}

#[test]
fn a_queue_that_is_read_is_healthy_and_says_by_whom() {
    let queue = Queue::split(3);
    let _reader = pullcord::Trigger::open(queue.trigger(), pullcord::OtherReaders::Reject).unwrap();
    for options in [&[][..], &["--probe"]] {
        let (code, checks) = examine(&queue, options);
        assert_eq!(code, Some(0), "{checks:?}");
        assert_ne!(state(&checks, "reader"), "wrong");
        assert_eq!(state(&checks, "trigger"), "ok");
    }
    #[cfg(target_os = "linux")]
    {
        let (_, checks) = examine(&queue, &[]);
        let says = &checks.iter().find(|(check, ..)| check == "reader").unwrap().2;
        assert!(says.contains(&std::process::id().to_string()), "{says}");
    }
}

#[test]
fn a_queue_that_nobody_reads_is_said() {
    let queue = Queue::flat();
    assert_eq!(state(&examine(&queue, &["--probe"]).1, "reader"), "wrong");
}

#[test]
fn what_was_left_lying_is_counted() {
    let queue = Queue::flat();
    let entry = queue.link("todo/17");
    assert_eq!(state(&examine(&queue, &[]).1, "stale"), "ok");
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().append(true).open(&entry).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "stale"), "wrong");
    fs::create_dir(queue.path("todo/x")).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "entries"), "note");
}

#[test]
fn a_trigger_that_is_none_or_has_an_odd_mode_is_said_and_not_changed() {
    let queue = Queue::flat();
    let mode = |mode| fs::set_permissions(queue.trigger(), PermissionsExt::from_mode(mode));
    mode(0o600).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "note", "nobody else can pull");
    mode(0o666).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "note", "anybody can read");
    fs::remove_file(queue.trigger()).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "wrong");
    fs::write(queue.trigger(), "kept").unwrap();
    assert_eq!(state(&examine(&queue, &["--probe"]).1, "trigger"), "wrong");
    assert_eq!(fs::read(queue.trigger()).unwrap(), b"kept");
}

#[test]
fn for_people_it_is_a_line_a_check_with_what_to_do() {
    let queue = Queue::flat();
    let output = output(pullcord(["doctor", "--probe"]).arg(queue.root()));
    let said = text(&output.stdout);
    assert!(said.contains("✓ trigger") && said.contains("✗ reader"), "{said}");
    assert!(said.contains("→ start the queue manager"), "{said}");
    assert!(!said.contains('\x1b'), "no colours in a pipe");
}
