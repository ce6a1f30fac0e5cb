//! tokio: a queue as an asynchronous receiver, and as a stream.
//!
//! tokio waits for the descriptor of the [`Receiver`], edge-triggered, and for nothing else: the
//! deadlines are behind that descriptor. Its readiness is cleared before a turn begins: tokio may notice
//! the next edge, in another thread or while other tasks run, before the turn is over.

use std::future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use pullcord_platform::tokio::ReadReadiness;

use crate::{Entry, OwnedEntry, Queue, Receiver, Result, Warning};

/// A [`Queue`] in a tokio runtime.
///
/// It works on both of tokio's runtimes, with I/O enabled. It needs no timer of tokio's, so that a
/// paused clock does not stop it.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// # runtime.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let todo = directory.path();
/// # std::fs::write(todo.join("4711"), "a message")?;
/// use pullcord::{QueueOptions, interop::AsyncReceiver};
///
/// let queue = QueueOptions::directories([todo]).open()?;
/// let mut mail = AsyncReceiver::new(queue)?;
/// let entry = mail.recv().await?;
/// assert_eq!(entry.name, "4711");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`recv`](AsyncReceiver::recv) returns entries only. A program that is to report warnings as soon as
/// they come waits with [`readable`](AsyncReceiver::readable) instead:
///
/// ```no_run
/// # async fn run(mut mail: pullcord::interop::AsyncReceiver) -> std::io::Result<()> {
/// loop {
///     mail.readable().await?;
///     while let Some(entry) = mail.try_recv() {
///         println!("deliver {}", entry.path().display());
///     }
///     while let Some(warning) = mail.next_warning() {
///         eprintln!("{warning}");
///     }
/// }
/// # }
/// ```
///
/// An entry may be returned a second time while a task is still processing it. The program keeps a set
/// of the paths that it is processing.
#[derive(Debug)]
pub struct AsyncReceiver {
    /// Declared first, so that tokio's descriptor is closed first.
    readiness: ReadReadiness,
    receiver: Receiver,
    /// The stream has returned an error, which ends it.
    has_ended: bool,
}

impl AsyncReceiver {
    /// Returns a receiver in the current runtime.
    ///
    /// # Errors
    ///
    /// Fails with `Unsupported` on systems with neither epoll nor kqueue. Fails with `EMFILE`,
    /// `ENFILE` or `ENOMEM`: it uses five descriptors besides those of the queue.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime, and in a runtime without I/O.
    pub fn new(queue: Queue) -> io::Result<AsyncReceiver> {
        AsyncReceiver::over(Receiver::new(queue)?)
    }

    fn over(receiver: Receiver) -> io::Result<AsyncReceiver> {
        let Some(fd) = receiver.pollable_fd() else {
            let why = "this system has no descriptor that tokio can wait for";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        };
        let readiness = ReadReadiness::new(fd)?;
        Ok(AsyncReceiver { readiness, receiver, has_ended: false })
    }

