//! A descriptor that can always be written to: the writing end of a pipe that stays empty.
//!
//! Registered for one report, it gives a notifier an event immediately, with one system call and no other to
//! silence it. timerfd(2) with a time that is over interrupts the processor first, and costs ten times as
//! much.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::{OwnedFd, pipe};

/// A descriptor that is always ready for writing.
#[derive(Debug)]
pub struct AlwaysWritable {
    writer: OwnedFd,
    /// Without a reader, the writer would report an error.
    _reader: OwnedFd,
}

impl AlwaysWritable {
    /// pipe(2): opens the descriptor.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE` or `ENFILE`.
    pub fn new() -> io::Result<AlwaysWritable> {
        let (reader, writer) = pipe::pipe()?;
        Ok(AlwaysWritable { writer, _reader: reader })
    }
}

impl AsFd for AlwaysWritable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BACKENDS, Events, Interest, Key, Mode};
    use std::time::Duration;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no select(2)")]
    fn each_registration_for_one_report_gives_one_event_immediately() {
        for info in BACKENDS {
            let (mut notifier, source) = ((info.open)().unwrap(), AlwaysWritable::new().unwrap());
            let mut events = Events::with_capacity(4);
            for _ in 0..3 {
                notifier.register(&source, Key(7), Interest::Write, Mode::OneShot).unwrap();
                notifier.wait(&mut events, Some(Duration::from_secs(20))).unwrap();
                let found: Vec<_> = events.iter().map(|e| (e.key, e.writable, e.error)).collect();
                assert_eq!(found, [(Key(7), true, false)], "{}", info.name);
                notifier.wait(&mut events, Some(Duration::ZERO)).unwrap();
                assert!(events.is_empty(), "{}: a second report", info.name);
            }
            notifier.deregister(&source).unwrap();
        }
    }

    /// Another loop that waits for the notifier's descriptor gets a new edge for each registration.
    #[test]
    #[cfg_attr(miri, ignore = "Miri does not nest epoll instances")]
    fn each_registration_is_an_edge_in_an_outer_loop() {
        for info in BACKENDS {
            let (mut inner, mut outer) = ((info.open)().unwrap(), (info.open)().unwrap());
            if inner.pollable_fd().is_none() {
                continue;
            }
            let source = AlwaysWritable::new().unwrap();
            outer
                .register(&inner.pollable_fd().unwrap(), Key(1), Interest::Read, Mode::Edge)
                .unwrap();
            let mut events = Events::with_capacity(4);
            for _ in 0..3 {
                inner.register(&source, Key(7), Interest::Write, Mode::OneShot).unwrap();
                outer.wait(&mut events, Some(Duration::from_secs(20))).unwrap();
                assert_eq!(
                    events.iter().next().map(|event| event.key),
                    Some(Key(1)),
                    "{}",
                    info.name
                );
                for expected in [1, 0] {
                    inner.wait(&mut events, Some(Duration::ZERO)).unwrap();
                    assert_eq!(events.iter().count(), expected, "{}", info.name);
                }
            }
        }
    }
}
