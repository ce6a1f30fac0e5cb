//! All implementations that wait for descriptors, behind one trait. Each is used as documented.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use mio::unix::SourceFd;
use polling::PollMode;
use pullcord::{Backend, Events, Interest, Key, Mode, Notifier, OtherReaders, Trigger};

use crate::Options;
use crate::dynamic::{Libev, Libevent};
use crate::raw::{self, Fifo};
pub(crate) use crate::raw::{EDGE, EVENTS, LEVEL, Loop, ONE_SHOT};

/// The reading end of a FIFO, as one implementation uses it.
pub(crate) trait Pulled: AsFd + Sized {
    fn open(path: &Path) -> io::Result<Self>;

    fn drain(&mut self) -> io::Result<()>;
}

/// A workload for one implementation.
pub(crate) trait Work {
    fn with<L: Loop, F: Pulled>() -> Self;
}

/// An implementation, and a workload for it.
#[derive(Clone, Copy)]
pub(crate) struct Implementation<W> {
    pub(crate) name: &'static str,
    /// The raw loop on the same kernel interface.
    pub(crate) raw: &'static str,
    pub(crate) work: W,
}

fn of<W: Work, L: Loop, F: Pulled>(name: &'static str, raw: &'static str) -> Implementation<W> {
    Implementation { name, raw, work: W::with::<L, F>() }
}

/// Returns the implementations that `options` selects. Those that differ by a few per cent only are
/// neighbours.
pub(crate) fn all<W: Work>(options: &Options) -> Vec<Implementation<W>> {
    asked_for(options, native().into_iter().chain(portable()))
}

/// Returns the same and the installed C libraries. A C library passes a change to the kernel at its next
/// wait, so that the cost of a change alone cannot be measured.
pub(crate) fn all_and_installed<W: Work>(options: &Options) -> Vec<Implementation<W>> {
    let installed = [
        Libev::open().is_ok().then(|| of::<W, Libev, Fifo>("libev", RAW_LEVEL)),
        Libevent::open().is_ok().then(|| of::<W, Libevent, Fifo>("libevent", RAW_LEVEL)),
    ];
    let mut all = all(options);
    all.extend(asked_for(options, installed.into_iter().flatten()));
    all
}

fn asked_for<W: Work>(
    options: &Options,
    all: impl Iterator<Item = Implementation<W>>,
) -> Vec<Implementation<W>> {
    all.filter(|implementation| options.includes(implementation.name)).collect()
}

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "linux", target_os = "android"))] {
        use pullcord_platform::Epoll as Best;
        use raw::Epoll as RawBest;

        pub(crate) type RawEdge = RawBest<EDGE>;

        pub(crate) const RAW: &str = "raw epoll";
        const RAW_LEVEL: &str = "raw epoll, level";
        pub(crate) const OURS: &str = "pullcord epoll";
        pub(crate) const STATIC: &str = "pullcord epoll, static";

        fn native<W: Work>() -> Vec<Implementation<W>> {
            vec![
                of::<W, RawEdge, Fifo>(RAW, RAW),
                of::<W, Ours<Best, EDGE>, Trigger>(STATIC, RAW),
                of::<W, Ours<AnyBest, EDGE>, Trigger>(OURS, RAW),
                of::<W, Mio, Emptied>("mio", RAW),
                of::<W, RawBest<LEVEL>, Fifo>(RAW_LEVEL, RAW_LEVEL),
                of::<W, Ours<AnyBest, LEVEL>, Trigger>("pullcord epoll, level", RAW_LEVEL),
            ]
        }
    } else if #[cfg(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_vendor = "apple",
    ))] {
        use pullcord_platform::Kqueue as Best;
        use raw::Kqueue as RawBest;

        pub(crate) type RawEdge = RawBest<EDGE>;

        pub(crate) const RAW: &str = "raw kqueue";
        const RAW_LEVEL: &str = "raw kqueue, level";
        pub(crate) const OURS: &str = "pullcord kqueue";
        pub(crate) const STATIC: &str = "pullcord kqueue, static";

        fn native<W: Work>() -> Vec<Implementation<W>> {
            vec![
                of::<W, RawEdge, Fifo>(RAW, RAW),
                of::<W, Ours<Best, EDGE>, Trigger>(STATIC, RAW),
                of::<W, Ours<AnyBest, EDGE>, Trigger>(OURS, RAW),
                of::<W, Mio, Emptied>("mio", RAW),
                of::<W, RawBest<LEVEL>, Fifo>(RAW_LEVEL, RAW_LEVEL),
                of::<W, Ours<AnyBest, LEVEL>, Trigger>("pullcord kqueue, level", RAW_LEVEL),
            ]
        }
    } else {
        use pullcord_platform::Select as Best;

        pub(crate) type RawEdge = raw::Select;

        pub(crate) const RAW: &str = RAW_SELECT;
        const RAW_LEVEL: &str = RAW_SELECT;
        pub(crate) const OURS: &str = OUR_SELECT;
        pub(crate) const STATIC: &str = "pullcord select, static";

        fn native<W: Work>() -> Vec<Implementation<W>> {
            vec![
                of::<W, Ours<Best, EDGE>, Trigger>(STATIC, RAW),
                of::<W, Mio, Emptied>("mio", RAW),
            ]
        }
    }
}

