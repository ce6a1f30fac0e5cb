//! Histories with names: regression tests.

use libtest_mimic::Trial;
use pullcord_platform::sim::{Call, FsKind};

use crate::history::{
    Config, Consumer, Event, History, Layout, Loop, Op, PLAIN, PathKind, Trigger, WatchMode, calls,
    time,
};
use crate::run::run;

type Named = (&'static str, Config, &'static [Event]);

const OFF: Config = Config { watch: WatchMode::Off, ..PLAIN };

const ONE_OFF: Config = Config { layout: Layout::Directories(1), ..OFF };
/// The place of kevent(2) in `Call::ALL`, and that of `ENOMEM` among its errors.
const KEVENT: usize = Call::Kevent as usize;
const NO_MEMORY: usize = 1;

const HISTORIES: &[Named] = &[
    ("mail_is_found_by_the_watch", PLAIN, &[time(3, Op::Link(0, 0))]),
    ("mail_is_found_by_a_pull", OFF, &[time(3, Op::Link(0, 0)), calls(0, Op::Pull)]),
    (
        "a_writer_that_stops_between_its_steps_loses_nothing",
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
    // The message is checked by a path that leads to another file at that moment.
    (
        "a_link_that_leads_elsewhere_for_a_moment_hides_no_message",
        Config { layout: Layout::Maildrop, path: PathKind::Link, ..PLAIN },
        &[time(1, Op::SwapLink), calls(0, Op::Link(1, 3)), time(1, Op::SwapLink)],
    ),
    (
        "a_full_trigger_is_emptied",
        OFF,
        &[time(3, Op::Fill(0)), calls(0, Op::Link(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "a_hostile_writer_delays_no_mail",
        OFF,
        &[time(3, Op::Flood(3000)), time(1000, Op::Link(0, 0)), time(1, Op::Pull)],
    ),
    (
        "a_hostile_writer_of_hidden_files_delays_no_mail",
        PLAIN,
        &[time(3, Op::FloodEvents(3000)), time(1000, Op::Link(0, 0)), time(1, Op::Pull)],
    ),
    // The directory cannot be read for half a second. A change comes during the scan that succeeds.
    (
        "a_change_during_the_retry_of_a_scan_is_read",
        Config { consumer: Consumer::Requeues(3), ..PLAIN },
        &[
            time(0, Op::Link(2, 0)),
            calls(18, Op::FailFor(Call::Fstat as usize, 4, 500)),
            time(101, Op::Freeze(20_000)),
            calls(6, Op::Link(0, 2)),
        ],
    ),
    (
        "an_overflow_is_followed_by_a_scan",
        Config { events: 4, ..PLAIN },
        &[time(3, Op::Hidden(0, 30)), calls(0, Op::Link(0, 0))],
    ),
    (
        "a_directory_that_is_made_again_is_watched",
        PLAIN,
        &[time(3, Op::Remake(0)), time(11_000, Op::Link(0, 0))],
    ),
    // The batch that holds the entry was read before the entry was due.
    (
        "an_entry_that_becomes_due_during_a_scan_is_returned_once",
        Config { wait: Loop::InsideLevel, consumer: Consumer::Leaves, rescan: 500, ..PLAIN },
        &[time(0, Op::Link(1, 2)), calls(0, Op::RequeueAgain(2000, 1)), time(500, Op::Link(0, 3))],
    ),
    // No watch reports that it is ready.
    (
        "an_unfinished_entry_of_a_maildrop_is_returned_after_its_pull",
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[time(2000, Op::Unready(0, 0)), time(500, Op::ReadySilently(0, 0)), time(0, Op::Pull)],
    ),
    (
        "a_part_that_cannot_be_looked_at_is_no_message",
        Config { layout: Layout::Split(1), fs: FsKind::Renumbering, ..PLAIN },
        &[calls(0, Op::FailFor(Call::Fstatat as usize, 11, 40_000))],
    ),
    // The next three calls fail.
    (
        "a_receiver_that_cannot_wait_or_register_tries_again",
        Config { wait: Loop::InsideLevel, ..PLAIN },
        &[time(2, Op::Link(0, 3)), calls(3, Op::FailNext(1, 3))],
    ),
    // kqueue(2) has no memory: nothing can be registered. The polls go on, as the timer is only restarted.
    (
        "a_receiver_in_an_edge_triggered_loop_keeps_its_time_while_kevent_fails",
        Config { wait: Loop::InsideEdge, trigger: Trigger::None, ..OFF },
        &[
            time(2000, Op::FailFor(KEVENT, NO_MEMORY, 12_000)),
            time(1000, Op::Link(0, 3)),
            time(30_000, Op::Link(0, 1)),
        ],
    ),
    // The notifier keeps the registration that it cannot renew.
    (
        "a_trigger_that_cannot_be_read_is_not_waited_for_after_a_refused_registration",
        PLAIN,
        &[
            time(0, Op::RegisterAgain(3)),
            time(1, Op::FailNext(7, 4)),
            time(0, Op::Link(0, 3)),
            time(0, Op::Pull),
        ],
    ),
    // The appointment belongs to the path that it was made for.
    (
        "an_entry_that_another_path_leads_to_is_another_one",
        Config {
            layout: Layout::Directories(2),
            consumer: Consumer::Requeues(20),
            fs: FsKind::Unknown,
            watches: 0,
            ..PLAIN
        },
        &[calls(22, Op::Link(1, 3)), calls(18, Op::Exchange(0, 1)), time(13_878, Op::Pull)],
    ),
    // A timeout that was computed before the process was stopped counts from its end.
    (
        "a_process_is_stopped_between_its_turn_and_its_wait",
        OFF,
        &[
            time(1, Op::Link(1, 1)),
            calls(0, Op::RequeueAgain(30, 100_000)),
            calls(0, Op::Freeze(3_600_000)),
        ],
    ),
    // The watch reports it, and the program may not remove it.
    (
        "an_entry_in_a_directory_that_must_not_be_read_is_returned_once",
        Config { privileged: false, ..PLAIN },
        &[time(1, Op::Forbid(0)), calls(0, Op::Link(0, 1)), time(1, Op::Allow(0))],
    ),
    // The poll that comes just before the rescan is no rescan.
    (
        "a_rescan_comes_just_after_a_poll",
        Config { trigger: Trigger::None, fs: FsKind::Unknown, rescan: 20_000, ..PLAIN },
        &[time(3012, Op::AddPart)],
    ),
    // Until its file system can be looked at, removals may hide other entries there.
    (
        "a_scan_after_a_failed_look_at_the_file_system_is_followed_by_another",
        Config { layout: Layout::Directories(2), watches: 1, ..PLAIN },
        &[
            time(1, Op::FailNext(13, 3)),
            time(110, Op::Link(1, 2)),
            calls(0, Op::FailNext(18, 3)),
            calls(0, Op::Link(2, 3)),
        ],
    ),
    (
        "an_entry_that_is_requeued_by_two_paths_comes_at_both_times",
        Config { layout: Layout::Directories(2), rescan: 500, ..PLAIN },
        &[
            time(0, Op::RequeueAgain(30_000, 100_000)),
            calls(0, Op::Link(0, 3)),
            time(1, Op::Bind(0, 1)),
            time(16_164, Op::Link(0, 3)),
        ],
    ),
    (
        "an_entry_that_replaces_a_requeued_one_within_a_tick_comes_at_its_time",
        Config { consumer: Consumer::Requeues(3), ..OFF },
        &[
            time(0, Op::RenameIn(1, 1)),
            calls(6, Op::Pull),
            calls(18, Op::RenameIn(2, 1)),
            time(0, Op::Pull),
        ],
    ),
    // It gets the inode number of the one that was removed, too.
    (
        "an_entry_that_follows_a_requeued_one_within_a_tick_comes_at_its_time",
        Config {
            layout: Layout::Directories(1),
            trigger: Trigger::None,
            wait: Loop::Foreign,
            consumer: Consumer::Requeues(3),
            ..PLAIN
        },
        &[
            calls(10, Op::Unlink(1, 1)),
            time(0, Op::Link(1, 3)),
            calls(6, Op::Unlink(1, 3)),
            time(0, Op::Link(0, 3)),
        ],
    ),
    (
        "a_new_trigger_that_another_process_reads_may_look_like_the_old_one",
        Config { fs: FsKind::Unknown, ..OFF },
        &[
            time(1, Op::ReplaceTrigger),
            calls(0, Op::Unready(0, 1)),
            calls(0, Op::Pull),
            calls(0, Op::OtherReader),
        ],
    ),
    (
        "a_time_that_is_ahead_makes_a_requeued_entry_early_by_as_much",
        Config { consumer: Consumer::Requeues(20), ..PLAIN },
        &[calls(0, Op::Link(2, 1)), time(10_088, Op::WrongTime(1))],
    ),
    // Its entries stay, so that each pull returns them again.
    (
        "a_receiver_under_a_flood_of_pulls_ends_its_turn",
        Config { wait: Loop::InsideEdge, consumer: Consumer::Leaves, ..OFF },
        &[calls(0, Op::Flood(26)), calls(0, Op::ManyUnready(181))],
    ),
    // The loop around it sees one edge, and no event of the watch comes later.
    (
        "an_entry_is_returned_after_an_interrupted_read_of_the_watch_inside_another_loop",
        Config { wait: Loop::InsideEdge, ..PLAIN },
        &[time(1, Op::FailFor(Call::Read as usize, 1, 400)), calls(0, Op::Link(0, 2))],
    ),
    // A wait with a wrong time may last an interval.
    (
        "a_time_that_is_wrong_twice_makes_a_requeued_entry_late_by_an_interval",
        Config { consumer: Consumer::Requeues(0), fs: FsKind::Remote, ..PLAIN },
        &[
            time(1, Op::Link(1, 2)),
            calls(0, Op::WrongTime(-3_600_000)),
            time(0, Op::WrongTime(-3_600_000)),
        ],
    ),
    // Each removal hides another entry there, also from the scan that a stopped process makes late.
    (
        "entries_that_a_network_file_system_hides_are_found_by_the_scans_that_follow",
        Config { fs: FsKind::Remote, batch: 2, ..PLAIN },
        &[
            time(1, Op::Link(0, 3)),
            calls(0, Op::Link(0, 1)),
            time(0, Op::Link(2, 0)),
            time(0, Op::Freeze(3_600_000)),
        ],
    ),
    // The queue cannot know that the entry was replaced after it was returned.
    (
        "an_entry_that_is_replaced_while_it_is_requeued_comes_at_its_time",
        Config { consumer: Consumer::Requeues(3), ..OFF },
        &[
            time(0, Op::RenameIn(1, 1)),
            calls(5, Op::Pull),
            calls(18, Op::RenameIn(2, 1)),
            time(0, Op::Pull),
        ],
    ),
    // The second path alone leads to it then.
    (
        "a_part_by_two_paths_is_read_by_the_other_one_when_the_first_is_renamed",
        Config { layout: Layout::Split(2), ..PLAIN },
        &[
            time(0, Op::Bind(0, 1)),
            time(1, Op::Link(0, 0)),
            calls(0, Op::Remove(0)),
            calls(0, Op::Pull),
        ],
    ),
    // Whether both paths lead to the same directory is not known then, and is found out later.
    (
        "one_directory_by_two_paths_that_cannot_be_looked_at_for_a_while",
        Config { layout: Layout::Directories(2), twice: true, ..PLAIN },
        &[
            time(1, Op::Freeze(20_000)),
            calls(2, Op::FailFor(Call::Fstatat as usize, 1, 400)),
            time(2741, Op::Link(0, 3)),
        ],
    ),
    // It is known by the other path, and here by its type alone.
    (
        "a_trigger_that_cannot_be_looked_at_is_no_entry",
        Config { layout: Layout::Directories(1), trigger: Trigger::Inside, twice: true, ..PLAIN },
        &[calls(0, Op::FailFor(Call::Fstatat as usize, 9, 40_000))],
    ),
    // Nothing can be read there, so it is tried again.
    (
        "a_directory_that_was_removed_below_a_bind_mount_is_tried_again",
        Config { layout: Layout::Directories(2), ..PLAIN },
        &[calls(0, Op::Bind(0, 1)), calls(0, Op::Remake(2)), time(30_803, Op::Link(0, 3))],
    ),
    // The defects of version 0.1.
    (
        "overflow_swallows_that_a_directory_was_made_again",
        Config { events: 4, ..PLAIN },
        &[time(50, Op::Hidden(0, 30)), calls(0, Op::Remake(0)), time(12_000, Op::Link(0, 0))],
    ),
    (
        "requeued_entry_comes_early_and_again",
        Config { consumer: Consumer::Requeues(3), ..OFF },
        &[time(3, Op::Link(0, 1)), calls(0, Op::Pull), time(100, Op::Pull)],
    ),
    (
        "requeued_entries_starve_new_mail",
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
        Config { trigger: Trigger::None, ..PLAIN },
        &[calls(0, Op::Spurious)],
    ),
    (
        "queue_without_a_trigger_spins_with_equal_keys",
        Config { trigger: Trigger::None, equal_keys: true, ..PLAIN },
        &[time(3, Op::Link(0, 0))],
    ),
    (
        "fifo_in_place_of_a_directory_blocks",
        Config { layout: Layout::Directories(1), ..PLAIN },
        &[calls(0, Op::PutFifo(0))],
    ),
    (
        "many_unfinished_files_cost_one_turn",
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[time(3, Op::ManyUnready(190)), time(5, Op::Pull)],
    ),
    (
        "back_off_counts_attempts",
        OFF,
        &[
            time(3, Op::Flood(30)),
            calls(0, Op::FailFor(Call::Open as usize, 4, 100)),
            calls(0, Op::Link(0, 0)),
            time(35, Op::Pull),
        ],
    ),
    (
        "split_queue_grows_where_nothing_is_watched",
        Config { layout: Layout::Split(2), ..OFF },
        &[time(3, Op::AddPart), time(11_000, Op::Link(2, 0)), calls(0, Op::Pull)],
    ),
    (
        "mail_in_todo_itself_of_a_split_queue",
        Config { layout: Layout::Split(2), ..PLAIN },
        &[time(3, Op::LinkAbove(0))],
    ),
    (
        "queue_is_replaced_as_a_whole",
        Config { layout: Layout::Split(2), ..PLAIN },
        &[time(3, Op::ReplaceHome), time(10_000, Op::Link(0, 0))],
    ),
    (
        "file_system_is_mounted_over_the_queue",
        PLAIN,
        &[time(3, Op::MountOverHome), time(10_000, Op::Link(0, 0))],
    ),
    (
        "symbolic_link_above_the_queue_changes",
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
        Config { layout: Layout::Maildrop, trigger: Trigger::Alias, ..PLAIN },
        &[time(3, Op::ReplaceTrigger), time(11_000, Op::ReadySilently(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "relative_path",
        Config { path: PathKind::Relative, ..PLAIN },
        &[time(3, Op::Link(0, 0)), time(12_000, Op::Link(0, 1))],
    ),
    (
        "relative_path_and_chdir",
        Config { path: PathKind::Relative, ..PLAIN },
        &[time(3, Op::Chdir), time(1, Op::Link(0, 0))],
    ),
    ("rescan_interval_of_zero", Config { rescan: 0, ..PLAIN }, &[]),
    ("rescan_interval_of_max", Config { rescan: u64::MAX, ..PLAIN }, &[]),
    ("trigger_in_its_own_directory", Config { trigger: Trigger::Inside, ..PLAIN }, &[]),
    (
        "register_while_a_pull_is_pending",
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
        Config { layout: Layout::Directories(100), ..PLAIN },
        &[],
    ),
    (
        "noise_beside_the_queue_overflows_its_watch",
        Config { events: 8, consumer: Consumer::Leaves, ..PLAIN },
        &[time(3, Op::Link(0, 0)), time(12_000, Op::Noise(30)), time(1000, Op::Signal)],
    ),
    (
        "parent_that_cannot_be_read",
        Config { watch: WatchMode::Required, privileged: false, ..PLAIN },
        &[calls(0, Op::ForbidHome)],
    ),
    (
        "time_in_the_future",
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
        Config { layout: Layout::Directories(2), twice: true, ..PLAIN },
        &[],
    ),
    (
        "trigger_is_replaced_during_open",
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[calls(10, Op::ReplaceTrigger), time(11_000, Op::ReadySilently(0, 0)), calls(0, Op::Pull)],
    ),
    (
        "split_queue_grows_during_open",
        Config { layout: Layout::Split(2), ..PLAIN },
        &[calls(6, Op::AddPart), time(11_000, Op::Link(2, 0))],
    ),
    (
        "lstat_of_an_unfinished_file_fails_once",
        Config { layout: Layout::Maildrop, ..PLAIN },
        &[
            time(3, Op::Unready(0, 0)),
            calls(2, Op::Ready(0, 0)),
            calls(0, Op::FailFor(Call::Fstatat as usize, 1, 20)),
            calls(0, Op::Pull),
        ],
    ),
    (
        "trigger_cannot_be_read",
        OFF,
        &[time(3, Op::FailFor(Call::Read as usize, 0, 4000)), calls(0, Op::Pull)],
    ),
    ("watch_cannot_be_read", PLAIN, &[calls(14, Op::FailFor(Call::Ioctl as usize, 1, 4000))]),
    (
        "fstat_of_the_open_directory_fails",
        Config { fs: FsKind::Unknown, ..PLAIN },
        &[
            time(3, Op::FailFor(Call::Fstat as usize, 0, 4000)),
            calls(0, Op::Link(0, 0)),
            calls(0, Op::Pull),
        ],
    ),
    ("inode_numbers_that_are_not_stable", Config { fs: FsKind::Renumbering, ..PLAIN }, &[]),
    (
        "event_of_its_own_fchmod",
        Config { layout: Layout::Maildrop, consumer: Consumer::Leaves, ..PLAIN },
        &[time(12_000, Op::Link(0, 0)), time(1500, Op::Ready(0, 0))],
    ),
    (
        "neither_trigger_nor_watch",
        Config { trigger: Trigger::None, ..OFF },
        &[time(3, Op::Link(0, 0))],
    ),
    ("missing_trigger", PLAIN, &[calls(9, Op::Pull), calls(0, Op::RemoveTrigger)]),
    (
        "network_file_system_hides_entries",
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
        PLAIN,
        &[calls(0, Op::FailFor(Call::EpollCtl as usize, 0, 400)), calls(0, Op::Link(0, 0))],
    ),
    (
        "replaced_triggers_are_kept_while_a_registration_fails",
        PLAIN,
        &[
            time(1, Op::FailFor(Call::Read as usize, 3, 400)),
            calls(0, Op::FailFor(Call::EpollCtl as usize, 0, 400)),
            calls(0, Op::Pull),
        ],
    ),
    // Ways in which something on the path to an entry changes: with those above, each kind of them.
    (
        "directory_is_renamed_away_and_made_again",
        PLAIN,
        &[time(3, Op::Replace(0)), time(10_000, Op::Link(0, 0))],
    ),
    (
        "part_of_a_split_queue_is_renamed_away_and_made_again",
        Config { layout: Layout::Split(2), ..PLAIN },
        &[time(3, Op::Replace(1)), time(10_000, Op::Link(1, 0)), time(1, Op::Link(0, 0))],
    ),
    (
        "directory_is_moved_away_and_comes_back",
        PLAIN,
        &[time(3, Op::Remove(0)), time(3_000, Op::Restore(0)), time(10_000, Op::Link(0, 0))],
    ),
    (
        "two_directories_change_places",
        Config { layout: Layout::Directories(2), ..PLAIN },
        &[time(3, Op::Exchange(0, 1)), time(10_000, Op::Link(0, 0)), calls(0, Op::Link(1, 1))],
    ),
    (
        "file_system_is_mounted_over_a_directory_and_unmounted",
        PLAIN,
        &[
            time(3, Op::MountOver(0)),
            time(10_000, Op::Link(0, 0)),
            time(1, Op::Unmount(false)),
            time(11_000, Op::Link(0, 1)),
        ],
    ),
    (
        "file_system_that_is_mounted_over_the_queue_is_unmounted_lazily",
        PLAIN,
        &[
            time(3, Op::MountOverHome),
            time(10_000, Op::Link(0, 0)),
            time(1, Op::Unmount(true)),
            time(11_000, Op::Link(0, 1)),
        ],
    ),
    (
        "directory_is_bound_to_the_place_of_another_one",
        Config { layout: Layout::Directories(2), ..PLAIN },
        &[
            time(3, Op::Bind(0, 1)),
            time(11_000, Op::Link(0, 0)),
            time(1, Op::Unmount(false)),
            time(11_000, Op::Link(1, 0)),
        ],
    ),
    (
        "queue_without_a_watch_is_replaced_as_a_whole",
        OFF,
        &[time(3, Op::ReplaceHome), time(10_000, Op::Link(0, 0)), time(1, Op::Pull)],
    ),
    (
        "trigger_is_replaced",
        OFF,
        &[time(3, Op::ReplaceTrigger), time(11_000, Op::Link(0, 0)), calls(0, Op::Pull)],
    ),
    // The pull before the trigger cannot be opened anew is in the FIFO that is closed.
    (
        "pull_before_a_replaced_trigger_cannot_be_opened_is_served",
        OFF,
        &[
            time(1, Op::ReplaceTrigger),
            calls(0, Op::Unready(0, 1)),
            calls(0, Op::Pull),
            calls(0, Op::OtherReader),
        ],
    ),
    (
        "read_of_the_trigger_keeps_failing",
        OFF,
        &[
            time(50, Op::FailFor(Call::Read as usize, 0, 40_000)),
            time(0, Op::Pull),
            time(42_000, Op::Link(0, 0)),
            time(0, Op::Pull),
        ],
    ),
    (
        "size_of_the_events_cannot_be_read_for_a_while",
        PLAIN,
        &[
            time(50, Op::FailFor(Call::Ioctl as usize, 0, 40_000)),
            time(0, Op::Link(0, 1)),
            time(42_000, Op::Link(0, 0)),
        ],
    ),
    // Its own FIFO is the one that the supervisor keeps open. The path leads to another one.
    (
        "inherited_trigger_does_not_follow_its_path",
        Config { trigger: Trigger::Inherited, ..OFF },
        &[
            time(50, Op::Open(1)),
            time(0, Op::ReplaceTrigger),
            time(30_000, Op::Link(0, 0)),
            time(0, Op::Write(1)),
        ],
    ),
    (
        "file_is_returned_between_two_quiet_times_of_its_writer",
        Config { layout: Layout::Directories(1), in_place: Some(500), ..PLAIN },
        &[
            time(50, Op::Create(0, 0)),
            time(400, Op::Append(0, 0)),
            time(3000, Op::Append(0, 0)),
            time(3000, Op::Finish(0, 0)),
        ],
    ),
    // The scan waits for its entries to become quiet, and the pull is the reason for another one.
    (
        "a_pull_while_a_scan_waits_for_quiet_entries_causes_no_spin",
        Config { in_place: Some(500), ..ONE_OFF },
        &[calls(0, Op::ManyUnready(79)), time(1, Op::Pull)],
    ),
    // Both paths have the same watch, and their numbers differ at each look.
    (
        "directory_by_two_paths_is_armed_once_where_numbers_change",
        Config { layout: Layout::Directories(1), fs: FsKind::Renumbering, twice: true, ..PLAIN },
        &[],
    ),
];

/// Returns one test for each. A receiver without a descriptor cannot be used in another loop.
pub(crate) fn trials() -> Vec<Trial> {
    let is_possible = |named: &&Named| !named.1.wait.is_inside() || named.1.wait.has_descriptor();
    let possible = HISTORIES.iter().filter(is_possible);
    possible.map(|named| Trial::test(named.0, || check(named))).collect()
}

fn check((_, config, events): &Named) -> Result<(), libtest_mimic::Failed> {
    let history = History { config: *config, events: events.to_vec() };
    let Some(failure) = run(&history, false).failure else { return Ok(()) };
    let log = run(&history, true).log.join("\n");
    Err(format!("{log}\n{history}\n{failure:?}").into())
}
