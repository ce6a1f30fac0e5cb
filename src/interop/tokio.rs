//! tokio: a queue as a stream of entries.
//!
//! The queue rides in a notifier of its own, and that notifier's one descriptor in tokio's: whatever
//! becomes of the queue's descriptors, tokio sees the same one for as long as the stream lives.

use std::fmt;
use std::future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pullcord_platform::clock;
use pullcord_platform::tokio::ReadReadiness;
use tokio::time::Sleep;

use crate::{Backend, Error, Events, Key, Notifier, Result, Todo, Via, todo::Entry};

/// Something that appeared in the queue: an [`Entry`] that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedEntry {
    /// Where it is. By the time it is looked at it may be gone, which is no error.
    pub path: PathBuf,
    /// How it was found.
    pub via: Via,
}

impl From<Entry<'_>> for OwnedEntry {
    fn from(entry: Entry<'_>) -> OwnedEntry {
        OwnedEntry { path: entry.path(), via: entry.via }
    }
}

/// A [`Todo`] as a stream of its entries, that never ends. On either of tokio's runtimes, with I/O
/// and time enabled.
///
/// ```
/// # use pullcord::{todo::Queue, Todo, interop::Entries};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let todo = directory.path();
/// # std::fs::write(todo.join("4711"), "a message")?;
/// let mut entries = Entries::of(Todo::open(Queue::directories([todo]))?)?;
/// let entry = entries.next().await?;
/// assert!(entry.path.ends_with("4711"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An entry may be handed out a second time while the first is being delivered: keep a set of what
/// is in flight.
pub struct Entries {
    todo: Todo,
    notifier: Box<dyn Notifier>,
    /// The notifier has something to say.
    readable: ReadReadiness,
    events: Events,
    alarm: Pin<Box<Sleep>>,
}

const KEYS: [Key; 2] = [Key(0), Key(1)];

impl Entries {
    /// The entries of a queue. Call it in a runtime.
    ///
    /// # Errors
    ///
    /// `Unsupported` where there is neither epoll nor kqueue; `EMFILE`, `ENFILE`, `ENOMEM`: it takes
    /// two descriptors.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and in one without I/O or time.
    pub fn of(mut todo: Todo) -> io::Result<Entries> {
        let backend = Backend::best();
        let mut notifier = backend.open()?;
        let Some(nested) = notifier.pollable_fd() else {
            let message = format!("{backend} cannot ride in another loop");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        #[allow(clippy::disallowed_methods, reason = "tokio waits for a real descriptor")]
        let nested = nested.try_clone_to_owned()?;
        let readable = ReadReadiness::new(nested)?;
        todo.register(&mut *notifier, KEYS).map_err(io::Error::other)?;
        Ok(Entries {
            todo,
            notifier,
            readable,
            events: Events::with_capacity(KEYS.len()),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }

    /// The next entry, or an error that is said once. Cancel-safe: what was not returned is
    /// returned by the next call.
    ///
    /// # Errors
    ///
    /// Those that [`Todo::next`] hands out, and those of the system's notifier; nothing is lost by
    /// either.
    pub async fn next(&mut self) -> Result<OwnedEntry> {
        future::poll_fn(|context| self.poll_entry(context)).await
    }

    /// The queue: to requeue an entry, say, or to read the counters.
    pub fn todo(&mut self) -> &mut Todo {
        &mut self.todo
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Result<OwnedEntry>> {
        loop {
            if let Some(entry) = self.todo.next(clock::now()) {
                return Poll::Ready(entry.map(OwnedEntry::from));
            }
            let now = clock::now();
            let timeout = self.todo.prepare(&mut *self.notifier, now)?;
            let timeout = timeout.unwrap_or(Duration::MAX);
            if timeout.is_zero() {
                // The turn is over, but not the work: the other tasks' turn first.
                self.look().map_err(|e| self.failed(e))?;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.alarm.as_mut().reset((now + timeout).into());
            if self.alarm.as_mut().poll(context).is_ready() {
                continue;
            }
            ready!(self.poll_ready(context)).map_err(|e| self.failed(e))?;
        }
    }

    /// Ready after something was, or may be. tokio is told that nothing is only after the notifier
    /// was asked and had nothing: no further edge need come before that.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut readable = ready!(self.readable.poll(context))?;
        self.notifier.wait(&mut self.events, Some(Duration::ZERO))?;
        if self.events.is_empty() {
            readable.clear_ready();
        }
        drop(readable);
        self.tell();
        Poll::Ready(Ok(()))
    }

    fn look(&mut self) -> io::Result<()> {
        self.notifier.wait(&mut self.events, Some(Duration::ZERO))?;
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        for event in &self.events {
            self.todo.ready(event);
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        let queue = self.todo.queue();
        let path = queue.trigger_path().or(queue.paths().first().map(PathBuf::as_path));
        Error::new(path.unwrap_or("".as_ref()), "wait for mail", source)
    }
}

/// Its items are those of [`Entries::next`]; there is no end.
impl Stream for Entries {
    type Item = Result<OwnedEntry>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<OwnedEntry>>> {
        self.poll_entry(context).map(Some)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("todo", &self.todo).finish_non_exhaustive()
    }
}
