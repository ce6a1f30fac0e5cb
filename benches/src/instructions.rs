//! Instructions outside the kernel: what a noisy machine cannot disturb.
//!
//! callgrind counts them between the entry of `counted` and its return, and nowhere else: neither
//! the pulls count, nor what happens once.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use pullcord::Trigger;

use crate::arrive::{Kind, Spool, is_new};
use crate::fill::Seeds;
use crate::loops::{AnyBest, AnySelect, EDGE, Loop, Ours, Pulled, RawEdge};
use crate::raw::{self, Fifo};
use crate::scan;

/// How many times the raw loop's instructions a wake should take at most. BENCHMARKS.md says why it
/// takes more.
pub const TARGET: f64 = 1.15;

/// Something that is counted of the raw loop and of pullcord.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// What.
    pub name: &'static str,
    /// How many instructions pullcord may take on x86-64: what was counted when this was written, and
    /// 2 %.
    pub most: f64,
    raw: Subject,
    ours: Subject,
}

/// Does its work, within [`counted`], and says how many times.
type Subject = fn() -> io::Result<usize>;

/// All there are.
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
        most: 888.0,
        raw: || arrive(Kind::Raw, 1),
        ours: || arrive(Kind::Watching, 1),
    },
    Pair {
        name: "arrival, pulled",
        most: 995.0,
        raw: || arrive(Kind::RawPulled, 1),
        ours: || arrive(Kind::WatchingPulled, 1),
    },
    Pair {
        name: "arrival, received",
        most: 975.0,
        raw: || arrive(Kind::Raw, 1),
        ours: || arrive(Kind::Receiving, 1),
    },
    Pair {
        name: "arrival, of 100 at once",
        most: 247.0,
        raw: || arrive(Kind::Raw, 100),
        ours: || arrive(Kind::Watching, 100),
    },
    Pair { name: "entry scanned", most: 192.0, raw: || read(scan::raw), ours: || read(scan::ours) },
];

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Instructions of the raw loop.
    pub raw: f64,
    /// Instructions of pullcord.
    pub ours: f64,
}

impl Pair {
    /// Runs both sides under callgrind. `program` is one that calls [`perform`] with its arguments.
    ///
    /// # Errors
    ///
    /// There is no `valgrind`, or it failed.
    pub fn count(&self, program: &std::path::Path) -> io::Result<Counts> {
        let count = |side| -> io::Result<f64> {
            let run = Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .args(["--collect-atstart=no", "--toggle-collect=*instructions*counted*"])
                .arg(program)
                .args(["perform", self.name, side])
                .output()?;
            let told = String::from_utf8_lossy(&run.stderr);
            let collected = told.lines().find_map(|line| line.split_once("Collected :"));
            let collected = collected.and_then(|(_, count)| count.trim().parse::<f64>().ok());
            let times = String::from_utf8_lossy(&run.stdout).trim().parse::<f64>().ok();
            match (collected, times) {
                (Some(collected), Some(times)) => Ok(collected / times),
                _ => Err(io::Error::other(format!("callgrind did not count:\n{told}"))),
            }
        };
        Ok(Counts { raw: count("raw")?, ours: count("ours")? })
    }
}

/// Does the work of one side of a pair, and says how many times it was done.
///
/// # Errors
///
/// There is no such work, or it failed.
pub fn perform(name: &str, side: &str) -> io::Result<usize> {
    let pair = PAIRS.iter().find(|pair| pair.name == name);
    match (pair, side) {
        (Some(pair), "raw") => (pair.raw)(),
        (Some(pair), "ours") => (pair.ours)(),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such work")),
    }
}

/// What callgrind looks at.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// A FIFO that is pulled each time before the wait.
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

/// Messages that have been linked when the reader gets to run.
fn arrive(kind: Kind, at_once: usize) -> io::Result<usize> {
    const TIMES: usize = 300;
    let mut spool = Spool::with(0)?;
    let mut reader = kind.open(&spool)?;
    for time in 0..=TIMES {
        for _ in 0..at_once {
            spool.link(kind.is_pulled())?;
        }
        let mut found = 0;
        while found < at_once {
            let mut wake = || reader.wake(&mut |_, name| found += usize::from(is_new(name)));
            // The first time there are buffers to be made.
            if time == 0 { wake()? } else { counted(wake)? }
        }
        spool.remove_linked()?;
    }
    Ok(TIMES * at_once)
}

/// A directory read from its beginning to its end.
fn read(scan: scan::Scan) -> io::Result<usize> {
    const ENTRIES: usize = 20_000;
    let home = tempfile::tempdir()?;
    Seeds::fill(home.path(), ENTRIES)?;
    counted(|| scan(&home.path().join("todo")))
}
