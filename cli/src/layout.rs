//! The layouts of queues: where their directories and their trigger are.

use std::path::Path;

use pullcord::QueueOptions;

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Layout {
    /// lock/trigger, and todo/ or todo/0 and so on (big-todo); the same with qmail-todo (ext-todo)
    Qmail,
    /// maildrop/, and public/pickup, which is a socket in a stock Postfix
    Postfix,
}

impl Layout {
    /// Returns the queue at `path`, which need not exist. Fails if it exists and cannot be read.
    pub(crate) fn options(self, path: &Path) -> Result<QueueOptions, Failure> {
        let options = match self {
            Layout::Qmail => QueueOptions::qmail(path),
            Layout::Postfix => QueueOptions::postfix(path),
        };
        options.map_err(Failure::bad_input)
    }
}
