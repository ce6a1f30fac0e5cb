//! `pullcord watch`: observes a queue.

mod exec;
mod format;
mod known;
mod metrics;
mod observer;
mod open;
mod options;
mod output;
mod stats;
mod totals;

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{Backend, Escaped, Events, Interest, Key, Mode, Notifier, Queue, Stats};

pub(crate) use options::Arguments;

use crate::backends;
use crate::failure::Failure;
use crate::mail::Mail;
use crate::signals::Signals;
use exec::Ending;
use observer::{End, Observer};
use open::Description;
use output::Output;

/// The keys beside those of [`Mail`].
const SIGNALS: Key = Key(2);
const CHILDREN: Key = Key(3);

/// How long a reader of the output that is stopped can delay the end after a signal.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = format::since_1970();
    if arguments.exec.exec.is_some() {
        // A command gets descriptors 0 to 2, and none that a supervisor or a shell has left open here.
        pullcord_platform::inherited::close_on_exec();
    }
    let backend = arguments.queue.backend.backend()?;
    let Description { name, options, trigger_fd, notice } = arguments.queue.describe()?;
    let signals = Signals::catch().map_err(|e| Failure::at_start(&name, "catch signals", e))?;
    let children = arguments.exec.exec.as_ref().map(|_| Signals::of_children()).transpose();
    let children = children.map_err(|e| Failure::at_start(&name, "catch signals", e))?;
    let queue = arguments.queue.open(&options)?;
    let mut waits = Waits::open(backend, &name, signals, children)?;
    let mut mail = Mail::register(queue, backend, &mut *waits.for_all)
        .map_err(|e| Failure::at_start(&name, "wait for the queue", e))?;
    let outputs =
        Outputs::start(&mut waits).map_err(|e| Failure::at_start(&name, "start the output", e))?;
    if let Some(notice) = notice {
        outputs.report(notice);
    }
    if io::stderr().is_terminal() {
        outputs.report(format!("watching {} with {backend}; Ctrl-C ends it", Escaped(&name)));
    }

    let mut observer = Observer::new(arguments, &options, &outputs, started)?;
    let end = observer
        .create_metrics(&name, mail.queue())
        .and_then(|()| observer.run(&mut mail, &mut waits));
    let ending = if matches!(end, Ok(End::AsAsked)) { Ending::AtTheirEnd } else { Ending::Now };
    let end = observer.stop_commands(ending, &mut mail, &mut waits).and(end);
    if matches!(end, Ok(End::AsAsked | End::BySignal)) {
        observer.finish(mail.queue());
        outputs.report(summary(observer.found(), observer.commands(), mail.queue()));
    }
    if let Some(trigger) = trigger_fd {
        // Bytes that stay would start the service again.
        let closed = match end {
            Ok(End::AsAsked) => mail.close().map(drop),
            Ok(End::BySignal) => open::empty(&trigger),
            _ => Ok(()),
        };
        closed.unwrap_or_else(|e| outputs.report(e));
    }
    let limit = matches!(end, Ok(End::BySignal)).then_some(GRACE);
    outputs.finish(&mut waits, limit)?;
    end.map(drop)
}

/// The two things that the loop waits with.
struct Waits {
    /// Waits for the queue and for signals.
    for_all: Box<dyn Notifier>,
    /// Waits for signals only, while the output is full or as many commands run as may. The queue is
    /// readable meanwhile, and a wait for it would return immediately.
    for_signals: Box<dyn Notifier>,
    signals: Signals,
    /// SIGCHLD, with --exec.
    children: Option<Signals>,
}

impl Waits {
    fn open(
        backend: Backend,
        name: &Path,
        signals: Signals,
        children: Option<Signals>,
    ) -> Result<Waits, Failure> {
        let open = || {
            let mut notifier = backends::open(backend, name)?;
            let sources = [(SIGNALS, Some(&signals)), (CHILDREN, children.as_ref())];
            for (key, source) in sources {
                let Some(source) = source else { continue };
                notifier
                    .register(source, key, Interest::Read, Mode::Level)
                    .map_err(|e| Failure::at_start(name, "wait for signals", e))?;
            }
            Ok(notifier)
        };
        let (for_all, for_signals) = (open()?, open()?);
        Ok(Waits { for_all, for_signals, signals, children })
    }

    /// Takes the signals of children that have come.
    fn take_children(&self) {
        if let Some(children) = &self.children {
            children.take();
        }
    }
}

/// Standard output and standard error.
struct Outputs {
    lines: Output,
    messages: Output,
    name: anstyle::Style,
}

impl Outputs {
    fn start(waits: &mut Waits) -> io::Result<Outputs> {
        let wakers = vec![waits.for_all.waker()?, waits.for_signals.waker()?];
        let is_plain = anstream::AutoStream::choice(&io::stderr()) == anstream::ColorChoice::Never;
        let name = anstyle::Style::new();
        Ok(Outputs {
            lines: Output::start(io::stdout(), wakers.clone())?,
            messages: Output::start(io::stderr(), wakers)?,
            name: if is_plain { name } else { name.bold() },
        })
    }

    /// Prints a message on standard error, in one line that begins with the command's name.
    fn report(&self, message: impl Display) {
        let name = self.name;
        // While a mebibyte waits for a reader, more messages would only use memory.
        if self.messages.is_full() {
            return;
        }
        self.messages.push(format!("{name}pullcord:{name:#} {message}\n").as_bytes());
    }

    /// Returns whether standard output has a reader. Fails if it cannot be written for another reason.
    fn has_reader(&self) -> Result<bool, Failure> {
        match self.lines.error() {
            None => Ok(true),
            Some((io::ErrorKind::BrokenPipe, _)) => Ok(false),
            Some((_, message)) => {
                Err(Failure::failed(format!("cannot write to standard output: {message}")))
            }
        }
    }

    /// Waits until everything is written, for this time at most. A signal cuts the wait short.
    fn finish(&self, waits: &mut Waits, limit: Option<Duration>) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1);
        // Both are asked, so that both wake.
        while !(self.lines.is_written() & self.messages.is_written()) {
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            waits.for_signals.wait(&mut events, left).map_err(Failure::waiting)?;
            if events.iter().any(|event| event.key == SIGNALS) {
                break;
            }
            if events.iter().any(|event| event.key == CHILDREN) {
                waits.take_children();
            }
        }
        self.has_reader().map(drop)
    }
}

/// Returns the counters of the commands and of the queue, the latter by the names of [`Stats`].
fn summary(found: u64, commands: Option<exec::Counts>, queue: &Queue) -> String {
    let done = match commands {
        None => format!("printed {found}"),
        Some(commands) => format!(
            "found {found}, started {}, succeeded {}, failed {}",
            commands.started, commands.succeeded, commands.failed
        ),
    };
    let Stats { wakeups, trigger_reads, pulls, trigger_reopens, scans, .. } = queue.stats();
    let Stats { directories_read, scan_entries, watch_entries, .. } = queue.stats();
    let Stats { watch_overflows, verifications, warnings, .. } = queue.stats();
    format!(
        "{done}; wakeups {wakeups}, trigger_reads {trigger_reads}, pulls {pulls}, \
         trigger_reopens {trigger_reopens}, scans {scans}, \
         directories_read {directories_read}, scan_entries {scan_entries}, \
         watch_entries {watch_entries}, watch_overflows {watch_overflows}, \
         verifications {verifications}, warnings {warnings}, unwatched_directories {}",
        queue.unwatched_directories()
    )
}
