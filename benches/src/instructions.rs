//! Counts instructions outside the kernel. Other load on the machine does not change these counts.
//!
//! callgrind counts only between the entry of `counted` and its return. The pulls and the setup do not
//! count.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use pullcord::Trigger;

use crate::arrive::{Kind, PARTS, Spool, is_new};
use crate::fill::Seeds;
use crate::loops::{AnyBest, AnySelect, EDGE, Loop, Ours, Pulled, RawEdge};
use crate::raw::{self, Fifo};
use crate::scan;

/// The desired maximum of a wake's instructions, as a ratio to the raw loop. BENCHMARKS.md explains why
/// a wake takes more.
pub const TARGET: f64 = 1.15;

/// A piece of work whose instructions are counted for the raw loop and for pullcord.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The name of the work.
    pub name: &'static str,
    /// How many instructions pullcord may take on x86-64: the count when this was written, and 2 %.
    pub most: f64,
    raw: Subject,
    ours: Subject,
}

/// Does the work within [`counted`] and returns how many times.
type Subject = fn() -> io::Result<usize>;

/// All pairs.
pub const PAIRS: [Pair; 7] = [
    Pair {
        name: "wake",
        most: 150.0,
        raw: wake::<RawEdge, Fifo>,
        ours: wake::<Ours<AnyBest, EDGE>, Trigger>,
    },
    Pair {
        name: "wake, select",
        most: 361.0,
        raw: wake::<raw::Select, Fifo>,
        ours: wake::<Ours<AnySelect, EDGE>, Trigger>,
    },
    Pair {
        name: "arrival",
        most: 875.0,
        raw: || arrive(Kind::Raw, 1),
        ours: || arrive(Kind::Watching, 1),
    },
    Pair {
        name: "arrival, pulled",
        most: 984.0,
        raw: || arrive(Kind::RawPulled, 1),
        ours: || arrive(Kind::WatchingPulled, 1),
    },
    Pair {
        name: "arrival, received",
        most: 990.0,
        raw: || arrive(Kind::Raw, 1),
        ours: || arrive(Kind::Receiving, 1),
    },
    Pair {
        name: "arrival, of 100 at once",
        most: 245.0,
        raw: || arrive(Kind::Raw, 100),
        ours: || arrive(Kind::Watching, 100),
    },
    Pair { name: "entry scanned", most: 198.0, raw: || read(scan::raw), ours: || read(scan::ours) },
];

/// The counts of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Instructions of the raw loop.
    pub raw: f64,
    /// Instructions of pullcord.
    pub ours: f64,
}

impl Pair {
    /// Runs both sides under callgrind. `program` must call [`perform`] with its arguments.
    ///
    /// # Errors
    ///
    /// Fails if `valgrind` is not installed or fails.
    pub fn count(&self, program: &std::path::Path) -> io::Result<Counts> {
        let count = |side| -> io::Result<f64> {
            let run = Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .args(["--collect-atstart=no", "--toggle-collect=*instructions*counted*"])
                .arg(program)
                .args(["perform", self.name, side])
                .output()?;
            let output = String::from_utf8_lossy(&run.stderr);
            let collected = output.lines().find_map(|line| line.split_once("Collected :"));
            let collected = collected.and_then(|(_, count)| count.trim().parse::<f64>().ok());
            let times = String::from_utf8_lossy(&run.stdout).trim().parse::<f64>().ok();
            match (collected, times) {
                (Some(collected), Some(times)) => Ok(collected / times),
                _ => Err(io::Error::other(format!("callgrind printed no count:\n{output}"))),
            }
        };
        Ok(Counts { raw: count("raw")?, ours: count("ours")? })
    }
}

/// Does the work of one side of a pair and returns how many times.
///
/// # Errors
///
/// Fails with `InvalidInput` if `name` or `side` is unknown. Otherwise fails with the error of the work.
pub fn perform(name: &str, side: &str) -> io::Result<usize> {
    let pair = PAIRS.iter().find(|pair| pair.name == name);
    match (pair, side) {
        (Some(pair), "raw") => (pair.raw)(),
        (Some(pair), "ours") => (pair.ours)(),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "unknown work or side; use a name from the table, and raw or ours",
        )),
    }
}

/// Marks the code that callgrind counts.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Waits for a FIFO that is pulled before each wait.
fn wake<L: Loop, F: Pulled>() -> io::Result<usize> {
    const TIMES: usize = 1000;
    let home = tempfile::tempdir()?;
    let path = home.path().join("trigger");
    Trigger::create(&path, 0o622).map_err(io::Error::other)?;
    let (mut poll, mut trigger) = (L::open()?, F::open(&path)?);
    let mut writer = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
    poll.add(trigger.as_fd(), 0)?;
    let mut pull = || writer.write_all(&[1]);
    pull()?;
    poll.wait(|_| trigger.drain())?;
    for _ in 0..TIMES {
        pull()?;
        counted(|| poll.wait(|_| trigger.drain()))?;
    }
    poll.remove(trigger.as_fd())?;
    Ok(TIMES)
}

/// Reads messages that were linked before the reader runs.
fn arrive(kind: Kind, at_once: usize) -> io::Result<usize> {
    const TIMES: usize = 300;
    let mut spool = Spool::with(PARTS, 0)?;
    let mut reader = kind.open(&spool)?;
    for time in 0..=TIMES {
        for _ in 0..at_once {
            spool.link(kind.is_pulled())?;
        }
        let mut found = 0;
        while found < at_once {
            let mut wake = || reader.wake(&mut |_, name| found += usize::from(is_new(name)));
            // The first turn allocates the buffers.
            if time == 0 { wake()? } else { counted(wake)? }
        }
        spool.remove_linked()?;
    }
    Ok(TIMES * at_once)
}

/// Reads a directory from its beginning to its end.
fn read(scan: scan::Scan) -> io::Result<usize> {
    const ENTRIES: usize = 20_000;
    let home = tempfile::tempdir()?;
    Seeds::fill(home.path(), ENTRIES)?;
    counted(|| scan(&home.path().join("todo")))
}
