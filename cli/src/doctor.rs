//! `pullcord doctor`: finds what is wrong with a queue.

mod limits;
mod readers;

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use pullcord::watcher::{Locality, REPORTS_NAMES, locality};
use pullcord::{Backend, DirWatcher, Escaped, PullOutcome, QueueOptions, pull};
use serde::Serialize;

use crate::failure::Failure;
use crate::watch::Layout;
use crate::{print, print_json};
use readers::Readers;

/// Check a queue, and print hints for its problems
///
/// Changes nothing, and takes no pulls. Checks the trigger and its readers, the layout, the file
/// system and whether it can be watched, the limits of the system against the needs of this queue,
/// and whether the queue contains entries that no process picks up.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// A queue directory
    queue: PathBuf,
    /// The layout of QUEUE
    #[arg(long, value_enum, default_value_t = Layout::Qmail)]
    layout: Layout,
    /// Pull the trigger to find out whether a process reads it: this wakes the reader once
    #[arg(long)]
    probe: bool,
    /// Print one object {"queue", "healthy", "checks": [{"check", "state", "message", "hint"}]}; a
    /// state is "ok", "warning" or "error"
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  no errors; there may be warnings (!)
  1  errors (✗)
  2  there is no such queue";

/// qmail-send scans its queue every 1,500 s: no process picks up an entry that is twice as old.
const STALE: Duration = Duration::from_secs(2 * 1500);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let queue = arguments.layout.options(&arguments.queue)?;
    let mut report = Report { queue: shown(&arguments.queue), healthy: true, checks: Vec::new() };
    check_trigger(&queue, arguments.probe, &mut report);
    check_directories(&queue, &mut report);
    check_watch(&queue, &mut report);
    limits::check(&queue, &mut report);
    let best = Backend::best();
    report.ok("backend", format!("{best} is the best one of this system"));
    if arguments.json {
        print_json(&report)?;
    } else {
        report.print()?;
    }
    if report.healthy {
        return Ok(());
    }
    let errors = report.checks.iter().filter(|check| check.state == State::Error).count();
    Err(Failure::failed(format!("{}: {errors} checks failed", report.queue)))
}

#[derive(Serialize)]
struct Report {
    queue: String,
    healthy: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    state: State,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Error,
}

impl Report {
    fn add(&mut self, check: &'static str, state: State, message: String, hint: Option<String>) {
        self.healthy &= state != State::Error;
        self.checks.push(Check { check, state, message, hint });
    }

    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, State::Ok, message.into(), None);
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(check, State::Warning, message.into(), Some(hint.into()));
    }

    fn error(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(check, State::Error, message.into(), Some(hint.into()));
    }

    fn print(&self) -> Result<(), Failure> {
        let width = self.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for Check { check, state, message, hint } in &self.checks {
            let (mark, colour) = match state {
                State::Ok => ('✓', AnsiColor::Green),
                State::Warning => ('!', AnsiColor::Yellow),
                State::Error => ('✗', AnsiColor::Red),
            };
            let style = Style::new().fg_color(Some(colour.into()));
            lines.push(format!("{style}{mark}{style:#} {check:width$}  {message}"));
            lines.extend(hint.iter().map(|hint| format!("  {:width$}  → {hint}", "")));
        }
        print(lines.join("\n")).map(drop)
    }
}

fn shown(path: &Path) -> String {
    Escaped(path).to_string()
}

fn check_trigger(queue: &QueueOptions, probe: bool, report: &mut Report) {
    let Some(path) = queue.trigger_path() else { return };
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(e) => {
            let hint = "make it with mkfifo(1), with mode 622, owned by the user of its reader";
            return report.error("trigger", format!("{}: {e}", shown(path)), hint);
        }
    };
    if !metadata.file_type().is_fifo() {
        let message = format!("{} is not a FIFO", shown(path));
        let hint = "move it away, and make a FIFO in its place with mkfifo(1)";
        return report.error("trigger", message, hint);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let message = format!(
        "{} is a FIFO, mode {mode:o}, owner {}:{}",
        shown(path),
        metadata.uid(),
        metadata.gid()
    );
    if mode & 0o022 == 0 {
        let hint = "let every user that queues mail write to it: in qmail, it has mode 622";
        report.warn("trigger", message, hint);
    } else if mode & 0o044 != 0 {
        let hint = "run chmod go-r: other users may read it, and take the pulls of its reader";
        report.warn("trigger", message, hint);
    } else {
        report.ok("trigger", message);
    }
    check_reader(path, &metadata, probe, report);
}

