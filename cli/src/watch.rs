//! `pullcord watch`: observes a queue.

use std::fs;
use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pullcord::{
    Entry, Escaped, Events, Interest, Key, Mode, Notifier, Origin, OtherReaders, Queue,
    QueueOptions, Stats, Trigger, WatchMode,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::mail::Mail;
use crate::printed::{File, Printed};
use crate::signals::Signals;
use crate::{backends, print, print_json, report, watch_arg};

/// Print each entry of a queue as it appears
///
/// Only observes: the entries stay in the queue. The command ends with exit code 0 on an interrupt
/// (Ctrl-C), on SIGTERM, and as --count and --idle-exit say, and prints its counters on standard
/// error.
///
/// Where the directory watch reports every new entry by name (Linux, on local file systems), the
/// command does not open the trigger, and a mail system may use the queue at the same time.
/// Elsewhere, and with --watch off, the command reads the trigger. A FIFO serves one reader: if
/// another process reads it, this command fails.
///
/// An entry that is still there at the next scan, with the same name, inode number and change time,
/// is not printed again. For that, the command remembers the entries that the last complete scan of
/// a directory returned, and the entries that were added since. So it misses an entry that replaced
/// another one with all three the same. Without a watch, it also misses an entry that is added and
/// removed between two scans.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    /// A queue directory: the command finds its trigger and its directories, split or not
    #[arg(required_unless_present = "trigger", conflicts_with_all = ["trigger", "directories"])]
    queue: Option<PathBuf>,
    /// The layout of QUEUE
    #[arg(long, value_enum, default_value_t = Layout::Qmail, conflicts_with = "trigger")]
    layout: Layout,
    /// The FIFO that is pulled, instead of QUEUE
    #[arg(long, value_name = "FIFO", requires = "directories")]
    trigger: Option<PathBuf>,
    /// The directories that entries are linked or renamed into, instead of QUEUE
    #[arg(long = "dir", value_name = "DIR", num_args = 1.., requires = "trigger")]
    directories: Vec<PathBuf>,
    /// Print one object per line: {"id", "path", "origin": "scan" or "watch", "at"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: backends::BackendArg,
    #[command(flatten)]
    watch: watch_arg::WatchArg,
    /// End once N entries were printed
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// End once nothing was printed for this time; fractions are allowed
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_exit: Option<Duration>,
    /// Read the trigger even if another process reads it. Each pull then reaches only one of the
    /// readers, and mail whose pull is taken here waits for the next scan of the other one: in
    /// qmail, up to 25 minutes
    #[arg(long, alias = "share-trigger")]
    allow_other_readers: bool,
}

const MORE: &str = r#"Output:
  Control characters, backslashes and bytes that are not UTF-8 are printed as
  \n, \\, \u{1b} and \xff, also in "id" and "path". So a hostile name does not
  reach a terminal, and each name can be told from every other.
  "id" is the name of the entry. "at" is the time at which it was printed:
  RFC 3339, UTC, with microseconds.

Exit codes:
  0  ended by a signal, --count or --idle-exit, or the output is not read any more
  1  failed while it observed the queue
  2  the queue cannot be observed, or another process reads the trigger"#;

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Layout {
    /// lock/trigger, and todo/ or todo/0 and so on (big-todo)
    Qmail,
    /// public/pickup, and maildrop/
    Postfix,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// The key beside those of [`Mail`].
const SIGNALS: Key = Key(2);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let backend = arguments.backend.backend()?;
    let (name, options) = arguments.options()?;
    let signals = Signals::catch().map_err(|e| Failure::at_start(name, "catch signals", e))?;
    let queue = arguments.open(&options).map_err(open_error)?;
    let mut notifier = backends::open(backend, name)?;
    let mut mail = Mail::register(queue, backend, &mut *notifier)
        .map_err(|e| Failure::at_start(name, "wait for the queue", e))?;
    notifier
        .register(&signals, SIGNALS, Interest::Read, Mode::Level)
        .map_err(|e| Failure::at_start(name, "wait for signals", e))?;
    if io::stderr().is_terminal() {
        report(format!("watching {} with {backend}; Ctrl-C ends it", Escaped(name)));
    }

    let mut observer = Observer::new(arguments, &options);
    let end = observer.run(&mut mail, &mut *notifier)?;
    if let End::AsAsked = end {
        observer.print_summary(mail.queue());
    }
    Ok(())
}

