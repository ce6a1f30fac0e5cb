//! mio: sources for a `Poll`, and a `Poll` as a notifier.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Poll, Registry, Token};
use pullcord_platform::{check_source, clock, wait_with_timeout};

use crate::{
    DirWatcher, Event, Events, Interest, Key, Mode, Notifier, Sources, Todo, Trigger, Waker,
};

/// A source that is one descriptor, for as long as it lives.
macro_rules! one_descriptor {
    ($(#[$doc:meta])* $source:ty) => {
        $(#[$doc])*
        impl Source for $source {
            fn register(
                &mut self,
                registry: &Registry,
                token: Token,
                interests: mio::Interest,
            ) -> io::Result<()> {
                SourceFd(&self.as_fd().as_raw_fd()).register(registry, token, interests)
            }

            fn reregister(
                &mut self,
                registry: &Registry,
                token: Token,
                interests: mio::Interest,
            ) -> io::Result<()> {
                SourceFd(&self.as_fd().as_raw_fd()).reregister(registry, token, interests)
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                SourceFd(&self.as_fd().as_raw_fd()).deregister(registry)
            }
        }
    };
}

one_descriptor! {
    /// Readable after each pull. mio knows edges only: [`drain`](Trigger::drain), and again at the
    /// next turn after [`DrainOutcome::Partial`](crate::DrainOutcome::Partial).
    Trigger
}

one_descriptor! {
    /// Readable after each change. mio knows edges only: call
    /// [`read_events`](DirWatcher::read_events) until it returns 0.
    DirWatcher
}

/// Its trigger and its watch, both under one token.
///
/// Which descriptors these are changes: the trigger rests while a pull is remembered, it may be
/// replaced, and the watch may have to be opened anew. So *reregister it before each poll*, which
/// also makes of mio's edges what [`Todo`] is built on: whatever is left is reported again. It takes
/// two to four system calls a turn.
///
/// ```no_run
/// # use std::time::Instant;
/// # use mio::{Interest, Poll, Token};
/// # use pullcord::{todo::Queue, Todo};
/// const TODO: Token = Token(0);
/// let mut poll = Poll::new()?;
/// let mut todo = Todo::open(Queue::qmail("/var/qmail/queue")?)?;
/// poll.registry().register(&mut todo, TODO, Interest::READABLE)?;
/// let mut events = mio::Events::with_capacity(64);
/// loop {
///     poll.registry().reregister(&mut todo, TODO, Interest::READABLE)?;
///     let timeout = todo.sources(Instant::now()).timeout;
///     poll.poll(&mut events, Some(timeout))?;
///     if events.iter().any(|event| event.token() == TODO) {
///         todo.trigger_ready();
///         todo.watch_ready();
///     }
///     while let Some(entry) = todo.next(Instant::now()) {
///         println!("deliver {}", entry?.path().display());
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Source for Todo {
    /// The interests are its own: to be read.
    fn register(&mut self, registry: &Registry, token: Token, _: mio::Interest) -> io::Result<()> {
        let registered = Todo::register(self, &mut Registrar(registry), [Key(token.0); 2]);
        registered.map_err(io::Error::other)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        _: mio::Interest,
    ) -> io::Result<()> {
        let now = clock::now();
        // Takes out what rests or was replaced; the rest is asked for anew.
        self.prepare(&mut Registrar(registry), now).map_err(io::Error::other)?;
        let Sources { trigger, watch, .. } = self.sources(now);
        [trigger, watch].into_iter().flatten().try_for_each(|source| {
            put(registry, source.as_raw_fd(), token, mio::Interest::READABLE)
        })
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        Todo::deregister(self, &mut Registrar(registry)).map_err(io::Error::other)
    }
}

/// Where a [`Todo`] registers: the half of a notifier that does not wait.
struct Registrar<'a>(&'a Registry);

impl Notifier for Registrar<'_> {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        _: Mode,
    ) -> io::Result<()> {
        put(self.0, source.as_fd().as_raw_fd(), Token(key.0), in_mio(interest))
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        take(self.0, source.as_fd().as_raw_fd())
    }

    fn wait(&mut self, _: &mut Events, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Registers, or registers again, whichever it takes: a descriptor may have been closed, and its
/// number used again, without a word to mio.
fn put(registry: &Registry, source: RawFd, token: Token, wanted: mio::Interest) -> io::Result<()> {
    match SourceFd(&source).reregister(registry, token, wanted) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            SourceFd(&source).register(registry, token, wanted)
        }
        put => put,
    }
}

