//! The writers, and the queue that they write into.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pullcord::Trigger;
use tempfile::TempDir;

use crate::failure::Failure;
use crate::message::Moment;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Load {
    /// The processes that pull, and how they do it
    #[arg(long, value_enum, default_value_t = Scenario::Storm)]
    pub(super) scenario: Scenario,
    /// Duration of the load on each strategy
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// In a storm: number of processes that write
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    writers: u64,
    /// In a storm: time that each holds the trigger open, in microseconds
    #[arg(long, value_name = "US", default_value_t = 5_000)]
    hold_us: u64,
    /// In a storm: pause of each after that, in microseconds
    #[arg(long, value_name = "US", default_value_t = 0)]
    gap_us: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Scenario {
    /// One writer writes a byte, and keeps the trigger open
    Hold,
    /// Many writers, as on a busy host
    Storm,
    /// One well-behaved writer, and a hostile local user who writes as fast as possible
    Flood,
}

impl Scenario {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Scenario::Hold => "hold",
            Scenario::Storm => "storm",
            Scenario::Flood => "flood",
        }
    }
}

/// The pause of the well-behaved writer beside a flooder between two entries.
const SPACED: Duration = Duration::from_millis(10);

impl Load {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Returns the arguments of each writer. The time of the load starts now.
    pub(super) fn writers(&self, queue: &TestQueue) -> Vec<Vec<OsString>> {
        let until = Moment::now().after(self.time());
        let queue = queue.root();
        let writer = |number: u64, step: u64, hold: Duration, gap: Duration| {
            let times = [hold, gap].map(|time| time.as_micros() as u64);
            let numbers = [number, step].into_iter().chain(times).map(|n| n.to_string().into());
            ["storm-writer".into(), queue.into(), until.to_string().into()]
                .into_iter()
                .chain(numbers)
                .collect()
        };
        match self.scenario {
            Scenario::Hold => vec![writer(0, 1, self.time(), Duration::ZERO)],
            Scenario::Storm => {
                let [hold, gap] = [self.hold_us, self.gap_us].map(Duration::from_micros);
                (0..self.writers).map(|number| writer(number, self.writers, hold, gap)).collect()
            }
            Scenario::Flood => {
                let mut flooder: Vec<OsString> = writer(1, 2, Duration::ZERO, Duration::ZERO);
                flooder.push("--flood".into());
                vec![writer(0, 2, Duration::ZERO, SPACED), flooder]
            }
        }
    }
}

/// Describes the load.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scenario {
            Scenario::Hold => write!(f, "hold: one byte written, and the trigger held open"),
            Scenario::Storm => write!(
                f,
                "storm: writers {}, hold {} µs, gap {} µs",
                self.writers, self.hold_us, self.gap_us
            ),
            Scenario::Flood => write!(f, "flood: one writer as fast as possible, one every 10 ms"),
        }
    }
}

/// A queue like that of qmail, with a directory for unfinished messages. Removed when it is dropped.
pub(super) struct TestQueue(TempDir);

impl TestQueue {
    pub(super) fn create() -> Result<TestQueue, Failure> {
        let make = || -> io::Result<TempDir> {
            let queue = tempfile::Builder::new().prefix("pullcord-storm-").tempdir()?;
            for directory in ["lock", "mess", "todo"] {
                fs::create_dir(queue.path().join(directory))?;
            }
            Ok(queue)
        };
        let queue = make().map_err(|e| Failure::at_start(&std::env::temp_dir(), "make a queue", e));
        let queue = TestQueue(queue?);
        Trigger::create(queue.trigger(), 0o622).map_err(Failure::bad_input)?;
        Ok(queue)
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn trigger(&self) -> PathBuf {
        self.root().join("lock/trigger")
    }

    pub(super) fn todo(&self) -> PathBuf {
        self.root().join("todo")
    }
}
