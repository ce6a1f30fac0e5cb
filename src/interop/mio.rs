//! mio: sources for a `Poll`.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Registry, Token};

#[cfg(doc)]
use crate::DrainOutcome;
use crate::{DirWatcher, Trigger};

/// Implements `Source` for a type that is one descriptor as long as it lives.
macro_rules! impl_fd_source {
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

pullcord_platform::if_pollable! {
    impl_fd_source! {
        /// Register it once, to be read. When mio reports it, call
        /// [`try_recv`](crate::Receiver::try_recv) until it returns `None`; the next edge then comes by
        /// itself. The poll needs no timeout for it.
        ///
        /// ```no_run
        /// use mio::{Events, Interest, Poll, Token};
        /// use pullcord::QueueOptions;
        ///
        /// let mut poll = Poll::new()?;
        /// let mut mail = QueueOptions::qmail("/var/qmail/queue")?.receiver()?;
        /// poll.registry().register(&mut mail, Token(0), Interest::READABLE)?;
        /// let mut events = Events::with_capacity(64);
        /// loop {
        ///     poll.poll(&mut events, None)?;
        ///     if events.iter().any(|event| event.token() == Token(0)) {
        ///         while let Some(entry) = mail.try_recv() {
        ///             println!("deliver {}", entry.path().display());
        ///         }
        ///         while let Some(warning) = mail.next_warning() {
        ///             eprintln!("{warning}");
        ///         }
        ///     }
        /// }
        /// # #[allow(unreachable_code)]
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        crate::Receiver
    }
}

impl_fd_source! {
    /// Readable after each pull. mio reports edges only: call [`drain`](Trigger::drain), and call it
    /// again in the next turn after [`DrainOutcome::Partial`].
    Trigger
}

impl_fd_source! {
    /// Readable after each change. mio reports edges only: call
    /// [`read_events`](DirWatcher::read_events) until it returns 0.
    DirWatcher
}
