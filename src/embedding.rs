//! Embedding: pullcord in a mail-transfer agent of your own.
//!
//! # Who owns the loop
//!
//! You do. pullcord has no thread, no timer, no signal handler and no clock: [`Todo`] says which
//! descriptors to wait for and for how long, you wait, and tell it what is ready and what time it is.
//!
//! | your loop | what to do | example |
//! |---|---|---|
//! | none yet | [`Backend::best`], and the loop on the [front page](crate) | `mta.rs`, `choose_backend.rs` |
//! | mio | `Todo` is a source: reregister it before each poll | `mta_mio.rs` |
//! | polling | a `PollingNotifier` over your `Poller` | `mta_polling.rs` |
//! | tokio | `Entries`: an asynchronous stream | `mta_tokio.rs` |
//! | anything else that can wait for a descriptor | let it wait for [`Notifier::pollable_fd`] of a notifier that the queue is registered with, and at most as long as [`Todo::prepare`] says; then wait there with a zero timeout until it has no more | |
//! | select or poll, rebuilt each time | [`Todo::sources`] before each wait, [`Todo::trigger_ready`] and [`Todo::watch_ready`] after | |
//!
//! The features and the versions they are built on: [`interop`].
//!
//! # A turn
//!
//! Prepare, wait, say what is ready, take entries until there is `None`: [`Todo::next`] ends a turn
//! by itself after a batch, so that your other descriptors are served however much mail waits. Do
//! not sleep longer than it said, and do not skip the turn when nothing was ready: a pull that was
//! remembered, a scan under way and the safety tick are due by the time, not by a descriptor.
//!
//! An entry is handed out *at least* once. Deliver so that a second delivery changes nothing: into a
//! file whose name is made of the message's identity and change time, synced and renamed into place;
//! then remove the entry, and last what lets its name be used again. Where deliveries go on while the
//! loop does, keep a set of what is in flight, and do not throw away what is handed out while it is
//! in the set: it may be the next message of the same name. `examples/maildir/mod.rs` is all of this
//! in a hundred lines, and `tests/mta.rs` kills it at random points.
//!
//! What cannot be delivered now goes back with [`Todo::requeue`]. What you neither remove nor requeue
//! is offered again by the next scan: at the latest by the safety tick, 25 minutes unless
//! [`Queue::tick`] says otherwise.
//!
//! # In which order to open things
//!
//! 1. Become who you will be (chroot, setuid, limits): a queue's trigger is readable by its owner.
//! 2. Fork, if you are to: into the background, or workers. See below.
//! 3. The notifier, or your runtime.
//! 4. [`Todo::open`]: it opens the trigger, then arms the watch, then looks at the directories.
//!    From here on no mail goes unnoticed, whatever you do before the first turn.
//! 5. [`Todo::register`], your own descriptors, and the loop. The first turns hand out what waited.
//!
//! A queue has one reader. A second [`Todo`] on the same trigger is refused; who only wants to look
//! on takes [`Queue::without_trigger`].
//!
//! # At fork
//!
//! Fork before you open, or execute another program right after: no descriptor of pullcord's lives
//! through exec(2). A child that goes on without executing another program
//!
//! - must not use an inherited notifier or [`Todo`]: an epoll instance is one for both, and a kqueue
//!   is not inherited at all. It drops them, which leaves the parent's alone, and opens its own;
//! - holds the trigger open until it has dropped it. Should the parent end meanwhile, writers pull a
//!   FIFO that nobody reads, and the next reader is refused because somebody seems to.
//!
//! # At SIGHUP
//!
//! A signal ends a wait, with no events and no error (not so in polling, which waits anew). Let the
//! handler set a flag or write into a pipe of your own, or use a [`Waker`] from the thread that waits
//! for signals; a [`Waker`] is not for signal handlers. A configuration that names the same queue
//! needs nothing here: a trigger that was made anew and a split queue that has grown are noticed. For
//! another queue open and register the new [`Todo`] first, then deregister and drop the old one.
//!
//! # At shutdown
//!
//! Stop calling [`Todo::next`], finish or abandon what is in flight, say [`Todo::deregister`] if the
//! notifier lives on, and drop the [`Todo`]. Nothing has to be saved: what was not removed is found at the next start. Being killed
//! is no different. While no reader is there, writers' pulls say
//! [`NoReader`](crate::PullOutcome::NoReader), which loses no mail.
//!
//! # Promise and hint
//!
//! | | Linux, Android | FreeBSD, NetBSD, OpenBSD, DragonFly, macOS | illumos and others |
//! |---|---|---|---|
//! | **promised**: every entry is handed out at least once | yes | yes | yes |
//! | **promised**: a pull after a quiet time is acted on at once | yes | yes | yes |
//! | **promised**: no pull and no change, no scan but the tick's | yes | yes; its own removals are changes | yes |
//! | **promised**: [`Event::readable`] and [`Event::writable`] | yes | yes | yes |
//! | an entry costs the same however many wait | on a local file system, with a watch | no: the directory that changed is read | no: a pull reads all |
//! | an entry without a pull is found | at once, by the watch | a second later, by the watch; at once in a queue without a trigger | by the tick |
//! | hint: [`Event::hang_up`], [`Event::error`] | epoll | kqueue | never |
//! | hint: [`Via`](crate::Via), [`Counters`](crate::Counters) | may change | may change | may change |
//! | hint: a second time for the same entry | after a scan that was needed | the same | the same |
//!
//! On a file system that other hosts write to (NFS, CIFS, FUSE) there is no watch on any system: the
//! trigger and the scan do it all, and a pull on another host reaches nobody here.

#[allow(unused_imports)] // for the links
use crate::{Backend, Event, Notifier, Todo, Waker, interop, todo::Queue};
