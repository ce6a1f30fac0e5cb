//! Four ways to treat a mail queue's trigger: three of the past, and pullcord's.
//!
//! The command `pullcord storm` runs them against the same load. The simulation in `pullcord`'s
//! `tests/simulation` runs them on a simulated kernel. Both compile this crate, so that they compare
//! the same code. All system calls are made through `pullcord` and `pullcord-platform`.
//!
//! | file | strategy | defects |
//! |---|---|---|
//! | `reopen` | the loop of 1998: closes the trigger, opens it again, scans | spins while a writer holds the trigger open; refuses pulls; forgets a pull if the scan fails |
//! | `early_close` | closes the trigger when the wait returns, opens it again before the scan | as `reopen`, with a longer time in which pulls are refused |
//! | `drain` | the patch of 2001: reads the bytes, then closes and opens the trigger, scans | refuses pulls; scans twice for some; reads for as long as there are bytes; forgets a pull if the scan fails |
//! | `pullcord` | this project: reads the bytes, never closes the trigger, paces its scans | none is known |
//!
//! A program waits and calls the strategy in this order:
//!
//! 1. [`Strategy::prepare`] before each wait.
//! 2. [`Strategy::woken`] for each event with the key [`TRIGGER`] or [`WATCH`].
//! 3. [`Strategy::scan`] after these events, and when the time that `prepare` returned is over.

#![forbid(unsafe_code)]

mod drain;
mod early_close;
mod error;
mod pullcord;
mod reader;
mod reopen;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use ::pullcord::{Event, Key, Notifier, Warning};

pub use crate::drain::Drain;
pub use crate::early_close::EarlyClose;
pub use crate::error::{Error, Result};
pub use crate::pullcord::Pullcord;
pub use crate::reader::Reader;
pub use crate::reopen::Reopen;

/// The key that each strategy registers its trigger with.
pub const TRIGGER: Key = Key(0);
/// The key that a strategy registers its directory watch with.
pub const WATCH: Key = Key(1);

/// A way to treat a trigger.
///
/// No method stops at a failed step: it does the remaining steps, as the programs of the past did,
/// and returns the first error. The caller decides whether to go on.
pub trait Strategy {
    /// Prepares a wait. Returns the longest time to wait, or `None` if the strategy has no timeout.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Notifier::register`] or [`Notifier::deregister`].
    fn prepare(&mut self, _: &mut dyn Notifier, _: Instant) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// Handles an event of the strategy, before those of other sources are handled.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Notifier::deregister`].
    fn woken(&mut self, _: &Event, _: &mut dyn Notifier) -> Result<()> {
        Ok(())
    }

    /// Scans the queue and passes each entry to `receive`. [`ControlFlow::Break`] ends the scan.
    ///
    /// # Errors
    ///
    /// Fails with the first error of a system call. A problem after which the strategy scans again by
    /// itself is passed to `receive` as a warning, and not returned.
    fn scan(&mut self, notifier: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()>;

    /// Returns the number of scans since the strategy was opened, failed ones included.
    fn scan_count(&self) -> u64;
}

/// Receives the results of a scan: the entries, and the warnings of pullcord's queue.
pub type Receive<'a> = dyn FnMut(std::result::Result<Found<'_>, Warning>) -> ControlFlow<()> + 'a;

/// An entry that a strategy found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The entry.
    pub path: &'a Path,
    /// The number of the scan that found it, or `None` if it was found without a scan.
    pub scan: Option<u64>,
}
