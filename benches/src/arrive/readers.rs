//! The readers of pullcord: a queue in a loop on a notifier, and a receiver in the loops for which it exists.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use pullcord::{Backend, Entry, Events, Key, Notifier, Queue, QueueOptions, Receiver, Warning};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

use super::Reader;
use crate::raw::Sink;

/// Passes an entry to the sink.
fn pass(entry: &Entry<'_>, sink: Sink<'_>) {
    sink(entry.directory, entry.name.as_bytes());
}

/// Fails if there is a warning: it is not expected here, and changes the cost.
fn check(warning: Option<Warning>) -> io::Result<()> {
    warning.map_or(Ok(()), |warning| Err(io::Error::other(warning)))
}

/// Returns a receiver that has read the entries which its queue already contains.
pub(crate) fn receiver(options: &QueueOptions) -> io::Result<Receiver> {
    let mut mail = options.receiver()?;
    loop {
        while mail.try_recv().is_some() {}
        if !mail.queue().is_scanning() {
            return Ok(mail);
        }
    }
}

/// A queue in a loop on a notifier, as the documentation shows it.
pub(super) struct OnNotifier {
    queue: Queue,
    notifier: Box<dyn Notifier>,
    events: Events,
}

impl OnNotifier {
    /// Opens the queue and reads the entries that it already contains.
    pub(super) fn open(options: &QueueOptions) -> io::Result<OnNotifier> {
        let mut queue = options.open()?;
        let mut notifier = Backend::best().open()?;
        queue.register(&mut *notifier, [Key(0), Key(1)]);
        let mut ours = OnNotifier { queue, notifier, events: Events::with_capacity(64) };
        ours.wake(&mut |_, _| {})?;
        while ours.is_busy() {
            ours.wake(&mut |_, _| {})?;
        }
        Ok(ours)
    }
}

impl Reader for OnNotifier {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let OnNotifier { queue, notifier, events } = self;
        let timeout = queue.prepare(&mut **notifier, Instant::now());
        notifier.wait(events, timeout)?;
        for event in &*events {
            let _ = queue.handle_event(event);
        }
        let now = Instant::now();
        while let Some(entry) = queue.next_entry(now) {
            pass(&entry, sink);
        }
        check(queue.next_warning())
    }

    fn is_busy(&self) -> bool {
        self.queue.is_scanning()
    }
}

/// A receiver with its own loop.
pub(super) struct Receiving(Receiver);

impl Receiving {
    pub(super) fn open(options: &QueueOptions) -> io::Result<Receiving> {
        receiver(options).map(Receiving)
    }
}

impl Reader for Receiving {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        if let Some(entry) = self.0.recv()? {
            pass(&entry, sink);
        }
        check(self.0.next_warning())
    }
}

/// A receiver in a loop on mio's `Poll`.
pub(super) struct InMio {
    mail: Receiver,
    poll: Poll,
    events: mio::Events,
}

impl InMio {
    pub(super) fn open(options: &QueueOptions) -> io::Result<InMio> {
        let (mail, poll) = (receiver(options)?, Poll::new()?);
        let number = descriptor(&mail)?.as_raw_fd();
        poll.registry().register(&mut SourceFd(&number), Token(0), Interest::READABLE)?;
        Ok(InMio { mail, poll, events: mio::Events::with_capacity(64) })
    }
}

impl Reader for InMio {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        self.poll.poll(&mut self.events, None)?;
        take(&mut self.mail, sink)
    }
}

/// A receiver in a task of a tokio runtime with one thread. It is no `AsyncReceiver`: the feature `tokio` of the
/// library would be part of every package that is compiled together with this one.
pub(super) struct InTokio {
    // Dropped before the runtime, which it is registered with.
    mail: AsyncFd<Source>,
    runtime: Runtime,
}

/// A receiver as a source of tokio's.
struct Source(Receiver);

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        descriptor(&self.0).expect("it was asked for at first").as_raw_fd()
    }
}

impl InTokio {
    #[allow(unsafe_code)]
    pub(super) fn open(options: &QueueOptions) -> io::Result<InTokio> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mail = receiver(options)?;
        descriptor(&mail)?;
        let readable = tokio::io::Interest::READABLE;
        let inside = runtime.enter();
        // SAFETY: the receiver keeps its descriptor while it lives, and the `AsyncFd` owns it.
        let mail = unsafe { AsyncFd::register_with_interest(Source(mail), readable) };
        let mail = mail.map_err(|error| error.into_parts().1)?;
        drop(inside);
        Ok(InTokio { mail, runtime })
    }
}

impl Reader for InTokio {
    fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let InTokio { mail, runtime } = self;
        // The readiness is taken before the entries: each later one is a new edge.
        runtime.block_on(async { mail.readable().await.map(|mut ready| ready.clear_ready()) })?;
        take(&mut mail.get_mut().0, sink)
    }
}

/// Passes the entries that are ready in a receiver to the sink, when its descriptor is readable.
pub(crate) fn take(mail: &mut Receiver, sink: Sink<'_>) -> io::Result<()> {
    while let Some(entry) = mail.try_recv() {
        pass(&entry, sink);
    }
    check(mail.next_warning())
}

/// Returns the descriptor of a receiver. There is none where the only backend is select.
pub(crate) fn descriptor(mail: &Receiver) -> io::Result<BorrowedFd<'_>> {
    mail.pollable_fd().ok_or_else(|| io::ErrorKind::Unsupported.into())
}
