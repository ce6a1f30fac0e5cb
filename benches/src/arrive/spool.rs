//! A queue to be measured on: split as qmail's big-todo, with messages that nobody takes.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use pullcord::Trigger;
use tempfile::TempDir;

use crate::fill::Seeds;

/// As many parts as qmail's big-todo has.
const PARTS: usize = 23;

/// The queue's directories, its trigger, and what was linked and not removed yet.
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
    /// With so many messages waiting.
    pub(crate) fn with(backlog: usize) -> io::Result<Spool> {
        let home = tempfile::tempdir()?;
        let parts: Vec<_> =
            (0..PARTS).map(|part| home.path().join(format!("todo/{part}"))).collect();
        parts.iter().try_for_each(fs::create_dir_all)?;
        let trigger = home.path().join("trigger");
        Trigger::create(&trigger, 0o622).map_err(io::Error::other)?;
        let mut seeds = Seeds::new(&home.path().join("intd"))?;
        for number in 0..backlog {
            seeds.link(&parts[number % PARTS].join((1_000_000 + number).to_string()))?;
        }
        Ok(Spool { parts, trigger, seeds, linked: Vec::new(), count: 0, _home: home })
    }

    /// Queues one more message.
    pub(crate) fn link(&mut self, pull: bool) -> io::Result<()> {
        self.count += 1;
        let path = self.parts[self.count % PARTS].join(format!("{NEW}{:07}", self.count));
        self.seeds.link(&path)?;
        self.linked.push(path);
        if pull { self.pull() } else { Ok(()) }
    }

    /// As qmail-queue does it. A full trigger is as good as a pulled one; and nobody may be left to
    /// read it, if the message was found before.
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

    /// Removes what was linked, as whoever has dealt with it does.
    pub(crate) fn remove_linked(&mut self) -> io::Result<()> {
        self.linked.drain(..).try_for_each(fs::remove_file)
    }
}

/// How the names of messages begin that do not belong to the backlog.
const NEW: &str = "n";

/// Whether this is one of the messages that were not there at first.
pub(crate) fn is_new(name: &[u8]) -> bool {
    name.starts_with(NEW.as_bytes())
}
