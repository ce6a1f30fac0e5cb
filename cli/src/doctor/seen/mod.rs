//! Observes a queue and its readers. The results are plain values, which `checks` judges.

pub(super) mod entries;
pub(super) mod file_system;
pub(super) mod limits;
pub(super) mod owners;
pub(super) mod process;
pub(super) mod readers;
mod searches;
pub(super) mod trigger;
pub(super) mod watch;

// The processes of this system.
#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "linux.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "unsupported.rs")]
mod system;

use std::path::PathBuf;
use std::time::Duration;

use super::layout::Queue;
use process::{Access, ProcessId};

/// One observation of a queue.
pub(super) struct Observation {
    pub(super) trigger: trigger::Trigger,
    pub(super) readers: readers::Readers,
    pub(super) entries: entries::Entries,
    pub(super) taken: entries::Taken,
    pub(super) owners: owners::Owners,
    pub(super) file_systems: Vec<file_system::FileSystem>,
    pub(super) limits: limits::Limits,
    pub(super) watch: watch::Watch,
}

/// Observes the queue and its readers. Calls `progress` before each sample.
pub(super) fn observe(
    queue: &Queue,
    seconds: Duration,
    probe: bool,
    progress: impl FnMut(Duration),
) -> Observation {
    let trigger = trigger::look(queue);
    let fifo = trigger.fifo(queue);
    let mut sampling = readers::Sampling::new(queue, fifo);
    sampling.run(seconds, progress);
    let mut changes = sampling.changes;
    let readers = sampling.readers.finish(queue, &trigger, probe);
    let entries = entries::look(queue);
    changes.compare(queue);
    let taken = entries::taken(&changes, &entries);
    let users = owners::Users::read();
    let watch = watch::look(queue);
    Observation {
        limits: limits::look(&readers, &watch),
        owners: owners::look(queue, users),
        file_systems: file_system::look(queue),
        watch,
        trigger,
        readers,
        entries,
        taken,
    }
}

/// Returns the major and the minor number of a device.
fn device_numbers(device: u64) -> (u32, u32) {
    // macOS has 32 bits, with a sign.
    let device = device as rustix::fs::Dev;
    (rustix::fs::major(device), rustix::fs::minor(device))
}

/// Identifies the FIFO in the search for its readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fifo {
    /// Absolute, without symbolic links.
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// Major and minor number.
    pub(super) device: (u32, u32),
}

/// A process that has the FIFO open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) process: Process,
    pub(super) access: Access,
    /// Whether it has a FIFO open that is no longer at the path.
    pub(super) is_removed: bool,
    /// The number of its open descriptors.
    pub(super) open: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) name: String,
    pub(super) user: u32,
    pub(super) real_user: u32,
    /// Its limit of open files: `None` if it is not known, `Some(None)` if there is none.
    pub(super) limit: Option<Option<u64>>,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.id.number)
    }
}

/// One search through all processes.
pub(super) struct Scan {
    pub(super) holders: Vec<Holder>,
    /// Processes whose descriptors could not be seen.
    pub(super) hidden: usize,
}

/// The processor time of a process since its start, and its current state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// The letter of /proc/PID/stat.
    pub(super) state: char,
    /// Clock ticks.
    pub(super) user: u64,
    pub(super) system: u64,
    /// The nanoseconds in which it ran or was ready to run. `None` if the kernel does not count them.
    pub(super) demand: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InotifyUse {
    pub(super) instances: u64,
    pub(super) watches: u64,
    /// Some processes could not be seen.
    pub(super) is_partial: bool,
}
