//! The layouts of queues.

use std::fs;
use std::path::{Path, PathBuf};

use pullcord::{Escaped, QueueOptions};

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Layout {
    /// lock/trigger, and todo/ or todo/0 and so on (big-todo); the same with qmail-todo (ext-todo)
    Qmail,
    /// public/pickup, and maildrop/
    Postfix,
}

/// The paths of a queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) layout: Layout,
    pub(super) root: PathBuf,
    /// The FIFO, or the socket of stock Postfix.
    pub(super) trigger: PathBuf,
    /// `todo` or `maildrop`, and then the numbered directories in it.
    pub(super) directories: Vec<PathBuf>,
}

impl Queue {
    pub(super) fn find(layout: Layout, root: &Path) -> Result<Queue, Failure> {
        let options = match layout {
            Layout::Qmail => QueueOptions::qmail(root),
            Layout::Postfix => QueueOptions::postfix(root),
        };
        let options = options.map_err(Failure::bad_input)?;
        let main = &options.directory_paths()[0];
        // Without the right to read it, its directories are not known.
        fs::read_dir(main).map_err(|e| {
            Failure::bad_input(format!(
                "{}: cannot look at the queue: {e}; name a queue directory, and run this command \
                 as root or as the user that reads the queue",
                Escaped(main)
            ))
        })?;
        Ok(Queue {
            layout,
            root: root.into(),
            trigger: options.trigger_path().map(Path::to_path_buf).unwrap_or_default(),
            directories: options.directory_paths().to_vec(),
        })
    }

    pub(super) fn main(&self) -> &Path {
        &self.directories[0]
    }

    pub(super) fn parts(&self) -> &[PathBuf] {
        &self.directories[1..]
    }
}
