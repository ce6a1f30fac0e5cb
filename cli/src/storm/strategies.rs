//! The ways to treat a trigger. They differ in what is done when, and in nothing else; as the
//! model checker's readers do, in `tests/protocol/reader.rs`.

mod drain;
mod early_close;
mod pullcord;
mod reader;
mod reopen;

use std::time::{Duration, Instant};

use ::pullcord::{Backend, Event, Notifier, Watch};

use super::load::Place;
use super::tally::Tally;
use crate::failure::Failure;

pub(super) trait Strategy {
    /// A wait is to begin: what it waits for is registered, and it lasts no longer than this.
    fn prepare(&mut self, _: &mut dyn Notifier, _: Instant) -> Result<Option<Duration>, Failure> {
        Ok(None)
    }

    /// The wait is over, by an event of the strategy's own. The others' are dealt with next.
    fn woken(&mut self, _: &Event, _: &mut dyn Notifier) -> Result<(), Failure> {
        Ok(())
    }

    /// Then this: it looks for mail.
    fn look(&mut self, notifier: &mut dyn Notifier, tally: &mut Tally) -> Result<(), Failure>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Reopen,
    EarlyClose,
    Drain,
    Pullcord,
}

impl Name {
    pub(super) const ALL: [Name; 4] = [Name::Reopen, Name::EarlyClose, Name::Drain, Name::Pullcord];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Name::Reopen => "reopen",
            Name::EarlyClose => "early-close",
            Name::Drain => "drain",
            Name::Pullcord => "pullcord",
        }
    }

    /// The older ones ran on select.
    pub(super) fn backend(self, chosen: Backend) -> Backend {
        if self == Name::Pullcord { chosen } else { Backend::Select }
    }

    /// Opens the trigger; there is no mail yet.
    pub(super) fn open(
        self,
        place: &Place,
        notifier: &mut dyn Notifier,
        watch: Watch,
    ) -> Result<Box<dyn Strategy>, Failure> {
        Ok(match self {
            Name::Reopen => Box::new(reopen::Reopen::start(place, notifier)?),
            Name::EarlyClose => Box::new(early_close::EarlyClose::start(place, notifier)?),
            Name::Drain => Box::new(drain::Drain::start(place, notifier)?),
            Name::Pullcord => Box::new(pullcord::Pullcord::start(place, notifier, watch)?),
        })
    }
}
