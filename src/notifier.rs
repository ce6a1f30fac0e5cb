//! Waiting for readiness: one contract, kept by every backend.
//!
//! | question | answer, the same on every backend |
//! |---|---|
//! | register | any [`AsFd`](std::os::fd::AsFd), a [`Key`], an [`Interest`], a [`Mode`]. Registering again changes it; a source closed and re-opened under the same number is just registered again |
//! | level | at every wait, for as long as it is ready |
//! | edge | at least one event after every arrival into a source that was drained. On select it is reported as level: a consumer that drains sees no difference |
//! | one-shot | once, then silent as a whole until registered again: hung-up FIFOs and both directions included |
//! | event | key, readable, writable; hang-up and error besides are hints. A FIFO whose writers left is readable, its bytes first; a writing end whose readers left is writable. Readable and writable at once may come in one event or in two |
//! | deregister | no event from any later wait; does nothing if the source is not registered |
//! | wait | never ends early; a signal ends it with no events and no error; allocates nothing once `Events` has found its size |
//! | wake | [`Waker::wake`], from any thread; many before a wait are one |
//! | a regular file, a directory | refused when registered: `InvalidInput` |
//! | fork | the child drops an inherited notifier and opens its own |
//! | exec | nothing leaks across it |
//! | use inside another event loop | [`Notifier::pollable_fd`], except on select |
//!
//! # The special problem of what nobody drains
//!
//! Level, and on select edge too, reports a source for as long as it is ready. A FIFO that hung up,
//! or a descriptor that can be written to and is registered for writing with nothing to write, is
//! ready for ever, and so is the wait. Deregister what has hung up; register for writing only what has
//! something to say.
//!
//! # The special problem of half a drain
//!
//! A source that was left partly read may or may not be reported again under [`Mode::Edge`]: epoll
//! is silent, kqueue fires when it is registered again, select reports it always. Drain until it
//! would block, or use level.
//!
//! # The special problem of closed descriptors
//!
//! Deregister a source before it is closed. What happens otherwise is bounded, but differs:
//!
//! | | a registered source is closed | its number is used again |
//! |---|---|---|
//! | epoll | forgotten by the kernel, unless a duplicate is open anywhere, in a forked child for one: then it goes on being reported | as if new |
//! | kqueue | forgotten by the kernel | as if new |
//! | select | at the next wait reported to its key, as an error, and forgotten | cannot be told from the old one, until it is registered again |
//!
//! # The special problem of high descriptors
//!
//! select(2) is given longer sets than `fd_set` holds where the system takes them (Linux, FreeBSD,
//! NetBSD, OpenBSD, DragonFly, macOS). Elsewhere a descriptor from `FD_SETSIZE` on is refused when
//! it is registered, in words.

pub use pullcord_platform::{Event, Events, Interest, Key, Mode, Notifier, Waker};
