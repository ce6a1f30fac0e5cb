//! `pullcord storm`: shows the bug of 1998, and that pullcord does not have it.

mod load;
mod meter;
mod plot;
mod report;
mod strategies;
mod tally;
pub(crate) mod writer;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pullcord::{Events, Interest, Key, Mode, Notifier};
use pullcord_strategies::Strategy;

use crate::failure::Failure;
use crate::signals::Signals;
use crate::writers::Writers;
use crate::{backends, print, print_json, watch_arg};
use load::{Load, TestQueue};
use meter::Meter;
use report::Report;
use strategies::Name;
use tally::Tally;

/// Run the same storm of pulls against four ways to treat a trigger, with and without the bug
///
/// To remove a pull, the queue managers of 1998 close their trigger and open it again. That works
/// only if no other process has it open. In a storm some process always has, and they scan for mail
/// without end; any local user can cause that. This command runs each strategy against the same
/// load, in a temporary queue, and ends with a table. Writers are processes: each links an entry,
/// opens the FIFO, writes a byte, holds the FIFO open for a while, and closes it.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    load: Load,
    /// How to treat the trigger
    #[arg(long, value_enum, value_name = "NAME", default_value_t = StrategyArg::All)]
    strategy: StrategyArg,
    #[command(flatten)]
    backend: backends::BackendArg,
    /// Whether pullcord watches the directory. With off, the numbers of scans can be compared
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = watch_arg::WatchWhen::Off)]
    watch: watch_arg::WatchWhen,
    /// Print an array of objects, one for each strategy, instead of the table; each has a "verdict"
    #[arg(long)]
    json: bool,
    /// Draw scans per second over time into this file, one line for each strategy
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum StrategyArg {
    /// All four, one after the other
    All,
    /// The loop of 1998: closed and opened again before each scan, on select
    Reopen,
    /// Closed as soon as select returns, opened again before the scan
    EarlyClose,
    /// The patch of 2001: emptied, then closed and opened again, on select
    Drain,
    /// This library, on the backend of your choice: emptied, never closed, scans paced
    Pullcord,
}

const MORE: &str = "\
Rows of the table:
  pulls             attempts to write, also the larger ones of a flooder
  refused           of those, ENXIO: no process had the trigger open for reading
  broken            of those, EPIPE: it was closed before the byte was written
  full              of those, EAGAIN: the FIFO was full
  wakeups           how often the trigger or the timeout of the strategy woke the reader
  scans             how often it read the directory; of those, the ones that found nothing
  lost              entries that were not seen within a second after the last event
  latency           from just before link(2) until the entry is seen
  others served     turns in which the loop read another descriptor that it waits for
  waited            from just before a message is written there until it is read

Exit codes:
  0  pullcord lost nothing; the other strategies may lose entries
  1  pullcord lost an entry, a writer failed, or an interrupt ended the command
  2  the queue could not be made";

/// The keys beside those of the strategies.
const SIGNALS: Key = Key(2);
const REPORTS: Key = Key(3);

/// The time after the last event after which a missing entry counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Signals are caught before any file is created, so that an interrupted command removes its files.
    let signals = Signals::catch()
        .map_err(|e| Failure::at_start(&std::env::temp_dir(), "catch signals", e))?;
    if let Some(file) = &arguments.plot {
        // A file that cannot be written is reported before the storm, not after it.
        File::create(file).map_err(|e| Failure::at_start(file, "draw", e))?;
    }
    let (mut reports, mut lines) = (Vec::new(), Vec::new());
    for name in arguments.strategy.names() {
        let (report, meter) = run_strategy(name, arguments, &signals)?;
        reports.push(report);
        lines.push((name.as_str(), meter.rates));
    }
    if let Some(file) = &arguments.plot {
        plot::draw(file, &arguments.load.to_string(), &lines)?;
    }
    if arguments.json {
        print_json(&reports)?;
    } else {
        print(report::table(&arguments.load, &reports))?;
    }
    match reports.iter().find(|report| report.strategy == "pullcord").map(|report| report.lost) {
        Some(lost) if lost > 0 => Err(Failure::failed(format!("pullcord lost {lost} entries"))),
        _ => Ok(()),
    }
}

