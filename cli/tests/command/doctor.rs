//! `pullcord doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Queue, output, pullcord, text};

/// Returns the exit code, and the name, state and message of each check.
fn examine(queue: &Queue, options: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let mut command = pullcord(["doctor", "--json"]);
    let output = output(command.args(options).arg(queue.root()));
    let report: Value = serde_json::from_str(text(&output.stdout)).unwrap();
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks: Vec<_> = checks
        .map(|check| (word(check, "check"), word(check, "state"), word(check, "message")))
        .collect();
    let has_error = checks.iter().any(|(_, state, _)| state == "error");
    assert_eq!(report["healthy"], !has_error);
    assert_eq!(output.status.code(), Some(i32::from(has_error)), "{checks:?}");
    (output.status.code(), checks)
}

fn state<'a>(checks: &'a [(String, String, String)], wanted: &str) -> &'a str {
    let check = checks.iter().find(|(check, ..)| check == wanted);
    check.map_or("not checked", |(_, state, _)| state.as_str())
}

#[test]
fn a_queue_with_a_reader_is_healthy_and_the_reader_is_named() {
    let queue = Queue::split(3);
    let _reader = pullcord::Trigger::open(queue.trigger(), pullcord::OtherReaders::Reject).unwrap();
    for options in [&[][..], &["--probe"]] {
        let (code, checks) = examine(&queue, options);
        assert_eq!(code, Some(0), "{checks:?}");
        assert_ne!(state(&checks, "reader"), "error");
        assert_eq!(state(&checks, "trigger"), "ok");
    }
    #[cfg(target_os = "linux")]
    {
        let (_, checks) = examine(&queue, &[]);
        let message = &checks.iter().find(|(check, ..)| check == "reader").unwrap().2;
        assert!(message.contains(&std::process::id().to_string()), "{message}");
    }
}

#[test]
fn a_split_queue_is_healthy_with_its_parts_and_mail_beside_them() {
    let queue = Queue::split(3);
    let _reader = pullcord::Trigger::open(queue.trigger(), pullcord::OtherReaders::Reject).unwrap();
    queue.link("todo/1/17");
    queue.link("todo/18");
    let (_, checks) = examine(&queue, &[]);
    assert_eq!(state(&checks, "entries"), "not checked", "a part is no entry: {checks:?}");
    let layout = &checks.iter().find(|(check, ..)| check == "layout").unwrap().2;
    assert_eq!(layout, "split into 3 directories, 2 entries waiting");
}

#[test]
fn a_queue_without_a_reader_is_an_error() {
    let queue = Queue::flat();
    assert_eq!(state(&examine(&queue, &["--probe"]).1, "reader"), "error");
}

#[test]
fn an_old_entry_is_an_error_and_an_unknown_directory_a_warning() {
    let queue = Queue::flat();
    let entry = queue.link("todo/17");
    assert_eq!(state(&examine(&queue, &[]).1, "stale"), "ok");
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().append(true).open(&entry).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "stale"), "error");
    fs::create_dir(queue.path("todo/x")).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "entries"), "warning");
}

#[test]
fn a_bad_trigger_or_mode_is_reported_and_not_changed() {
    let queue = Queue::flat();
    let mode = |mode| fs::set_permissions(queue.trigger(), PermissionsExt::from_mode(mode));
    mode(0o600).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "warning", "no other user can pull");
    mode(0o666).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "warning", "every user can read");
    fs::remove_file(queue.trigger()).unwrap();
    assert_eq!(state(&examine(&queue, &[]).1, "trigger"), "error");
    fs::write(queue.trigger(), "kept").unwrap();
    assert_eq!(state(&examine(&queue, &["--probe"]).1, "trigger"), "error");
    assert_eq!(fs::read(queue.trigger()).unwrap(), b"kept");
}

#[test]
fn text_output_has_a_line_for_each_check_and_its_hint() {
    let queue = Queue::flat();
    let output = output(pullcord(["doctor", "--probe"]).arg(queue.root()));
    let said = text(&output.stdout);
    assert!(said.contains("✓ trigger") && said.contains("✗ reader"), "{said}");
    assert!(said.contains("→ start the queue manager"), "{said}");
    assert!(!said.contains('\x1b'), "no colours in a pipe");
}
