//! `pullcord watch`: looks on while mail comes.

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pullcord::{
    Counters, Escaped, Events, Interest, Key, Mode, Notifier, OtherReaders, Todo, Trigger, Via,
    WatchMode, todo::Entry, todo::Queue,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::shown::{File, Shown};
use crate::signals::Signals;
use crate::{backends, print, print_json, say, watching};

/// Print each entry of a queue as it comes
///
/// Looks on only: what it prints stays where it is. An interrupt (Ctrl-C), SIGTERM, --count and
/// --idle-exit end it with exit code 0 and its counters on standard error.
///
/// Where the directories can be watched and the system names what appears in them (Linux, on local
/// file systems), the trigger stays closed, and a mail system may use the queue meanwhile. Anywhere
/// else, and with --watch off, the trigger is read. A FIFO serves one reader: if somebody reads it
/// already, this command stops.
///
/// An entry still there at the next scan, with its name, inode number and change time the same, is
/// not printed again. For that it remembers, of each directory, what the last complete scan
/// returned and what came since, and nothing older. So it misses an entry that a scan finds in
/// another's place with all three the same; and without a watch, what comes and goes between two
/// scans.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    /// A queue directory: finds its trigger and its directories, split or not
    #[arg(required_unless_present = "trigger", conflicts_with_all = ["trigger", "directories"])]
    queue: Option<PathBuf>,
    /// How QUEUE is laid out
    #[arg(long, value_enum, default_value_t = Layout::Qmail, conflicts_with = "trigger")]
    layout: Layout,
    /// The FIFO that is pulled, in place of QUEUE
    #[arg(long, value_name = "FIFO", requires = "directories")]
    trigger: Option<PathBuf>,
    /// The directories that entries are linked or renamed into, in place of QUEUE
    #[arg(long = "dir", value_name = "DIR", num_args = 1.., requires = "trigger")]
    directories: Vec<PathBuf>,
    /// Print an object a line: {"id", "path", "via": "scan" or "watch", "at"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: backends::Choice,
    #[command(flatten)]
    watch: watching::Choice,
    /// End once N entries were printed
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// End once nothing was printed for so long; fractions are welcome
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_exit: Option<Duration>,
    /// Watch even if somebody reads the trigger; each pull then reaches only one of the two, and
    /// mail whose pull is taken here waits for the other's next look: in qmail, up to 25 minutes
    #[arg(long)]
    share_trigger: bool,
}

const MORE: &str = r#"Output:
  Control characters, backslashes and bytes that are not UTF-8 are printed as
  \n, \\, \u{1b} and \xff, in "id" and "path" too, so that a hostile name does
  nothing to a terminal, and every name can be told from every other.
  "id" is the entry's name. "at" is when it was printed: RFC 3339, UTC, with
  microseconds.

Exit codes:
  0  ended as asked: a signal, --count, --idle-exit, or nobody reads the output
  1  failed on the way
  2  it cannot be watched, or somebody reads the trigger already"#;

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

const TRIGGER: Key = Key(0);
const WATCH: Key = Key(1);
const SIGNALS: Key = Key(2);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let backend = arguments.backend.backend()?;
    let (name, queue) = arguments.queue()?;
    let signals = Signals::catch().map_err(|e| Failure::at_start(name, "catch signals", e))?;
    let mut todo = arguments.open(queue).map_err(refused)?;
    let mut notifier = backends::open(backend, name)?;
    todo.register(&mut *notifier, [TRIGGER, WATCH]).map_err(Failure::bad_input)?;
    notifier
        .register(&signals, SIGNALS, Interest::Read, Mode::Level)
        .map_err(|e| Failure::at_start(name, "wait for signals", e))?;
    if io::stderr().is_terminal() {
        say(format!("watching {} with {backend}; Ctrl-C ends it", Escaped(name)));
    }

    let mut onlooker = Onlooker::new(arguments);
    let end = onlooker.look_on(&mut todo, &mut *notifier)?;
    if let End::AsAsked = end {
        onlooker.sum_up(todo.counters());
    }
    Ok(())
}

impl Arguments {
    /// The queue, and what to call it.
    fn queue(&self) -> Result<(&Path, Queue), Failure> {
        let (name, queue) = match (&self.queue, &self.trigger) {
            (Some(queue), _) => (queue, self.layout.queue(queue).map_err(Failure::bad_input)?),
            (None, Some(fifo)) => (fifo, Queue::directories(&self.directories).trigger(fifo)),
            (None, None) => unreachable!("clap asks for one of them"),
        };
        Ok((name, queue.watch(self.watch.when())))
    }

    /// Opens the queue: without its trigger where the watch names every entry, so that nobody's
    /// pulls are taken.
    fn open(&self, queue: Queue) -> pullcord::Result<Todo> {
        if self.watch.when() != WatchMode::Off {
            queue.trigger_path().map_or(Ok(()), check_trigger)?;
            let todo = Todo::open(queue.clone().without_trigger())?;
            if todo.watch_suffices() {
                return Ok(todo);
            }
        }
        if self.share_trigger {
            return Todo::open(queue.sharing(OtherReaders::Allow));
        }
        open_if_nobody_reads(queue)
    }
}

