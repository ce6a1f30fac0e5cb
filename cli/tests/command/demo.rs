//! `pullcord demo`.

use std::fs;
use std::path::Path;

use pullcord::Backend;
use serde_json::Value;

use crate::support::{output, pullcord, text};

/// Runs a demo on every backend, with and without the watch. It must lose no message and remove all its
/// files.
fn assert_none_lost(messages: u64, writers: u64) {
    for (backend, watch) in
        Backend::available().flat_map(|backend| ["auto", "off"].map(|watch| (backend, watch)))
    {
        let place = tempfile::tempdir().unwrap();
        let mut command = pullcord(["demo", "--json", "--backend", backend.as_str()]);
        command.args(["--watch", watch, "--messages", &messages.to_string()]);
        command.args(["--writers", &writers.to_string()]);
        let done = output(command.env("TMPDIR", place.path()));
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert_eq!(text(&done.stderr), "", "a progress bar is shown only on a terminal");
        assert!(is_empty(place.path()));

        let report: Value = serde_json::from_str(text(&done.stdout)).unwrap();
        for (member, expected) in [("injected", messages), ("seen", messages)] {
            assert_eq!(report[member], expected, "{member} of {report}");
        }
        for member in ["lost", "duplicates", "refused"] {
            assert_eq!(report[member], 0, "{member} of {report}");
        }
        assert_eq!(report["backend"], backend.as_str());
        assert!(watch == "auto" || report["watch"] == "off", "{report}");
        // The first scan may find every message. Then the queue causes no wake-up.
        assert!(report["wakeups"].is_u64() && report["scans"].as_u64() > Some(0), "{report}");
        let latency = &report["latency_us"];
        let latency = ["p50", "p99", "max"].map(|part| latency[part].as_u64().unwrap());
        assert!(latency.is_sorted() && latency[2] > 0, "{report}");
    }
}

#[test]
fn no_message_is_lost_on_any_backend() {
    assert_none_lost(500, 3);
    assert_none_lost(1, 2);
}

#[test]
#[ignore = "takes some seconds a backend"]
fn no_message_of_20000_from_16_writers_is_lost() {
    assert_none_lost(20_000, 16);
}

#[test]
fn the_table_has_a_row_for_each_counter() {
    let done = output(&mut pullcord(["demo", "--messages", "50"]));
    for row in
        ["injected", "seen", "lost", "duplicates", "wakeups", "scans", "refused pulls", "p99"]
    {
        assert!(text(&done.stdout).contains(row), "{row}: {done:?}");
    }
}

#[test]
fn it_ends_with_a_verdict_in_one_line() {
    const VERDICT: &str = "All 1,050 messages were noticed, each once, half of them within ";
    let done = output(&mut pullcord(["demo", "--messages", "1050"]));
    let last = text(&done.stdout).lines().last().unwrap();
    assert!(last.starts_with(VERDICT) && last.ends_with(" µs."), "{last}");
    let done = output(&mut pullcord(["demo", "--messages", "1050", "--json"]));
    let report: Value = serde_json::from_str(text(&done.stdout)).unwrap();
    assert!(report["verdict"].as_str().unwrap().starts_with(VERDICT), "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn progress_is_shown_on_a_terminal() {
    let place = tempfile::tempdir().unwrap();
    let mut command = pullcord(["demo", "--messages", "2000"]);
    let shown = crate::support::on_terminal(command.env("TMPDIR", place.path()));
    assert!(shown.contains("/2000 seen"), "{shown}");
}

fn is_empty(place: &Path) -> bool {
    fs::read_dir(place).unwrap().next().is_none()
}

/// These tests need the children of a process, which Linux lists in /proc.
#[cfg(target_os = "linux")]
mod cut_short {
    use rustix::process::{Pid, Signal, kill_process};
    use tempfile::TempDir;

    use super::is_empty;
    use crate::support::{Running, children_of, eventually, has_ended, pullcord, stat, text};

    /// Starts a demo that does not end by itself, with two writers. Returns the directory of its queue,
    /// the process and its writers.
    fn endless() -> (TempDir, Running, Vec<u32>) {
        let place = tempfile::tempdir().unwrap();
        let mut command = pullcord(["demo", "--messages", "10000000", "--writers", "2"]);
        let running = Running::start(command.env("TMPDIR", place.path()));
        let writers = eventually("two writers run", || {
            Some(children_of(running.id())).filter(|writers| writers.len() == 2)
        });
        assert!(!is_empty(place.path()));
        (place, running, writers)
    }

    #[test]
    fn an_interrupted_demo_removes_its_files() {
        for signal in [Signal::INT, Signal::TERM] {
            let (place, running, writers) = endless();
            running.signal(signal);
            let done = running.output();
            assert_eq!(done.status.code(), Some(1));
            assert!(text(&done.stderr).contains("interrupted"), "{done:?}");
            assert!(is_empty(place.path()));
            assert!(writers.into_iter().all(|writer| stat(writer).is_none()), "they have ended");
        }
    }

    #[test]
    fn a_killed_demo_leaves_no_writers_behind() {
        let (_place, mut running, writers) = endless();
        running.signal(Signal::KILL);
        running.end();
        eventually("the writers end", || writers.iter().all(|it| has_ended(*it)).then_some(()));
    }

    #[test]
    fn a_killed_writer_ends_the_demo_with_1() {
        let (place, running, writers) = endless();
        for writer in writers {
            kill_process(Pid::from_raw(writer as i32).unwrap(), Signal::KILL).unwrap();
        }
        let done = running.output();
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains("a writer process failed"), "{done:?}");
        assert!(done.stdout.is_empty() && is_empty(place.path()));
    }
}
