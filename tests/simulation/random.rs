//! Random histories: each has its own choice of operations and of their frequency.

use std::sync::LazyLock;

use pullcord_platform::sim::{Call, FsKind};

use crate::history::{
    Config, Consumer, Event, History, Layout, Loop, Op, PLAIN, PathKind, Trigger, WatchMode, calls,
    time,
};
use crate::rng::Rng;
use crate::{in_place, more};

pub(crate) type Make = fn(&mut Rng) -> Op;

/// All operations.
pub(crate) const OPS: &[Make] = &[
    |rng| Op::Link(rng.below(3), rng.below(4)),
    |rng| Op::RenameIn(rng.below(3), rng.below(4)),
    |rng| Op::LinkAbove(rng.below(4)),
    |rng| Op::Open(rng.below(3)),
    |rng| Op::Write(rng.below(3)),
    |rng| Op::Close(rng.below(3)),
    |_| Op::Pull,
    |rng| Op::Packets(rng.below(3)),
    |rng| Op::Fill(rng.below(3)),
    |rng| Op::Flood(rng.below(30) as u64),
    |rng| Op::Unready(rng.below(3), rng.below(4)),
    |rng| Op::Ready(rng.below(3), rng.below(4)),
    |rng| Op::ReadySilently(rng.below(3), rng.below(4)),
    |rng| Op::ManyUnready(rng.below(200)),
    |rng| Op::Unlink(rng.below(3), rng.below(4)),
    |rng| Op::Replace(rng.below(3)),
    |rng| Op::Remake(rng.below(3)),
    |rng| Op::Remove(rng.below(3)),
    |rng| Op::Restore(rng.below(3)),
    |rng| Op::PutFifo(rng.below(3)),
    |rng| Op::Exchange(rng.below(3), rng.below(3)),
    |_| Op::ReplaceHome,
    |rng| Op::MountOver(rng.below(3)),
    |_| Op::MountOverHome,
    |rng| Op::Unmount(rng.one_in(2)),
    |_| Op::SwapLink,
    |rng| Op::Forbid(rng.below(3)),
    |rng| Op::Allow(rng.below(3)),
    |_| Op::ForbidHome,
    |_| Op::ReplaceTrigger,
    |_| Op::RemoveTrigger,
    |_| Op::MakeTrigger,
    |_| Op::AddPart,
    |rng| Op::LinkInside(rng.below(4)),
    |rng| Op::Bind(rng.below(3), rng.below(3)),
    |rng| Op::FailedRmdir(rng.below(3)),
    |_| Op::OtherReader,
    |_| Op::OtherReads,
    |_| Op::OtherLeaves,
    |rng| Op::Noise(rng.below(40)),
    |rng| Op::Hidden(rng.below(3), rng.below(40)),
    |rng| Op::FailNext(rng.below(24), 1 + rng.below(4) as u32),
    |rng| {
        let time = *rng.pick(&[1, 50, 500, 3000, 40_000]);
        Op::FailFor(rng.below(Call::ALL.len()), rng.below(16), time)
    },
    |_| Op::Signal,
    |rng| Op::Freeze(*rng.pick(&[3, 500, 20_000, 3_600_000])),
    |rng| Op::WrongTime(*rng.pick(&[-3_600_000, -1, 1, 3_600_000])),
    |rng| Op::SetClock(*rng.pick(&[-3_600_000, -1500, 1500, 3_600_000])),
    |_| Op::Spurious,
    |rng| Op::RegisterAgain(1 + rng.below(3) as u32),
    |_| Op::Chdir,
    |_| Op::Restart,
    |rng| Op::RequeueAgain(*rng.pick(&[0, 30, 2000, 30_000]), *rng.pick(&[1, 2, 3, 100_000])),
    |rng| Op::FloodEvents(rng.below(30) as u64),
];

/// The operations that every history can have.
const ALWAYS: &[usize] = &[0, 6];

/// The history of a seed.
pub(crate) fn history(seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let config = more::config(seed, config(&mut rng));
    let dense = rng.one_in(2);
    let mut weights: Vec<(usize, usize)> = ALWAYS.iter().map(|op| (*op, 4)).collect();
    if config.layout == Layout::Maildrop {
        weights.extend([(10, 3), (11, 3)]);
    }
    if config.trigger != Trigger::None {
        weights.extend([(3, 2), (4, 2), (5, 2)]);
    }
    if config.in_place.is_some() {
        weights.extend((0..in_place::OPS.len()).map(|op| (OPS.len() + op, 3)));
    }
    for _ in 0..1 + rng.below(7) {
        weights.push((rng.below(OPS.len()), 1 + rng.below(4)));
    }
    let total: usize = weights.iter().map(|(_, weight)| weight).sum();
    let length = 3 + rng.below(if dense { 14 } else { 48 });
    let mut events = Vec::new();
    for _ in 0..length {
        let mut at = rng.below(total);
        let mut chosen = 0;
        for (op, weight) in &weights {
            if at < *weight {
                chosen = *op;
                break;
            }
            at -= weight;
        }
        let op = OPS.get(chosen).unwrap_or_else(|| &in_place::OPS[chosen - OPS.len()])(&mut rng);
        let event = match rng.below(12) {
            0..=4 => calls(rng.below(if dense { 8 } else { 30 }) as u32, op),
            5 | 6 => calls(0, op),
            7 | 8 => time(rng.below(8) as u64, op),
            9 => time(rng.below(300) as u64, op),
            10 => time(rng.below(2500) as u64, op),
            _ => time(*rng.pick(&[0, 1100, 5300, 10_600, 12_000, 31_000]), op),
        };
        events.push(event);
    }
    // A dead watch is detected only if mail arrives later.
    events.push(time(*rng.pick(&[1, 11_000, 14_000]), Op::Link(0, 3)));
    if rng.one_in(2) {
        events.push(time(1, Op::Pull));
    }
    History { config, events }
}

