//! Which backends exist here, and which one a program would get: the best, or the one that
//! `PULLCORD_BACKEND` names.
//!
//! ```text
//! PULLCORD_BACKEND=select cargo run --example choose_backend
//! ```

use std::error::Error;
use std::time::Duration;

use pullcord::{Backend, Events, Interest, Key, Mode};

fn main() -> Result<(), Box<dyn Error>> {
    for backend in Backend::ALL {
        let edges = if backend.has_native_edge() { "its own edges" } else { "level for edges" };
        let nests =
            if backend.has_pollable_fd() { "rides in another loop" } else { "rides in none" };
        let here = if backend.is_available() { "here" } else { "not here" };
        println!("{backend:<6}  {here:<8}  {edges:<15}  {nests}");
    }
    let backend = Backend::from_env()?;
    let mut notifier = backend.open()?;

    // The same calls on each of them.
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    notifier.register(&reader, Key(1), Interest::Read, Mode::Level)?;
    drop(writer);
    let mut events = Events::with_capacity(1);
    notifier.wait(&mut events, Some(Duration::from_secs(1)))?;
    for event in &events {
        println!("{backend} says: {event:?}");
    }
    Ok(notifier.deregister(&reader)?)
}
