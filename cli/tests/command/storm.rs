//! Tests the counts of `pullcord storm`. Its times depend on the machine and are not tested.

use std::fs;
use std::path::Path;

use pullcord::Backend;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Running, eventually, output, pullcord, text};

fn is_empty(place: &Path) -> bool {
    fs::read_dir(place).unwrap().next().is_none()
}

/// Runs one strategy under a load of one second. It must remove all its files.
fn storm(strategy: &str, arguments: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let mut command = pullcord(["storm", "--json", "--seconds", "1", "--strategy", strategy]);
    let done = output(command.args(arguments).env("TMPDIR", place.path()));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(text(&done.stderr), "", "a progress bar is shown only on a terminal");
    assert!(is_empty(place.path()));
    let reports: Value = serde_json::from_str(text(&done.stdout)).unwrap();
    let [report] = reports.as_array().unwrap().as_slice() else { panic!("{reports}") };
    assert_eq!(report["strategy"], strategy);
    report.clone()
}

/// Runs the library on every backend.
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
fn a_held_byte_makes_older_strategies_spin_and_pullcord_scan_once() {
    for strategy in ["reopen", "early-close"] {
        let report = storm(strategy, &["--scenario", "hold"]);
        assert_eq!(report["pulls"], 1);
        assert!(count(&report, "scans") > 1_000, "{report}");
    }
    for report in pullcords(&["--scenario", "hold"]) {
        assert_eq!((count(&report, "pulls"), count(&report, "seen")), (1, 1));
        assert!(count(&report, "scans") <= 1, "{report}");
        assert!(
            count(&report, "wakeups") <= 2,
            "for the pull, and for the end of a pause: {report}"
        );
    }
}

#[test]
fn pullcord_in_a_storm_scans_at_most_once_per_pull_and_500_times_a_second_without_mail() {
    for load in [["--hold-us", "5000"], ["--hold-us", "0"]] {
        for report in pullcords(&load) {
            let [pulls, scans, empty, wakeups] =
                ["pulls", "scans", "empty_scans", "wakeups"].map(|member| count(&report, member));
            let seconds = report["seconds"].as_f64().unwrap();
            assert!(scans <= pulls, "{report}");
            // Five empty scans may run without a pause after a quiet time.
            assert!(empty as f64 <= 500.0 * seconds + 6.0, "{report}");
            // Each scan has one wake-up, and another wake-up may end each pause.
            assert!(wakeups as f64 <= scans as f64 + 1_200.0 * seconds, "{report}");
        }
    }
}

/// The number of pulls that fail while the trigger is closed depends on the machine.
#[test]
fn older_strategies_see_entries_and_count_their_pulls() {
    for strategy in ["reopen", "early-close", "drain"] {
        let report = storm(strategy, &["--writers", "3"]);
        let kinds = ["refused", "broken", "full"].map(|member| count(&report, member));
        assert!(kinds.iter().sum::<u64>() <= count(&report, "pulls"), "{report}");
        assert!(count(&report, "seen") > 0 && count(&report, "scans") > 0, "{report}");
    }
}

#[test]
fn in_a_flood_pullcord_sees_mail_and_serves_other_descriptors() {
    for report in pullcords(&["--scenario", "flood"]) {
        assert!(count(&report, "injected") > 1, "{report}");
        assert!(count(&report, "served") > 2, "also before the end: {report}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn with_a_reliable_watch_a_storm_causes_no_scan() {
    let place = tempfile::tempdir().unwrap();
    let options = pullcord::QueueOptions::directories([place.path()]);
    if !options.open().unwrap().is_fully_watched() {
        return;
    }
    for report in pullcords(&["--watch", "required"]) {
        assert_eq!(count(&report, "scans"), 0, "{report}");
    }
}

#[test]
fn table_and_plot_show_every_strategy() {
    let place = tempfile::tempdir().unwrap();
    let plot = place.path().join("storm.svg");
    let mut command = pullcord(["storm", "--seconds", "1", "--writers", "2", "--plot"]);
    let done = output(command.arg(&plot));
    let drawn = fs::read_to_string(plot).unwrap();
    for strategy in ["reopen", "early-close", "drain", "pullcord"] {
        assert!(text(&done.stdout).contains(strategy) && drawn.contains(strategy), "{done:?}");
    }
    for row in ["pulls", "refused", "wakeups", "scans", "empty", "lost", "p99", "others served"] {
        assert!(text(&done.stdout).contains(row), "{row}: {done:?}");
    }
    assert!(drawn.contains("scans per second") && drawn.matches("<polyline").count() >= 4);
}

#[test]
fn it_ends_with_a_verdict_in_one_line() {
    let report = storm("pullcord", &["--scenario", "hold"]);
    let verdict = report["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("pullcord does not spin: "), "{verdict}");
    assert!(verdict.contains(" for 1 pulls, ") && verdict.ends_with("no entry was lost."));

    let arguments = ["storm", "--seconds", "1", "--scenario", "hold"];
    let done = output(&mut pullcord(arguments));
    let last = text(&done.stdout).lines().last().unwrap();
    assert!(last.starts_with("Spin: reopen, early-close. Do not spin: "), "{last}");
    assert!(last.contains("pullcord. Lost entries: ") && !last.ends_with("pullcord."), "{last}");

    let done = output(pullcord(arguments).args(["--strategy", "reopen"]));
    let last = text(&done.stdout).lines().last().unwrap();
    assert!(last.starts_with("reopen spins: "), "{last}");
}

#[test]
#[cfg(target_os = "linux")]
fn progress_is_shown_on_a_terminal() {
    let mut command = pullcord(["storm", "--seconds", "1", "--strategy", "pullcord"]);
    let shown = crate::support::on_terminal(&mut command);
    assert!(shown.contains("pullcord") && shown.contains(" left"), "{shown}");
}

/// A flooder, and a writer that holds the trigger open for a day, end as any other.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_storm_leaves_no_writers_behind() {
    use crate::support::{children_of, has_ended};
    for (scenario, writers) in [("storm", 3), ("hold", 1), ("flood", 2)] {
        let place = tempfile::tempdir().unwrap();
        let mut command = pullcord(["storm", "--seconds", "86400", "--writers", "3"]);
        command.args(["--strategy", "pullcord", "--scenario", scenario]);
        let mut running = Running::start(command.env("TMPDIR", place.path()));
        let started = eventually("the writers run", || {
            Some(children_of(running.id())).filter(|started| started.len() == writers)
        });
        running.signal(Signal::KILL);
        running.end();
        eventually("the writers end", || started.iter().all(|it| has_ended(*it)).then_some(()));
    }
}

#[test]
fn an_unwritable_plot_is_reported_before_the_storm() {
    let done =
        output(&mut pullcord(["storm", "--seconds", "86400", "--plot", "/missing/plot.svg"]));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("/missing/plot.svg"), "{done:?}");
}

#[test]
fn an_interrupted_storm_removes_its_files() {
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