impl Arguments {
    /// Returns the queue, and the path that messages name it by.
    fn options(&self) -> Result<(&Path, QueueOptions), Failure> {
        let (name, options) = match (&self.queue, &self.trigger) {
            (Some(queue), _) => (queue, self.layout.options(queue)?),
            (None, Some(fifo)) => {
                (fifo, QueueOptions::directories(&self.directories).trigger(fifo))
            }
            (None, None) => unreachable!("clap requires one of them"),
        };
        Ok((name, options.watch(self.watch.mode())))
    }

    /// Opens the queue: without its trigger if the watch reports every entry by name, so that the
    /// pulls of a mail system are not taken.
    fn open(&self, options: &QueueOptions) -> pullcord::Result<Queue> {
        let trigger = options.trigger_path();
        if self.watch.mode() != WatchMode::Off {
            trigger.map_or(Ok(()), check_trigger)?;
            let queue = options.clone().without_trigger().open()?;
            if queue.is_fully_watched() {
                return Ok(queue);
            }
        }
        if self.allow_other_readers {
            return options.clone().other_readers(OtherReaders::Allow).open();
        }
        trigger.map_or(Ok(()), check_other_readers)?;
        options.open()
    }
}

/// Fails if the path is not a FIFO, also where the trigger will not be opened.
fn check_trigger(fifo: &Path) -> pullcord::Result<()> {
    match fifo.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(()),
        // Opening it fails, with the reason.
        _ => Trigger::open(fifo, OtherReaders::Allow).map(drop),
    }
}

/// Fails if another process reads the trigger. One attempt is not enough: a qmail-send with the patch
/// of 2001 closes its trigger during each scan. No attempt takes a pull: while a FIFO has no reader,
/// pulls fail, and the first scan finds their mail.
fn check_other_readers(fifo: &Path) -> pullcord::Result<()> {
    const ATTEMPTS: u32 = 5;
    const RETRY_DELAY: Duration = Duration::from_millis(100);
    for _ in 1..ATTEMPTS {
        drop(Trigger::open(fifo, OtherReaders::Reject)?);
        thread::sleep(RETRY_DELAY);
    }
    Ok(())
}

/// Returns why the queue cannot be observed, with the option that helps.
fn open_error(error: pullcord::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ResourceBusy => Failure::bad_input(format!(
            "{}: cannot read the trigger: another process is reading it, such as qmail-send, and \
             its mail would be delayed; use --allow-other-readers to read it anyway",
            Escaped(error.path())
        )),
        _ => Failure::bad_input(error),
    }
}

impl Layout {
    /// Returns the queue at `path`.
    pub(crate) fn options(self, path: &Path) -> Result<QueueOptions, Failure> {
        let options = match self {
            Layout::Qmail => QueueOptions::qmail(path),
            Layout::Postfix => QueueOptions::postfix(path),
        };
        let options = options.map_err(Failure::bad_input)?;
        // A queue that appears later is supported by the library. Here it is a mistake in the path.
        let missing = options.directory_paths().iter().find_map(|path| {
            let error = fs::metadata(path).err()?;
            (error.kind() == io::ErrorKind::NotFound).then_some((path, error))
        });
        match (self, missing) {
            (Layout::Qmail, Some((path, error))) => Err(Failure::bad_input(format!(
                "{}: cannot read the queue: {error}; name a queue directory, the one that has \
                 lock/trigger and todo",
                Escaped(path)
            ))),
            _ => Ok(options),
        }
    }
}

/// Why the command ends.
enum End {
    AsAsked,
    OutputClosed,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    id: String,
    path: String,
    origin: &'static str,
    at: String,
}

