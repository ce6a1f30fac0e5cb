//! A queue manager on tokio: the queue is a stream of entries, and each is delivered by a task.
//!
//! ```text
//! cargo run --features tokio --example mta_tokio -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use maildir::{Done, InFlight, LATER, Post};
use pullcord::interop::Entries;
use pullcord::{Escaped, Todo, todo::Queue};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let post = Arc::new(Post::from_args()?);
    let mut entries = Entries::of(Todo::open(Queue::qmail(&post.queue)?)?)?;
    let mut in_flight = InFlight::default();
    let mut deliveries = JoinSet::new();
    loop {
        tokio::select! {
            entry = entries.next(), if deliveries.len() < 64 => match entry {
                Ok(entry) if in_flight.start(&entry.path) => {
                    deliver(&mut deliveries, &post, entry.path);
                }
                Ok(_) => {}
                Err(error) => eprintln!("{error}"),
            },
            Some(done) = deliveries.join_next() => {
                let (entry, delivered) = done?;
                if in_flight.done(&entry) {
                    deliver(&mut deliveries, &post, entry);
                } else if let Err(error) = delivered {
                    eprintln!("{}: {error}; trying again later", Escaped(&entry));
                    entries.todo().requeue(&entry, Instant::now() + LATER)?;
                }
            }
        }
    }
}

/// Delivering is system calls that block: not on the threads that wait.
fn deliver(deliveries: &mut JoinSet<Done>, post: &Arc<Post>, entry: PathBuf) {
    let post = post.clone();
    deliveries.spawn_blocking(move || {
        let delivered = post.deliver(&entry);
        (entry, delivered)
    });
}
