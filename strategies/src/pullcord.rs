//! pullcord: the trigger is never closed, each of its reads is limited, and scans are paced.

use std::time::{Duration, Instant};

use pullcord::{Event, Notifier, Origin, Queue, QueueOptions};
use pullcord_platform::clock;

use crate::{Found, Receive, Result, Strategy, TRIGGER, WATCH};

/// pullcord's queue.
#[derive(Debug)]
pub struct Pullcord {
    queue: Queue,
    /// The scans before there was any load.
    at_start: u64,
}

impl Pullcord {
    /// Opens the queue and registers it.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`QueueOptions::open`].
    pub fn start(
        options: &QueueOptions,
        notifier: &mut dyn Notifier,
    ) -> pullcord::Result<Pullcord> {
        let mut queue = options.open()?;
        queue.register(notifier, [TRIGGER, WATCH]);
        Ok(Pullcord { queue, at_start: 0 })
    }

    /// Returns the queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Does the first scan, and counts from now on.
    pub fn scan_first(&mut self, receive: &mut Receive<'_>) {
        self.next_entries(receive);
        self.at_start = self.queue.stats().scans;
    }

    fn next_entries(&mut self, receive: &mut Receive<'_>) {
        while let Some(entry) = self.queue.next_entry(clock::now()) {
            let (path, origin) = (entry.path(), entry.origin);
            let scan = (origin == Origin::Scan).then(|| self.queue.stats().scans);
            if receive(Ok(Found { path: &path, scan })).is_break() {
                return;
            }
        }
        while let Some(warning) = self.queue.next_warning() {
            if receive(Err(warning)).is_break() {
                return;
            }
        }
    }
}

impl Strategy for Pullcord {
    fn prepare(&mut self, notifier: &mut dyn Notifier, now: Instant) -> Result<Option<Duration>> {
        Ok(self.queue.prepare(notifier, now))
    }

    fn woken(&mut self, event: &Event, _: &mut dyn Notifier) -> Result<()> {
        let _ = self.queue.handle_event(event);
        Ok(())
    }

    fn scan(&mut self, _: &mut dyn Notifier, receive: &mut Receive<'_>) -> Result<()> {
        self.next_entries(receive);
        Ok(())
    }

    fn scan_count(&self) -> u64 {
        self.queue.stats().scans - self.at_start
    }
}
