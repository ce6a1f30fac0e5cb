//! A queue manager on mio's loop: the queue is one source of its `Poll`, and threads deliver.
//!
//! ```text
//! cargo run --features mio --example mta_mio -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::time::Instant;

use maildir::{InFlight, LATER, Post, couriers};
use mio::{Events, Interest, Poll, Token, Waker};
use pullcord::{Escaped, Todo, todo::Queue};

const TODO: Token = Token(0);
const DONE: Token = Token(1);

fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let mut poll = Poll::new()?;
    let mut todo = Todo::open(Queue::qmail(&post.queue)?)?;
    poll.registry().register(&mut todo, TODO, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), DONE)?;
    let (entries, done) = couriers(post, move || waker.wake().expect("the loop can be woken"));
    let mut in_flight = InFlight::default();
    let mut events = Events::with_capacity(64);
    loop {
        // Which descriptors the queue has, and whether they are to be heard, changes.
        poll.registry().reregister(&mut todo, TODO, Interest::READABLE)?;
        let timeout = todo.sources(Instant::now()).timeout;
        if let Err(error) = poll.poll(&mut events, Some(timeout)) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error.into());
        }
        for event in &events {
            if event.token() == TODO {
                todo.trigger_ready();
                todo.watch_ready();
            }
        }
        for (entry, delivered) in done.try_iter() {
            if in_flight.done(&entry) {
                entries.send(entry)?;
            } else if let Err(error) = delivered {
                eprintln!("{}: {error}; trying again later", Escaped(&entry));
                todo.requeue(&entry, Instant::now() + LATER)?;
            }
        }
        while let Some(entry) = todo.next(Instant::now()) {
            match entry.map(|entry| entry.path()) {
                Ok(entry) if in_flight.start(&entry) => entries.send(entry)?,
                Ok(_) => {}
                Err(error) => eprintln!("{error}"),
            }
        }
    }
}
