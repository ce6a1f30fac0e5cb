//! `pullcord demo`: many processes queue messages, and pullcord must find every message.

mod report;
pub(crate) mod writer;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pullcord::{Escaped, Events, Interest, Key, Mode, QueueOptions, Trigger};
use tempfile::TempDir;

use crate::failure::Failure;
use crate::mail::Mail;
use crate::signals::Signals;
use crate::{backends, print, print_json, watch_arg};
use report::Tally;

/// Run a demonstration: many processes queue messages, and pullcord finds every one
///
/// Creates a temporary split queue and starts writer processes. A writer works as qmail-queue does: it
/// writes each message under another name, links it into the queue, and pulls the trigger. The command
/// receives the messages as a mail system with pullcord does, removes each from the queue, and prints a
/// table at the end. It removes all its files.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    /// Number of messages to queue
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = at_least_one(10_000_000))]
    messages: u64,
    /// Number of processes that queue them
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one(1_000))]
    writers: u64,
    #[command(flatten)]
    backend: backends::BackendArg,
    #[command(flatten)]
    watch: watch_arg::WatchArg,
    /// Print one object instead of the table; "verdict" is the table's last line
    #[arg(long)]
    json: bool,
}

fn at_least_one(most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

const MORE: &str = "\
Rows of the table:
  lost             messages that were not seen within a second after the last event
  duplicates       messages seen again after they had been removed
  watch            on, off, or partly: whether the directories were watched
  wakeups, scans   events of the trigger and the watch, and rounds of scans
  overflows        how often the watch lost events, so that directories were scanned again
  refused pulls    pulls that found no reader: none, since the trigger stays open
  latency          from just before link(2) until the entry is returned

Exit codes:
  0  all messages were seen
  1  messages were lost, a writer failed, or an interrupt ended the command
  2  the queue could not be made";

/// The keys beside those of [`Mail`].
const SIGNALS: Key = Key(2);
const REPORTS: Key = Key(3);

/// The time after the last event after which a missing message counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let backend = arguments.backend.backend()?;
    let place = std::env::temp_dir();
    let set_up = |attempt| {
        let place = &place;
        move |e| Failure::at_start(place, attempt, e)
    };

    // Signals are caught before any file is created, so that an interrupted command removes its files.
    let signals = Signals::catch().map_err(set_up("catch signals"))?;
    let directory = make_queue().map_err(set_up("make a queue"))?;
    Trigger::create(directory.path().join("lock/trigger"), 0o622).map_err(Failure::bad_input)?;
    let options = QueueOptions::qmail(directory.path()).map_err(Failure::bad_input)?;
    let queue = options.watch(arguments.watch.mode()).open().map_err(Failure::bad_input)?;
    let mut notifier = backends::open(backend, &place)?;
    let mut mail =
        Mail::register(queue, backend, &mut *notifier).map_err(set_up("wait for the queue"))?;
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
        let mut timeout = mail.prepare(&mut *notifier);
        if writers.are_done() {
            if tally.has_all() || last.elapsed() >= PATIENCE {
                break;
            }
            timeout = [timeout, Some(PATIENCE)].into_iter().flatten().min();
        }
        notifier.wait(&mut events, timeout).map_err(Failure::waiting)?;
        for event in &events {
            match event.key {
                SIGNALS => return Err(Failure::failed("interrupted; nothing was left behind")),
                REPORTS => {
                    writers.read_reports()?;
                    last = Instant::now();
                    if writers.are_done() {
                        notifier.deregister(&writers).map_err(Failure::waiting)?;
                    }
                }
                _ => mail.handle_event(event),
            }
        }
        while let Some(entry) = mail.next_entry() {
            last = Instant::now();
            if tally.see(entry.name)? {
                let path = entry.path();
                fs::remove_file(&path).map_err(|e| {
                    Failure::failed(format!("{}: cannot remove the entry: {e}", Escaped(&path)))
                })?;
            }
        }
        while let Some(warning) = mail.next_warning() {
            crate::report(warning);
        }
        bar.set_position(tally.seen());
    }
    bar.finish_and_clear();

    let report = tally.report(backend, mail.queue(), writer::total(&mut writers)?);
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

/// Makes a queue like that of qmail with big-todo, with a directory for unfinished messages.
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

/// Returns a progress bar, which is shown only on a terminal.
fn progress(messages: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seen, {eta} left");
    ProgressBar::with_draw_target(Some(messages), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