/// Runs one strategy against the load: the same loop for each.
fn run_strategy(
    name: Name,
    arguments: &Arguments,
    signals: &Signals,
) -> Result<(Report, Meter), Failure> {
    let queue = TestQueue::create()?;
    let backend = name.backend(arguments.backend.backend()?);
    let mut notifier = backends::open(backend, queue.root())?;
    let mut strategy = name.open(&queue, &mut *notifier, arguments.watch.into())?;
    let mut writers = Writers::start(queue.root(), arguments.load.writers(&queue))?;
    notifier
        .register(signals, SIGNALS, Interest::Read, Mode::Level)
        .and_then(|()| notifier.register(&writers, REPORTS, Interest::Read, Mode::Level))
        .map_err(|e| Failure::at_start(queue.root(), "wait for writers", e))?;

    let mut tally = Tally::default();
    let mut meter = Meter::start(name.as_str(), arguments.load.time());
    let mut last = Instant::now();
    let mut events = Events::with_capacity(4);
    loop {
        let begun = Instant::now();
        let patience = if writers.are_done() { PATIENCE } else { meter.next_sample(begun) };
        let own = strategy.prepare(&mut *notifier, begun).map_err(Failure::failed)?;
        notifier
            .wait(&mut events, Some(own.map_or(patience, |own| own.min(patience))))
            .map_err(Failure::waiting)?;

        let mut is_woken = own.is_some_and(|own| begun.elapsed() >= own);
        for event in &events {
            match event.key {
                SIGNALS => return Err(Failure::failed("interrupted; nothing was left behind")),
                REPORTS => {
                    writers.read_reports()?;
                    tally.add_reports(writers.take_reports()?);
                    last = Instant::now();
                    if writers.are_done() {
                        notifier.deregister(&writers).map_err(Failure::waiting)?;
                        meter.stop();
                    }
                }
                _ => {
                    strategy.woken(event, &mut *notifier).map_err(Failure::failed)?;
                    is_woken = true;
                }
            }
        }
        if is_woken {
            // A turn that continues the previous one did not sleep.
            tally.wakeups += u64::from(own != Some(Duration::ZERO));
            let seen = tally.seen();
            scan(&mut *strategy, &mut *notifier, &mut tally)?;
            if tally.seen() > seen {
                last = Instant::now();
            }
        }
        meter.sample(tally.scans);
        if writers.are_done() && (tally.has_all() || last.elapsed() >= PATIENCE) {
            return Ok((tally.report(name.as_str(), &arguments.load, &meter), meter));
        }
    }
}

/// Lets the strategy scan, and counts the entries that it finds. Its first error ends the storm.
fn scan(
    strategy: &mut dyn Strategy,
    notifier: &mut dyn Notifier,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut failure = None;
    let scanned = strategy.scan(notifier, &mut |item| {
        let found = match item {
            Ok(found) => found,
            Err(warning) => {
                crate::report(warning); // tried again by the strategy
                return ControlFlow::Continue(());
            }
        };
        if let Err(error) = tally.see(found.path) {
            failure = Some(error);
            return ControlFlow::Break(());
        }
        if let Some(number) = found.scan {
            tally.found_by_scan(number);
        }
        ControlFlow::Continue(())
    });
    tally.scans = strategy.scan_count();
    failure.map_or(Ok(()), Err)?;
    scanned.map_err(Failure::failed)
}

impl StrategyArg {
    fn names(self) -> Vec<Name> {
        match self {
            StrategyArg::All => Name::ALL.into(),
            StrategyArg::Reopen => vec![Name::Reopen],
            StrategyArg::EarlyClose => vec![Name::EarlyClose],
            StrategyArg::Drain => vec![Name::Drain],
            StrategyArg::Pullcord => vec![Name::Pullcord],
        }
    }
}
