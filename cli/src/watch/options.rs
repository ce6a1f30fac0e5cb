//! The options of `watch`.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use super::format::{LineFormat, Style, Template};
use crate::layout::Layout;
use crate::{backends, watch_arg};

/// Print each entry of a queue as it appears, or run a command for it
///
/// Without --exec it only observes: the entries stay in the queue. The command ends with exit code 0 on an interrupt
/// (Ctrl-C), on SIGTERM, and as --count and --idle-exit say, and prints its counters on standard
/// error.
///
/// Where the directory watch reports every new entry by name (Linux, on local file systems), the
/// command does not open the trigger, and a mail system may use the queue at the same time.
/// Elsewhere, and with --watch off, the command reads the trigger. A FIFO serves one reader: if
/// another process reads it, this command fails. Where nothing can be watched and there is no
/// trigger, the directories are polled, and a warning says so.
///
/// An entry that is still there at the next scan, with the same name, inode number and change time,
/// is not printed again. For that, the command remembers the entries that the last complete scan of
/// a directory returned, and the entries that were added since. So it misses an entry that replaced
/// another one with all three the same. Without a watch, it also misses an entry that is added and
/// removed between two scans.
///
/// The output is written by a thread of its own: a reader that is slow or stopped delays the end
/// of this command by a second at most. While a mebibyte waits to be written, the queue is
/// not read; no entry is lost by that.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) queue: QueueArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
    #[command(flatten)]
    pub(super) exec: ExecArguments,
    #[command(flatten)]
    pub(super) end: EndArguments,
}

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct QueueArguments {
    /// A queue directory: the command finds its trigger and its directories, split or not
    #[arg(required_unless_present_any = ["trigger", "directories"], conflicts_with = "trigger")]
    pub(super) queue: Option<PathBuf>,
    /// The layout of QUEUE, and how entries are written
    #[arg(long, value_enum, default_value_t = Layout::Qmail, conflicts_with = "trigger")]
    pub(super) layout: Layout,
    /// The FIFO that is pulled, instead of QUEUE
    #[arg(long, value_name = "FIFO", requires = "directories")]
    pub(super) trigger: Option<PathBuf>,
    /// The FIFO that is pulled, as a descriptor that another program has opened: 3 in a unit of systemd
    /// with one ListenFIFO=, or `3<>FIFO` in a shell. It takes the place of the one of QUEUE, and must not
    /// lie in one of the directories
    #[arg(long, value_name = "N", conflicts_with = "trigger",
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) trigger_fd: Option<i32>,
    /// The directories that entries are linked or renamed into, instead of QUEUE; may be repeated.
    /// With --layout postfix, also `incoming` and `active`, below QUEUE if that is given
    #[arg(long = "dir", value_name = "DIR", num_args = 1..)]
    pub(super) directories: Vec<PathBuf>,
    /// The queue need not exist yet: it is found within a second of its appearance. While something
    /// is missing at the start, the trigger is not opened, except with --watch off
    #[arg(long)]
    pub(super) wait: bool,
    /// Entries are written in the directories themselves. An entry is printed once it has not changed
    /// for this time, or when it is renamed into the directory
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
          default_missing_value = "2", value_parser = seconds)]
    pub(super) in_place: Option<Duration>,
    /// How often a directory is read that can neither be watched nor has a trigger, counted from the
    /// end of a scan
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = positive_seconds)]
    pub(super) poll: Duration,
    /// Overrules the decision whether the directories are on a local file system, whose changes the
    /// watch reports completely
    #[arg(long, value_name = "BOOL")]
    pub(super) assume_local: Option<bool>,
    #[command(flatten)]
    pub(super) backend: backends::BackendArg,
    #[command(flatten)]
    pub(super) watch: watch_arg::WatchArg,
    /// Read the trigger even if another process reads it. Each pull then reaches only one of the
    /// readers, and mail whose pull is taken here waits for the next scan of the other one: in
    /// qmail, up to 25 minutes
    #[arg(long, alias = "share-trigger")]
    pub(super) allow_other_readers: bool,
}

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArguments {
    /// Print one object per line: {"id", "path", "origin": "scan" or "watch", "at"}, or the columns
    /// of --stats
    #[arg(long, conflicts_with_all = ["format", "null"])]
    json: bool,
    /// Print each entry by this template: text, and {path}, {name}, {id}, {age}, {size} or {time}
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// End each line with a NUL, and do not escape names: for `xargs -0`
    #[arg(short = '0', long = "null")]
    null: bool,
    /// Print the time before each line
    #[arg(long, conflicts_with = "json")]
    pub(super) timestamps: bool,
    /// Only print entries that appear after the start
    #[arg(long)]
    pub(super) new_only: bool,
    /// Do not print entries
    #[arg(long, conflicts_with_all = ["format", "null"])]
    quiet: bool,
    /// Print one line about each interval of this length, instead of the entries
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds,
          conflicts_with_all = ["format", "null"])]
    pub(super) stats: Option<Duration>,
    /// Write the counters into this file, in the text format of Prometheus: at each interval of
    /// --stats, or else every 15 seconds
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,
}

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Command")]
pub(super) struct ExecArguments {
    /// Run this command for each entry, instead of printing it, with the path in place of each argument
    /// {}, or else as the last argument. It must be the last option: all words after it are the command's
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true,
          conflicts_with_all = ["format", "null", "quiet"])]
    pub(super) exec: Option<Vec<OsString>>,
    /// Run at most N commands at the same time
    #[arg(long, value_name = "N", default_value_t = 1, requires = "exec",
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) jobs: u16,
    /// How long commands may take to end after a signal, before they are killed
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "exec",
          value_parser = seconds)]
    pub(super) grace: Duration,
}

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "End")]
pub(super) struct EndArguments {
    /// End once N entries were printed, or N commands have succeeded
    #[arg(long, value_name = "N")]
    pub(super) count: Option<NonZeroU64>,
    /// End once nothing was printed for this time, or no command has run or waits to be run again;
    /// fractions are allowed
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) idle_exit: Option<Duration>,
    /// End with exit code 4 if this time passes with nothing found
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) timeout: Option<Duration>,
}

