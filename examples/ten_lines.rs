//! Prints each entry that arrives in a directory. The queue is one descriptor in another event loop, here
//! that of the polling crate. Every loop that can wait for a descriptor works.
//!
//! ```text
//! cargo run --example ten_lines -- DIRECTORY
//! ```

#![cfg_attr(any(target_os = "illumos", target_os = "solaris"), allow(unused))]

use std::env;
use std::error::Error;
use std::os::fd::AsFd;
use std::path::Path;

use polling::{Event, Events, PollMode, Poller};
use pullcord::QueueOptions;

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("usage: ten_lines DIRECTORY")?;
    let (poller, mut events) = (Poller::new()?, Events::new());

    let mut mail = QueueOptions::directories([directory]).receiver()?;
    // SAFETY: the descriptor stays open as long as `mail` lives, and `poller` is not used after that.
    unsafe { poller.add_with_mode(&mail.as_fd(), Event::readable(0), PollMode::Level)? };
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
        while let Some(entry) = mail.try_recv() {
            deliver(&entry.path());
        }
        while let Some(warning) = mail.next_warning() {
            eprintln!("{warning}");
        }
    }
}

/// A system with select(2) only has no descriptor for a receiver: see `Queue::prepare_fds`.
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn main() {}

/// A real program removes the entry once it is processed. Otherwise the next scan returns it again.
fn deliver(path: &Path) {
    println!("{}", path.display());
}