pub(crate) const RAW_SELECT: &str = "raw select";
pub(crate) const OUR_SELECT: &str = "pullcord select";
pub(crate) const POLLING: [&str; 3] = ["polling, edge", "polling, level", "polling, one-shot"];

fn portable<W: Work>() -> Vec<Implementation<W>> {
    vec![
        of::<W, Polling<EDGE>, Emptied>(POLLING[0], RAW),
        of::<W, Polling<LEVEL>, Fifo>(POLLING[1], RAW),
        of::<W, Polling<ONE_SHOT>, Fifo>(POLLING[2], RAW),
        of::<W, raw::Select, Fifo>(RAW_SELECT, RAW_SELECT),
        of::<W, Ours<AnySelect, EDGE>, Trigger>(OUR_SELECT, RAW_SELECT),
    ]
}

/// A notifier of pullcord's.
pub(crate) struct Ours<N: Opened, const MODE: u8> {
    notifier: Box<N::Notifier>,
    events: Events,
}

/// The way in which a notifier is opened.
pub(crate) trait Opened {
    type Notifier: Notifier + ?Sized;

    fn open() -> io::Result<Box<Self::Notifier>>;
}

/// Opens the notifier by its type, so that every call is static.
impl Opened for Best {
    type Notifier = Best;

    fn open() -> io::Result<Box<Best>> {
        Best::new().map(Box::new)
    }
}

/// The best backend, as the library opens it.
pub(crate) struct AnyBest;

impl Opened for AnyBest {
    type Notifier = dyn Notifier;

    fn open() -> io::Result<Box<dyn Notifier>> {
        Backend::best().open()
    }
}

pub(crate) struct AnySelect;

impl Opened for AnySelect {
    type Notifier = dyn Notifier;

    fn open() -> io::Result<Box<dyn Notifier>> {
        Backend::Select.open()
    }
}

impl<N: Opened, const MODE: u8> Loop for Ours<N, MODE> {
    fn open() -> io::Result<Self> {
        Ok(Ours { notifier: N::open()?, events: Events::with_capacity(EVENTS) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let mode = if MODE == EDGE { Mode::Edge } else { Mode::Level };
        self.notifier.register(&source, Key(key), Interest::Read, mode)
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.add(source, key)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.notifier.deregister(&source)
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        self.notifier.wait(&mut self.events, None)?;
        self.events.iter().try_for_each(|event| ready(event.key.0))
    }
}

pub(crate) struct Mio {
    poll: mio::Poll,
    events: mio::Events,
}

impl Loop for Mio {
    fn open() -> io::Result<Self> {
        Ok(Mio { poll: mio::Poll::new()?, events: mio::Events::with_capacity(EVENTS) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let (number, token) = (source.as_raw_fd(), mio::Token(key));
        self.poll.registry().register(&mut SourceFd(&number), token, mio::Interest::READABLE)
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let (number, token) = (source.as_raw_fd(), mio::Token(key));
        self.poll.registry().reregister(&mut SourceFd(&number), token, mio::Interest::READABLE)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&source.as_raw_fd()))
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        self.poll.poll(&mut self.events, None)?;
        self.events.iter().try_for_each(|event| ready(event.token().0))
    }
}

pub(crate) struct Polling<const MODE: u8> {
    poller: polling::Poller,
    events: polling::Events,
}

impl<const MODE: u8> Polling<MODE> {
    const POLL_MODE: PollMode = match MODE {
        EDGE => PollMode::Edge,
        LEVEL => PollMode::Level,
        _ => PollMode::Oneshot,
    };
}

impl<const MODE: u8> Loop for Polling<MODE> {
    const ONE_SHOT: bool = MODE == ONE_SHOT;

    fn open() -> io::Result<Self> {
        const ROOM: NonZeroUsize = NonZeroUsize::new(EVENTS).expect("not zero");
        Ok(Polling {
            poller: polling::Poller::new()?,
            events: polling::Events::with_capacity(ROOM),
        })
    }

    #[allow(unsafe_code)]
    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let readable = polling::Event::readable(key);
        // SAFETY: every workload removes its sources before it closes them.
        unsafe { self.poller.add_with_mode(&source, readable, Self::POLL_MODE) }
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.poller.modify_with_mode(source, polling::Event::readable(key), Self::POLL_MODE)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        self.events.clear();
        self.poller.wait(&mut self.events, None)?;
        self.events.iter().try_for_each(|event| ready(event.key))
    }
}

impl Pulled for Trigger {
    fn open(path: &Path) -> io::Result<Self> {
        Trigger::open(path, OtherReaders::Allow).map_err(io::Error::other)
    }

    fn drain(&mut self) -> io::Result<()> {
        Trigger::drain(self).map(drop).map_err(io::Error::other)
    }
}

impl Pulled for Fifo {
    fn open(path: &Path) -> io::Result<Self> {
        Fifo::open(path)
    }

    fn drain(&mut self) -> io::Result<()> {
        Fifo::drain(self).map(drop)
    }
}

/// A FIFO that is read until it would block, as mio and polling require in edge-triggered mode.
pub(crate) struct Emptied(Fifo);

impl Pulled for Emptied {
    fn open(path: &Path) -> io::Result<Self> {
        Fifo::open(path).map(Emptied)
    }

    fn drain(&mut self) -> io::Result<()> {
        while self.0.drain()? > 0 {}
        Ok(())
    }
}

impl AsFd for Emptied {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
