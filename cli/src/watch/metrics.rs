//! `--metrics`: the counters in a file, for the textfile collector of node_exporter.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pullcord::Escaped;

use super::known::Survey;
use super::totals::Totals;

/// The time between two writes, without --stats.
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// The file, and the parts of its contents that do not change.
pub(super) struct Metrics {
    path: PathBuf,
    /// `{queue="…"}`
    label: String,
    /// In seconds since 1970.
    started: Duration,
    has_failed: bool,
}

/// All numbers of a write.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) totals: Totals,
    pub(super) survey: Survey,
    pub(super) unwatched_directories: usize,
}

impl Metrics {
    /// Removes the temporary file of an interrupted write, and writes the file for the first time.
    pub(super) fn create(
        path: &Path,
        queue: &Path,
        started: Duration,
        numbers: &Numbers,
    ) -> io::Result<Metrics> {
        let (path, queue) = (std::path::absolute(path)?, std::path::absolute(queue)?);
        let metrics = Metrics { path, label: label(&queue), started, has_failed: false };
        metrics.remove_leftovers()?;
        metrics.replace(&metrics.text(numbers, started))?;
        Ok(metrics)
    }

    /// Replaces the file. If that fails, the file of before stays. Returns a message at the first
    /// failure in a row.
    pub(super) fn write(&mut self, numbers: &Numbers, now: Duration) -> Option<String> {
        let written = self.replace(&self.text(numbers, now));
        let had_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        let error = written.err().filter(|_| !had_failed)?;
        Some(format!(
            "{}: cannot write the metrics: {error}; the file of before stays",
            Escaped(&self.path)
        ))
    }

