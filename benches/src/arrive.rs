//! Measures the cost and the latency of an arrival. A message is linked into a split queue that
//! already contains other messages.
//!
//! The cost is the processor time of all threads, without the time for linking. Messages arrive one
//! by one, each after the reader has finished with the previous one, or a thousand before the reader
//! runs. The latency is the time from before link(2) until the reader returns the name. The reader
//! sleeps in a thread of its own.

// notify 8 does not compile on DragonFly.
#[cfg(not(target_os = "dragonfly"))]
mod notified;
mod spool;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Key, Notifier, Queue, QueueOptions, Receiver, WatchMode};
use serde::Serialize;

use crate::raw::{self, Sink};
use crate::rng::Rng;
use crate::rounds::{Rounds, Spread, how_often, percentile};
use crate::{Options, Report, Steps, Target, cpu_time};
pub(crate) use spool::{Spool, is_new};

/// The figures of one implementation and one backlog.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// The number of messages that stay in the queue.
    pub backlog: usize,
    /// The processor time for each message that arrives.
    #[serde(serialize_with = "Spread::median")]
    pub ns_per_entry: Spread,
    /// The median latency. `None` for bursts, where it is not measured.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub p50_us: Option<Spread>,
    /// The 99th percentile of the latency. `None` for bursts.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub p99_us: Option<Spread>,
    /// The ratio to the processor time of the raw loop.
    #[serde(serialize_with = "Spread::median_or_null")]
    pub vs_raw: Option<Spread>,
}

/// The number of messages in a burst. They fit into inotify's queue of 16,384 events.
const BURST: usize = 1000;

