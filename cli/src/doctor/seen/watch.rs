//! Tries whether this process can watch the directories.

use std::io;

use pullcord::DirWatcher;

use crate::doctor::layout::Queue;

#[derive(Debug)]
pub(in crate::doctor) enum Watch {
    Complete,
    /// No watch could be opened.
    NotOpened(io::Error),
    /// This directory could not be added.
    NotAdded(pullcord::Error),
}

pub(super) fn look(queue: &Queue) -> Watch {
    let mut watcher = match DirWatcher::new() {
        Ok(watcher) => watcher,
        Err(e) => return Watch::NotOpened(e),
    };
    for directory in &queue.directories {
        if let Err(e) = watcher.watch(directory) {
            return Watch::NotAdded(e);
        }
    }
    Watch::Complete
}
