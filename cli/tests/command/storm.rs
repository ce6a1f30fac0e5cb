//! `pullcord storm`: what is counted; how long things take depends on the machine.

use std::fs;
use std::path::Path;

use pullcord::Backend;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Running, eventually, output, pullcord, text};

fn is_empty(place: &Path) -> bool {
    fs::read_dir(place).unwrap().next().is_none()
}

/// One strategy under a load of one second; it leaves nothing behind.
fn storm(strategy: &str, arguments: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let mut command = pullcord(["storm", "--json", "--seconds", "1", "--strategy", strategy]);
    let done = output(command.args(arguments).env("TMPDIR", place.path()));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(text(&done.stderr), "", "no progress bar but on a terminal");
    assert!(is_empty(place.path()));
    let reports: Value = serde_json::from_str(text(&done.stdout)).unwrap();
    let [report] = reports.as_array().unwrap().as_slice() else { panic!("{reports}") };
    assert_eq!(report["strategy"], strategy);
    report.clone()
}

/// The library, on every backend.
fn pullcords(arguments: &[&str]) -> impl Iterator<Item = Value> {
    Backend::available().map(move |backend| {
        let report = storm("pullcord", &[arguments, &["--backend", backend.as_str()]].concat());
        for member in ["refused", "broken", "lost"] {
            assert_eq!(report[member], 0, "{member} of {report}");
        }
        assert_eq!(report["injected"], report["seen"]);
        report
    })
}

fn count(report: &Value, member: &str) -> u64 {
    report[member].as_u64().unwrap_or_else(|| panic!("{member} of {report}"))
}

#[test]
fn hold_one_byte_makes_others_spin_and_pullcord_scan_once() {
    for strategy in ["reopen", "early-close"] {
        let report = storm(strategy, &["--scenario", "hold"]);
        assert_eq!(report["pulls"], 1);
        assert!(count(&report, "scans") > 1_000, "{report}");
    }
    for report in pullcords(&["--scenario", "hold"]) {
        assert_eq!((count(&report, "pulls"), count(&report, "seen")), (1, 1));
        assert!(count(&report, "scans") <= 1, "{report}");
        assert!(count(&report, "wakes") <= 2, "by the pull, and by the end of a pause: {report}");
    }
}

#[test]
fn a_storm_is_lost_on_pullcord() {
    for load in [["--hold-us", "5000"], ["--hold-us", "0"]] {
        for report in pullcords(&load) {
            assert!(count(&report, "scans") <= count(&report, "pulls"), "{report}");
            assert!(count(&report, "empty_scans") <= count(&report, "scans"), "{report}");
            let seconds = report["seconds"].as_f64().unwrap();
            for member in ["scans", "wakes"] {
                assert!(count(&report, member) as f64 <= 1_000.0 * seconds, "{member} of {report}");
            }
        }
    }
}

/// Whether pulls are refused where the trigger is closed depends on the machine.
#[test]
fn the_older_strategies_take_part() {
    for strategy in ["reopen", "early-close", "drain"] {
        let report = storm(strategy, &["--writers", "3"]);
        let kinds = ["refused", "broken", "full"].map(|member| count(&report, member));
        assert!(kinds.iter().sum::<u64>() <= count(&report, "pulls"), "{report}");
        assert!(count(&report, "seen") > 0 && count(&report, "scans") > 0, "{report}");
    }
}

#[test]
fn in_a_flood_mail_is_seen_and_others_are_served() {
    for report in pullcords(&["--scenario", "flood"]) {
        assert!(count(&report, "injected") > 1, "{report}");
        assert!(count(&report, "served") > 2, "not only when all is over: {report}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn where_the_directory_is_watched_a_storm_needs_no_scan() {
    let place = tempfile::tempdir().unwrap();
    let queue = pullcord::todo::Queue::directories([place.path()]);
    if !pullcord::Todo::open(queue).unwrap().watch_suffices() {
        return;
    }
    for report in pullcords(&["--watch", "required"]) {
        assert_eq!(count(&report, "scans"), 0, "{report}");
    }
}

#[test]
fn the_table_and_the_plot_show_every_strategy() {
    let place = tempfile::tempdir().unwrap();
    let plot = place.path().join("storm.svg");
    let mut command = pullcord(["storm", "--seconds", "1", "--writers", "2", "--plot"]);
    let done = output(command.arg(&plot));
    let drawn = fs::read_to_string(plot).unwrap();
    for strategy in ["reopen", "early-close", "drain", "pullcord"] {
        assert!(text(&done.stdout).contains(strategy) && drawn.contains(strategy), "{done:?}");
    }
    for row in ["pulls", "refused", "wakes", "scans", "empty", "lost", "p99", "others served"] {
        assert!(text(&done.stdout).contains(row), "{row}: {done:?}");
    }
    assert!(drawn.contains("scans per second") && drawn.matches("<polyline").count() >= 4);
}

#[test]
fn a_plot_that_cannot_be_drawn_is_said_before_the_storm() {
    let done =
        output(&mut pullcord(["storm", "--seconds", "86400", "--plot", "/missing/plot.svg"]));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("/missing/plot.svg"), "{done:?}");
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let mut command = pullcord(["storm", "--seconds", "86400"]);
    let running = Running::start(command.env("TMPDIR", place.path()));
    eventually("there is a queue", || (!is_empty(place.path())).then_some(()));
    running.signal(Signal::INT);
    let done = running.output();
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("interrupted"), "{done:?}");
    assert!(is_empty(place.path()));
}
