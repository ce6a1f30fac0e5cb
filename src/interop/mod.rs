//! pullcord in a program that has an event loop already.
//!
//! The descriptor of a [`Receiver`](crate::Receiver) is enough for every loop: its deadlines are behind
//! it, and its number does not change. Register it once, to be read. When it is readable, call
//! [`try_recv`](crate::Receiver::try_recv) until it returns `None`, and then
//! [`next_warning`](crate::Receiver::next_warning) until it returns `None`. The loop needs no timeout
//! for it.
//!
//! | loop | register | feature | public dependency | example |
//! |---|---|---|---|---|
//! | mio | the [`Receiver`](crate::Receiver), a [`Trigger`](crate::Trigger) or a [`DirWatcher`](crate::DirWatcher), which are `mio::event::Source`s | `mio` | mio 1.2 | `mta_mio.rs` |
//! | tokio | nothing: `AsyncReceiver` has `recv` and is a `Stream` | `tokio` | tokio 1.54, futures-core 0.3 | `mta_tokio.rs` |
//! | polling | the descriptor (`AsFd`), in any mode | none | none | `mta_polling.rs` |
//! | async-io, smol | a duplicate of the descriptor, in an `Async` | none | none | `smol.rs` |
//! | calloop | a duplicate of the descriptor, in a `Generic`, with level or edge mode | none | none | `tests/interop.rs` |
//! | libev, libevent, GLib, or epoll, kqueue, poll and select themselves | the descriptor's number (`AsFd`, `AsRawFd`) | none | none | `ten_lines.rs` |
//! | a [`Notifier`](crate::Notifier) of your own | a [`Queue`](crate::Queue), with [`register`](crate::Queue::register) | none | none | `twenty_lines.rs` |
//!
//! # Modes
//!
//! - *Level*: the descriptor stays readable until `try_recv` has returned `None`.
//! - *Edge*: after `try_recv` has returned `None`, a new edge comes as soon as there is something to
//!   return. A loop that stops earlier must call `try_recv` again by itself.
//! - *One-shot*: register the descriptor again after `try_recv` has returned `None`.
//! - *Cached readiness* (tokio's `AsyncFd`, which is why `AsyncReceiver` exists): clear it before the first
//!   `try_recv` of a turn. After the last one, the loop may have noticed the next edge already.
//!
//! # Duplicates
//!
//! Some loops take ownership of their sources. Give them a duplicate
//! (`receiver.as_fd().try_clone_to_owned()`), and keep the receiver where the handler can use it. Remove the
//! duplicate from the loop before the receiver is dropped.
//!
//! # Portability
//!
//! On Linux and Android the descriptor is that of an epoll instance, on the BSDs and macOS that of a
//! kqueue. Systems with select(2) only have no such descriptor: the receiver is then neither an
//! [`AsFd`](std::os::fd::AsFd) nor a `mio::event::Source`, and `AsyncReceiver::new` fails with
//! `Unsupported`. A loop there waits for the descriptors of
//! [`Queue::prepare_fds`](crate::Queue::prepare_fds).
//!
//! # After a fork
//!
//! A child process that has inherited a receiver drops it, which leaves the parent's alone. It must not
//! deregister it from an inherited loop: an epoll instance is shared with the parent.

#[cfg(feature = "mio")]
mod mio;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::AsyncReceiver;
