//! Lists the backends of this system and uses the one that a program would get: the best, or the one in
//! `PULLCORD_BACKEND`.
//!
//! ```text
//! PULLCORD_BACKEND=select cargo run --example choose_backend
//! ```

use std::error::Error;
use std::time::Duration;

use pullcord::{Backend, Events, Interest, Key, Mode};

fn main() -> Result<(), Box<dyn Error>> {
    for backend in Backend::ALL {
        let available = if backend.is_available() { "available" } else { "not available" };
        let edges = if backend.has_native_edge() { "native edges" } else { "level for edges" };
        let fd = if backend.has_pollable_fd() { "pollable descriptor" } else { "no descriptor" };
        println!("{backend:<6}  {available:<13}  {edges:<15}  {fd}");
    }
    let backend = Backend::from_env()?;
    let mut notifier = backend.open()?;

    // These calls are the same on each backend.
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    notifier.register(&reader, Key(1), Interest::Read, Mode::Level)?;
    drop(writer);
    let mut events = Events::with_capacity(1);
    notifier.wait(&mut events, Some(Duration::from_secs(1)))?;
    for event in &events {
        println!("{backend} reports: {event:?}");
    }
    Ok(notifier.deregister(&reader)?)
}
