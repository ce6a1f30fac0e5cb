//! A queue manager must learn that mail has come: at once, at no cost while none comes, and without
//! ever losing one. pullcord is the piece of a mail-transfer agent that does just that.
//!
//! - [`Notifier`] waits for readiness, over epoll, kqueue or select; [`Backend`] chooses one.
//! - [`Trigger`] is the FIFO by which writers wake the reader; [`pull`] is the writer's side.
//! - [`DirWatcher`] reports new entries of a directory, so that it need not be read.
//! - [`Todo`] is a queue's front door: trigger, watch and scan put together, every entry handed out
//!   at least once.
//!
//! ```no_run
//! use std::time::Instant;
//! use pullcord::{Backend, Events, Key, todo::Queue, Todo};
//!
//! let mut notifier = Backend::best().open()?;
//! let mut todo = Todo::open(Queue::qmail("/var/qmail/queue")?)?;
//! todo.register(&mut *notifier, [Key(0), Key(1)])?; // its trigger, its watch
//! let mut events = Events::with_capacity(64);
//! loop {
//!     let timeout = todo.prepare(&mut *notifier, Instant::now())?;
//!     notifier.wait(&mut events, timeout)?;
//!     for event in &events {
//!         todo.ready(event);
//!     }
//!     let now = Instant::now();
//!     while let Some(entry) = todo.next(now) {
//!         match entry {
//!             Ok(entry) => println!("deliver {}", entry.path().display()),
//!             Err(error) => eprintln!("{error}"), // said once; the entry is not lost
//!         }
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`embedding`] tells how to make it part of a program of yours, [`interop`] of one whose loop is
//!   mio's, polling's or tokio's.
//!
//! Unix only. The default build needs `libc` and `cfg-if`, and nothing else.

#![forbid(unsafe_code)]
// Every question to the system, and every look at the time, goes through the platform crate: clippy.toml
// lists what would not. Tests may ask for themselves.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
// Errors are returned, never printed.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod mutants;

pub mod backend;
pub mod embedding;
mod error;
pub mod interop;
pub mod notifier;
pub mod queue;
pub mod receiver;
pub mod todo;
pub mod trigger;
pub mod watcher;

pub use backend::Backend;
pub use error::{Error, Escaped, Result};
pub use notifier::{Event, Events, Interest, Key, Mode, Notifier, Waker};
pub use queue::{
    DirectoryStatus, Entry, Origin, OwnedEntry, Queue, QueueOptions, Stats, WaitFds, Warning,
    WarningKind, WatchGrade, WriteMethod,
};
pub use receiver::Receiver;
pub use todo::{Counters, Sources, Todo, Via};
pub use trigger::{DrainOutcome, OtherReaders, PullOutcome, Trigger, pull};
pub use watcher::{DirWatcher, WatchMode};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
