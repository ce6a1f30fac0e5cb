//! Prints each entry that arrives in a directory, in smol's event loop (async-io).
//!
//! ```text
//! cargo run --example smol -- DIRECTORY
//! ```

#![cfg_attr(any(target_os = "illumos", target_os = "solaris"), allow(unused))]

use std::env;
use std::error::Error;
use std::os::fd::AsFd;
use std::path::Path;

use async_io::Async;
use pullcord::QueueOptions;

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("usage: smol DIRECTORY")?;

    let mut mail = QueueOptions::directories([directory]).receiver()?;
    let readable = Async::new_nonblocking(mail.as_fd().try_clone_to_owned()?)?;
    async_io::block_on(async {
        loop {
            readable.readable().await?;
            while let Some(entry) = mail.try_recv() {
                deliver(&entry.path());
            }
            while let Some(warning) = mail.next_warning() {
                eprintln!("{warning}");
            }
        }
    })
}

/// A system with select(2) only has no descriptor for a receiver: see `Queue::prepare_fds`.
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn main() {}

/// A real program removes the entry once it is processed. Otherwise the next scan returns it again.
fn deliver(path: &Path) {
    println!("{}", path.display());
}
