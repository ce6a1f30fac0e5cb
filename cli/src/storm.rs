//! `pullcord storm`: the bug of 1998 shown, and shown gone.

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
use crate::{backends, print, print_json, say, watching};
use load::{Load, Place};
use meter::Meter;
use report::Report;
use strategies::Name;
use tally::Tally;

/// See the bug, and see it gone: the same storm of pulls against four ways to treat a trigger
///
/// To be rid of a pull, the queue managers of 1998 close their trigger and open it again. That works
/// only when nobody else has it open. In a storm somebody always has, and they look for mail without
/// end; any local user can see to that. This command runs each strategy against the same load, in a
/// temporary queue, and ends with a table. Writers are processes: each links an entry, opens the
/// FIFO, writes a byte, holds the FIFO open for a while, closes it.
#[derive(clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    load: Load,
    /// How to treat the trigger
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Choice::All)]
    strategy: Choice,
    #[command(flatten)]
    backend: backends::Choice,
    /// Whether pullcord is to watch the directory; off, its scans can be compared
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = watching::When::Off)]
    watch: watching::When,
    /// Print an array of objects, one for each strategy, instead of the table
    #[arg(long)]
    json: bool,
    /// Draw scans per second over time into this file, one line for each strategy
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Choice {
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
What the table says:
  pulls             writes that were tried; a flooder's, of whatever size, are such too
  refused           of those, ENXIO: nobody had the trigger open for reading
  broken            of those, EPIPE: it was closed before the byte was written
  full              of those, EAGAIN: the FIFO was full
  wakes             how often the reader was woken, by its trigger or by its own timeout
  scans             how often it read the directory; of those, the ones that found nothing
  lost              entries that were not seen a second after all else was over
  latency           from just before link(2) to the moment the entry is seen
  others served     turns in which the loop read from another descriptor that it waits for
  waited            from just before a message is written there to the moment it is read

Exit codes:
  0  pullcord lost nothing; what the others lose is what this is to show
  1  pullcord lost an entry, a writer died, or it was interrupted
  2  it could not be set up";

/// Keys beside those of the strategies.
const SIGNALS: Key = Key(2);
const REPORTS: Key = Key(3);

/// How long after everything else an entry that was not seen counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // The signals first: from here on nothing is left behind.
    let signals = Signals::catch()
        .map_err(|e| Failure::at_start(&std::env::temp_dir(), "catch signals", e))?;
    if let Some(file) = &arguments.plot {
        // Better said now than when all is over.
        File::create(file).map_err(|e| Failure::at_start(file, "draw", e))?;
    }
    let (mut reports, mut lines) = (Vec::new(), Vec::new());
    for name in arguments.strategy.names() {
        let (report, meter) = brave(name, arguments, &signals)?;
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
fn brave(name: Name, arguments: &Arguments, signals: &Signals) -> Result<(Report, Meter), Failure> {
    let place = Place::make()?;
    let backend = name.backend(arguments.backend.backend()?);
    let mut notifier = backends::open(backend, place.root())?;
    let mut strategy = name.open(&place, &mut *notifier, arguments.watch.into())?;
    let mut writers = Writers::start(place.root(), arguments.load.writers(&place))?;
    notifier
        .register(signals, SIGNALS, Interest::Read, Mode::Level)
        .and_then(|()| notifier.register(&writers, REPORTS, Interest::Read, Mode::Level))
        .map_err(|e| Failure::at_start(place.root(), "wait for writers", e))?;

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

        let mut wakes = own.is_some_and(|own| begun.elapsed() >= own);
        for event in &events {
            match event.key {
                SIGNALS => return Err(Failure::failed("interrupted; nothing is left behind")),
                REPORTS => {
                    writers.listen()?;
                    tally.hear(writers.told()?);
                    last = Instant::now();
                    if writers.are_done() {
                        notifier.deregister(&writers).map_err(Failure::waiting)?;
                        meter.stop();
                    }
                }
                _ => {
                    strategy.woken(event, &mut *notifier).map_err(Failure::failed)?;
                    wakes = true;
                }
            }
        }
        if wakes {
            // A turn that only goes on with the one before did not sleep.
            tally.wakes += u64::from(own != Some(Duration::ZERO));
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
            Err(error) => {
                say(error); // it is tried again
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

impl Choice {
    fn names(self) -> Vec<Name> {
        match self {
            Choice::All => Name::ALL.into(),
            Choice::Reopen => vec![Name::Reopen],
            Choice::EarlyClose => vec![Name::EarlyClose],
            Choice::Drain => vec![Name::Drain],
            Choice::Pullcord => vec![Name::Pullcord],
        }
    }
}