/// A trigger that is none is said, whether it is going to be opened or not.
fn check_trigger(fifo: &Path) -> pullcord::Result<()> {
    match fifo.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(()),
        // Opening it fails too, and says why.
        _ => Trigger::open(fifo, OtherReaders::Allow).map(drop),
    }
}

/// One look is not enough: a qmail-send with the patch of 2001 has its trigger closed for as long as
/// it scans. No look takes a pull from anybody: while a FIFO has no reader, pulls are refused anyway,
/// and what was queued is found by the first scan.
fn open_if_nobody_reads(queue: Queue) -> pullcord::Result<Todo> {
    const LOOKS: u32 = 5;
    const BETWEEN: Duration = Duration::from_millis(100);
    for _ in 1..LOOKS {
        drop(Todo::open(queue.clone())?);
        thread::sleep(BETWEEN);
    }
    Todo::open(queue)
}

/// Why the queue cannot be watched, with the option that helps.
fn refused(error: pullcord::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ResourceBusy => Failure::bad_input(format!(
            "{}: somebody reads it already; to take pulls from a running qmail-send would delay \
             its mail, and --share-trigger insists on that",
            Escaped(error.path())
        )),
        _ => Failure::bad_input(error),
    }
}

impl Layout {
    pub(crate) fn queue(self, path: &Path) -> pullcord::Result<Queue> {
        match self {
            Layout::Qmail => Queue::qmail(path),
            Layout::Postfix => Queue::postfix(path),
        }
    }
}

/// Why it ended.
enum End {
    AsAsked,
    NobodyReads,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    id: String,
    path: String,
    via: &'static str,
    at: String,
}

/// Who looks on, and what was printed for them.
struct Onlooker<'a> {
    arguments: &'a Arguments,
    shown: Shown,
    printed: u64,
    last: Instant,
}

impl Onlooker<'_> {
    fn new(arguments: &Arguments) -> Onlooker<'_> {
        Onlooker { arguments, shown: Shown::default(), printed: 0, last: Instant::now() }
    }

    fn look_on(&mut self, todo: &mut Todo, notifier: &mut dyn Notifier) -> Result<End, Failure> {
        let mut events = Events::with_capacity(3);
        loop {
            let timeout = todo.prepare(notifier, Instant::now()).map_err(Failure::failed)?;
            let timeout = [timeout, self.patience()].into_iter().flatten().min();
            notifier.wait(&mut events, timeout).map_err(Failure::waiting)?;
            for event in &events {
                if event.key == SIGNALS {
                    return Ok(End::AsAsked);
                }
                todo.ready(event);
            }
            while let Some(entry) = todo.next(Instant::now()) {
                match entry {
                    Ok(entry) => {
                        if let Break(end) = self.see(&entry)? {
                            return Ok(end);
                        }
                    }
                    Err(error) => say(error), // it is tried again
                }
            }
            for (directory, reads) in todo.reads() {
                self.shown.was_read(directory, reads);
            }
            if self.patience() == Some(Duration::ZERO) {
                return Ok(End::AsAsked);
            }
        }
    }

    /// How long to wait for the next entry before it is enough.
    fn patience(&self) -> Option<Duration> {
        self.arguments.idle_exit.map(|patience| patience.saturating_sub(self.last.elapsed()))
    }

    /// Prints an entry, unless it was printed and is still the same.
    fn see(&mut self, entry: &Entry<'_>) -> Result<ControlFlow<End>, Failure> {
        let path = entry.path();
        // An entry that is gone by now did come. What the watch names is new, whatever is known.
        if let Ok(metadata) = path.symlink_metadata()
            && !self.shown.remember(entry.directory, entry.name, File::from(metadata))
            && entry.via == Via::Scan
        {
            return Ok(Continue(()));
        }
        if !self.print(entry, &path)? {
            return Ok(Break(End::NobodyReads));
        }
        self.printed += 1;
        self.last = Instant::now();
        let enough = self.arguments.count.is_some_and(|count| self.printed >= count.get());
        Ok(if enough { Break(End::AsAsked) } else { Continue(()) })
    }

    fn print(&self, entry: &Entry<'_>, path: &Path) -> Result<bool, Failure> {
        if !self.arguments.json {
            return print(Escaped(path));
        }
        let line = Line {
            id: Escaped(Path::new(entry.name)).to_string(),
            path: Escaped(path).to_string(),
            via: entry.via.name(),
            at: format!("{:.6}", Timestamp::now()),
        };
        print_json(&line)
    }

    /// Says what was done.
    fn sum_up(&self, counters: Counters) {
        let Counters { wakes, drains, pulls, scans, directories, by_scan, by_watch, .. } = counters;
        let Counters { unwatched, overflows, reopens, errors, .. } = counters;
        say(format!(
            "{} printed; {wakes} wakes, {drains} drains, {pulls} pulls, {scans} scans of \
             {directories} directories, {by_scan} entries by scan, {by_watch} by watch, \
             {unwatched} directories unwatched, {overflows} overflows, {reopens} reopens, \
             {errors} errors",
            self.printed
        ));
    }
}