    /// Waits for the next entry, and returns it. After 64 entries, other tasks have their turn first.
    ///
    /// Cancel-safe: if the future is dropped, no entry is lost.
    ///
    /// # Errors
    ///
    /// Fails when the runtime shuts down. Everything else that goes wrong loses no entry, and
    /// [`next_warning`](AsyncReceiver::next_warning) reports it.
    pub async fn recv(&mut self) -> io::Result<OwnedEntry> {
        future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next entry: see [`recv`](AsyncReceiver::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](AsyncReceiver::recv).
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<OwnedEntry>> {
        if !self.receiver.is_in_turn() {
            ready!(self.readiness.poll(context))?.clear_ready();
        }
        if let Some(entry) = self.receiver.try_recv() {
            return Poll::Ready(Ok(entry.into_owned()));
        }
        // If there was an edge since the turn began, other tasks have their turn first.
        match self.readiness.poll(context) {
            Poll::Ready(Ok(_)) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until there may be an entry or a warning. Then call
    /// [`try_recv`](AsyncReceiver::try_recv) until it returns `None`, and
    /// [`next_warning`](AsyncReceiver::next_warning) until it returns `None`.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// Fails when the runtime shuts down.
    pub async fn readable(&mut self) -> io::Result<()> {
        if self.receiver.is_in_turn() {
            return Ok(());
        }
        let poll = |context: &mut Context<'_>| {
            self.readiness.poll(context).map_ok(|mut readable| readable.retain_ready())
        };
        future::poll_fn(poll).await
    }

    /// Returns the next entry that is ready. Never waits. `None` means that no entry is ready, or that
    /// 64 entries were returned and other tasks should have their turn: see
    /// [`readable`](AsyncReceiver::readable).
    pub fn try_recv(&mut self) -> Option<Entry<'_>> {
        if self.receiver.is_in_turn() || self.readiness.take() {
            self.receiver.try_recv()
        } else {
            None
        }
    }

    /// Returns an entry again once `not_before` has come: see [`Queue::requeue`].
    ///
    /// # Errors
    ///
    /// As [`Queue::requeue`].
    pub fn requeue(&mut self, entry: &OwnedEntry, not_before: Instant) -> Result<()> {
        self.receiver.requeue(entry, not_before)
    }

    /// Returns the next warning, or `None`. Makes no system call.
    pub fn next_warning(&mut self) -> Option<Warning> {
        self.receiver.next_warning()
    }

    /// Returns the queue.
    pub fn queue(&self) -> &Queue {
        self.receiver.queue()
    }

    /// Returns the queue, for example to requeue an entry. Wakes the task once, since the caller may change a
    /// deadline.
    pub fn queue_mut(&mut self) -> &mut Queue {
        self.receiver.queue_mut()
    }
}

/// The entries, as [`AsyncReceiver::recv`] returns them. The stream ends after an error.
impl Stream for AsyncReceiver {
    type Item = io::Result<OwnedEntry>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<OwnedEntry>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let entry = ready!(self.poll_recv(context));
        self.has_ended = entry.is_err();
        Poll::Ready(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ::tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::notifier::tests::{Call, Failing};
    use crate::{Backend, QueueOptions};

    /// Returns a receiver in the current runtime, the calls of whose notifier fail while `fails` says so.
    fn failing(
        directory: &Path,
        fails: impl FnMut(Call) -> bool + Send + 'static,
    ) -> AsyncReceiver {
        let notifier = Failing { inner: Backend::best().open().unwrap(), fails };
        let queue = QueueOptions::directories([directory]).open().unwrap();
        let receiver = Receiver::with_notifier(queue, Box::new(notifier), false).unwrap();
        AsyncReceiver::over(receiver).unwrap()
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_io().build().unwrap()
    }

    #[test]
    fn a_failing_wait_is_reported_once_and_tried_again_without_a_spin() {
        if !Backend::best().has_pollable_fd() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let (failures, waits) = (Arc::new(AtomicUsize::new(3)), Arc::new(AtomicUsize::new(0)));
        let (left, count) = (failures.clone(), waits.clone());
        let fails = move |call| {
            let is_wait = call == Call::Wait;
            count.fetch_add(usize::from(is_wait), Ordering::Relaxed);
            let less = |left: usize| left.checked_sub(1).filter(|_| is_wait);
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        };
        runtime().block_on(async {
            let mut mail = failing(directory.path(), fails);
            std::fs::write(directory.path().join("1"), "").unwrap();
            assert_eq!(mail.recv().await.unwrap().name, "1");
            let warnings: Vec<_> = std::iter::from_fn(|| mail.next_warning()).collect();
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(waits.load(Ordering::Relaxed) < 10, "{waits:?}");

            // A failure after a success is another one. The turn that is active needs no wait.
            failures.store(1, Ordering::Relaxed);
            for name in 2..100 {
                let path = directory.path().join(name.to_string());
                std::fs::write(&path, "").unwrap();
                while mail.recv().await.unwrap().path() != path {}
                if mail.next_warning().is_some() {
                    return;
                }
            }
            panic!("the second failure was not reported");
        });
    }

    #[test]
    fn an_idle_receiver_does_not_ask_its_notifier_at_each_poll() {
        if !Backend::best().has_pollable_fd() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let waits = Arc::new(AtomicUsize::new(0));
        let count = waits.clone();
        let fails = move |call| {
            count.fetch_add(usize::from(call == Call::Wait), Ordering::Relaxed);
            false
        };
        runtime().block_on(async {
            let mut mail = failing(directory.path(), fails);
            for _ in 0..1000 {
                let mut is_pending =
                    |context: &mut Context<'_>| mail.poll_recv(context).is_pending();
                assert!(future::poll_fn(|context| Poll::Ready(is_pending(context))).await);
                ::tokio::task::yield_now().await;
            }
        });
        assert!((1..100).contains(&waits.load(Ordering::Relaxed)), "{waits:?} waits");
    }
}
