//! The strategies by name.

use std::ops::ControlFlow;

use pullcord::{Backend, Notifier, WatchMode, todo::Queue};
use pullcord_strategies::{Drain, EarlyClose, Pullcord, Reopen, Strategy};

use super::load::Place;
use crate::failure::Failure;
use crate::say;

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

    /// Opens the trigger. The queue is empty.
    pub(super) fn open(
        self,
        place: &Place,
        notifier: &mut dyn Notifier,
        watch: WatchMode,
    ) -> Result<Box<dyn Strategy>, Failure> {
        let (trigger, todo) = (place.trigger(), place.todo());
        Ok(match self {
            Name::Reopen => {
                Box::new(Reopen::start(trigger, todo, notifier).map_err(Failure::failed)?)
            }
            Name::EarlyClose => {
                Box::new(EarlyClose::start(trigger, todo, notifier).map_err(Failure::failed)?)
            }
            Name::Drain => {
                Box::new(Drain::start(trigger, todo, notifier).map_err(Failure::failed)?)
            }
            Name::Pullcord => {
                let queue = Queue::qmail(place.root()).map_err(Failure::bad_input)?.watch(watch);
                let mut pullcord = Pullcord::start(queue, notifier).map_err(Failure::bad_input)?;
                pullcord.scan_first(&mut |item| {
                    item.err().into_iter().for_each(say);
                    ControlFlow::Continue(())
                });
                Box::new(pullcord)
            }
        })
    }
}
