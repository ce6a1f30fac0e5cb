//! What the contract is tested on: the backends, and other people's pollers that play one.

use std::fmt;
use std::io;

use pullcord::{Backend, Notifier};

/// Something that opens a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotifierKind {
    Own(Backend),
    #[cfg(feature = "mio")]
    Mio,
    #[cfg(feature = "polling")]
    Polling,
}

/// What a suite can be run over.
pub(crate) trait Tested: fmt::Display + Copy + Send + 'static {
    fn all() -> impl Iterator<Item = Self>;
}

impl Tested for Backend {
    fn all() -> impl Iterator<Item = Backend> {
        super::backends()
    }
}

impl Tested for NotifierKind {
    fn all() -> impl Iterator<Item = NotifierKind> {
        let foreign = [
            #[cfg(feature = "mio")]
            NotifierKind::Mio,
            #[cfg(feature = "polling")]
            NotifierKind::Polling,
        ];
        super::backends().map(NotifierKind::Own).chain(foreign)
    }
}

/// What one of them does not promise, and why, stands in the table of `pullcord::interop`.
impl NotifierKind {
    pub(crate) fn open(self) -> io::Result<Box<dyn Notifier>> {
        match self {
            NotifierKind::Own(backend) => backend.open(),
            #[cfg(feature = "mio")]
            NotifierKind::Mio => Ok(Box::new(pullcord::interop::MioNotifier::open()?)),
            #[cfg(feature = "polling")]
            NotifierKind::Polling => Ok(Box::new(pullcord::interop::PollingNotifier::open()?)),
        }
    }

    pub(crate) fn has_native_edge(self) -> bool {
        self.own().is_none_or(Backend::has_native_edge)
    }

    pub(crate) fn has_pollable_fd(self) -> bool {
        self.own().is_some_and(Backend::has_pollable_fd)
    }

    /// The highest key that it takes: polling needs one for its waker.
    pub(crate) fn highest_key(self) -> usize {
        if self.is("polling") { usize::MAX - 2 } else { usize::MAX - 1 }
    }

    /// polling begins its wait anew after a signal.
    pub(crate) fn heeds_signals(self) -> bool {
        !self.is("polling")
    }

    /// polling waits for a duplicate, which stays open.
    pub(crate) fn notices_a_close(self) -> bool {
        !self.is("polling")
    }

    fn own(self) -> Option<Backend> {
        match self {
            NotifierKind::Own(backend) => Some(backend),
            #[cfg(any(feature = "mio", feature = "polling"))]
            _ => None,
        }
    }

    fn is(self, name: &str) -> bool {
        self.to_string() == name
    }
}

impl From<Backend> for NotifierKind {
    fn from(backend: Backend) -> NotifierKind {
        NotifierKind::Own(backend)
    }
}

impl PartialEq<Backend> for NotifierKind {
    fn eq(&self, backend: &Backend) -> bool {
        self.own() == Some(*backend)
    }
}

impl fmt::Display for NotifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotifierKind::Own(backend) => backend.fmt(f),
            #[cfg(feature = "mio")]
            NotifierKind::Mio => f.pad("mio"),
            #[cfg(feature = "polling")]
            NotifierKind::Polling => f.pad("polling"),
        }
    }
}
