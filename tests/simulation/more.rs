//! Configurations that are added to the histories of `random`, without a change of the others: a seed keeps its
//! meaning. The enumeration has each operation before each of the first calls, while a file is written.

use std::sync::LazyLock;

use crate::history::{
    Config, Consumer, History, Layout, Loop, Op, PLAIN, Trigger, WatchMode, calls, time,
};
use crate::random::EACH_OP;
use crate::rng::Rng;
use pullcord_platform::sim::FsKind;

/// Returns the configuration of a random history: perhaps with entries that are written in place, or with a
/// trigger that a supervisor passes on.
pub(crate) fn config(seed: u64, config: Config) -> Config {
    let mut rng = Rng::new(seed ^ 0x706c_6163_6521);
    let is_in_place = matches!(config.layout, Layout::Directories(_)) && rng.one_in(3);
    let in_place = is_in_place.then(|| *rng.pick(&[0, 500, 2000]));
    let is_inherited = config.trigger == Trigger::Apart && rng.one_in(12);
    let trigger = if is_inherited { Trigger::Inherited } else { config.trigger };
    Config { in_place, trigger, ..config }
}

/// The configurations of the enumeration.
static CONFIGURATIONS: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let in_place = Config { layout: Layout::Directories(1), in_place: Some(500), ..PLAIN };
    vec![
        in_place,
        Config { in_place: Some(0), trigger: Trigger::None, ..in_place },
        Config { watch: WatchMode::Off, consumer: Consumer::Leaves, ..in_place },
        Config { fs: FsKind::Remote, ..in_place },
        Config { trigger: Trigger::Inherited, ..PLAIN },
        Config { trigger: Trigger::Inherited, watch: WatchMode::Off, ..PLAIN },
        Config {
            trigger: Trigger::Inherited,
            wait: Loop::Select,
            layout: Layout::Maildrop,
            ..PLAIN
        },
    ]
});

/// The number of calls before which an operation is tried, and the distance between them.
const PLACES: usize = 8;
const DISTANCE: usize = 3;

/// One of the enumeration. Returns `None` after the last one.
pub(crate) fn single(number: usize) -> Option<History> {
    let (place, rest) = (number % PLACES * DISTANCE, number / PLACES);
    // The faults of single calls have no place here.
    let ops = || EACH_OP.iter().filter(|op| !matches!(op, Op::FailFor(..)));
    let count = ops().count();
    let config = *CONFIGURATIONS.get(rest / count)?;
    let op = *ops().nth(rest % count)?;
    if config.in_place.is_none() {
        let events = vec![
            calls(0, Op::Link(0, 0)),
            calls(place as u32, op),
            calls(2, Op::Pull),
            time(700, Op::Link(0, 1)),
            time(1, Op::Pull),
            time(11_000, Op::Link(0, 3)),
            time(1, Op::Pull),
        ];
        return Some(History { config, events });
    }
    let events = vec![
        calls(0, Op::Create(0, 0)),
        calls(place as u32, op),
        calls(1, Op::Append(0, 0)),
        time(300, Op::Append(0, 0)),
        calls(2, Op::Finish(0, 0)),
        time(700, Op::Pull),
        time(4000, Op::Append(0, 0)),
        time(1, Op::Finish(0, 0)),
        time(11_000, Op::Link(0, 3)),
        time(1, Op::Pull),
    ];
    Some(History { config, events })
}
