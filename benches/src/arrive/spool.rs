//! The directories of a measurement, whose backlog stays in them.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use pullcord::Trigger;
use tempfile::TempDir;

use crate::fill::Seeds;

/// The queue's directories, its trigger, and the messages that were linked and not yet removed.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) parts: Vec<PathBuf>,
    pub(crate) trigger: PathBuf,
    seeds: Seeds,
    linked: Vec<PathBuf>,
    count: usize,
    _home: TempDir,
}

impl Spool {
    /// Creates `parts` directories with `backlog` messages in them.
    pub(crate) fn with(parts: usize, backlog: usize) -> io::Result<Spool> {
        let home = tempfile::tempdir()?;
        let parts: Vec<_> =
            (0..parts).map(|part| home.path().join(format!("todo/{part}"))).collect();
        parts.iter().try_for_each(fs::create_dir_all)?;
        let trigger = home.path().join("trigger");
        Trigger::create(&trigger, 0o622).map_err(io::Error::other)?;
        let mut seeds = Seeds::new(&home.path().join("intd"))?;
        for number in 0..backlog {
            seeds.link(&parts[number % parts.len()].join((1_000_000 + number).to_string()))?;
        }
        Ok(Spool { parts, trigger, seeds, linked: Vec::new(), count: 0, _home: home })
    }

    /// Queues one more message.
    pub(crate) fn link(&mut self, pull: bool) -> io::Result<()> {
        self.count += 1;
        let path =
            self.parts[self.count % self.parts.len()].join(format!("{NEW}{:07}", self.count));
        self.seeds.link(&path)?;
        self.linked.push(path);
        if pull { self.pull() } else { Ok(()) }
    }

    /// Pulls the trigger as qmail-queue does. A full trigger counts as pulled. A trigger without a
    /// reader is not an error: the reader may have found the message and closed the trigger.
    fn pull(&self) -> io::Result<()> {
        use std::io::Write as _;
        let fifo =
            fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&self.trigger);
        match fifo.and_then(|mut fifo| fifo.write_all(&[1])) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(()),
            pulled => pulled,
        }
    }

    /// Removes the linked messages, as a program does that has processed them.
    pub(crate) fn remove_linked(&mut self) -> io::Result<()> {
        self.linked.drain(..).try_for_each(fs::remove_file)
    }
}

/// The first character in the names of messages that do not belong to the backlog.
const NEW: &str = "n";

/// Returns whether this message does not belong to the backlog.
pub(crate) fn is_new(name: &[u8]) -> bool {
    name.starts_with(NEW.as_bytes())
}
