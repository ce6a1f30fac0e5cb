//! `pullcord doctor`: what is wrong with a queue, and what to do.

mod limits;
mod readers;

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use pullcord::watcher::{Locality, REPORTS_NAMES, locality};
use pullcord::{Backend, DirWatcher, Escaped, PullOutcome, pull, todo::Queue};
use serde::Serialize;

use crate::failure::Failure;
use crate::watch::Layout;
use crate::{print, print_json};
use readers::Readers;

/// Look at a queue: what is wrong with it, and what to do
///
/// Changes nothing, and takes nobody's pulls. Checks the trigger and who reads it, the layout, the
/// file system and whether it can be watched, the system's limits against what this queue needs,
/// and whether entries lie there that nobody picks up.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// A queue directory
    queue: PathBuf,
    /// How QUEUE is laid out
    #[arg(long, value_enum, default_value_t = Layout::Qmail)]
    layout: Layout,
    /// Pull the trigger to learn whether somebody reads it: costs that reader one wake-up
    #[arg(long)]
    probe: bool,
    /// Print one object {"queue", "healthy", "checks": [{"check", "state", "says", "do"}]}; a state
    /// is "ok", "note" or "wrong"
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is wrong, though there may be notes (!)
  1  something is wrong (✗)
  2  there is no such queue";

/// qmail-send looks at everything after 1,500 s: what is older than that twice nobody has picked up.
const STALE: Duration = Duration::from_secs(2 * 1500);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let queue = arguments.layout.queue(&arguments.queue).map_err(Failure::bad_input)?;
    let mut report = Report { queue: shown(&arguments.queue), healthy: true, checks: Vec::new() };
    check_trigger(&queue, arguments.probe, &mut report);
    check_directories(&queue, &mut report);
    check_watch(&queue, &mut report);
    limits::check(&queue, &mut report);
    let best = Backend::best();
    report.ok("backend", format!("{best} is the best of those that exist here"));
    if arguments.json {
        print_json(&report)?;
    } else {
        report.print()?;
    }
    if report.healthy {
        return Ok(());
    }
    let wrong = report.checks.iter().filter(|check| check.state == State::Wrong).count();
    Err(Failure::failed(format!("{}: {wrong} checks failed", report.queue)))
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
    says: String,
    #[serde(rename = "do")]
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Note,
    Wrong,
}

impl Report {
    fn add(&mut self, check: &'static str, state: State, says: String, advice: Option<String>) {
        self.healthy &= state != State::Wrong;
        self.checks.push(Check { check, state, says, advice });
    }

    fn ok(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, State::Ok, says.into(), None);
    }

    fn note(&mut self, check: &'static str, says: impl Into<String>, advice: impl Into<String>) {
        self.add(check, State::Note, says.into(), Some(advice.into()));
    }

    fn wrong(&mut self, check: &'static str, says: impl Into<String>, advice: impl Into<String>) {
        self.add(check, State::Wrong, says.into(), Some(advice.into()));
    }

    fn print(&self) -> Result<(), Failure> {
        let width = self.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for Check { check, state, says, advice } in &self.checks {
            let (mark, colour) = match state {
                State::Ok => ('✓', AnsiColor::Green),
                State::Note => ('!', AnsiColor::Yellow),
                State::Wrong => ('✗', AnsiColor::Red),
            };
            let style = Style::new().fg_color(Some(colour.into()));
            lines.push(format!("{style}{mark}{style:#} {check:width$}  {says}"));
            lines.extend(advice.iter().map(|advice| format!("  {:width$}  → {advice}", "")));
        }
        print(lines.join("\n")).map(drop)
    }
}

fn shown(path: &Path) -> String {
    Escaped(path).to_string()
}

fn check_trigger(queue: &Queue, probe: bool, report: &mut Report) {
    let Some(path) = queue.trigger_path() else { return };
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(e) => {
            let advice = "make it with mkfifo(1), mode 622, owned by whoever reads it";
            return report.wrong("trigger", format!("{}: {e}", shown(path)), advice);
        }
    };
    if !metadata.file_type().is_fifo() {
        let says = format!("{} is no FIFO", shown(path));
        return report.wrong("trigger", says, "move it away, and put one in its place: mkfifo(1)");
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let says = format!(
        "{} is a FIFO, mode {mode:o}, owner {}:{}",
        shown(path),
        metadata.uid(),
        metadata.gid()
    );
    if mode & 0o022 == 0 {
        let advice = "whoever queues mail must be able to write to it: qmail's has mode 622";
        report.note("trigger", says, advice);
    } else if mode & 0o044 != 0 {
        report.note("trigger", says, "others may read it, and take its reader's pulls: chmod go-r");
    } else {
        report.ok("trigger", says);
    }
    check_reader(path, &metadata, probe, report);
}

