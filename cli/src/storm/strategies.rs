//! The strategies by name.

use std::ops::ControlFlow;

use pullcord::{Backend, Notifier, QueueOptions, WatchMode};
use pullcord_strategies::{Drain, EarlyClose, Pullcord, Reopen, Strategy};

use super::load::TestQueue;
use crate::failure::Failure;
use crate::report;

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

    /// Returns the backend: the older strategies ran on select.
    pub(super) fn backend(self, chosen: Backend) -> Backend {
        if self == Name::Pullcord { chosen } else { Backend::Select }
    }

    /// Opens the trigger. The queue is empty.
    pub(super) fn open(
        self,
        queue: &TestQueue,
        notifier: &mut dyn Notifier,
        watch: WatchMode,
    ) -> Result<Box<dyn Strategy>, Failure> {
        let (trigger, todo) = (queue.trigger(), queue.todo());
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
                let options = QueueOptions::qmail(queue.root()).map_err(Failure::bad_input)?;
                let mut pullcord =
                    Pullcord::start(&options.watch(watch), notifier).map_err(Failure::bad_input)?;
                pullcord.scan_first(&mut |item| {
                    item.err().into_iter().for_each(report);
                    ControlFlow::Continue(())
                });
                Box::new(pullcord)
            }
        })
    }
}
