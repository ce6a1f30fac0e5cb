//! A queue manager on polling: the queue is one descriptor of its `Poller`, and threads deliver.
//!
//! ```text
//! cargo run --example mta_polling -- /var/qmail/queue ./Maildir
//! ```

#![cfg_attr(any(target_os = "illumos", target_os = "solaris"), allow(unused))]

mod maildir;

use std::error::Error;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use maildir::{InFlight, LATER, Post, couriers};
use polling::{Event, Events, PollMode, Poller};
use pullcord::{Escaped, QueueOptions};

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let poller = Arc::new(Poller::new()?);
    let mut mail = QueueOptions::qmail(&post.queue)?.receiver()?;
    // SAFETY: the descriptor stays open as long as `mail` lives, and `poller` is not used after that.
    unsafe { poller.add_with_mode(&mail.as_fd(), Event::readable(0), PollMode::Level)? };
    let waker = poller.clone();
    let (entries, done) = couriers(post, move || waker.notify().expect("the loop can be woken"));
    let mut in_flight = InFlight::default();
    let mut events = Events::new();
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
        for (entry, delivered) in done.try_iter() {
            if in_flight.done(&entry) {
                entries.send(entry)?;
            } else if let Err(error) = delivered {
                eprintln!("{}: {error}; trying again later", Escaped(&entry.path()));
                mail.requeue(&entry, Instant::now() + LATER)?;
            }
        }
        while let Some(entry) = mail.try_recv() {
            let entry = entry.into_owned();
            if in_flight.start(&entry) {
                entries.send(entry)?;
            }
        }
        while let Some(warning) = mail.next_warning() {
            eprintln!("{warning}");
        }
    }
}

/// A system with select(2) only has no descriptor for a receiver: see `Queue::prepare_fds`.
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn main() {}
