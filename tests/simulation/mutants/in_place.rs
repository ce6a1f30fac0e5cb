//! The situations of the rules for files that are written in place, and for a trigger that is passed as a
//! descriptor.

use pullcord_platform::sim::Mutant;

use super::Defect::{Busy, Lost, NeedlessScan, Unfinished};
use super::situations::{Situation, wait};
use crate::history::{Config, Layout, Op, PLAIN, Trigger, WatchMode, calls, time};

const IN_PLACE: Config = Config { layout: Layout::Directories(1), in_place: Some(500), ..PLAIN };
const OFF: Config = Config { watch: WatchMode::Off, ..PLAIN };

pub(super) const SITUATIONS: &[Situation] = &[
    Situation {
        mutant: Mutant::CloseTrusted,
        config: IN_PLACE,
        events: |_| vec![time(2000, Op::Create(0, 0)), time(0, Op::Finish(0, 0)), wait(2000)],
        count: 1,
        defect: Unfinished,
    },
    Situation {
        mutant: Mutant::CloseIgnored,
        config: Config { in_place: Some(0), ..IN_PLACE },
        events: |_| vec![time(2000, Op::Create(0, 0)), time(100, Op::Finish(0, 0)), wait(5000)],
        count: 1,
        defect: Lost,
    },
    Situation {
        mutant: Mutant::BlockedRoundAwaited,
        config: Config { watch: WatchMode::Off, in_place: Some(5000), rescan: 1000, ..IN_PLACE },
        events: |_| vec![calls(0, Op::ManyUnready(79)), time(1, Op::Pull), wait(5000)],
        count: 1,
        defect: Busy,
    },
    Situation {
        mutant: Mutant::DrainedBlocked,
        config: Config { watch: WatchMode::Off, in_place: Some(2000), ..IN_PLACE },
        events: |_| vec![calls(0, Op::Flood(6)), calls(0, Op::ManyUnready(25)), wait(5000)],
        count: 1,
        defect: Busy,
    },
    Situation {
        mutant: Mutant::DescriptorCompared,
        config: Config { trigger: Trigger::Inherited, ..OFF },
        events: |_| vec![wait(30_000)],
        count: 1,
        defect: NeedlessScan,
    },
];
