//! pullcord notifies a queue manager of new mail: without delay, without polling, and without missing a
//! message.
//!
//! - [`Receiver`] returns the entries of a queue: it blocks, or is one descriptor in another event loop.
//! - [`Queue`] is the part without a loop: trigger, watch and scan put together, so that every entry is
//!   returned at least once. [`QueueOptions`] opens both.
//! - [`Notifier`] waits for readiness, over epoll, kqueue or select; [`Backend`] chooses one.
//! - [`Trigger`] is the FIFO by which writers wake the reader; [`pull`] is the writer's side.
//! - [`DirWatcher`] reports new entries of a directory, so that it need not be read.
//!
//! Blocking:
//!
//! ```no_run
//! let mut mail = pullcord::QueueOptions::qmail("/var/qmail/queue")?.receiver()?;
//! while let Some(entry) = mail.recv()? {
//!     println!("deliver {}", entry.path().display()); // then remove the file
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In another event loop, the receiver is one descriptor ([`AsFd`](std::os::fd::AsFd)) that needs no
//! timeout: see [`interop`].
//!
//! On a [`Notifier`] of the program, beside its own descriptors:
//!
//! ```no_run
//! use std::time::Instant;
//! use pullcord::{Backend, Events, Key, QueueOptions};
//!
//! let mut notifier = Backend::best().open()?;
//! let mut queue = QueueOptions::qmail("/var/qmail/queue")?.open()?;
//! queue.register(&mut *notifier, [Key(0), Key(1)]); // its trigger, its watch
//! let mut events = Events::with_capacity(64);
//! loop {
//!     let timeout = queue.prepare(&mut *notifier, Instant::now());
//!     notifier.wait(&mut events, timeout)?;
//!     for event in &events {
//!         if !queue.handle_event(event) {
//!             // It is an event of another descriptor of the program.
//!         }
//!     }
//!     while let Some(entry) = queue.next_entry(Instant::now()) {
//!         println!("deliver {}", entry.path().display());
//!     }
//!     while let Some(warning) = queue.next_warning() {
//!         eprintln!("{warning}"); // reported once; no entry is lost
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`embedding`] is the guide for a mail-transfer agent: the order of opening, fork, signals, shutdown.
//!
//! Unix only. The default build needs `libc` and `cfg-if`, and nothing else.

#![forbid(unsafe_code)]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Every question to the system, and every look at the time, goes through the platform crate: clippy.toml
// lists the calls that would not. Tests may ask for themselves.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
// Errors are returned, never printed.
#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use(mutant)]
extern crate pullcord_platform;

pub mod backend;
pub mod embedding;
mod error;
pub mod interop;
pub mod notifier;
pub mod queue;
pub mod receiver;
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
pub use trigger::{DrainOutcome, OtherReaders, PullOutcome, Trigger, pull};
pub use watcher::{DirWatcher, WatchMode};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
