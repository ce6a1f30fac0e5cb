//! The defects of version 0.1 that are known. Each forgives the failures that it causes, or the
//! first would hide the others. One that forgives nothing in a long run fails it: it was mended,
//! and must go.

use crate::history::{Consumer, Gap, History, Layout, Op, PathKind, Trigger, WatchMode};
use crate::oracle::{Failure, Situation};
use pullcord_platform::sim::{Call, FsKind};
use pullcord_platform::watch::REPORTS_NAMES;

pub(crate) struct Known {
    /// Its number in the list of known defects; from 21 on, those that the simulation found.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) matches: fn(&History, &Failure) -> bool,
}

fn has(history: &History, wanted: fn(&Op) -> bool) -> bool {
    history.events.iter().any(|event| wanted(&event.op))
}

fn is_late(failure: &Failure) -> bool {
    matches!(failure, Failure::Late { .. } | Failure::DeadWatch)
}

fn fails(history: &History, call: Call) -> bool {
    history.events.iter().any(|event| match event.op {
        Op::FailFor(number, ..) => Call::ALL[number % Call::ALL.len()] == call,
        _ => false,
    })
}

/// An operation that makes a path lead elsewhere.
fn leads_elsewhere(op: &Op) -> bool {
    matches!(
        op,
        Op::ReplaceHome
            | Op::MountOver(_)
            | Op::MountOverHome
            | Op::Unmount(_)
            | Op::SwapLink
            | Op::Replace(_)
            | Op::Remake(_)
            | Op::Remove(_)
            | Op::Restore(_)
            | Op::Exchange(..)
            | Op::PutFifo(_)
            | Op::ReplaceTrigger
            | Op::RemoveTrigger
            | Op::MakeTrigger
    )
}

fn is_fault(op: &Op) -> bool {
    matches!(op, Op::FailNext(..) | Op::FailFor(..) | Op::Forbid(_) | Op::Allow(_) | Op::ForbidHome)
}

fn is_requeue(history: &History) -> bool {
    matches!(history.config.consumer, Consumer::Requeues(_))
        || has(history, |op| matches!(op, Op::RequeueAgain(..)))
}

