//! The ways to treat a trigger. They differ in what is done when, and in nothing else.

use Step::{Clean, Close, Drain, Open, OpenDirectory, Pause, ReadDirectory};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Takes the pulls out of the trigger.
    Drain,
    /// Leaves the trigger alone for a while. Any step may come late; this one is late on purpose.
    Pause,
    Close,
    Open,
    /// Forgets that the directory has to be read.
    Clean,
    OpenDirectory,
    /// Reads it to its end, and hands its entries out.
    ReadDirectory,
}

/// What a reader takes for a sign of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// That it was woken.
    Wake,
    /// A byte that was in the trigger.
    Byte,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// What it does when it is woken, or when a directory is due.
    pub(crate) woken: &'static [Step],
    /// What it does then for each directory that is dirty.
    pub(crate) scan: &'static [Step],
    pub(crate) sign: Sign,
    /// It holds a write end too, so that no writer is ever the last to leave.
    pub(crate) own_write_end: bool,
    /// It looks after its trigger between two batches of directory entries as well.
    pub(crate) listens_while_scanning: bool,
    /// A directory that could not be read is dirty again.
    pub(crate) retries: bool,
}

/// The loop of 1998: to be rid of the pulls, the trigger is closed and opened again.
pub(crate) const REOPEN: Reader = Reader {
    woken: &[Close, Open],
    scan: &[Clean, OpenDirectory, ReadDirectory],
    sign: Sign::Wake,
    own_write_end: false,
    listens_while_scanning: false,
    retries: false,
};

/// Closed as soon as the wait is over. How long it stays closed is all that is different, and a
/// model knows no durations.
pub(crate) const EARLY_CLOSE: Reader = REOPEN;

/// The patch of 2001.
pub(crate) const DRAIN: Reader = Reader { woken: &[Drain, Close, Open], ..REOPEN };

pub(crate) const EARLY_CLOSE_OPENED_LATE: Reader =
    Reader { woken: &[Close], scan: &[Clean, OpenDirectory, ReadDirectory, Open], ..EARLY_CLOSE };

pub(crate) const DRAIN_OPENED_LATE: Reader =
    Reader { woken: &[Drain, Close], scan: &[Clean, OpenDirectory, ReadDirectory, Open], ..DRAIN };

/// Ours. The trigger is never closed. A pull is remembered through the pause, while the trigger
/// rests; what came in the pause is then taken out with it.
pub(crate) const PULLCORD: Reader = Reader {
    woken: &[Drain, Pause, Drain],
    scan: &[Clean, OpenDirectory, ReadDirectory],
    sign: Sign::Byte,
    own_write_end: true,
    listens_while_scanning: true,
    retries: true,
};

pub(crate) const WITHOUT_WRITE_END: Reader = Reader { own_write_end: false, ..PULLCORD };

pub(crate) const FORGETFUL: Reader = Reader { retries: false, ..PULLCORD };

pub(crate) const DRAINED_LATE: Reader = Reader {
    woken: &[],
    scan: &[Clean, OpenDirectory, ReadDirectory, Drain],
    sign: Sign::Wake,
    listens_while_scanning: false,
    ..PULLCORD
};

pub(crate) const CLEANED_LATE: Reader =
    Reader { scan: &[OpenDirectory, ReadDirectory, Clean], ..PULLCORD };
