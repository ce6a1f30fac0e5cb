//! A queue manager on tokio: a separate task delivers each entry.
//!
//! ```text
//! cargo run --features tokio --example mta_tokio -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use maildir::{Done, InFlight, LATER, Post};
use pullcord::interop::AsyncReceiver;
use pullcord::{Escaped, OwnedEntry, QueueOptions};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let post = Arc::new(Post::from_args()?);
    let mut mail = AsyncReceiver::new(QueueOptions::qmail(&post.queue)?.open()?)?;
    let mut in_flight = InFlight::default();
    let mut deliveries = JoinSet::new();
    loop {
        tokio::select! {
            readable = mail.readable(), if deliveries.len() < 64 => {
                readable?;
                while let Some(entry) = mail.try_recv() {
                    let entry = entry.into_owned();
                    if in_flight.start(&entry) {
                        deliver(&mut deliveries, &post, entry);
                    }
                }
                while let Some(warning) = mail.next_warning() {
                    eprintln!("{warning}");
                }
            },
            Some(done) = deliveries.join_next() => {
                let (entry, delivered) = done?;
                if in_flight.done(&entry) {
                    deliver(&mut deliveries, &post, entry);
                } else if let Err(error) = delivered {
                    eprintln!("{}: {error}; trying again later", Escaped(&entry.path()));
                    mail.requeue(&entry, Instant::now() + LATER)?;
                }
            }
        }
    }
}

/// Delivers an entry on a thread that may block.
fn deliver(deliveries: &mut JoinSet<Done>, post: &Arc<Post>, entry: OwnedEntry) {
    let post = post.clone();
    deliveries.spawn_blocking(move || {
        let delivered = post.deliver(&entry.path());
        (entry, delivered)
    });
}