fn config(rng: &mut Rng) -> Config {
    let layouts = [
        Layout::Flat,
        Layout::Flat,
        Layout::Split(2),
        Layout::Split(1),
        Layout::Maildrop,
        Layout::Directories(1),
        Layout::Directories(2),
    ];
    let layout = *rng.pick(&layouts);
    let trigger = match rng.below(10) {
        0 | 1 => Trigger::None,
        2 if !matches!(layout, Layout::Split(_)) => Trigger::Inside,
        3 => Trigger::Alias,
        _ => Trigger::Apart,
    };
    let usual = |rng: &mut Rng, usual: usize, other: &[usize]| {
        if rng.one_in(6) { *rng.pick(other) } else { usual }
    };
    Config {
        layout,
        trigger,
        watch: if rng.one_in(4) { WatchMode::Off } else { WatchMode::Auto },
        wait: match rng.below(7) {
            0 | 1 => Loop::Select,
            2 => Loop::Foreign,
            3 if Loop::Native.has_descriptor() => Loop::InsideLevel,
            4 if Loop::Native.has_descriptor() => Loop::InsideEdge,
            _ => Loop::Native,
        },
        consumer: match rng.below(6) {
            0 => Consumer::Leaves,
            1 => Consumer::Requeues(*rng.pick(&[0, 1, 3, 20])),
            _ => Consumer::Removes,
        },
        fs: if rng.one_in(3) { *rng.pick(&FsKind::ALL) } else { FsKind::Ext4 },
        rescan: usual(rng, 1_500_000, &[500, 20_000]) as u64,
        batch: *rng.pick(&[1, 2, 4]),
        events: usual(rng, 16_384, &[2, 4, 8]),
        watches: usual(rng, usize::MAX, &[0, 1, 2]),
        privileged: !rng.one_in(6),
        path: match rng.below(8) {
            0 => PathKind::Link,
            1 => PathKind::Relative,
            _ => PathKind::Absolute,
        },
        old_edges: rng.one_in(4),
        equal_keys: rng.one_in(20),
        twice: matches!(layout, Layout::Directories(_)) && rng.one_in(10),
        in_place: None,
    }
}

/// The configurations of the enumeration.
static CONFIGURATIONS: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let off = Config { watch: WatchMode::Off, ..PLAIN };
    let inside = [Loop::InsideLevel, Loop::InsideEdge].map(|wait| Config { wait, ..PLAIN });
    let mut configurations = vec![
        PLAIN,
        off,
        Config { layout: Layout::Split(2), ..PLAIN },
        Config { layout: Layout::Split(2), ..off },
        Config { layout: Layout::Maildrop, ..PLAIN },
        Config { layout: Layout::Maildrop, ..off },
        Config { layout: Layout::Directories(2), trigger: Trigger::None, ..PLAIN },
        Config { consumer: Consumer::Leaves, wait: Loop::Select, ..PLAIN },
        Config { consumer: Consumer::Requeues(3), wait: Loop::Foreign, ..off },
        Config { path: PathKind::Link, events: 4, ..PLAIN },
        Config { path: PathKind::Relative, fs: FsKind::Tmpfs, ..PLAIN },
        Config { fs: FsKind::Unknown, old_edges: true, ..PLAIN },
        Config { fs: FsKind::Remote, ..PLAIN },
        Config { privileged: false, trigger: Trigger::Alias, fs: FsKind::Btrfs, ..PLAIN },
        Config { trigger: Trigger::Inside, fs: FsKind::Xfs, ..PLAIN },
        Config { watches: 1, ..PLAIN },
        Config { rescan: 0, ..PLAIN },
        Config { rescan: u64::MAX, ..PLAIN },
        Config { layout: Layout::Directories(100), ..off },
        Config { watch: WatchMode::Required, privileged: false, ..PLAIN },
        Config { layout: Layout::Directories(2), twice: true, ..PLAIN },
    ];
    configurations.extend(inside.into_iter().filter(|config| config.wait.has_descriptor()));
    configurations
});

