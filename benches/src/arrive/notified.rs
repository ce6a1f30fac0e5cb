//! The `notify` crate, with the channel that its documentation shows.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::{self, Receiver};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Reader, Spool};
use crate::raw::Sink;

/// A watcher, which has a thread of its own, and the channel of its events.
pub(super) struct Notified {
    _watcher: RecommendedWatcher,
    events: Receiver<notify::Result<notify::Event>>,
}

impl Notified {
    pub(super) fn open(spool: &Spool) -> io::Result<Notified> {
        let (sender, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender).map_err(io::Error::other)?;
        for part in &spool.parts {
            watcher.watch(part, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
        }
        Ok(Notified { _watcher: watcher, events })
    }
}

impl Reader for Notified {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let event = self.events.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
        if let EventKind::Create(_) = event.kind {
            for path in &event.paths {
                if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
                    sink(directory, name.as_bytes());
                }
            }
        }
        Ok(())
    }
}
