//! The decisions of a queue: no descriptor, no path, no clock. Times and results come in, decisions
//! go out. Each file is one component, which owns its state and knows no other, except that `schedule`
//! contains `pacer`, and that it and `verification` contain a `timer` each.

pub(crate) mod appointments;
pub(crate) mod grade;
pub(crate) mod pacer;
pub(crate) mod recent;
pub(crate) mod reported;
pub(crate) mod retry;
pub(crate) mod schedule;
pub(crate) mod timer;
pub(crate) mod verification;
pub(crate) mod warnings;
