//! Embedding: pullcord in a mail-transfer agent of your own.
//! # The owner of the loop
//!
//! The program does. pullcord starts no thread and installs no signal handler.
//!
//! | the program | use | example |
//! |---|---|---|
//! | has no event loop | [`Receiver::recv`], which blocks | `five_lines.rs`, `mta.rs` |
//! | has one: mio, polling, smol, calloop, GLib, libev, epoll, kqueue, poll | the descriptor of a [`Receiver`], and [`Receiver::try_recv`] | `ten_lines.rs`, `mta_mio.rs`, `mta_polling.rs`, `smol.rs` |
//! | runs on tokio | `AsyncReceiver` | `mta_tokio.rs` |
//! | has none, and waits for other descriptors too | a [`Queue`] on a [`Notifier`] | `twenty_lines.rs` |
//! | waits with select(2) or poll(2), on a system without epoll and kqueue | [`Queue::prepare_fds`] before each wait, [`Queue::set_trigger_readable`] and [`Queue::set_watch_readable`] after it | |
//!
//! The features, and the versions of the loops: [`interop`].
//!
//! # A turn
//!
//! A turn begins when the descriptor is readable, and ends when [`Receiver::try_recv`] returns `None`.
//! It returns at most 64 entries, so that the other descriptors of the program have their turn however
//! many entries wait. The next turn is reported by the descriptor.
//!
//! With a [`Queue`] on a [`Notifier`], the loop calls [`Queue::prepare`], waits for at most as long as
//! it returned, passes the events to [`Queue::handle_event`], and calls [`Queue::next_entry`] until it
//! returns `None`. It must not skip this when the wait brought no event: pulls that wait for their
//! pause, a scan, requeued entries and verifications are due by time, and no descriptor reports them.
//!
//! After each turn, read the warnings: [`Receiver::next_warning`], [`Queue::next_warning`]. Each problem
//! is reported once. No entry is lost by it. A new warning makes the descriptor readable and ends a
//! [`Receiver::recv_timeout`]; it does not end a [`Receiver::recv`], which returns entries only.
//!
//! # An entry
//!
//! An entry is returned *at least* once. Deliver so that a second delivery changes nothing: write a file
//! whose name is made of the message's inode number and change time, sync it, and rename it into its
//! place. Then remove the entry, and last the file whose removal lets its name be used again.
//!
//! If deliveries go on while the loop does, keep a set of the paths that are being delivered. An entry
//! that is returned while its path is in the set may be the next message of the same name: deliver it
//! once more after the first delivery has ended. `examples/maildir/mod.rs` does all of this in a hundred
//! lines, and `tests/mta.rs` kills it at random points.
//!
//! An entry that cannot be delivered now is given to [`Receiver::requeue`]. An entry that is neither
//! removed nor requeued is returned by the next scan: at the latest at the
//! [`rescan_interval`](QueueOptions::rescan_interval), 25 minutes by default.
//!
//! # The order of opening
//!
//! 1. Change to the directory, user and limits that the program runs with (chroot, setuid). Only its
//!    owner may read the trigger of a queue.
//! 2. Fork, if the program runs in the background or has workers: see below.
//! 3. Open the event loop or the runtime of the program.
//! 4. Open the queue with [`QueueOptions::open`] or [`QueueOptions::receiver`]. It opens the trigger, then
//!    starts the watch, then checks the directories. No entry that is added from now on is missed, for any
//!    length of time before the first turn.
//! 5. Register the receiver, and the descriptors of the program, and run the loop. The first turns return
//!    the entries that were in the queue before.
//!
//! A queue has one reader. A second one fails with `ResourceBusy`. A program that only observes a queue
//! uses [`QueueOptions::without_trigger`].
//!
//! One queue on a network file system that does not answer blocks its thread. Give such a queue a thread
//! and a receiver of its own.
//!
//! # Fork
//!
//! Fork before the queue is opened, or execute another program after the fork: exec(2) closes all
//! descriptors of pullcord. A child that does neither
//!
//! - must not use an inherited [`Receiver`], [`Queue`] or [`Notifier`]: an epoll instance is shared with
//!   the parent, and a kqueue is not inherited. The child drops them, which leaves the parent's alone, and
//!   opens its own;
//! - keeps the trigger open until it has dropped it. If the parent ends before that, pulls go into a FIFO
//!   that no process reads, and the next reader fails with `ResourceBusy`.
//!
//! # SIGHUP
//!
//! A signal does not end [`Receiver::recv`]; it ends a [`Notifier::wait`] with no events and no error. Let
//! the thread that handles signals set a flag and use the [`Waker`] of [`Receiver::waker`]: `recv` then
//! returns `None`. A [`Waker`] must not be used in a signal handler; write into a pipe there, which the
//! loop waits for.
//!
//! A configuration that names the same queue needs nothing here: a replaced trigger or directory and a
//! split queue that has grown are found within the [`verify_interval`](QueueOptions::verify_interval). For
//! another queue, open it first, then drop the receiver of the old one.
//!
//! # Shutdown
//!
//! Take no more entries, finish or abandon the deliveries, remove the receiver from the loop, and drop it. A
//! [`Queue`] on a [`Notifier`] that lives on is removed with [`Queue::deregister`]. The program need not save
//! any state: the entries that were not removed are returned at the next start. The same holds for a program
//! that is killed. While no process reads the trigger, pulls return
//! [`NoReader`](crate::PullOutcome::NoReader), which loses no mail.
//!
//! # Guaranteed, and best effort
//!
//! | | Linux, Android | FreeBSD, NetBSD, OpenBSD, DragonFly, macOS | illumos and others |
//! |---|---|---|---|
//! | guaranteed: each entry is returned at least once | yes | yes | yes |
//! | guaranteed: a pull after a quiet time is served immediately | yes | yes | yes |
//! | guaranteed: without a pull and a change, no scan except at an interval | yes | yes; removals by the program itself are changes | yes |
//! | guaranteed: the descriptor of a [`Receiver`] reports everything | yes | yes | there is none |
//! | guaranteed: [`Event::readable`], [`Event::writable`] | yes | yes | yes |
//! | the cost of an entry does not depend on how many wait | with a reliable watch | no: the directory that changed is scanned | no: a pull scans all |
//! | an entry without a pull is returned | immediately, by the watch | after a second, by the watch; immediately in a queue without a trigger | at the rescan interval; at the poll interval in a queue without a trigger |
//! | best effort: [`Event::hang_up`], [`Event::error`] | epoll | kqueue | never |
//! | may change: [`Origin`](crate::Origin), [`Stats`](crate::Stats) | yes | yes | yes |
//! | an entry is returned again | after a scan that was needed | the same | the same |
//!
//! On a file system that other hosts write to (NFS, CIFS, FUSE) no watch is reliable on any system: pulls
//! and scans find the entries, and a pull on another host does not reach this one. A queue without a
//! trigger is scanned there at the [`poll_interval`](QueueOptions::poll_interval).

#[allow(unused_imports)] // for the links
use crate::{Event, Notifier, Queue, QueueOptions, Receiver, Waker, interop};
