//! Where the directories and the trigger of a queue are.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use pullcord::{Escaped, QueueOptions};

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Layout {
    /// lock/trigger, and todo/ or todo/0 and so on (big-todo)
    Qmail,
    /// maildrop/, and public/pickup where that is a FIFO
    Postfix,
}

impl Layout {
    /// Returns the queue at `path`. Fails if a queue of qmail does not exist.
    pub(super) fn options(self, path: &Path) -> Result<QueueOptions, Failure> {
        let options = self.options_if_exists(path)?;
        match (self, missing(&options)) {
            (Layout::Qmail, Some(failure)) => Err(failure),
            _ => Ok(options),
        }
    }

    /// Returns the queue at `path`, which need not exist yet.
    pub(super) fn options_if_exists(self, path: &Path) -> Result<QueueOptions, Failure> {
        let options = match self {
            Layout::Qmail => QueueOptions::qmail(path),
            Layout::Postfix => QueueOptions::postfix(path),
        };
        options.map_err(Failure::bad_input)
    }
}

/// Returns why a directory of the queue cannot be found. A queue that appears later is supported by the
/// library. Without --wait, it is a mistake in the path.
pub(super) fn missing(options: &QueueOptions) -> Option<Failure> {
    options.directory_paths().iter().find_map(|path| {
        let error = fs::metadata(path).err().filter(|e| e.kind() == io::ErrorKind::NotFound)?;
        Some(Failure::bad_input(format!(
            "{}: cannot read the queue: {error}; name a queue directory, the one that has \
             lock/trigger and todo, or wait for it with --wait",
            Escaped(path)
        )))
    })
}

/// Returns whether the trigger is a socket, as `public/pickup` of a stock Postfix is.
pub(super) fn is_socket(trigger: &Path) -> bool {
    trigger.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}
