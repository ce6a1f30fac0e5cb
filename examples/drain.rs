//! Waits on a trigger and only drains it: two system calls per wake-up, the wait and one read.
//!
//! ```text
//! PULLCORD_BACKEND=select cargo run --example drain -- /var/qmail/queue/lock/trigger 10
//! ```
//! Prints each wake-up and ends after 10.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use pullcord::{Backend, Events, Interest, Key, Mode, OtherReaders, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [fifo, count] = arguments.as_slice() else { return Err("usage: drain FIFO COUNT".into()) };
    let count: u64 = count.to_string_lossy().parse()?;

    let mut trigger = Trigger::open(PathBuf::from(fifo), OtherReaders::Reject)?;
    let mut notifier = Backend::from_env()?.open()?;
    notifier.register(&trigger, Key(0), Interest::Read, Mode::Level)?;
    let mut events = Events::with_capacity(1);
    let mut wakes = 0;
    while wakes < count {
        notifier.wait(&mut events, None)?;
        for _ in &events {
            wakes += 1;
            println!("wake {wakes}: {:?}", trigger.drain()?);
        }
    }
    Ok(())
}
