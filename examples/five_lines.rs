//! Prints each entry that arrives in a directory. Blocks in [`Receiver::recv`](pullcord::Receiver).
//!
//! ```text
//! cargo run --example five_lines -- DIRECTORY
//! ```

use std::env;
use std::error::Error;
use std::path::Path;

use pullcord::QueueOptions;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("usage: five_lines DIRECTORY")?;

    let mut mail = QueueOptions::directories([directory]).receiver()?;
    while let Some(entry) = mail.recv()? {
        deliver(&entry.path());
    }
    Ok(())
}

/// A real program removes the entry once it is processed. Otherwise the next scan returns it again.
fn deliver(path: &Path) {
    println!("{}", path.display());
}
