//! The names of messages in `demo` and `storm`.

use std::ffi::OsStr;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The name of a message in the queue contains its number and the time when it was linked. The writer
/// reads the clock right before link(2), and the reader does not need to open the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) linked: Moment,
}

/// A time of the system's monotonic clock, which is the same for all processes. `Instant` uses that
/// clock too, but cannot be passed to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment {
    nanoseconds: u64,
}

impl Moment {
    pub(crate) fn now() -> Moment {
        let time = clock_gettime(ClockId::Monotonic);
        Moment { nanoseconds: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 }
    }

    pub(crate) fn after(self, time: Duration) -> Moment {
        Moment { nanoseconds: self.nanoseconds + time.as_nanos() as u64 }
    }

    /// Returns the time since an earlier moment, or zero if that one is later.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nanoseconds.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = ParseIntError;

    fn from_str(nanoseconds: &str) -> Result<Moment, ParseIntError> {
        Ok(Moment { nanoseconds: nanoseconds.parse()? })
    }
}

impl Message {
    pub(crate) fn parse(name: &OsStr) -> Option<Message> {
        let (number, linked) = name.to_str()?.split_once('.')?;
        Some(Message { number: number.parse().ok()?, linked: linked.parse().ok()? })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.linked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_into_the_message_that_it_was_made_from() {
        let message = Message { number: 4711, linked: Moment::now() };
        assert_eq!(Message::parse(OsStr::new(&message.to_string())), Some(message));
        assert_eq!(Message::parse(OsStr::new("4711")), None);
    }
}
