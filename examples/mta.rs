//! A queue manager on pullcord's own loop: it delivers what comes into a qmail queue to a Maildir,
//! one message at a time.
//!
//! ```text
//! PULLCORD_BACKEND=select cargo run --example mta -- /var/qmail/queue ./Maildir
//! ```

mod maildir;

use std::error::Error;
use std::time::Instant;

use maildir::{LATER, Post};
use pullcord::{Backend, Escaped, Events, Key, Todo, todo::Queue};

fn main() -> Result<(), Box<dyn Error>> {
    let post = Post::from_args()?;
    let mut notifier = Backend::from_env()?.open()?;
    let mut todo = Todo::open(Queue::qmail(&post.queue)?)?;
    todo.register(&mut *notifier, [Key(0), Key(1)])?;
    let mut events = Events::with_capacity(2);
    loop {
        let timeout = todo.prepare(&mut *notifier, Instant::now())?;
        notifier.wait(&mut events, timeout)?;
        for event in &events {
            todo.ready(event);
        }
        while let Some(entry) = todo.next(Instant::now()) {
            let entry = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    eprintln!("{error}");
                    continue;
                }
            };
            if let Err(error) = post.deliver(&entry) {
                eprintln!("{}: {error}; trying again later", Escaped(&entry));
                todo.requeue(&entry, Instant::now() + LATER)?;
            }
        }
    }
}
