//! `pullcord pull`: wakes a reader, as qmail-queue does once a message is in the queue.

use std::path::PathBuf;

use pullcord::{Escaped, PullOutcome};
use serde::Serialize;

use crate::failure::Failure;

/// Pull a trigger, as a program does that has queued a message
///
/// Opens the FIFO without blocking, writes one byte and closes it. Writes only into a FIFO, and does
/// not follow a symbolic link.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// The FIFO, such as /var/qmail/queue/lock/trigger
    fifo: PathBuf,
    /// Print an object {"fifo", "outcome"}; the outcome is "delivered", "pending" or "no_reader"
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  delivered; or already pending: the FIFO is full, so a wake-up is pending
  2  the path is not a FIFO, or it cannot be opened
  3  no process reads the trigger: queued mail is found when a reader starts";

#[derive(Serialize)]
struct Report {
    fifo: String,
    outcome: &'static str,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let outcome = pullcord::pull(&arguments.fifo).map_err(Failure::bad_input)?;
    let fifo = Escaped(&arguments.fifo);
    let (name, words) = match outcome {
        PullOutcome::Delivered => ("delivered", "delivered"),
        PullOutcome::Pending => ("pending", "already pending: the FIFO is full"),
        PullOutcome::NoReader => ("no_reader", ""),
    };
    if arguments.json {
        crate::print_json(&Report { fifo: fifo.to_string(), outcome: name })?;
    } else if !words.is_empty() {
        crate::print(words)?;
    }
    if outcome == PullOutcome::NoReader {
        return Err(Failure::no_reader(format!(
            "{fifo}: no process reads this trigger; queued mail is found when a reader starts"
        )));
    }
    Ok(())
}
