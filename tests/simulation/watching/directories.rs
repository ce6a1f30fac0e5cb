//! Directories that are replaced, that are removed, and that two paths lead to.

use super::*;

pub(super) const TESTS: &[Test] = &[
    ("an_alias_is_reported_once_and_again_when_it_is_one_again", alias, On::All),
    ("an_alias_has_no_unfinished_entries", unfinished_alias, On::Linux),
    ("a_part_that_is_removed_is_forgotten_and_comes_back", part, On::All),
    ("a_part_that_is_removed_while_it_is_read_returns_nothing_more", part_read, On::Watching),
    ("todo_itself_is_no_part_and_is_tried_once_a_second", todo, On::All),
    (
        "a_directory_that_is_replaced_while_it_is_read_returns_its_new_entries",
        replaced,
        On::Watching,
    ),
    ("an_entry_of_a_replaced_directory_is_not_returned_at_its_time", requeued, On::Watching),
    ("a_directory_whose_watch_belongs_to_another_path_is_read", moved, On::Watching),
    ("a_queue_that_is_created_later_is_found_within_a_second", created_later, On::All),
];

fn alias() {
    for watch in [WatchMode::Auto, WatchMode::Off] {
        let become_alias = || {
            remove_directory("/v/q/d1");
            link("/v/q/d0", "/v/q/d1");
        };
        let mut program = Program::start(with_directories(2), || {
            become_alias();
            directories(2).trigger(TRIGGER).watch(watch)
        });
        program.removes = true;
        program.run_for(1000);
        program.warned.retain(|warning| warning.kind() != WarningKind::Unwatched);
        let text = program.take_warning(WarningKind::Alias);
        for part in ["/v/q/d1", "/v/q/d0", "its entries are returned with the other path"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(program.paths(), ["/v/q/d0"]);
        create("/v/q/d0/1");
        pull();
        program.run_for(1000);
        assert_eq!(program.take_returned(), ["/v/q/d0/1"]);

        remove("/v/q/d1");
        create_directory("/v/q/d1");
        program.run_for(11_000);
        create("/v/q/d1/2");
        pull();
        program.run_for(1000);
        assert_eq!(program.take_returned(), ["/v/q/d1/2"]);
        assert_eq!(program.paths(), ["/v/q/d0", "/v/q/d1"]);
        assert_eq!(program.take_warned(), []);

        become_alias();
        program.run_for(1000);
        pull();
        program.run_for(1000);
        program.take_warning(WarningKind::Alias);
        assert_eq!(program.paths(), ["/v/q/d0"]);
        program.run_for(30_000);
        assert_eq!(program.take_warned(), []);
    }
}

fn unfinished_alias() {
    let options = || {
        let options = directories(2).trigger(TRIGGER);
        options.write_method(pullcord::WriteMethod::OwnerExecutable)
    };
    let mut program = Program::start(with_directories(2), options);
    let awaits_trigger =
        |program: &mut Program| program.queue.prepare_fds(clock::now()).trigger.is_some();
    program.run_for(1000);
    assert!(!awaits_trigger(&mut program));
    create("/v/q/d1/1");
    program.run_for(1000);
    assert!(awaits_trigger(&mut program), "a pull may be the only sign that it is finished");
    rename("/v/q/d1", "/v/q/old");
    link("/v/q/d0", "/v/q/d1");
    program.run_for(1000);
    program.take_warning(WarningKind::Alias);
    assert!(!awaits_trigger(&mut program));
}

fn part() {
    const PART: &str = "/v/q/todo/1";
    let config = Config { layout: Layout::Split(3), privileged: false, ..PLAIN };
    let options = || {
        create("/v/q/todo/1/7");
        let options = QueueOptions::qmail("/v/q").expect("it can be read");
        options.rescan_interval(Duration::from_secs(20)).without_trigger()
    };
    let mut program = Program::start(config, options);
    program.run_for(1000);
    program.warned.clear();
    program.requeue(60);
    let unreadable = [(WarningKind::Unreadable, PART.to_owned())];
    set_mode(PART, 0);
    program.run_for(21_000);
    assert_eq!(program.take_warned(), unreadable);
    assert!(program.queue.status().any(|it| it.last_error.is_some()));

    rename(PART, "/v/q/old");
    program.run_for(11_000);
    assert_eq!(program.paths(), ["/v/q/todo", "/v/q/todo/0", "/v/q/todo/2"]);
    // Three rescans, six verifications, and the polls where there is no watch.
    let (wakeups, most) = (program.wakeups_in(60), if HAS_WATCH { 30 } else { 60 });
    assert!(wakeups <= most, "{wakeups} wake-ups: it is not tried again");
    assert_eq!((program.take_returned(), program.take_warned()), (vec![], vec![]));

    // It is the same problem, and a new one.
    rename("/v/q/old", PART);
    program.run_for(21_000);
    assert_eq!(program.take_warned(), unreadable);
    assert_eq!(program.take_returned(), [""; 0]);
    set_mode(PART, 0o755);
    program.run_for(1100);
    assert_eq!(program.take_returned(), ["/v/q/todo/1/7"]);
    assert!(program.queue.status().all(|it| it.last_error.is_none()));
}

fn part_read() {
    let config = Config { layout: Layout::Split(2), ..PLAIN };
    let options = || QueueOptions::qmail("/v/q").expect("it can be read");
    let mut program = Program::start(config, || {
        create_many("/v/q/todo/1", 40);
        options()
    });
    program.turn_until_returned(8);
    program.take_returned();
    rename("/v/q/todo/1", "/v/q/old");
    program.run_for(5000);
    let returned = program.take_returned();
    assert!(returned.len() <= 8, "until the watch is read: {returned:?}");
    assert_eq!(program.take_warned(), []);
}

fn todo() {
    let config = Config { layout: Layout::Split(2), ..PLAIN };
    let options = || QueueOptions::qmail("/v/q").expect("it can be read");
    let mut program = Program::start(config, || options().without_trigger());
    program.run_for(1000);
    program.warned.clear();
    let unreadable = [(WarningKind::Unreadable, "/v/q/todo".to_owned())];
    for _ in 0..2 {
        rename("/v/q/todo", "/v/q/old");
        program.run_for(20_000);
        assert_eq!(program.take_warned(), unreadable);
        assert_eq!(program.paths(), ["/v/q/todo"]);
        let opened = program.calls_in(20, Call::Open);
        assert!((19..25).contains(&opened), "{opened} attempts in 20 s");
        let looked = if REPORTS_NAMES { program.calls_in(20, Call::Statfs) } else { 20 };
        assert!((19..25).contains(&looked), "{looked} attempts in 20 s");
        rename("/v/q/old", "/v/q/todo");
        create("/v/q/todo/5");
        program.run_for(1100);
        assert_eq!(program.take_returned(), ["/v/q/todo/5"]);
        assert_eq!(program.take_warned(), []);
        remove("/v/q/todo/5");
        // The parts are found again.
        program.run_for(1100);
        assert_eq!(program.paths().len(), 3);
    }
}

fn replaced() {
    let mut program = Program::start(with_directories(1), || {
        create_many("/v/q/d0", 40);
        directories(1)
    });
    program.turn_until_returned(8);
    create("/v/q/d0/x");
    program.turn(Duration::ZERO);
    program.turn(Duration::ZERO);
    assert_eq!(program.take_counts().contains_key("/v/q/d0/x"), REPORTS_NAMES);
    rename("/v/q/d0", "/v/q/old");
    create_directory("/v/q/d0");
    create("/v/q/d0/new");
    create("/v/q/d0/x");
    program.run_for(5000);
    let mut counts = program.take_counts();
    assert_eq!(counts.remove("/v/q/d0/new"), Some(1));
    assert!(counts.remove("/v/q/d0/x").is_some(), "it is another entry");
    assert!(counts.len() <= 8, "until the watch is read: {counts:?}");
}

fn requeued() {
    let mut program = Program::start(with_directories(1), || {
        create("/v/q/d0/1");
        directories(1)
    });
    program.run_for(1000);
    program.requeue(60);
    rename("/v/q/d0", "/v/q/old");
    create_directory("/v/q/d0");
    program.run_for(90_000);
    assert_eq!(program.take_returned(), [""; 0]);
}

/// One directory is bound to the place of the other, and something else is mounted on its own place. No
/// watch reports that.
fn moved() {
    let mut program = Program::start(with_directories(2), || directories(2));
    program.run_for(1000);
    others(|kernel| kernel.bind(b"/v/q/d1", b"/v/q/d0")).expect("both are there");
    mount(FsKind::Ext4, "/v/q/d1");
    create("/v/q/d0/1");
    create("/v/q/d1/2");
    program.run_for(11_000);
    let counts = program.take_counts();
    for path in ["/v/q/d0/1", "/v/q/d1/2"] {
        assert!(counts.contains_key(path), "{counts:?}");
    }
    assert_eq!(program.queue.is_fully_watched(), REPORTS_NAMES);
}

fn created_later() {
    for watch in [WatchMode::Auto, WatchMode::Off] {
        let options = || {
            rename("/v/q", "/v/later");
            directories(1).trigger(TRIGGER).watch(watch).must_exist(false)
        };
        let mut program = Program::start(with_directories(1), options);
        program.run_for(30_000);
        program.warned.retain(|warning| warning.kind() != WarningKind::Unwatched);
        let warned = program.take_warned();
        let count = |kind| warned.iter().filter(|it| it.0 == kind).count();
        assert_eq!(count(WarningKind::Trigger), 1, "{warned:?}");
        assert_eq!((count(WarningKind::Unreadable), warned.len()), (1, 2), "{warned:?}");
        // The directory and the trigger are tried once a second, each by two calls at most.
        let attempts = program.calls_in(60, Call::Open);
        assert!((60..=250).contains(&attempts), "{attempts} attempts in a minute");
        // With all that is above it.
        rename("/v/later", "/v/q");
        create("/v/q/d0/1");
        program.run_for(1000);
        assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
        remove("/v/q/d0/1");
        create("/v/q/d0/2");
        pull();
        program.run_for(20);
        assert_eq!(program.take_returned(), ["/v/q/d0/2"]);
        assert_eq!(program.take_warned(), []);
    }
}
