//! A queue manager on polling's loop: the queue's descriptors are among the sources of its `Poller`,
//! and threads deliver.
//!
//! ```text
//! cargo run --features polling --example mta_polling -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use maildir::{InFlight, LATER, Post, couriers};
use polling::{Events, Poller};
use pullcord::interop::{PollingNotifier, event_of};
use pullcord::{Escaped, Key, Todo, todo::Queue};

fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let poller = Arc::new(Poller::new()?);
    let mut notifier = PollingNotifier::over(poller.clone());
    let mut todo = Todo::open(Queue::qmail(&post.queue)?)?;
    todo.register(&mut notifier, [Key(0), Key(1)])?;
    let bell = poller.clone();
    let (entries, done) = couriers(post, move || bell.notify().expect("the loop can be woken"));
    let mut in_flight = InFlight::default();
    let mut events = Events::new();
    loop {
        let timeout = todo.prepare(&mut notifier, Instant::now())?;
        events.clear();
        poller.wait(&mut events, timeout)?;
        for event in events.iter() {
            todo.ready(&event_of(event));
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
