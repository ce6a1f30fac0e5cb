//! The queue as a source of the command's own loop, which also waits for signals and writers.

use std::io;
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Entry, Event, Interest, Key, Mode, Notifier, OwnedEntry, Queue, Receiver, Warning,
};

/// The key of the receiver, or of the trigger of a queue. Other sources use keys from 2.
const MAIL: Key = Key(0);
/// The key of the watch of a queue.
const WATCH: Key = Key(1);

/// An open queue, registered with a notifier.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A receiver, which is one descriptor.
    Receiver { receiver: Receiver, is_readable: bool },
    /// A queue on the notifier itself, for a backend that has no descriptor for a receiver.
    Queue(Queue),
}

impl Mail {
    /// Registers the queue with a notifier of this backend.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`Receiver::with_backend`] and [`Notifier::register`].
    pub(crate) fn register(
        mut queue: Queue,
        backend: Backend,
        notifier: &mut dyn Notifier,
    ) -> io::Result<Mail> {
        if !backend.has_pollable_fd() {
            queue.register(notifier, [MAIL, WATCH]);
            return Ok(Mail::Queue(queue));
        }
        let receiver = Receiver::with_backend(queue, backend)?;
        let fd = receiver.pollable_fd().expect("its backend has one");
        notifier.register(&fd, MAIL, Interest::Read, Mode::Level)?;
        Ok(Mail::Receiver { receiver, is_readable: false })
    }

    /// Prepares a wait of the notifier. Returns the longest time to wait, or `None` for no timeout. The
    /// descriptor of a receiver has its deadlines inside.
    pub(crate) fn prepare(&mut self, notifier: &mut dyn Notifier) -> Option<Duration> {
        match self {
            Mail::Receiver { .. } => None,
            Mail::Queue(queue) => queue.prepare(notifier, Instant::now()),
        }
    }

    /// Handles an event of the notifier. Ignores the events of other sources.
    pub(crate) fn handle_event(&mut self, event: &Event) {
        match self {
            Mail::Receiver { is_readable, .. } => *is_readable |= event.key == MAIL,
            Mail::Queue(queue) => {
                let _ = queue.handle_event(event);
            }
        }
    }

    /// Returns the next entry. Returns `None` when it is time to wait again.
    pub(crate) fn next_entry(&mut self) -> Option<Entry<'_>> {
        match self {
            Mail::Receiver { is_readable: false, .. } => None,
            Mail::Receiver { receiver, is_readable } => {
                let entry = receiver.try_recv();
                *is_readable = entry.is_some();
                entry
            }
            Mail::Queue(queue) => queue.next_entry(Instant::now()),
        }
    }

    /// Returns the entry again, after this time.
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Queue::requeue`].
    pub(crate) fn requeue(&mut self, entry: &OwnedEntry, after: Duration) -> pullcord::Result<()> {
        let at = Instant::now() + after;
        match self {
            Mail::Receiver { receiver, .. } => receiver.requeue(entry, at),
            Mail::Queue(queue) => queue.requeue(entry, at),
        }
    }

    /// Returns the next warning, or `None`.
    pub(crate) fn next_warning(&mut self) -> Option<Warning> {
        match self {
            Mail::Receiver { receiver, .. } => receiver.next_warning(),
            Mail::Queue(queue) => queue.next_warning(),
        }
    }

    /// Closes the queue, whose trigger a supervisor has opened: see [`Queue::close`].
    ///
    /// # Errors
    ///
    /// Fails with the error of [`Queue::close`].
    pub(crate) fn close(self) -> pullcord::Result<bool> {
        match self {
            Mail::Receiver { receiver, .. } => receiver.close(),
            Mail::Queue(queue) => queue.close(),
        }
    }

    /// Returns the queue.
    pub(crate) fn queue(&self) -> &Queue {
        match self {
            Mail::Receiver { receiver, .. } => receiver.queue(),
            Mail::Queue(queue) => queue,
        }
    }
}
