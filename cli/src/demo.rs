//! `pullcord demo`: mail comes from many processes at once, and none of it goes unnoticed.

mod report;
pub(crate) mod writer;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pullcord::{Escaped, Events, Interest, Key, Mode, Todo, Trigger, todo::Queue};
use tempfile::TempDir;

use crate::failure::Failure;
use crate::signals::Signals;
use crate::{backends, print, print_json, say, watching};
use report::Tally;

/// See it work: many processes queue messages, and pullcord notices every one
///
/// Makes a temporary split queue and starts writer processes. For each message of its share, a
/// writer does what qmail-queue does: write it under another name, link it into the queue, pull the
/// trigger. The command notices the messages as any mail system would that is built on pullcord,
/// takes each out of the queue, and ends with a table. Nothing of it stays behind.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    /// How many messages to queue
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = at_least_one(10_000_000))]
    messages: u64,
    /// How many processes queue them
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one(1_000))]
    writers: u64,
    #[command(flatten)]
    backend: backends::Choice,
    #[command(flatten)]
    watch: watching::Choice,
    /// Print one object instead of the table
    #[arg(long)]
    json: bool,
}

fn at_least_one(most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

const MORE: &str = "\
What the table says:
  lost             messages that were not seen a second after all else was over
  duplicates       messages seen again after they had been taken out
  watch            on, off, or partly: whether the directories were watched
  wakes, scans     how often the reader was woken, and how often it read directories
  refused pulls    pulls that found nobody listening: none, the trigger stays open
  latency          from just before link(2) to the moment the entry is handed out

Exit codes:
  0  all were seen
  1  some were lost, a writer died, or it was interrupted
  2  it could not be set up";

const TRIGGER: Key = Key(0);
const WATCH: Key = Key(1);
const SIGNALS: Key = Key(2);
const REPORTS: Key = Key(3);

/// How long after everything else a message that was not seen counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let backend = arguments.backend.backend()?;
    let place = std::env::temp_dir();
    let set_up = |attempt| {
        let place = &place;
        move |e| Failure::at_start(place, attempt, e)
    };

    // The signals first: from here on nothing is left behind.
    let signals = Signals::catch().map_err(set_up("catch signals"))?;
    let directory = make_queue().map_err(set_up("make a queue"))?;
    Trigger::create(directory.path().join("lock/trigger"), 0o622).map_err(Failure::bad_input)?;
    let queue = Queue::qmail(directory.path()).map_err(Failure::bad_input)?;
    let mut todo = Todo::open(queue.watch(arguments.watch.when())).map_err(Failure::bad_input)?;
    let mut notifier = backends::open(backend, &place)?;
    todo.register(&mut *notifier, [TRIGGER, WATCH]).map_err(Failure::bad_input)?;
    let mut writers = writer::start(directory.path(), arguments)?;
    notifier
        .register(&signals, SIGNALS, Interest::Read, Mode::Level)
        .and_then(|()| notifier.register(&writers, REPORTS, Interest::Read, Mode::Level))
        .map_err(set_up("wait for writers"))?;

    let mut tally = Tally::new(arguments.messages);
    let bar = progress(arguments.messages);
    let mut last = Instant::now();
    let mut events = Events::with_capacity(4);
    loop {
        let now = Instant::now();
        let mut timeout = todo.prepare(&mut *notifier, now).map_err(Failure::failed)?;
        if writers.are_done() {
            if tally.has_all() || now - last >= PATIENCE {
                break;
            }
            timeout = [timeout, Some(PATIENCE)].into_iter().flatten().min();
        }
        notifier.wait(&mut events, timeout).map_err(Failure::waiting)?;
        for event in &events {
            match event.key {
                SIGNALS => return Err(Failure::failed("interrupted; nothing is left behind")),
                REPORTS => {
                    writers.listen()?;
                    last = Instant::now();
                    if writers.are_done() {
                        notifier.deregister(&writers).map_err(Failure::waiting)?;
                    }
                }
                _ => {
                    todo.ready(event);
                }
            }
        }
        while let Some(entry) = todo.next(Instant::now()) {
            match entry {
                Ok(entry) => {
                    last = Instant::now();
                    if tally.see(entry.name)? {
                        let path = entry.path();
                        fs::remove_file(&path)
                            .map_err(|e| Failure::failed(format!("{}: {e}", Escaped(&path))))?;
                    }
                }
                Err(error) => say(error), // it is tried again
            }
        }
        bar.set_position(tally.seen());
    }
    bar.finish_and_clear();

    let report = tally.report(backend, &todo, writer::total(&mut writers)?);
    if arguments.json {
        print_json(&report)?;
    } else {
        print(report.table(arguments.writers))?;
    }
    match report.lost {
        0 => Ok(()),
        lost => Err(Failure::failed(format!("{lost} of {} messages were lost", report.injected))),
    }
}

/// A queue like qmail's with big-todo, and with room for messages that are being written.
fn make_queue() -> io::Result<TempDir> {
    const SPLIT: u64 = 23;
    let queue = tempfile::Builder::new().prefix("pullcord-demo-").tempdir()?;
    fs::create_dir(queue.path().join("mess"))?;
    fs::create_dir(queue.path().join("lock"))?;
    for part in 0..SPLIT {
        fs::create_dir_all(queue.path().join("todo").join(part.to_string()))?;
    }
    Ok(queue)
}

/// A bar on a terminal, and nothing anywhere else.
fn progress(messages: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seen, {eta} left");
    ProgressBar::with_draw_target(Some(messages), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
