//! Histories with names: regression tests. Those of a known defect fail as it is known; once it is
//! mended, they must pass.

use libtest_mimic::Trial;
use pullcord_platform::sim::FsKind;

use crate::history::{
    Config, Consumer, Event, History, Layout, Op, PLAIN, PathKind, Trigger, WatchMode, calls, time,
};
use crate::known;
use crate::run::run;

/// How a history must end.
enum Ends {
    Well,
    /// By the known defect of this number.
    Known(u32),
}
use Ends::{Known, Well};

type Named = (&'static str, Ends, Config, &'static [Event]);

const OFF: Config = Config { watch: WatchMode::Off, ..PLAIN };

const HISTORIES: &[Named] = &[
    ("mail_is_found_by_the_watch", Well, PLAIN, &[time(3, Op::Link(0, 0))]),
    ("mail_is_found_by_a_pull", Well, OFF, &[time(3, Op::Link(0, 0)), calls(0, Op::Pull)]),
    (
        "a_writer_that_stops_between_its_steps_loses_nothing",
        Well,
        OFF,
        &[
            time(3, Op::Link(0, 0)),
            time(1, Op::Open(0)),
            time(1, Op::Write(0)),
            time(9000, Op::Link(0, 1)),
            time(1, Op::Write(0)),
            time(9000, Op::Close(0)),
        ],
    ),
    (
        "packets_that_follow_each_other_are_all_read",
        Well,
        OFF,
        &[
            time(3, Op::Open(0)),
            calls(0, Op::Packets(0)),
            calls(0, Op::Write(0)),
            calls(0, Op::Write(0)),
            calls(0, Op::Link(0, 0)),
            calls(0, Op::Write(0)),
        ],
    ),
    (
        "a_full_trigger_is_emptied",
        Well,
        OFF,
        &[time(3, Op::Fill(0)), calls(0, Op::Link(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "a_hostile_writer_delays_no_mail",
        Well,
        OFF,
        &[time(3, Op::Flood(3000)), time(1000, Op::Link(0, 0)), time(1, Op::Pull)],
    ),
    (
        "an_overflow_is_followed_by_a_scan",
        Well,
        Config { events: 4, ..PLAIN },
        &[time(3, Op::Hidden(0, 30)), calls(0, Op::Link(0, 0))],
    ),
    (
        "a_directory_that_is_made_again_is_watched",
        Well,
        PLAIN,
        &[time(3, Op::Remake(0)), time(11_000, Op::Link(0, 0))],
    ),
    // The known defects of version 0.1, by their numbers.
    (
        "overflow_swallows_that_a_directory_was_made_again",
        Known(1),
        Config { events: 4, ..PLAIN },
        &[time(50, Op::Hidden(0, 30)), calls(0, Op::Remake(0)), time(12_000, Op::Link(0, 0))],
    ),
    (
        "requeued_entry_comes_early_and_again",
        Known(2),
        Config { consumer: Consumer::Requeues(3), ..OFF },
        &[time(3, Op::Link(0, 1)), calls(0, Op::Pull), time(100, Op::Pull)],
    ),
    (
        "requeued_entries_starve_new_mail",
        Known(3),
        Config { layout: Layout::Directories(3), ..PLAIN },
        &[
            time(3, Op::RequeueAgain(0, 1_000_000)),
            calls(0, Op::Link(0, 0)),
            calls(0, Op::Link(0, 1)),
            calls(0, Op::Link(0, 2)),
            calls(0, Op::Link(0, 3)),
            calls(0, Op::Link(1, 0)),
            calls(0, Op::Link(1, 1)),
            calls(0, Op::Link(1, 2)),
            calls(0, Op::Link(1, 3)),
            time(100, Op::Link(2, 0)),
        ],
    ),
    (
        "queue_without_a_trigger_spins_after_trigger_ready",
        Known(4),
        Config { trigger: Trigger::None, ..PLAIN },
        &[calls(0, Op::Spurious)],
    ),
    (
        "queue_without_a_trigger_spins_with_equal_keys",
        Known(4),
        Config { trigger: Trigger::None, equal_keys: true, ..PLAIN },
        &[time(3, Op::Link(0, 0))],
    ),
    (
        "fifo_in_place_of_a_directory_blocks",
        Known(5),
        Config { layout: Layout::Directories(1), ..PLAIN },
        &[calls(0, Op::PutFifo(0))],
    ),
    (
        "many_unfinished_files_cost_one_turn",
        Known(6),
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[time(3, Op::ManyUnready(190)), time(5, Op::Pull)],
    ),
    (
        "back_off_counts_attempts",
        Known(7),
        OFF,
        &[
            time(3, Op::Flood(30)),
            calls(0, Op::FailFor(0, 4, 100)),
            calls(0, Op::Link(0, 0)),
            time(35, Op::Pull),
        ],
    ),
    (
        "split_queue_grows_where_nothing_is_watched",
        Known(8),
        Config { layout: Layout::Split(2), ..OFF },
        &[time(3, Op::AddPart), time(11_000, Op::Link(2, 0)), calls(0, Op::Pull)],
    ),
    (
        "mail_in_todo_itself_of_a_split_queue",
        Known(8),
        Config { layout: Layout::Split(2), ..PLAIN },
        &[time(3, Op::LinkAbove(0))],
    ),
    (
        "queue_is_replaced_as_a_whole",
        Known(9),
        Config { layout: Layout::Split(2), ..PLAIN },
        &[time(3, Op::ReplaceHome), time(10_000, Op::Link(0, 0))],
    ),
    (
        "file_system_is_mounted_over_the_queue",
        Known(9),
        PLAIN,
        &[time(3, Op::MountOverHome), time(10_000, Op::Link(0, 0))],
    ),
    (
        "symbolic_link_above_the_queue_changes",
        Known(9),
        Config { path: PathKind::Link, ..PLAIN },
        &[
            time(3, Op::SwapLink),
            time(10_000, Op::Link(0, 0)),
            time(1, Op::SwapLink),
            time(11_000, Op::Link(0, 1)),
        ],
    ),
    (
        "trigger_by_another_path_is_replaced",
        Known(9),
        Config { layout: Layout::Maildrop, trigger: Trigger::Alias, ..PLAIN },
        &[time(3, Op::ReplaceTrigger), time(11_000, Op::ReadySilently(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "relative_path_and_chdir",
        Known(10),
        Config { path: PathKind::Relative, ..PLAIN },
        &[time(3, Op::Chdir), time(1, Op::Link(0, 0))],
    ),
    ("rescan_interval_of_zero", Known(10), Config { rescan: 0, ..PLAIN }, &[]),
    ("rescan_interval_of_max", Known(10), Config { rescan: u64::MAX, ..PLAIN }, &[]),
    ("trigger_in_its_own_directory", Known(10), Config { trigger: Trigger::Inside, ..PLAIN }, &[]),
    (
        "register_while_a_pull_is_pending",
        Known(11),
        PLAIN,
        &[
            time(1, Op::Link(1, 2)),
            calls(0, Op::Pull),
            calls(0, Op::RegisterAgain(100_000)),
            calls(0, Op::Pull),
            calls(0, Op::Pull),
        ],
    ),
    (
        "hundred_directories_are_read_in_one_turn",
        Known(12),
        Config { layout: Layout::Directories(100), ..PLAIN },
        &[],
    ),
    (
        "noise_beside_the_queue_overflows_its_watch",
        Known(13),
        Config { events: 8, consumer: Consumer::Leaves, ..PLAIN },
        &[time(3, Op::Link(0, 0)), time(12_000, Op::Noise(30)), time(1000, Op::Signal)],
    ),
    (
        "parent_that_cannot_be_read",
        Known(13),
        Config { watch: WatchMode::Required, privileged: false, ..PLAIN },
        &[calls(0, Op::ForbidHome)],
    ),
    (
        "time_in_the_future",
        Known(14),
        OFF,
        &[
            time(3, Op::WrongTime(3_600_000)),
            calls(0, Op::Link(0, 0)),
            calls(0, Op::Pull),
            time(2000, Op::Link(0, 1)),
            calls(0, Op::Pull),
        ],
    ),
    (
        "one_directory_by_two_paths",
        Known(15),
        Config { layout: Layout::Directories(2), twice: true, ..PLAIN },
        &[],
    ),
    (
        "trigger_is_replaced_during_open",
        Known(16),
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[calls(10, Op::ReplaceTrigger), time(11_000, Op::ReadySilently(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "split_queue_grows_during_open",
        Known(16),
        Config { layout: Layout::Split(2), ..PLAIN },
        &[calls(6, Op::AddPart), time(11_000, Op::Link(2, 0))],
    ),
    (
        "lstat_of_an_unfinished_file_fails_once",
        Known(17),
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[
            time(3, Op::Unready(0, 0)),
            calls(2, Op::Ready(0, 0)),
            calls(0, Op::FailFor(6, 1, 20)),
            calls(0, Op::Pull),
        ],
    ),
    (
        "trigger_cannot_be_read",
        Known(18),
        OFF,
        &[time(3, Op::FailFor(2, 0, 4000)), calls(0, Op::Pull)],
    ),
    ("watch_cannot_be_read", Known(19), PLAIN, &[calls(14, Op::FailFor(9, 1, 4000))]),
    (
        "fstat_of_the_open_directory_fails",
        Known(20),
        Config { fs: FsKind::Unknown, ..PLAIN },
        &[time(3, Op::FailFor(5, 0, 4000)), calls(0, Op::Link(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "inode_numbers_that_are_not_stable",
        Known(21),
        Config { fs: FsKind::Renumbering, ..PLAIN },
        &[],
    ),
    (
        "event_of_its_own_fchmod",
        Known(22),
        Config { layout: Layout::Maildrop, consumer: Consumer::Leaves, ..PLAIN },
        &[time(12_000, Op::Link(0, 0)), time(1500, Op::Ready(0, 0))],
    ),
    (
        "neither_trigger_nor_watch",
        Known(23),
        Config { trigger: Trigger::None, ..OFF },
        &[time(3, Op::Link(0, 0))],
    ),
    ("missing_trigger", Known(24), PLAIN, &[calls(9, Op::Pull), calls(0, Op::RemoveTrigger)]),
    (
        "network_file_system_hides_entries",
        Known(25),
        Config { fs: FsKind::Remote, rescan: 20_000, batch: 1, ..PLAIN },
        &[
            calls(0, Op::Link(0, 0)),
            calls(0, Op::Link(0, 1)),
            calls(0, Op::Link(0, 2)),
            calls(0, Op::Link(0, 3)),
        ],
    ),
    (
        "process_is_frozen_while_it_reads",
        Known(26),
        OFF,
        &[
            time(3, Op::Pull),
            calls(1, Op::Freeze(20_000)),
            time(1, Op::Link(0, 0)),
            time(0, Op::Pull),
        ],
    ),
    (
        "registration_fails",
        Known(27),
        PLAIN,
        &[calls(0, Op::FailFor(15, 0, 400)), calls(0, Op::Link(0, 0))],
    ),
    (
        "replaced_triggers_are_kept_while_a_registration_fails",
        Known(28),
        PLAIN,
        &[time(1, Op::FailFor(2, 3, 400)), calls(0, Op::FailFor(15, 0, 400)), calls(0, Op::Pull)],
    ),
];

/// One test for each.
pub(crate) fn trials() -> Vec<Trial> {
    HISTORIES.iter().map(|named| Trial::test(named.0, || check(named))).collect()
}

fn check((_, ends, config, events): &Named) -> Result<(), libtest_mimic::Failed> {
    let history = History { config: *config, events: events.to_vec() };
    let failure = run(&history, false).failure;
    let known = failure.as_ref().and_then(|failure| known::explain(&history, failure));
    // The numbers are those of the simulated Linux: on another kernel some of these end well, or by
    // another known defect.
    let is_linux = !cfg!(any(pullcord_sim = "bsd", pullcord_sim = "none"));
    match (ends, failure, known) {
        (Well, None, _) => Ok(()),
        (Known(_), None, _) | (Known(_), _, Some(_)) if !is_linux => Ok(()),
        (Known(number), Some(_), Some(known)) if known.number == *number => Ok(()),
        (Known(number), None, _) => {
            Err(format!("defect {number} is mended: let this history end well").into())
        }
        (_, failure, known) => {
            let number = known.map(|known| known.number);
            let log = run(&history, true).log.join("\n");
            Err(format!("{log}\n{history}\n{failure:?}, explained by {number:?}").into())
        }
    }
}
