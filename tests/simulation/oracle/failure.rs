//! The guarantees that can be broken.

use std::fmt;

/// A guarantee that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// P1, P3: an entry was not returned in its time.
    Late {
        directory: usize,
        by: u64,
        why: Situation,
    },
    /// P2: returned again without a scan in between.
    Twice {
        by_watch: bool,
    },
    /// P4: a directory was read without a reason.
    NeedlessScan,
    /// A requeued entry was returned before its time, or more than once.
    RequeuedEarly,
    RequeuedTwice,
    /// A file that is not an entry was returned.
    NoEntry,
    /// An entry was returned so many nanoseconds after it was written, within its quiet time.
    Unfinished {
        after: u64,
    },
    /// P6: too many calls or wake-ups in a second.
    Spin {
        calls: u64,
        wakeups: u64,
    },
    /// P4, P6: too many calls in ten quiet seconds.
    Restless {
        calls: u64,
    },
    /// P7: too much work in one turn.
    LongTurn {
        calls: u64,
        stats: u64,
        opens: u64,
    },
    /// The queue reports a watch that the kernel does not have.
    DeadWatch,
    /// The queue never watches a directory that it could watch.
    NeverWatched,
    /// The same problem was reported repeatedly.
    RepeatedError,
    /// A warning without a cause.
    NeedlessWarning(String),
    /// A directory's state is reported wrongly.
    WrongStatus(String),
    /// `open` failed for a queue that it should accept.
    Refused,
    Leak {
        descriptors: usize,
    },
    Memory {
        bytes: usize,
    },
    Panic(String),
}

/// Why an entry was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// A reliable watch had reported it.
    Watched,
    /// A reliable watch had reported that its writer has closed it.
    Closed,
    /// Its writer had pulled.
    Pulled,
    /// A change is read after a second.
    Changed,
    /// There is neither a trigger nor a reliable watch.
    Polled,
    Rescanned,
    Requeued,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