    /// Writes a temporary file in the same directory, and renames it. A collector never sees a part.
    fn replace(&self, text: &str) -> io::Result<()> {
        let (directory, prefix) = self.place()?;
        let mut file =
            tempfile::Builder::new().prefix(&prefix).suffix(SUFFIX).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        // The collector is another user.
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Removes the temporary files of this file.
    fn remove_leftovers(&self) -> io::Result<()> {
        let (directory, prefix) = self.place()?;
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let name = name.as_encoded_bytes();
            let random = name.strip_prefix(prefix.as_encoded_bytes());
            let random = random.and_then(|name| name.strip_suffix(SUFFIX.as_bytes()));
            if random.is_some_and(|random| random.iter().all(u8::is_ascii_alphanumeric)) {
                let path = directory
                    .join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Returns the directory of the file, and how the names of its temporary files begin.
    fn place(&self) -> io::Result<(&Path, OsString)> {
        match (self.path.parent(), self.path.file_name()) {
            (Some(directory), Some(name)) => {
                let mut prefix = OsString::from(".");
                prefix.push(name);
                prefix.push(".");
                Ok((directory, prefix))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the path of a file")),
        }
    }

    fn text(&self, numbers: &Numbers, now: Duration) -> String {
        let Numbers { totals, survey, unwatched_directories } = *numbers;
        let stats = totals.queue;
        let count = |count: u64| Some(count as f64);
        let seconds = |time: Duration| time.as_secs_f64();
        let values = [
            count(totals.found),
            count(survey.waiting),
            Some(survey.oldest.map_or(0.0, seconds)),
            totals.pulls.and_then(count),
            count(stats.wakeups),
            count(stats.scans),
            count(stats.directories_read),
            count(stats.watch_overflows),
            count(stats.warnings),
            count(unwatched_directories as u64),
            totals.commands.and_then(|commands| count(commands.started)),
            totals.commands.and_then(|commands| count(commands.failed)),
            totals.commands.and_then(|commands| count(commands.running)),
            totals.cpu.map(seconds),
            Some(seconds(self.started)),
            Some(seconds(now)),
        ];
        let mut text = String::new();
        for ((name, kind, help), value) in FAMILIES.iter().zip(values) {
            // Writing into a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            if let Some(value) = value {
                let _ = writeln!(text, "{name}{} {value}", self.label);
            }
        }
        text
    }
}

/// A temporary file must not be collected: its name does not end in `.prom`.
const SUFFIX: &str = ".tmp";

/// Name, type and help. They are the same in every instance, and for all releases of a major version:
/// a collector takes differences for an error.
const FAMILIES: [(&str, &str, &str); 16] = [
    ("pullcord_entries_total", "counter", "Entries found in the queue, each counted once."),
    ("pullcord_waiting_entries", "gauge", "Entries in the queue."),
    (
        "pullcord_oldest_entry_age_seconds",
        "gauge",
        "Time since the oldest entry has changed; 0 if there is none.",
    ),
    (
        "pullcord_pulls_total",
        "counter",
        "Reads of the trigger that found pulls. Absent while the trigger is not read.",
    ),
    ("pullcord_wakeups_total", "counter", "Events of the trigger and of the directory watch."),
    ("pullcord_scans_total", "counter", "Rounds of scans."),
    ("pullcord_directories_read_total", "counter", "Directories that a scan has opened."),
    ("pullcord_watch_overflows_total", "counter", "How often the directory watch has lost events."),
    ("pullcord_warnings_total", "counter", "Warnings about the queue."),
    ("pullcord_unwatched_directories", "gauge", "Directories that cannot be watched reliably."),
    ("pullcord_runs_total", "counter", "Commands of --exec that were started. Absent without it."),
    ("pullcord_run_failures_total", "counter", "Commands of --exec that have failed."),
    ("pullcord_running_commands", "gauge", "Commands of --exec that run."),
    ("pullcord_cpu_seconds_total", "counter", "Processor time of pullcord."),
    ("pullcord_start_time_seconds", "gauge", "When pullcord was started, since 1970."),
    (
        "pullcord_written_time_seconds",
        "gauge",
        "When this file was written, since 1970. Alert if it is old.",
    ),
];

/// Returns the label of a queue. The path is escaped as everywhere, then as the format requires it.
fn label(queue: &Path) -> String {
    let path = Escaped(queue).to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{queue=\"{path}\"}}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_hostile_path_is_a_label_that_a_parser_accepts() {
        let path = Path::new(OsStr::from_bytes(b"/a\"b\\c\nd\xff"));
        assert_eq!(label(path), r#"{queue="/a\"b\\\\c\\nd\\xff"}"#);
    }

    #[test]
    fn the_file_is_replaced_with_mode_0644_and_leftovers_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pullcord.prom");
        let (leftover, other) = (".pullcord.prom.aB3dE5.tmp", ".other.prom.aB3dE5.tmp");
        for name in [leftover, other] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let second = Duration::from_secs(1);
        let numbers = Numbers::default();
        let mut metrics = Metrics::create(&path, place.path(), second, &numbers).unwrap();
        assert!(!place.path().join(leftover).exists());
        assert_eq!(metrics.write(&numbers, 2 * second), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "the file, and that of another");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'));
        for (name, ..) in FAMILIES {
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
        }

        // A failure keeps the old file, and is reported once.
        fs::remove_file(place.path().join(other)).unwrap();
        let kept = place.path().with_extension("kept");
        fs::rename(place.path(), &kept).unwrap();
        assert!(metrics.write(&numbers, 3 * second).unwrap().contains("cannot write the metrics"));
        assert_eq!(metrics.write(&numbers, 4 * second), None);
        assert_eq!(fs::read_to_string(kept.join("pullcord.prom")).unwrap(), text);
        fs::rename(&kept, place.path()).unwrap();
        assert_eq!(metrics.write(&numbers, 5 * second), None);
        assert_ne!(fs::read_to_string(&path).unwrap(), text);
    }

    /// A collector reads all files of its directory as one page. A second text for a family makes the
    /// family vanish, and an equal series twice makes the whole page an error.
    #[test]
    fn the_files_of_two_instances_have_the_same_texts_and_no_series_twice() {
        let place = tempfile::tempdir().unwrap();
        let texts = ["/var/qmail/queue", "/var/spool/postfix"].map(|queue| {
            let path = place.path().join(format!("{}.prom", queue.len()));
            let started = Duration::from_secs(queue.len() as u64);
            Metrics::create(&path, Path::new(queue), started, &Numbers::default()).unwrap();
            fs::read_to_string(path).unwrap()
        });
        let lines = |text: &str, is_comment: bool| {
            let lines = text.lines().filter(|line| line.starts_with('#') == is_comment);
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&texts[0], true), lines(&texts[1], true));
        let samples: Vec<_> = texts.iter().flat_map(|text| lines(text, false)).collect();
        let series: std::collections::HashSet<_> =
            samples.iter().map(|sample| sample.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(series.len(), samples.len(), "{samples:?}");
        let is_entries = |sample: &&String| sample.starts_with("pullcord_entries_total{");
        assert_eq!(samples.iter().filter(is_entries).count(), 2);
    }
}