fn check_reader(path: &Path, fifo: &Metadata, probe: bool, report: &mut Report) {
    const NOBODY: &str = "nobody reads the trigger";
    const START: &str = "start the queue manager; what is queued now is found when it starts";
    if probe {
        return match pull(path) {
            Ok(PullOutcome::NoReader) => report.wrong("reader", NOBODY, START),
            Ok(PullOutcome::Delivered) => report.ok("reader", "somebody reads the trigger"),
            Ok(PullOutcome::Pending) => report.wrong(
                "reader",
                "somebody has the trigger open, and it is full",
                "its reader does not read it: is it stopped?",
            ),
            Err(e) => report.wrong("reader", e.to_string(), "see the trigger above"),
        };
    }
    match readers::of(fifo) {
        Readers::NotKnown(why) => {
            report.note(
                "reader",
                format!("who reads the trigger is not known: {why}"),
                "--probe asks the FIFO, and wakes its reader once",
            );
        }
        Readers::These(readers) if readers.is_empty() => report.wrong("reader", NOBODY, START),
        Readers::These(readers) => {
            let says = format!("read by {}", readers.join(", "));
            if readers.len() == 1 {
                report.ok("reader", says);
            } else {
                report.wrong(
                    "reader",
                    says,
                    "a pull goes to one of them, and the others' mail waits: leave one running",
                );
            }
        }
    }
}

fn check_directories(queue: &Queue, report: &mut Report) {
    let (mut waiting, mut stale, mut odd) = (0u64, 0u64, Vec::new());
    for directory in queue.paths() {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(e) => {
                let says = format!("{}: {e}", shown(directory));
                report.wrong("layout", says, "run as the queue's owner, or make the directory");
                continue;
            }
        };
        for entry in entries.flatten() {
            // An entry that is gone by now was picked up.
            let Ok(metadata) = entry.metadata() else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
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
    let count = queue.paths().len();
    let layout = if count == 1 { "one directory".into() } else { format!("{count} directories") };
    report.ok("layout", format!("{layout}, {waiting} entries waiting"));
    if let Some(first) = odd.first() {
        let says = format!("{} entries are no regular files, such as {first}", odd.len());
        report.note("entries", says, "look what they are: no mail is expected there");
    }
    if stale > 0 {
        let says =
            format!("{stale} entries have waited for more than {} minutes", STALE.as_secs() / 60);
        report.wrong("stale", says, "nobody picks them up: is the queue manager running?");
    } else {
        report.ok("stale", "no entry has been left lying");
    }
}

fn check_watch(queue: &Queue, report: &mut Report) {
    let mut kinds: Vec<_> = queue.paths().iter().map(|path| (path, locality(path))).collect();
    kinds.dedup_by(|(_, a), (_, b)| matches!((a, b), (Ok(a), Ok(b)) if a == b));
    for (path, kind) in kinds {
        match kind {
            Ok(Locality::Local) => report.ok("file system", "local: every change can be seen"),
            Ok(Locality::Remote(name)) => report.note(
                "file system",
                format!("{}: {name} does not tell what others change", shown(path)),
                "every pull reads the directories; put the queue on a local file system",
            ),
            Ok(Locality::Unknown(name)) => report.note(
                "file system",
                format!("{}: {name} is not known to be local", shown(path)),
                "it is watched, and every pull reads the directories all the same",
            ),
            Ok(other) => report.note(
                "file system",
                format!("{}: {other:?}", shown(path)),
                "this version of the command does not know what that means: update it",
            ),
            Err(e) => {
                report.wrong("file system", format!("{}: {e}", shown(path)), "see the layout")
            }
        }
    }
    let mut watch = match DirWatcher::new() {
        Ok(watch) => watch,
        Err(e) => {
            let advice = "every pull reads the directories; see the limits below";
            return report.note("watch", format!("none can be opened: {e}"), advice);
        }
    };
    match queue.paths().iter().find_map(|path| watch.watch(path).err()) {
        Some(error) => {
            report.note("watch", error.to_string(), "that directory is read by every pull")
        }
        None if REPORTS_NAMES => report.ok("watch", "new entries are named as they come"),
        None => report.ok("watch", "changed directories are known as they change"),
    }
}