pub(crate) fn run(options: &Options, steps: &mut Steps<'_>, report: &mut Report) -> io::Result<()> {
    let backlogs: &[usize] =
        if options.quick { &[0, 10_000, 100_000] } else { &[0, 10_000, 100_000, 1_000_000] };
    let mut spools = Vec::new();
    let mut candidates = Vec::new();
    for (spool, &backlog) in backlogs.iter().enumerate() {
        spools.push(Spool::with(backlog)?);
        for kind in Kind::ALL.into_iter().filter(|kind| options.includes(kind.name())) {
            if let Err(error) = kind.open(&spools[spool]) {
                report
                    .notes
                    .push(format!("arrive: {} is not available here: {error}", kind.name()));
                continue;
            }
            let bursts = kind.watches().then_some(ArrivalPattern::InBursts);
            let pattern = [ArrivalPattern::OneByOne].into_iter().chain(bursts);
            candidates.extend(pattern.map(|pattern| Candidate::new(kind, pattern, spool)));
        }
    }
    let rounds = options.rounds();
    steps.expect(candidates.len() * rounds);
    let rounds = Rounds::of(rounds, &mut candidates, |candidate| {
        let spool = &mut spools[candidate.spool];
        let cost = candidate.turn(spool);
        steps.done();
        cost
    })?;

    let find = |kind, pattern, spool| {
        candidates.iter().position(|c| (c.kind, c.pattern, c.spool) == (kind, pattern, spool))
    };
    for (number, candidate) in candidates.iter().enumerate() {
        let raw = find(candidate.kind.raw(), candidate.pattern, candidate.spool);
        let latency = |percentiles: &[f64]| {
            (!percentiles.is_empty()).then(|| Spread::of(percentiles.iter().copied()))
        };
        report.arrive.push(Row {
            implementation: candidate.name(),
            backlog: backlogs[candidate.spool],
            ns_per_entry: rounds.spread(number),
            p50_us: latency(&candidate.p50),
            p99_us: latency(&candidate.p99),
            vs_raw: raw.map(|raw| rounds.ratio(number, raw)),
        });
    }
    let mut must = |claim: String, one: Option<usize>, other: Option<usize>, most: f64| {
        if let (Some(one), Some(other)) = (one, other) {
            report.targets.push(Target { claim, ratio: rounds.ratio(one, other), most });
        }
    };
    use ArrivalPattern::{InBursts, OneByOne};
    for (spool, backlog) in backlogs.iter().enumerate() {
        for (pattern, how) in [(OneByOne, "one by one"), (InBursts, "in bursts")] {
            for ours in [Kind::Watching, Kind::WatchingPulled, Kind::Receiving] {
                must(
                    format!(
                        "arrive: {} / {}, {backlog} waiting, {how}",
                        ours.name(),
                        ours.raw().name()
                    ),
                    find(ours, pattern, spool),
                    find(ours.raw(), pattern, spool),
                    1.25,
                );
            }
            must(
                format!("arrive: {} / notify, {backlog} waiting, {how}", Kind::Watching.name()),
                find(Kind::Watching, pattern, spool),
                find(Kind::Notify, pattern, spool),
                0.5,
            );
        }
    }
    if let Some(many) = backlogs.iter().position(|backlog| *backlog == 100_000) {
        must(
            format!("arrive: {}, 100000 waiting / none", Kind::Watching.name()),
            find(Kind::Watching, OneByOne, many),
            find(Kind::Watching, OneByOne, 0),
            1.1,
        );
        must(
            format!("arrive: {} / {}, 100000 waiting", Kind::Watching.name(), Kind::Qmail.name()),
            find(Kind::Watching, OneByOne, many),
            find(Kind::Qmail, OneByOne, many),
            0.01,
        );
    }
    Ok(())
}

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Raw,
    RawPulled,
    Watching,
    Receiving,
    WatchingPulled,
    Scanning,
    Notify,
    Qmail,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Raw,
        Kind::Watching,
        Kind::Receiving,
        Kind::RawPulled,
        Kind::WatchingPulled,
        Kind::Notify,
        Kind::Scanning,
        Kind::Qmail,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Raw => raw::WATCH,
            Kind::RawPulled => raw::WATCH_AND_TRIGGER,
            Kind::Watching => "pullcord watch",
            Kind::Receiving => "pullcord receiver",
            Kind::WatchingPulled => "pullcord watch+trigger",
            Kind::Scanning => "pullcord trigger+scan",
            Kind::Notify => "notify",
            Kind::Qmail => "qmail's scan",
        }
    }

    /// Returns whether a watch reports the names, so that the directories are not read.
    fn watches(self) -> bool {
        !matches!(self, Kind::Scanning | Kind::Qmail)
    }

    /// Returns whether the trigger is pulled after each link.
    pub(crate) fn is_pulled(self) -> bool {
        !matches!(self, Kind::Raw | Kind::Watching | Kind::Receiving | Kind::Notify)
    }

    /// Returns the raw loop that it is compared with.
    fn raw(self) -> Kind {
        if self == Kind::WatchingPulled || self == Kind::RawPulled {
            Kind::RawPulled
        } else {
            Kind::Raw
        }
    }

    pub(crate) fn open(self, spool: &Spool) -> io::Result<Box<dyn Reader>> {
        let (parts, trigger) = (&spool.parts, spool.trigger.as_path());
        Ok(match self {
            Kind::Raw => Box::new(raw::Arrivals::open(parts, None)?),
            Kind::RawPulled => Box::new(raw::Arrivals::open(parts, Some(trigger))?),
            Kind::Watching => Box::new(PullcordReader::open(&QueueOptions::directories(parts))?),
            Kind::Receiving => Box::new(ByReceiver::open(&QueueOptions::directories(parts))?),
            Kind::WatchingPulled => {
                Box::new(PullcordReader::open(&QueueOptions::directories(parts).trigger(trigger))?)
            }
            Kind::Scanning => Box::new(PullcordReader::open(
                &QueueOptions::directories(parts).trigger(trigger).watch(WatchMode::Off),
            )?),
            #[cfg(not(target_os = "dragonfly"))]
            Kind::Notify => Box::new(notified::Notified::open(spool)?),
            #[cfg(target_os = "dragonfly")]
            Kind::Notify => return Err(io::ErrorKind::Unsupported.into()),
            Kind::Qmail => Box::new(raw::Qmail::open(parts, trigger)?),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArrivalPattern {
    OneByOne,
    InBursts,
}

/// One implementation, with one spool.
struct Candidate {
    kind: Kind,
    pattern: ArrivalPattern,
    spool: usize,
    p50: Vec<f64>,
    p99: Vec<f64>,
    rng: Rng,
}

impl Candidate {
    fn new(kind: Kind, pattern: ArrivalPattern, spool: usize) -> Candidate {
        Candidate { kind, pattern, spool, p50: Vec::new(), p99: Vec::new(), rng: Rng::new() }
    }

    fn name(&self) -> String {
        match self.pattern {
            ArrivalPattern::OneByOne => self.kind.name().into(),
            ArrivalPattern::InBursts => format!("{}, bursts", self.kind.name()),
        }
    }

    /// Returns the processor time for each message, in nanoseconds. Opens the reader for this turn only,
    /// so that no other reader receives the same messages.
    fn turn(&mut self, spool: &mut Spool) -> io::Result<f64> {
        let mut reader = self.kind.open(spool)?;
        let pulled = self.kind.is_pulled();
        let looking = middle(100, || cost_of(&mut NoopReader, spool, 0, false))?;
        cost_of(&mut *reader, spool, 1, pulled)?;
        let begun = Instant::now();
        cost_of(&mut *reader, spool, 1, pulled)?;
        let each = begun.elapsed();
        if self.pattern == ArrivalPattern::InBursts {
            let burst = middle(3, || cost_of(&mut *reader, spool, BURST, pulled))?;
            return Ok((burst - looking) / BURST as f64);
        }
        let times = how_often(Duration::from_millis(10), each, 200);
        let cost = middle(times, || cost_of(&mut *reader, spool, 1, pulled))? - looking;
        let times = how_often(Duration::from_millis(40), GAP + 4 * each, 100);
        let mut latencies = self.latencies(reader, spool, times, each)?;
        latencies.sort_by(f64::total_cmp);
        self.p50.push(percentile(&latencies, 50.0));
        self.p99.push(percentile(&latencies, 99.0));
        Ok(cost)
    }

    /// Returns the latency of each message, in microseconds. The messages arrive at random times. An
    /// earlier message took `each`.
    fn latencies(
        &mut self,
        mut reader: Box<dyn Reader>,
        spool: &mut Spool,
        messages: usize,
        each: Duration,
    ) -> io::Result<Vec<f64>> {
        let (found, findings) = mpsc::channel();
        let reading = thread::spawn(move || {
            let mut left = messages;
            while left > 0 {
                reader.wake(&mut |_, name| {
                    if is_new(name) && found.send(Instant::now()).is_ok() {
                        left -= 1;
                    }
                })?;
            }
            Ok(())
        });
        let mut latencies = Vec::with_capacity(messages);
        let mut slowest = each;
        for _ in 0..messages {
            // A reader that pauses after a scan must have finished its pause: these messages are
            // separate arrivals.
            thread::sleep(2 * slowest + self.rng.around(GAP));
            let linked = Instant::now();
            spool.link(self.kind.is_pulled())?;
            let Ok(found) = findings.recv() else { break };
            let latency = found.saturating_duration_since(linked);
            slowest = slowest.max(latency);
            latencies.push(latency.as_nanos() as f64 / 1e3);
            spool.remove_linked()?;
        }
        reading.join().expect("a reader does not panic").map(|()| latencies)
    }
}

/// The mean time between two separate arrivals.
const GAP: Duration = Duration::from_micros(300);

/// Returns the mean of the middle half of the measurements, in nanoseconds. Therefore an interruption
/// does not count, nor does a clock that did not advance.
fn middle(times: usize, mut measure: impl FnMut() -> io::Result<Duration>) -> io::Result<f64> {
    let mut values = (0..times).map(|_| measure()).collect::<io::Result<Vec<_>>>()?;
    values.sort();
    let middle = &values[times / 4..times - times / 4];
    Ok(middle.iter().map(|value| value.as_nanos() as f64).sum::<f64>() / middle.len() as f64)
}

/// Returns the processor time of all threads, without the time for linking the messages and for
/// removing them afterwards.
fn cost_of(
    reader: &mut dyn Reader,
    spool: &mut Spool,
    messages: usize,
    pulled: bool,
) -> io::Result<Duration> {
    let all = cpu_time::of_all();
    let linking = cpu_time::of_this_thread();
    for _ in 0..messages {
        spool.link(pulled)?;
    }
    let linking = cpu_time::of_this_thread() - linking;
    let mut found = 0;
    while found < messages || reader.is_busy() {
        reader.wake(&mut |_, name| found += usize::from(is_new(name)))?;
    }
    let removing = cpu_time::of_this_thread();
    spool.remove_linked()?;
    let removing = cpu_time::of_this_thread() - removing;
    Ok((cpu_time::of_all() - all).saturating_sub(linking + removing))
}

/// A reader of the queue.
pub(crate) trait Reader: Send {
    /// Sleeps until an entry arrives, then passes the entries that it finds to `sink`.
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()>;

    /// Returns whether the work of the last wake-up continues.
    fn is_busy(&self) -> bool {
        false
    }
}

/// Does nothing, to measure the cost of the measurement itself.
struct NoopReader;

impl Reader for NoopReader {
    fn wake(&mut self, _: Sink<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Reader for raw::Arrivals {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        raw::Arrivals::wake(self, sink)
    }
}

impl Reader for raw::Qmail {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        raw::Qmail::wake(self, sink)
    }
}

/// pullcord's queue in a loop on a notifier, as the documentation shows it.
struct PullcordReader {
    queue: Queue,
    notifier: Box<dyn Notifier>,
    events: Events,
}

impl PullcordReader {
    /// Opens the queue and reads the entries that it already contains.
    fn open(options: &QueueOptions) -> io::Result<PullcordReader> {
        let mut queue = options.open()?;
        let mut notifier = Backend::best().open()?;
        queue.register(&mut *notifier, [Key(0), Key(1)]);
        let mut ours = PullcordReader { queue, notifier, events: Events::with_capacity(64) };
        ours.wake(&mut |_, _| {})?;
        while ours.is_busy() {
            ours.wake(&mut |_, _| {})?;
        }
        Ok(ours)
    }
}

impl Reader for PullcordReader {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let PullcordReader { queue, notifier, events } = self;
        let timeout = queue.prepare(&mut **notifier, Instant::now());
        notifier.wait(events, timeout)?;
        for event in &*events {
            let _ = queue.handle_event(event);
        }
        let now = Instant::now();
        while let Some(entry) = queue.next_entry(now) {
            sink(entry.directory, entry.name.as_bytes());
        }
        match queue.next_warning() {
            Some(warning) => Err(io::Error::other(warning)),
            None => Ok(()),
        }
    }

    fn is_busy(&self) -> bool {
        self.queue.is_scanning()
    }
}

/// pullcord's queue with the library's own loop.
struct ByReceiver(Receiver);

impl ByReceiver {
    /// Opens the queue and reads the entries that it already contains.
    fn open(options: &QueueOptions) -> io::Result<ByReceiver> {
        let mut mail = options.receiver()?;
        loop {
            while mail.try_recv().is_some() {}
            if !mail.queue().is_scanning() {
                return Ok(ByReceiver(mail));
            }
        }
    }
}

impl Reader for ByReceiver {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        if let Some(entry) = self.0.recv()? {
            sink(entry.directory, entry.name.as_bytes());
        }
        match self.0.next_warning() {
            Some(warning) => Err(io::Error::other(warning)),
            None => Ok(()),
        }
    }
}