/// Takes out what is there.
fn take(registry: &Registry, source: RawFd) -> io::Result<()> {
    match SourceFd(&source).deregister(registry) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn in_mio(interest: Interest) -> mio::Interest {
    match interest {
        Interest::Read => mio::Interest::READABLE,
        Interest::Write => mio::Interest::WRITABLE,
        Interest::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
    }
}

/// A `mio::Poll` as a [`Notifier`], so that all that runs on one runs on mio.
///
/// A program with a `Poll` of its own registers the sources there instead: see [`Todo`]'s
/// implementation of `mio::event::Source`. What this cannot promise is listed
/// [here](crate::interop).
#[derive(Debug)]
pub struct MioNotifier {
    poll: Poll,
    found: mio::Events,
    room: usize,
    /// By descriptor, which is its token too.
    sources: HashMap<RawFd, Registered>,
    /// Level-triggered sources that the last wait reported.
    reported: Vec<RawFd>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Registered {
    key: Key,
    interest: Interest,
    mode: Mode,
}

const WAKER: Token = Token(usize::MAX);

impl MioNotifier {
    /// Over a `Poll` of its own.
    ///
    /// # Errors
    ///
    /// Those of `Poll::new`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn open() -> io::Result<MioNotifier> {
        Poll::new().map(MioNotifier::from)
    }

    /// Asks anew for what was reported and may still be ready.
    fn arm_reported(&mut self) {
        for source in self.reported.drain(..) {
            if let Some(&Registered { interest, .. }) = self.sources.get(&source)
                && SourceFd(&source)
                    .reregister(self.poll.registry(), Token(source as usize), in_mio(interest))
                    .is_err()
            {
                // It was closed.
                self.sources.remove(&source);
            }
        }
    }
}

/// Over a `Poll` that nothing was registered with.
impl From<Poll> for MioNotifier {
    fn from(poll: Poll) -> MioNotifier {
        MioNotifier {
            poll,
            found: mio::Events::with_capacity(0),
            room: 0,
            sources: HashMap::new(),
            reported: Vec::new(),
            waker: None,
        }
    }
}

impl Notifier for MioNotifier {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        let source = source.as_fd();
        check_source(source, key)?;
        let source = source.as_raw_fd();
        self.sources.remove(&source);
        put(self.poll.registry(), source, Token(source as usize), in_mio(interest))?;
        self.sources.insert(source, Registered { key, interest, mode });
        Ok(())
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        let source = source.as_fd().as_raw_fd();
        // A file that could never have been registered is no error either.
        if self.sources.remove(&source).is_some() {
            take(self.poll.registry(), source)
        } else {
            Ok(())
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        if self.room != events.capacity() {
            self.room = events.capacity();
            self.found = mio::Events::with_capacity(self.room);
        }
        self.arm_reported();
        wait_with_timeout(timeout, |slice| {
            self.poll.poll(&mut self.found, slice)?;
            Ok(self.found.iter().count())
        })
        .map(|found| {
            if found == 0 {
                self.found.clear()
            }
        })?;
        for event in &self.found {
            if event.token() == WAKER {
                if let Some(waker) = &self.waker {
                    waker.acknowledge()?;
                }
                events.set_woken();
                continue;
            }
            let source = event.token().0 as RawFd;
            let Some(&Registered { key, mode, .. }) = self.sources.get(&source) else { continue };
            let mut reported = Event::new(key);
            reported.readable = event.is_readable() || event.is_read_closed() || event.is_error();
            reported.writable = event.is_writable() || event.is_error();
            reported.hang_up = event.is_read_closed() || event.is_write_closed();
            reported.error = event.is_error();
            events.push(reported);
            if mode == Mode::Level {
                self.reported.push(source);
            }
        }
        // Both directions of a source may be in one wait: it is disarmed once all were reported.
        for event in &self.found {
            let source = event.token().0 as RawFd;
            if self.sources.get(&source).is_some_and(|source| source.mode == Mode::OneShot) {
                take(self.poll.registry(), source)?;
            }
        }
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if self.waker.is_none() {
            let waker = Waker::new()?;
            let ear = waker.reader().as_raw_fd();
            put(self.poll.registry(), ear, WAKER, mio::Interest::READABLE)?;
            self.waker = Some(waker);
        }
        Ok(self.waker.clone().expect("made above"))
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