fn check_reader(path: &Path, fifo: &Metadata, probe: bool, report: &mut Report) {
    const NO_READER: &str = "no process reads the trigger";
    const START: &str = "start the queue manager; it finds the queued mail when it starts";
    if probe {
        return match pull(path) {
            Ok(PullOutcome::NoReader) => report.error("reader", NO_READER, START),
            Ok(PullOutcome::Delivered) => report.ok("reader", "a process reads the trigger"),
            Ok(PullOutcome::Pending) => report.error(
                "reader",
                "a process has the trigger open and does not read it: it is full",
                "check whether that process is stopped",
            ),
            Err(e) => report.error("reader", e.to_string(), "see the trigger above"),
        };
    }
    match readers::of(fifo) {
        Readers::Unknown(reason) => report.warn(
            "reader",
            format!("the readers of the trigger are not known: {reason}"),
            "use --probe, which wakes the reader once",
        ),
        Readers::Known(readers) if readers.is_empty() => report.error("reader", NO_READER, START),
        Readers::Known(readers) => {
            let message = format!("read by {}", readers.join(", "));
            if readers.len() == 1 {
                report.ok("reader", message);
            } else {
                let hint = "stop all but one: a pull reaches only one of them, and the mail of the \
                            others waits";
                report.error("reader", message, hint);
            }
        }
    }
}

fn check_directories(queue: &QueueOptions, report: &mut Report) {
    let (mut waiting, mut stale, mut odd) = (0u64, 0u64, Vec::new());
    let directories = queue.directory_paths();
    let parts: HashSet<&PathBuf> = directories.iter().skip(1).collect();
    for directory in directories {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(e) => {
                let message = format!("{}: {e}", shown(directory));
                report.error(
                    "layout",
                    message,
                    "run as the owner of the queue, or make the directory",
                );
                continue;
            }
        };
        for entry in entries.flatten() {
            // An entry that is gone by now was picked up.
            let Ok(metadata) = entry.metadata() else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b".")
                || parts.contains(&entry.path())
                || queue.trigger_path() == Some(&entry.path())
            {
                continue;
            }
            if !metadata.is_file() {
                odd.push(shown(&entry.path()));
                continue;
            }
            waiting += 1;
            let age = metadata.modified().ok().and_then(|since| since.elapsed().ok());
            stale += u64::from(age.is_some_and(|age| age > STALE));
        }
    }
    let layout = match parts.len() {
        0 => "one directory".into(),
        parts => format!("split into {parts} directories"),
    };
    report.ok("layout", format!("{layout}, {waiting} entries waiting"));
    if let Some(first) = odd.first() {
        let message = format!("{} entries are not regular files, such as {first}", odd.len());
        report.warn("entries", message, "check them: they cannot be mail");
    }
    if stale > 0 {
        let message =
            format!("{stale} entries have waited for more than {} minutes", STALE.as_secs() / 60);
        report.error("stale", message, "check whether the queue manager is running");
    } else {
        report.ok("stale", "no entry waits for too long");
    }
}

fn check_watch(queue: &QueueOptions, report: &mut Report) {
    let mut kinds: Vec<_> =
        queue.directory_paths().iter().map(|path| (path, locality(path))).collect();
    kinds.dedup_by(|(_, a), (_, b)| matches!((a, b), (Ok(a), Ok(b)) if a == b));
    for (path, kind) in kinds {
        match kind {
            Ok(Locality::Local) => {
                report.ok("file system", "local: the watch reports every change")
            }
            Ok(Locality::Remote(name)) => report.warn(
                "file system",
                format!("{}: {name} does not report the changes of other hosts", shown(path)),
                "put the queue on a local file system; here, every pull causes a scan",
            ),
            Ok(Locality::Unknown(name)) => report.warn(
                "file system",
                format!("{}: {name} is not known to be local", shown(path)),
                "put the queue on a local file system; here, every pull causes a scan",
            ),
            Ok(other) => report.warn(
                "file system",
                format!("{}: {other:?}", shown(path)),
                "update this command, which does not know this kind",
            ),
            Err(e) => {
                report.error("file system", format!("{}: {e}", shown(path)), "see the layout")
            }
        }
    }
    let mut watch = match DirWatcher::new() {
        Ok(watch) => watch,
        Err(e) => {
            let hint = "see the limits below; without a watch, every pull causes a scan";
            return report.warn("watch", format!("cannot be opened: {e}"), hint);
        }
    };
    match queue.directory_paths().iter().find_map(|path| watch.watch(path).err()) {
        Some(error) => {
            report.warn("watch", error.to_string(), "every pull causes a scan of that directory")
        }
        None if REPORTS_NAMES => report.ok("watch", "reports each new entry by its name"),
        None => report.ok("watch", "reports each directory that changes"),
    }
}
