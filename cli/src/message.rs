//! What a message of the demo is called.

use std::ffi::OsStr;
use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The name in the queue says which message it is and when it was linked there. So the clock is read
/// right before link(2), and nothing but the name has to be read when the message is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) linked: Moment,
}

/// A moment of the system's monotonic clock: every process reads the same one, and nobody sets it.
/// `Instant` is that clock too, but cannot be told to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    nanoseconds: u64,
}

impl Moment {
    pub(super) fn now() -> Moment {
        let time = clock_gettime(ClockId::Monotonic);
        Moment { nanoseconds: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 }
    }

    pub(super) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

impl Message {
    pub(super) fn parse(name: &OsStr) -> Option<Message> {
        let (number, nanoseconds) = name.to_str()?.split_once('.')?;
        let linked = Moment { nanoseconds: nanoseconds.parse().ok()? };
        Some(Message { number: number.parse().ok()?, linked })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.linked.nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_by_its_name() {
        let message = Message { number: 4711, linked: Moment::now() };
        assert_eq!(Message::parse(OsStr::new(&message.to_string())), Some(message));
        assert_eq!(Message::parse(OsStr::new("4711")), None);
    }
}
