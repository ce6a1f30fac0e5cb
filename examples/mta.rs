//! A queue manager that blocks: it delivers the messages of a qmail queue to a Maildir, one at a time.
//!
//! ```text
//! cargo run --example mta -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::time::{Duration, Instant};

use maildir::{LATER, Post};
use pullcord::{Escaped, QueueOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let mut mail = QueueOptions::qmail(&post.queue)?.receiver()?;
    loop {
        // It returns for an entry, or for a warning.
        if let Some(entry) = mail.recv_timeout(Duration::MAX)? {
            let entry = entry.into_owned();
            if let Err(error) = post.deliver(&entry.path()) {
                eprintln!("{}: {error}; trying again later", Escaped(&entry.path()));
                mail.requeue(&entry, Instant::now() + LATER)?;
            }
        }
        while let Some(warning) = mail.next_warning() {
            eprintln!("{warning}");
        }
    }
}
