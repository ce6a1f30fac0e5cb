//! Prints each entry that arrives in a directory. The queue runs on a [`Notifier`](pullcord::Notifier) of
//! the program, beside the program's own descriptors. This is the lowest level: two system calls
//! for each wake-up.
//!
//! ```text
//! PULLCORD_BACKEND=select cargo run --example twenty_lines -- DIRECTORY
//! ```

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use pullcord::{Backend, Events, Key, QueueOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("usage: twenty_lines DIRECTORY")?;

    let mut notifier = Backend::from_env()?.open()?;
    let mut queue = QueueOptions::directories([directory]).open()?;
    queue.register(&mut *notifier, [Key(0), Key(1)]); // its trigger, its watch
    let mut events = Events::with_capacity(64);
    loop {
        let timeout = queue.prepare(&mut *notifier, Instant::now());
        notifier.wait(&mut events, timeout)?;
        for event in &events {
            if !queue.handle_event(event) {
                // The event belongs to another descriptor of the program.
            }
        }
        while let Some(entry) = queue.next_entry(Instant::now()) {
            deliver(&entry.path());
        }
        while let Some(warning) = queue.next_warning() {
            eprintln!("{warning}");
        }
    }
}

/// A real program removes the entry once it is processed. Otherwise the next scan returns it again.
fn deliver(path: &Path) {
    println!("{}", path.display());
}
