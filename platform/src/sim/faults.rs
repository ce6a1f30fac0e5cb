//! Faults: which calls fail, with which error, and for how long. And a count of all that did.

use super::call::Call;
use super::tree::Errno;

/// A cause of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next `times` calls of any kind fail with the error of this number in the list of
    /// each call, counted round.
    Next {
        /// Which error.
        error: usize,
        /// How many calls.
        times: u32,
    },
    /// Every call of one kind fails until a time.
    Until {
        /// The kind.
        call: Call,
        /// The error.
        errno: Errno,
        /// The time, in nanoseconds.
        until: u64,
    },
}

/// The faults that are in force, and the census.
#[derive(Debug, Default)]
pub(super) struct Faults {
    active: Vec<Fault>,
    pub(super) census: Census,
    /// `EINTR`s since a fault began: a signal that never ends is no signal.
    interruptions: u32,
}

/// How often each call was made, and failed with each of its errors by injection.
#[derive(Clone, Debug)]
pub struct Census {
    made: [u64; CALLS],
    failed: [[u64; ERRORS]; CALLS],
    /// How often each kind of inotify event was read.
    pub(super) events: [u64; EVENTS.len()],
}

/// The kinds of events that the census counts.
pub const EVENTS: [&str; 10] = [
    "IN_CREATE",
    "IN_MOVED_TO",
    "IN_ATTRIB",
    "IN_MODIFY",
    "IN_CLOSE_WRITE",
    "IN_DELETE_SELF",
    "IN_MOVE_SELF",
    "IN_UNMOUNT",
    "IN_IGNORED",
    "IN_Q_OVERFLOW",
];

const CALLS: usize = Call::ALL.len();

/// The greatest number of errors that a call has.
const ERRORS: usize = {
    let (mut most, mut at) = (0, 0);
    while at < CALLS {
        let count = Call::ALL[at].errors().len();
        most = if count > most { count } else { most };
        at += 1;
    }
    most
};

impl Default for Census {
    fn default() -> Census {
        let (made, failed) = ([0; CALLS], [[0; ERRORS]; CALLS]);
        Census { made, failed, events: Default::default() }
    }
}

impl Census {
    pub(super) fn count_call(&mut self, call: Call) {
        self.made[call as usize] += 1;
    }

    fn count_fault(&mut self, call: Call, errno: Errno) {
        if let Some(at) = call.errors().iter().position(|it| *it == errno) {
            self.failed[call as usize][at] += 1;
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Census) {
        for (mine, theirs) in self.made.iter_mut().zip(&other.made) {
            *mine += theirs;
        }
        for (mine, theirs) in self.failed.iter_mut().zip(&other.failed) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.events.iter_mut().zip(other.events).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Counts an event that was read.
    pub(super) fn count_event(&mut self, mask: u32) {
        use super::libc as c;
        let masks = [
            c::IN_CREATE,
            c::IN_MOVED_TO,
            c::IN_ATTRIB,
            c::IN_MODIFY,
            c::IN_CLOSE_WRITE,
            c::IN_DELETE_SELF,
            c::IN_MOVE_SELF,
            c::IN_UNMOUNT,
            c::IN_IGNORED,
            c::IN_Q_OVERFLOW,
        ];
        if let Some(at) = masks.iter().position(|wanted| mask & wanted != 0) {
            self.events[at] += 1;
        }
    }

    /// How often each kind of event was read.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EVENTS.into_iter().zip(self.events)
    }

    /// How often a call was made.
    pub fn made(&self, call: Call) -> u64 {
        self.made[call as usize]
    }

    /// How often a call failed by injection, for each of its errors.
    pub fn failed(&self, call: Call) -> impl Iterator<Item = (Errno, u64)> {
        call.errors().iter().copied().zip(self.failed[call as usize])
    }
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.active.push(fault);
    }

    pub(super) fn are_active(&self, now: u64) -> bool {
        self.active.iter().any(|fault| match fault {
            Fault::Next { .. } => true,
            Fault::Until { until, .. } => now < *until,
        })
    }

    /// The error that this call fails with, if it does.
    pub(super) fn strike(&mut self, call: Call, now: u64, sleeps: bool) -> Option<Errno> {
        self.census.count_call(call);
        if self.active.is_empty() {
            self.interruptions = 0;
            return None;
        }
        let mut struck = None;
        self.active.retain_mut(|fault| match fault {
            Fault::Next { error, times } => {
                let errors = call.errors();
                if struck.is_none() && !errors.is_empty() {
                    struck = Some(errors[*error % errors.len()]);
                    *times -= 1;
                }
                *times > 0
            }
            Fault::Until { call: failing, errno, until } => {
                if *failing == call && now < *until {
                    struck = struck.or(Some(*errno));
                }
                now < *until
            }
        });
        if struck == Some(super::libc::EINTR) {
            self.interruptions += 1;
            if self.interruptions > 20 || !sleeps {
                struck = None;
            }
        }
        if let Some(errno) = struck {
            self.census.count_fault(call, errno);
        }
        struck
    }
}