/// Each operation once, with fixed numbers; faults with each number of an error.
pub(crate) static EACH_OP: LazyLock<Vec<Op>> = LazyLock::new(|| {
    let mut ops = vec![
        Op::Link(0, 1),
        Op::RenameIn(0, 1),
        Op::LinkAbove(1),
        Op::Open(1),
        Op::Write(1),
        Op::Close(1),
        Op::Pull,
        Op::Packets(1),
        Op::Fill(1),
        Op::Flood(20),
        Op::FloodEvents(20),
        Op::Unready(0, 2),
        Op::Ready(0, 2),
        Op::ReadySilently(0, 2),
        Op::ManyUnready(150),
        Op::Unlink(0, 1),
        Op::Replace(0),
        Op::Remake(0),
        Op::Remove(0),
        Op::Restore(0),
        Op::PutFifo(0),
        Op::Exchange(0, 1),
        Op::ReplaceHome,
        Op::MountOver(0),
        Op::MountOverHome,
        Op::Unmount(true),
        Op::Unmount(false),
        Op::SwapLink,
        Op::Forbid(0),
        Op::Allow(0),
        Op::ForbidHome,
        Op::ReplaceTrigger,
        Op::RemoveTrigger,
        Op::MakeTrigger,
        Op::AddPart,
        Op::LinkInside(1),
        Op::Bind(0, 1),
        Op::FailedRmdir(0),
        Op::OtherReader,
        Op::OtherReads,
        Op::OtherLeaves,
        Op::Noise(30),
        Op::Hidden(0, 30),
        Op::Signal,
        Op::Freeze(20_000),
        Op::WrongTime(3_600_000),
        Op::WrongTime(-3_600_000),
        Op::SetClock(3_600_000),
        Op::SetClock(-3_600_000),
        Op::Spurious,
        Op::RegisterAgain(3),
        Op::Chdir,
        Op::Restart,
        Op::RequeueAgain(2000, 2),
    ];
    ops.extend((0..16).map(|error| Op::FailNext(error, 1)));
    for (number, call) in Call::ALL.iter().enumerate() {
        ops.extend((0..call.errors().len()).map(|error| Op::FailFor(number, error, 400)));
    }
    ops
});

/// The number of histories in the enumeration.
pub(crate) fn enumerated() -> (usize, usize) {
    let (configurations, ops) = (CONFIGURATIONS.len(), EACH_OP.len());
    (configurations * ops * PLACES, configurations * ops * ops * GAPS.len())
}

/// The number of calls before which a single operation is tried.
const PLACES: usize = 100;

/// The gaps between two operations: calls, or as negative numbers milliseconds.
const GAPS: [i32; 4] = [0, 3, -2, -1500];

/// One of the first part: an operation or a fault before each of the first calls.
pub(crate) fn single(number: usize) -> History {
    let (ops, configurations) = (&*EACH_OP, &*CONFIGURATIONS);
    let (place, rest) = (number % PLACES, number / PLACES);
    let (op, config) = (ops[rest % ops.len()], configurations[rest / ops.len()]);
    let events = vec![
        calls(0, Op::Link(0, 0)),
        calls(place as u32, op),
        calls(1, Op::Link(1, 2)),
        calls(2, Op::Pull),
        time(700, Op::Pull),
        time(11_000, Op::Link(0, 3)),
        time(1, Op::Pull),
    ];
    History { config, events }
}

/// Each error of each call, from the start of a receiver on: it makes calls that a queue does not make, and
/// makes some of them only once. Without a descriptor for a receiver, the trigger is one that is passed on, and is
/// used as it is. Returns `None` after the last one.
pub(crate) fn fault(number: usize) -> Option<History> {
    let faults = Call::ALL
        .iter()
        .enumerate()
        .flat_map(|(call, it)| (0..it.errors().len()).map(move |error| (call, error)));
    let (call, error) = faults.into_iter().nth(number)?;
    let mut events = vec![
        calls(0, Op::FailFor(call, error, 400)),
        calls(1, Op::Link(1, 2)),
        time(700, Op::Pull),
        time(11_000, Op::Link(0, 3)),
        time(1, Op::Pull),
    ];
    if Loop::InsideLevel.has_descriptor() {
        return Some(History { config: Config { wait: Loop::InsideLevel, ..PLAIN }, events });
    }
    // The eighth call opens /proc. If that fails, the descriptor of the trigger is duplicated.
    events.insert(0, calls(7, Op::FailNext(3, 1)));
    let config = Config { trigger: Trigger::Inherited, watch: WatchMode::Off, ..PLAIN };
    Some(History { config, events })
}

/// One of the second part: two operations, in an order, with a gap.
pub(crate) fn pair(number: usize) -> History {
    let (ops, configurations) = (&*EACH_OP, &*CONFIGURATIONS);
    let (gap, rest) = (GAPS[number % GAPS.len()], number / GAPS.len());
    let (one, rest) = (ops[rest % ops.len()], rest / ops.len());
    let (other, config) = (ops[rest % ops.len()], configurations[rest / ops.len()]);
    let second: Event = match gap {
        gap if gap < 0 => time(gap.unsigned_abs().into(), other),
        gap => calls(gap as u32, other),
    };
    let events = vec![
        time(50, one),
        second,
        calls(4, Op::Link(0, 2)),
        calls(1, Op::Pull),
        time(11_500, Op::Link(0, 3)),
    ];
    History { config, events }
}