/// Prints the entries of a queue.
struct Observer<'a> {
    arguments: &'a Arguments,
    /// The trigger, which may lie in one of the directories, and is not an entry.
    trigger: Option<PathBuf>,
    printed: Printed,
    count: u64,
    last: Instant,
}

impl Observer<'_> {
    fn new<'a>(arguments: &'a Arguments, options: &QueueOptions) -> Observer<'a> {
        let trigger = options.trigger_path().and_then(|path| std::path::absolute(path).ok());
        let (printed, last) = (Printed::default(), Instant::now());
        Observer { arguments, trigger, printed, count: 0, last }
    }

    fn run(&mut self, mail: &mut Mail, notifier: &mut dyn Notifier) -> Result<End, Failure> {
        let mut events = Events::with_capacity(3);
        loop {
            let timeout = mail.prepare(notifier);
            let timeout = [timeout, self.idle_time_left()].into_iter().flatten().min();
            notifier.wait(&mut events, timeout).map_err(Failure::waiting)?;
            for event in &events {
                if event.key == SIGNALS {
                    return Ok(End::AsAsked);
                }
                mail.handle_event(event);
            }
            while let Some(entry) = mail.next_entry() {
                if let Break(end) = self.observe(&entry)? {
                    return Ok(end);
                }
            }
            while let Some(warning) = mail.next_warning() {
                report(warning);
            }
            for directory in mail.queue().status() {
                self.printed.on_scanned(directory.path, directory.scans);
            }
            if self.idle_time_left() == Some(Duration::ZERO) {
                return Ok(End::AsAsked);
            }
        }
    }

    /// Returns how long to wait for the next entry before the command ends.
    fn idle_time_left(&self) -> Option<Duration> {
        self.arguments.idle_exit.map(|limit| limit.saturating_sub(self.last.elapsed()))
    }

    /// Prints an entry, unless it was printed and is still the same.
    fn observe(&mut self, entry: &Entry<'_>) -> Result<ControlFlow<End>, Failure> {
        let path = entry.path();
        if self.trigger.as_ref() == Some(&path) {
            return Ok(Continue(()));
        }
        // An entry that is gone by now did appear. An entry that the watch reports is always new.
        if let Ok(metadata) = path.symlink_metadata() {
            let is_new = self.printed.add(entry.directory, entry.name, File::from(metadata));
            if !is_new && entry.origin == Origin::Scan {
                return Ok(Continue(()));
            }
        }
        if !self.print(entry, &path)? {
            return Ok(Break(End::OutputClosed));
        }
        self.count += 1;
        self.last = Instant::now();
        let is_enough = self.arguments.count.is_some_and(|count| self.count >= count.get());
        Ok(if is_enough { Break(End::AsAsked) } else { Continue(()) })
    }

    fn print(&self, entry: &Entry<'_>, path: &Path) -> Result<bool, Failure> {
        if !self.arguments.json {
            return print(Escaped(path));
        }
        let line = Line {
            id: Escaped(Path::new(entry.name)).to_string(),
            path: Escaped(path).to_string(),
            origin: entry.origin.as_str(),
            at: format!("{:.6}", Timestamp::now()),
        };
        print_json(&line)
    }

    /// Prints the counters of the queue, by the names of [`Stats`].
    fn print_summary(&self, queue: &Queue) {
        let Stats { wakeups, trigger_reads, pulls, trigger_reopens, scans, .. } = queue.stats();
        let Stats { directories_read, scan_entries, watch_entries, .. } = queue.stats();
        let Stats { watch_overflows, verifications, warnings, .. } = queue.stats();
        report(format!(
            "printed {}; wakeups {wakeups}, trigger_reads {trigger_reads}, pulls {pulls}, \
             trigger_reopens {trigger_reopens}, scans {scans}, \
             directories_read {directories_read}, scan_entries {scan_entries}, \
             watch_entries {watch_entries}, watch_overflows {watch_overflows}, \
             verifications {verifications}, warnings {warnings}, unwatched_directories {}",
            self.count,
            queue.unwatched_directories()
        ));
    }
}
