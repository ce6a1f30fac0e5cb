//! Other people's loops: pullcord in a program that has one already.
//!
//! | feature | public dependency | what rides in it | what it can be |
//! |---|---|---|---|
//! | `mio` | mio 1.2 | [`Trigger`](crate::Trigger), [`DirWatcher`](crate::DirWatcher) and [`Todo`](crate::Todo) are `mio::event::Source`s | a [`Notifier`](crate::Notifier): `MioNotifier` |
//! | `polling` | polling 3.11 | whatever is registered with a `PollingNotifier` over your `Poller` | the same `PollingNotifier` |
//! | `tokio` | tokio 1.54, futures-core 0.3 | `Entries`: a [`Todo`](crate::Todo) as a stream | |
//!
//! Any other loop: see [`Todo::sources`](crate::Todo::sources), or let it wait for
//! [`Notifier::pollable_fd`](crate::Notifier::pollable_fd), which never changes, and wait on that notifier
//! with a zero timeout until it has no more.
//!
//! # What a foreign notifier cannot promise
//!
//! Both pass the suite of the [contract](crate::notifier), but for this:
//!
//! | | `MioNotifier` | `PollingNotifier` |
//! |---|---|---|
//! | level | mio has edges only. What was reported is registered anew before the next wait: one more system call for each event | the poller's own |
//! | edge | the system's | the system's; `Unsupported` where the poller has none (illumos has both, poll(2) only level) |
//! | one-shot | taken out after it fired: one more system call | the poller's; on kqueue each direction of [`Interest::Both`](crate::Interest::Both) fires once |
//! | a signal | ends the wait | does **not**: the poller goes on waiting. Use a self-pipe |
//! | keys | all but the reserved one | the last but one is the waker's, and refused too |
//! | a source closed while registered | as the system has it | goes on being reported until it is removed: the poller waits for a duplicate |
//! | fork | as the others | a child that drops it leaks its descriptors; the `Poller` itself, dropped in a child, harms the parent's |
//! | registering | one or two system calls | three or four, and a descriptor for each source |
//! | ride in another loop | no: what is left over of level is asked for only by the next wait | no: the poller's descriptor says nothing of its notifications |

#[cfg(feature = "mio")]
mod mio;
#[cfg(feature = "polling")]
mod polling;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "mio")]
pub use self::mio::MioNotifier;
#[cfg(feature = "polling")]
pub use self::polling::{PollingNotifier, event_of};
#[cfg(feature = "tokio")]
pub use self::tokio::{Entries, OwnedEntry};
