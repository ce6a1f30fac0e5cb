//! pullcord: the trigger is never closed, each read of it is limited, and scans are paced.

use std::time::{Duration, Instant};

use pullcord::{Event, Notifier, Todo, Via, todo::Queue};
use pullcord_platform::clock;

use crate::{Found, Receive, Result, Strategy, TRIGGER, WATCH};

/// pullcord's queue.
#[derive(Debug)]
pub struct Pullcord {
    todo: Todo,
    /// The scans before there was any load.
    at_start: u64,
}

impl Pullcord {
    /// Opens the queue and registers it.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Todo::open`] or [`Todo::register`].
    pub fn start(queue: Queue, notifier: &mut dyn Notifier) -> pullcord::Result<Pullcord> {
        let mut todo = Todo::open(queue)?;
        todo.register(notifier, [TRIGGER, WATCH])?;
        Ok(Pullcord { todo, at_start: 0 })
    }

    /// Returns the queue.
    pub fn todo(&self) -> &Todo {
        &self.todo
    }

    /// Does the first scan, and counts from now on.
    pub fn scan_first(&mut self, receive: &mut Receive<'_>) {
        self.next_entries(receive);
        self.at_start = self.todo.counters().scans;
    }

    fn next_entries(&mut self, receive: &mut Receive<'_>) {
        while let Some(item) = self.todo.next(clock::now()) {
            let flow = match item {
                Ok(entry) => {
                    let (path, is_scanned) = (entry.path(), entry.via == Via::Scan);
                    let scan = is_scanned.then(|| self.todo.counters().scans);
                    receive(Ok(Found { path: &path, scan }))
                }
                Err(error) => receive(Err(error)),
            };
            if flow.is_break() {
                return;
            }
        }
    }
}

impl Strategy for Pullcord {
    fn prepare(&mut self, notifier: &mut dyn Notifier, now: Instant) -> Result<Option<Duration>> {
        Ok(self.todo.prepare(notifier, now)?)
    }

    fn woken(&mut self, event: &Event, _: &mut dyn Notifier) -> Result<()> {
        self.todo.ready(event);
        Ok(())
    }

    fn scan(&mut self, _: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()> {
        self.next_entries(receive);
        Ok(())
    }

    fn scan_count(&self) -> u64 {
        self.todo.counters().scans - self.at_start
    }
}