/// In the order in which they are tried: the particular before the general.
pub(crate) const KNOWN: &[Known] = &[
    Known {
        number: 5,
        name: "a FIFO in place of a directory blocks open for ever",
        matches: |_, failure| matches!(failure, Failure::Panic(text) if text.contains("FIFO")),
    },
    Known {
        number: 10,
        name: "relative paths; an interval of 0 or MAX; the trigger in its own directory",
        matches: |history, failure| {
            let config = &history.config;
            matches!(failure, Failure::NoEntry)
                || config.path == PathKind::Relative && has(history, |op| *op == Op::Chdir)
                || config.rescan == 0
                    && matches!(failure, Failure::Spin { .. } | Failure::Late { .. })
                || matches!(failure, Failure::Panic(text) if text.contains("overflow"))
        },
    },
    Known {
        number: 4,
        name: "a queue without a trigger spins after trigger_ready, and with equal keys",
        matches: |history, failure| {
            let spins = matches!(failure, Failure::Spin { .. } | Failure::LongTurn { .. });
            spins
                && history.config.trigger == Trigger::None
                && (history.config.equal_keys || has(history, |op| *op == Op::Spurious))
        },
    },
    Known {
        number: 11,
        name: "register called again while a pull is remembered spins",
        matches: |history, failure| {
            let again = |op: &Op| matches!(op, Op::RegisterAgain(_));
            matches!(failure, Failure::Spin { .. }) && has(history, again)
        },
    },
    Known {
        number: 21,
        name: "identity is taken for evidence where inode numbers are not stable",
        matches: |history, _| history.config.fs == FsKind::Renumbering,
    },
    Known {
        number: 15,
        name: "one directory by two paths is reported as unwatched for ever, and read for both",
        matches: |history, failure| {
            let alias = history.config.twice || has(history, |op| matches!(op, Op::Bind(..)));
            alias && !matches!(failure, Failure::Panic(_))
        },
    },
    Known {
        number: 3,
        name: "requeued entries that are due starve new mail",
        matches: |history, failure| {
            let starves = |op: &Op| matches!(op, Op::RequeueAgain(0, 100..));
            is_late(failure) && has(history, starves) && !has(history, leads_elsewhere)
        },
    },
    Known {
        number: 2,
        name: "requeued entries come early and multiply",
        matches: |history, failure| {
            let early = matches!(
                failure,
                Failure::RequeuedEarly | Failure::RequeuedTwice | Failure::Twice { .. }
            );
            early && is_requeue(history)
        },
    },
    Known {
        number: 6,
        name: "many held names cost one turn",
        matches: |history, failure| {
            history.config.layout == Layout::Maildrop && matches!(failure, Failure::LongTurn { .. })
        },
    },
    Known {
        number: 12,
        name: "one turn reads, and compares, any number of directories",
        matches: |history, failure| {
            let many = !matches!(history.config.layout, Layout::Flat | Layout::Maildrop)
                || has(history, |op| *op == Op::AddPart);
            many && matches!(failure, Failure::LongTurn { .. })
        },
    },
    Known {
        number: 19,
        name: "a watch that opens and cannot be read is reported for ever",
        matches: |history, failure| {
            let fails = fails(history, Call::Read) || fails(history, Call::Ioctl);
            let watches = history.config.watches_directories();
            fails && watches && matches!(failure, Failure::RepeatedError)
        },
    },
    Known {
        number: 27,
        name: "a registration that fails is reported at each turn",
        matches: |history, failure| {
            let registers = [Call::EpollCtl, Call::Kevent, Call::Fstat];
            let fails = registers.into_iter().any(|call| fails(history, call));
            fails && matches!(failure, Failure::RepeatedError)
        },
    },
    Known {
        number: 28,
        name: "replaced triggers are kept, with their buffers, while a registration fails",
        matches: |history, failure| {
            let read = fails(history, Call::Read);
            read && matches!(failure, Failure::Memory { .. } | Failure::Leak { .. })
        },
    },
    Known {
        number: 18,
        name: "the trigger is opened anew at every turn while its read fails",
        matches: |history, failure| {
            let again = matches!(failure, Failure::Spin { .. } | Failure::RepeatedError);
            again && fails(history, Call::Read)
        },
    },
    Known {
        number: 20,
        name: "a directory is scanned every 2 ms while its fstat fails",
        matches: |history, failure| {
            matches!(failure, Failure::Spin { .. } | Failure::Restless { .. })
                && (fails(history, Call::Fstat) || fails(history, Call::Fstatat))
        },
    },
    Known {
        number: 1,
        name: "mail lost: an overflow swallows that a directory was made again with its number",
        matches: |history, failure| {
            is_late(failure)
                && !has(history, is_fault)
                && has(history, |op| matches!(op, Op::Remake(_)))
                && (history.config.events < 1000
                    || has(history, |op| matches!(op, Op::Hidden(..) | Op::Noise(_))))
        },
    },
    Known {
        number: 16,
        name: "a trigger that is replaced, or a part that is added, during open is not noticed",
        matches: |history, failure| {
            let early = history.events.iter().position(|event| {
                matches!(event.op, Op::ReplaceTrigger | Op::AddPart | Op::RemoveTrigger)
            });
            let watched = history.config.watch == WatchMode::Auto && history.config.watches > 5;
            let at_open = early.is_some_and(|at| {
                history.events[..=at].iter().all(|event| matches!(event.gap, Gap::Calls(_)))
            });
            is_late(failure) && watched && history.config.fs.is_local() && at_open
        },
    },
    Known {
        number: 8,
        name: "a split queue: mail in todo itself, and parts where nothing is watched",
        matches: |history, failure| {
            let op = |op: &Op| matches!(op, Op::LinkAbove(_) | Op::AddPart);
            {
                let layout = matches!(history.config.layout, Layout::Split(_) | Layout::Flat);
                is_late(failure) && layout && has(history, op)
            }
        },
    },
    Known {
        number: 14,
        name: "a wrong time that is passed once stalls everything",
        matches: |history, failure| {
            let slow = is_late(failure) || matches!(failure, Failure::NeverWatched);
            slow && has(history, |op| matches!(op, Op::WrongTime(_)))
        },
    },
    Known {
        number: 17,
        name: "an entry of a maildrop whose lstat fails once is held with no time set",
        matches: |history, failure| {
            is_late(failure)
                && history.config.layout == Layout::Maildrop
                && has(history, |op| matches!(op, Op::FailNext(..) | Op::FailFor(..)))
        },
    },
    Known {
        number: 9,
        name: "a path that leads elsewhere is found after 1,500 s",
        matches: |history, failure| {
            // The directory that the alias leads to is added again and again.
            let alias = history.config.trigger == Trigger::Alias;
            let unwatched = matches!(failure, Failure::NeverWatched);
            // A watch that names no entries has the new directory read for a change of the old one.
            let unnamed = !REPORTS_NAMES && matches!(failure, Failure::NeedlessScan);
            let moved = is_late(failure) || unwatched || unnamed;
            moved && has(history, leads_elsewhere)
                || alias && matches!(failure, Failure::Restless { .. })
        },
    },
    Known {
        number: 13,
        name: "noise beside the queue; a parent that cannot be read",
        matches: |history, failure| {
            let noise = |op: &Op| matches!(op, Op::Noise(_));
            let maildrop = history.config.layout == Layout::Maildrop;
            let broken = matches!(failure, Failure::NeedlessScan)
                || matches!(failure, Failure::Twice { .. }) && !maildrop;
            has(history, noise) && broken && history.config.events < 1000
                || matches!(failure, Failure::Refused) && has(history, |op| *op == Op::ForbidHome)
                || matches!(failure, Failure::NeverWatched)
                    && has(history, |op| *op == Op::ForbidHome)
        },
    },
    Known {
        number: 22,
        name: "an entry of a maildrop is returned again for the event of its own fchmod",
        matches: |history, failure| {
            history.config.layout == Layout::Maildrop && matches!(failure, Failure::Twice { .. })
        },
    },
    Known {
        number: 23,
        name: "where nothing can be watched and there is no trigger, nothing is polled",
        matches: |history, failure| {
            let polled = matches!(failure, Failure::Late { why: Situation::Polled, .. });
            polled && history.config.trigger == Trigger::None
        },
    },
    Known {
        number: 24,
        name: "all directories are read at each retry while the trigger is missing",
        matches: |history, failure| {
            let inside = history.config.trigger == Trigger::Inside && has(history, leads_elsewhere);
            let missing =
                inside || has(history, |op| matches!(op, Op::RemoveTrigger | Op::MakeTrigger));
            missing && matches!(failure, Failure::NeedlessScan | Failure::Restless { .. })
        },
    },
    Known {
        number: 25,
        name: "removals during a scan hide entries of a network file system",
        matches: |history, failure| is_late(failure) && history.config.fs == FsKind::Remote,
    },
    Known {
        number: 26,
        name: "a frozen process pauses as long as it was frozen",
        matches: |history, failure| {
            is_late(failure) && has(history, |op| matches!(op, Op::Freeze(_)))
        },
    },
    Known {
        number: 7,
        name: "the back-off counts attempts, and not time",
        matches: |history, failure| {
            let limited = history.config.watches < 10;
            let slow = is_late(failure) || matches!(failure, Failure::NeverWatched);
            let later = matches!(failure, Failure::NeedlessScan) && has(history, is_fault);
            slow && (has(history, is_fault) || limited) || later
        },
    },
];

/// The defect that explains a failure, if one does.
pub(crate) fn explain(history: &History, failure: &Failure) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.matches)(history, failure))
}
