//! `pullcord pull`: what qmail-queue does once a message is in place.

use std::path::PathBuf;

use pullcord::{Escaped, PullOutcome};
use serde::Serialize;

use crate::failure::Failure;

/// Pull a trigger, as a program does that has queued a message
///
/// Opens the FIFO without blocking, writes one byte and closes it. Writes into nothing but a FIFO,
/// and follows no symbolic link.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// The FIFO, such as /var/qmail/queue/lock/trigger
    fifo: PathBuf,
    /// Print an object {"fifo", "pull"}; "pull" is "delivered", "pending" or "nobody_listens"
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  delivered; or already pending: the FIFO is full, so its reader is about to look
  2  it is no FIFO, or it cannot be opened
  3  nobody listens: what was queued is found when a reader starts";

#[derive(Serialize)]
struct Report {
    fifo: String,
    pull: &'static str,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let pulled = pullcord::pull(&arguments.fifo).map_err(Failure::bad_input)?;
    let fifo = Escaped(&arguments.fifo);
    let (pull, words) = match pulled {
        PullOutcome::Delivered => ("delivered", "delivered"),
        PullOutcome::Pending => {
            ("pending", "already pending: the FIFO is full, its reader has to look")
        }
        PullOutcome::NoReader => ("nobody_listens", ""),
    };
    if arguments.json {
        crate::print_json(&Report { fifo: fifo.to_string(), pull })?;
    } else if !words.is_empty() {
        crate::print(words)?;
    }
    if pulled == PullOutcome::NoReader {
        return Err(Failure::nobody_listens(format!(
            "{fifo}: nobody listens; what was queued is found when a reader starts"
        )));
    }
    Ok(())
}
