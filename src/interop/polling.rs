//! polling: a `Poller` as a notifier, for itself or beside its owner's own sources.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{PollMode, Poller};
use pullcord_platform::polling::OwnedSources;
use pullcord_platform::{check_source, wait_with_timeout};

use crate::{Event, Events, Interest, Key, Mode, Notifier, Waker};

/// A `polling::Poller` as a [`Notifier`].
///
/// A loop that has a `Poller` of its own shares it: register here what is pullcord's, wait on the
/// poller, and make [`Event`]s of its events with [`event_of`]. Keys are the poller's keys.
///
/// ```no_run
/// # use std::{sync::Arc, time::Instant};
/// # use pullcord::{Key, todo::Queue, Todo, interop::{PollingNotifier, event_of}};
/// let poller = Arc::new(polling::Poller::new()?);
/// let mut notifier = PollingNotifier::over(poller.clone());
/// let mut todo = Todo::open(Queue::qmail("/var/qmail/queue")?)?;
/// todo.register(&mut notifier, [Key(0), Key(1)])?;
/// let mut events = polling::Events::new();
/// loop {
///     let timeout = todo.prepare(&mut notifier, Instant::now())?;
///     events.clear();
///     poller.wait(&mut events, timeout)?;
///     for event in events.iter() {
///         todo.ready(&event_of(event)); // false: it is one of your own sources'
///     }
///     while let Some(entry) = todo.next(Instant::now()) {
///         println!("deliver {}", entry?.path().display());
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What is registered stays open, by a duplicate, until it is removed or this is dropped: say
/// [`Todo::deregister`](crate::Todo::deregister) before a queue is dropped earlier, or its FIFO goes
/// on having a reader that does not read. What else it cannot promise is listed
/// [here](crate::interop).
pub struct PollingNotifier {
    sources: OwnedSources,
    found: polling::Events,
    waker: Option<Waker>,
}

/// The poller keeps `usize::MAX` for itself.
const WAKER: usize = usize::MAX - 1;

impl PollingNotifier {
    /// Over a poller of its own.
    ///
    /// # Errors
    ///
    /// Those of `Poller::new`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn open() -> io::Result<PollingNotifier> {
        Poller::new().map(|poller| PollingNotifier::over(Arc::new(poller)))
    }

    /// Over the poller of a loop that goes on using it.
    pub fn over(poller: Arc<Poller>) -> PollingNotifier {
        let found = polling::Events::new();
        PollingNotifier { sources: OwnedSources::new(poller), found, waker: None }
    }
}

/// What a poller's event says, in pullcord's words.
pub fn event_of(event: polling::Event) -> Event {
    let mut reported = Event::new(Key(event.key));
    reported.readable = event.readable;
    reported.writable = event.writable;
    reported.hang_up = event.is_interrupt();
    reported.error = event.is_err().unwrap_or(false);
    reported
}

impl Notifier for PollingNotifier {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        let source = source.as_fd();
        check_source(source, key)?;
        if key.0 == WAKER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "polling keeps the last key for itself, and its notifier the last but one: \
                 any other can be registered",
            ));
        }
        let wanted = polling::Event::new(key.0, interest.is_readable(), interest.is_writable());
        let mode = match mode {
            Mode::Edge => PollMode::Edge,
            Mode::OneShot => PollMode::Oneshot,
            _ => PollMode::Level,
        };
        self.sources.insert(source, wanted, mode)
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        self.sources.remove(source.as_fd())
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let room = NonZeroUsize::new(events.capacity()).unwrap_or(NonZeroUsize::MIN);
        if self.found.capacity() != room {
            self.found = polling::Events::with_capacity(room);
        }
        wait_with_timeout(timeout, |slice| {
            self.found.clear();
            self.sources.poller().wait(&mut self.found, slice)
        })?;
        for event in self.found.iter() {
            match &self.waker {
                Some(waker) if event.key == WAKER => {
                    waker.acknowledge()?;
                    events.set_woken();
                }
                _ => events.push(event_of(event)),
            }
        }
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if self.waker.is_none() {
            let waker = Waker::new()?;
            let wanted = polling::Event::readable(WAKER);
            self.sources.insert(waker.reader(), wanted, PollMode::Level)?;
            self.waker = Some(waker);
        }
        Ok(self.waker.clone().expect("made above"))
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl fmt::Debug for PollingNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollingNotifier").field("sources", &self.sources).finish_non_exhaustive()
    }
}
