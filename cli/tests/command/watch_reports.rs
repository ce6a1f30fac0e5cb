//! `pullcord watch --stats` and `--metrics`, checked against the entries that were added.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::support::{Queue, Running, eventually, output, pullcord, text};

const MESSAGES: u64 = 10_000;

/// Returns the value of each family of the file.
fn values(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.split('{').next().unwrap().to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn statistics_and_metrics_count_10_000_messages() {
    let queue = Queue::flat();
    let metrics = queue.path("pullcord.prom");
    let mut command = pullcord(["watch", "--stats", "0.1", "--json", "--metrics"]);
    let running = Running::start(command.arg(&metrics).arg(queue.root()));
    let arrivals = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["arrivals"].as_u64().unwrap()
    };
    let mut sum = arrivals(&running.line());
    for number in 0..MESSAGES {
        queue.link(format!("todo/{number}"));
        if number % 100 == 0 {
            pullcord::pull(queue.trigger()).unwrap(); // there may be no reader
        }
    }
    pullcord::pull(queue.trigger()).unwrap();
    while sum < MESSAGES {
        sum += arrivals(&running.line());
    }
    let written = eventually("the metrics have all", || {
        let values = values(&fs::read_to_string(&metrics).unwrap());
        (values["pullcord_entries_total"] >= 10_000.0
            && values["pullcord_waiting_entries"] >= 10_000.0)
            .then_some(values)
    });
    assert_eq!(written["pullcord_entries_total"], 10_000.0);
    assert_eq!(written["pullcord_waiting_entries"], 10_000.0);
    running.signal(Signal::TERM);
    let done = running.output();
    assert_eq!(done.status.code(), Some(0));
    sum += text(&done.stdout).lines().map(arrivals).sum::<u64>();
    assert_eq!(sum, MESSAGES, "each once");
    assert!(text(&done.stderr).contains("printed 10000;"), "{done:?}");
}

#[test]
fn statistics_have_a_header_and_columns() {
    let queue = Queue::flat();
    for name in ["todo/a", "todo/b"] {
        queue.link(name);
    }
    let arguments = ["watch", "--stats", "1000", "--count", "2", "--timestamps"];
    let done = output(pullcord(arguments).arg(queue.root()));
    let lines: Vec<Vec<_>> =
        text(&done.stdout).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "the last line is about the time until the end: {done:?}");
    assert_eq!(lines[0][..4], ["time", "arrivals", "rate", "waiting"]);
    assert_eq!((lines[1][1], lines[1][3]), ("2", "2"));
    lines[1][0].parse::<jiff::Timestamp>().unwrap();
}

#[test]
fn metrics_are_there_at_the_start_and_at_the_end_with_mode_0644() {
    let queue = Queue::flat();
    let metrics = queue.path("pullcord.prom");
    queue.link("todo/4711");
    let mut command = pullcord(["watch", "--count", "1", "--metrics"]);
    let done = output(command.arg(&metrics).arg(queue.root()));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(metrics.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let written = fs::read_to_string(&metrics).unwrap();
    assert_eq!(values(&written)["pullcord_entries_total"], 1.0);
    for family in values(&written).keys() {
        for comment in ["HELP", "TYPE"] {
            assert!(written.contains(&format!("# {comment} {family} ")), "{comment} {family}");
        }
    }

    let mut command = pullcord(["watch", "--metrics"]);
    let refused = output(command.arg(queue.path("missing/file")).arg(queue.root()));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("cannot write the metrics"), "{refused:?}");
}
