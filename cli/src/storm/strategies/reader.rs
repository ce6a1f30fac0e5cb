//! What the older strategies are made of: a trigger that they open and close, and a directory.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use pullcord::{Escaped, Interest, Mode, Notifier};
use rustix::fs::{Mode as Permissions, OFlags, open};
use rustix::io::{Errno, read};

use crate::failure::Failure;
use crate::storm::TRIGGER;
use crate::storm::load::Place;
use crate::storm::tally::Tally;

pub(super) struct Reader {
    path: PathBuf,
    trigger: Option<OwnedFd>,
    todo: PathBuf,
}

impl Reader {
    pub(super) fn start(place: &Place, notifier: &mut dyn Notifier) -> Result<Reader, Failure> {
        let mut reader = Reader { path: place.trigger(), trigger: None, todo: place.todo() };
        reader.open(notifier)?;
        Ok(reader)
    }

    pub(super) fn open(&mut self, notifier: &mut dyn Notifier) -> Result<(), Failure> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let trigger = open(&self.path, flags, Permissions::empty())
            .map_err(|e| self.failed("open it", e.into()))?;
        notifier
            .register(&trigger, TRIGGER, Interest::Read, Mode::Level)
            .map_err(|e| self.failed("wait for it", e))?;
        self.trigger = Some(trigger);
        Ok(())
    }

    /// While it is closed, writers are refused.
    pub(super) fn close(&mut self, notifier: &mut dyn Notifier) -> Result<(), Failure> {
        let Some(trigger) = self.trigger.take() else { return Ok(()) };
        notifier.remove(&trigger).map_err(|e| self.failed("stop waiting for it", e))
    }

    /// Reads until there is nothing left. Writers may see to it that there always is.
    pub(super) fn drain(&self) -> Result<(), Failure> {
        let Some(trigger) = &self.trigger else { return Ok(()) };
        let mut bytes = [0; 4096];
        loop {
            match read(trigger, &mut bytes) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(self.failed("read it", e.into())),
            }
        }
    }

    pub(super) fn scan(&self, tally: &mut Tally) -> Result<(), Failure> {
        tally.scans += 1;
        let cannot = |e| Failure::failed(format!("{}: cannot read it: {e}", Escaped(&self.todo)));
        for entry in fs::read_dir(&self.todo).map_err(cannot)? {
            tally.see(&entry.map_err(cannot)?.path())?;
            tally.found_by_scan(tally.scans);
        }
        Ok(())
    }

    fn failed(&self, attempt: &str, error: io::Error) -> Failure {
        Failure::failed(format!("{}: cannot {attempt}: {error}", Escaped(&self.path)))
    }
}