const MORE: &str = r#"Output:
  Control characters, backslashes and bytes that are not UTF-8 are printed as
  \n, \\, \u{1b} and \xff. So a hostile name does not reach a terminal, and each
  name can be told from every other. With -0, names are printed as they are.
  With --json they are escaped as JSON does it, and only so: a parser returns
  the name itself. If the path is not UTF-8, its bytes that are not become
  U+FFFD, and "path_hex" has all bytes of the path.
  "id" is the name of the entry. "at" is the time at which it was printed:
  RFC 3339, UTC, with microseconds.

Fields of --format:
  {path}  the absolute path          {age}   seconds since its last change (ctime)
  {name}  its name, the same as {id} {size}  its size in bytes
  {time}  the time of printing       {{ }}   braces

Columns of --stats, each about the interval before:
  arrivals  entries found            pulls   reads of the trigger that found any
  rate      entries per second       wakes   events of the trigger and the watch
  waiting   entries in the queue     scans   rounds of scans
  oldest    age of the oldest, in s  cpu     processor time in ms
  with --exec: runs, those that have failed, and commands that run at the end
  "-" is printed where a number is not known. The trigger is not read while the
  watch reports all. A queue of a million entries is counted only so often that
  counting takes a tenth of the time.

Commands (--exec):
  The command is started without a shell, in a process group of its own, with
  nothing on standard input. The path is absolute. It is in the environment, too:
    PULLCORD_PATH     the path
    PULLCORD_NAME     the name of the entry
    PULLCORD_ATTEMPT  1, and one more after each failure
  To use a shell:  --exec sh -c 'mail-in < "$1" && rm -- "$1"' sh
  Exit code 0 is a success. After anything else the command is run again: after
  1 s, then 2 s, and so on up to 5 min, unless the entry is gone. Other entries do
  not wait for that.
  The command removes the entry, or moves it. An entry that it leaves is not run
  again until the entry changes, or pullcord is started again. An entry that
  comes again while its command runs is run again afterwards.
  Each entry is run at least once: after a crash, some are run twice.
  SIGTERM and SIGINT start no more commands, and send SIGTERM to the process
  group of each that runs. After --grace, or at a second signal, they are killed,
  and their entries are run after the next start.
  With --json, two objects report each run: {"run": "start"} and {"run": "end"},
  both with "id", "path", "attempt", "pid" and "at", the second one with
  "exit_code", "signal", "seconds", "outcome" ("removed", "kept", "again" or
  "retry") and "retry_seconds". With --json and --stats, standard output of the
  command is standard error of pullcord.

A trigger that a supervisor has opened (--trigger-fd):
  A pull starts the service. With --idle-exit or --count, this command leaves a
  byte in the FIFO if entries may be left, and none otherwise: the supervisor
  starts it again only for new mail. After a signal it leaves none, so that a
  stopped service stays stopped; the next start finds all entries.

Exit codes:
  0  ended by a signal, --count or --idle-exit, or the output is not read any more
  1  failed while it observed the queue, or a command cannot be started any more
  2  the queue cannot be observed, another process reads the trigger, or the
     command does not exist
  4  nothing was found within --timeout"#;

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("it must be more than 0 seconds".into()),
        seconds => Ok(seconds),
    }
}

impl OutputArguments {
    /// Returns how each entry is printed; `None` if entries are not printed.
    pub(super) fn line_format(&self) -> Option<LineFormat> {
        if self.quiet || self.stats.is_some() {
            return None;
        }
        let style = match &self.format {
            _ if self.json => Style::Json,
            Some(template) => Style::Template(template.clone()),
            None => Style::Template(Template::path()),
        };
        Some(LineFormat { style, has_time: self.timestamps, is_raw: self.null })
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}
