//! How soon an entry is returned, and how much of the time the queue scans.

use pullcord_platform::sim::World;

use super::*;

pub(super) const TESTS: &[Test] = &[
    ("fifty_messages_with_their_pulls_are_returned_without_a_pause", storm, On::All),
    ("without_a_trigger_a_change_is_read_at_once", alone, On::Watching),
    ("a_change_waits_a_second_for_its_pull", grace, On::Changes),
    ("slow_directories_are_read_at_most_half_of_the_time", slow, On::All),
    ("slow_looks_at_entries_take_at_most_half_of_the_time", slow_looks, On::All),
    ("a_directory_above_that_is_replaced_is_found_by_the_next_scan", above, On::Watching),
    ("a_file_whose_time_is_in_the_future_is_not_old", future, On::Watching),
];

/// Time that the process needs itself is not simulated: only calls take time, one microsecond each.
fn storm() {
    let mut program = Program::start(with_directories(1), || directories(1).trigger(TRIGGER));
    program.removes = true;
    program.run_for(1000);
    let begun = clock::now();
    for number in 0..50 {
        create(&format!("/v/q/d0/{number}"));
        pull();
        program.turn_until_returned(number + 1);
    }
    let time = clock::now() - begun;
    assert!(time < Duration::from_millis(5), "{time:?}");
}

fn alone() {
    let mut program = Program::start(with_directories(1), || directories(1));
    program.run_for(1000);
    create("/v/q/d0/1");
    program.run_for(1);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

fn grace() {
    let mut program = Program::start(with_directories(1), || directories(1).trigger(TRIGGER));
    program.run_for(1000);
    create("/v/q/d0/1");
    program.run_for(990);
    assert!(program.take_returned().is_empty(), "its writer may still pull");
    program.run_for(20);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}

/// Some calls take 20 ms.
struct Slow(&'static [Call]);

impl World for Slow {
    fn before_call(&mut self, kernel: &mut Kernel, call: Call) {
        if self.0.contains(&call) {
            kernel.advance(20_000_000);
        }
    }

    fn next_time(&mut self, _: &Kernel) -> Option<u64> {
        None
    }

    fn at_time(&mut self, _: &mut Kernel) {}
}

fn slow() {
    for calls in [&[Call::Open][..], &[Call::Getdents, Call::Readdir]] {
        let options = || directories(1).trigger(TRIGGER).watch(WatchMode::Off);
        let mut program = Program::start(with_directories(1), options);
        program.run_for(1000);
        pull_while_slow(&mut program, calls);
    }
}

/// The entries are never complete, or wait for their time, so that each scan looks at each of them.
fn slow_looks() {
    let mut program = Program::start(with_directories(1), || {
        create_many("/v/q/d0", 20);
        directories(1).trigger(TRIGGER).write_method(WriteMethod::OwnerExecutable)
    });
    program.run_for(1000);
    pull_while_slow(&mut program, &[Call::Fstatat]);

    drop(program);
    let mut program = Program::start(with_directories(1), || {
        create_many("/v/q/d0", 20);
        directories(1).trigger(TRIGGER).watch(WatchMode::Off)
    });
    program.run_for(1000);
    let later = clock::now() + Duration::from_secs(3600);
    for entry in std::mem::take(&mut program.returned) {
        program.queue.requeue(&entry, later).expect("it is in the queue");
    }
    pull_while_slow(&mut program, &[Call::Fstatat]);
}

/// Pulls continuously for ten seconds. Each of these calls takes 20 ms meanwhile.
#[track_caller]
fn pull_while_slow(program: &mut Program, calls: &'static [Call]) {
    others(|kernel| kernel.set_world(Box::new(Slow(calls))));
    let slow_calls = || calls.iter().map(|call| made(*call)).sum::<u64>();
    let (begun, before) = (clock::now(), slow_calls());
    while clock::now() - begun < Duration::from_secs(10) {
        pull();
        program.turn(Duration::from_millis(1));
    }
    let reading = slow_calls() - before;
    // The last round may be one of 20 calls.
    assert!((100..=275).contains(&reading), "{reading} calls of 20 ms in 10 s: {calls:?}");
}

fn above() {
    let options = || {
        directories(1)
            .rescan_interval(Duration::from_secs(5))
            .verify_interval(Duration::from_secs(3600))
    };
    let mut program = Program::start(with_directories(1), options);
    program.run_for(1000);
    rename("/v/q", "/v/old");
    create_directory("/v/q");
    create_directory("/v/q/d0");
    program.run_for(6000);
    create("/v/q/d0/1");
    program.run_for(100);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"], "it is watched again");
}

fn future() {
    let quiet = Duration::from_secs(2);
    let options = || {
        create("/v/q/d0/1");
        others(|kernel| kernel.set_clock(-3_600_000_000_000));
        directories(1).write_method(WriteMethod::InPlace { quiet })
    };
    let mut program = Program::start(with_directories(1), options);
    program.run_for(1900);
    assert!(program.take_returned().is_empty(), "it may still be written to");
    program.run_for(200);
    assert_eq!(program.take_returned(), ["/v/q/d0/1"]);
}
