//! A queue manager on mio: the queue is a source of its `Poll`, and threads deliver.
//!
//! ```text
//! cargo run --features mio --example mta_mio -- /var/qmail/queue ./Maildir
//! ```

#![cfg_attr(any(target_os = "illumos", target_os = "solaris"), allow(unused))]

mod maildir;

use std::error::Error;
use std::io::ErrorKind;
use std::time::Instant;

use maildir::{InFlight, LATER, Post, couriers};
use mio::{Events, Interest, Poll, Token, Waker};
use pullcord::{Escaped, QueueOptions};

const MAIL: Token = Token(0);
const DONE: Token = Token(1);

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let mut poll = Poll::new()?;
    let mut mail = QueueOptions::qmail(&post.queue)?.receiver()?;
    poll.registry().register(&mut mail, MAIL, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), DONE)?;
    let (entries, done) = couriers(post, move || waker.wake().expect("the loop can be woken"));
    let mut in_flight = InFlight::default();
    let mut events = Events::with_capacity(64);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for (entry, delivered) in done.try_iter() {
            if in_flight.done(&entry) {
                entries.send(entry)?;
            } else if let Err(error) = delivered {
                eprintln!("{}: {error}; trying again later", Escaped(&entry.path()));
                mail.requeue(&entry, Instant::now() + LATER)?;
            }
        }
        if events.iter().any(|event| event.token() == MAIL) {
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
}

/// A system with select(2) only has no descriptor for a receiver: see `Queue::prepare_fds`.
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn main() {}
