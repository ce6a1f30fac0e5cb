//! Where the parts of the queue are that is looked at.

use std::fs;
use std::path::{Path, PathBuf};

use pullcord::Escaped;

use crate::failure::Failure;
pub(super) use crate::layout::Layout;

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
        let options = layout.options(root)?;
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
