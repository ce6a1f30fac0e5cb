//! This library: the trigger is never closed, what is read of it is bounded, and scans are paced.

use std::time::{Duration, Instant};

use pullcord::{Event, Notifier, Queue, Todo, Via, Watch};

use super::Strategy;
use crate::failure::Failure;
use crate::say;
use crate::storm::load::Place;
use crate::storm::tally::Tally;
use crate::storm::{TRIGGER, WATCH};

pub(super) struct Pullcord {
    todo: Todo,
    /// Scans before there was any load.
    at_start: u64,
}

impl Pullcord {
    pub(super) fn start(
        place: &Place,
        notifier: &mut dyn Notifier,
        watch: Watch,
    ) -> Result<Pullcord, Failure> {
        let queue = Queue::qmail(place.root()).map_err(Failure::bad_input)?.watch(watch);
        let mut todo = Todo::open(queue).map_err(Failure::bad_input)?;
        todo.register(notifier, [TRIGGER, WATCH]).map_err(Failure::bad_input)?;
        while let Some(Err(error)) = todo.next(Instant::now()) {
            say(error);
        }
        Ok(Pullcord { at_start: todo.counters().scans, todo })
    }
}

impl Strategy for Pullcord {
    fn prepare(
        &mut self,
        notifier: &mut dyn Notifier,
        now: Instant,
    ) -> Result<Option<Duration>, Failure> {
        self.todo.prepare(notifier, now).map_err(Failure::failed)
    }

    fn woken(&mut self, event: &Event, _: &mut dyn Notifier) -> Result<(), Failure> {
        self.todo.ready(event);
        Ok(())
    }

    fn look(&mut self, _: &mut dyn Notifier, tally: &mut Tally) -> Result<(), Failure> {
        while let Some(entry) = self.todo.next(Instant::now()) {
            match entry {
                Ok(entry) => {
                    let via = entry.via;
                    tally.see(&entry.path())?;
                    if via == Via::Scan {
                        tally.found_by_scan(self.todo.counters().scans);
                    }
                }
                Err(error) => say(error), // it is tried again
            }
        }
        tally.scans = self.todo.counters().scans - self.at_start;
        Ok(())
    }
}
