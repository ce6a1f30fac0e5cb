//! Many entries that wait: each is returned at its time, and the calls and the memory that they cost are
//! counted.

use std::collections::HashMap;

use super::*;
use crate::in_place::TICK;

pub(super) const TESTS: &[Test] = &[
    ("ten_thousand_files_that_are_written_cost_a_look_each", written, On::Linux),
    ("ten_thousand_requeued_entries_cost_a_look_each", requeued, On::All),
    ("a_hundred_thousand_entries_are_polled_in_the_interval_and_take_no_memory", polled, On::All),
];

const FILES: u64 = 10_000;
/// The limit in this build.
const ENTRIES_OF_A_TURN: u64 = 8;
/// An entry is returned no later than this after it is due.
const LATE: Duration = Duration::from_secs(1);

/// Makes turns for so many seconds. Returns the times at which the entries are returned.
fn times_of_return(program: &mut Program, seconds: u64) -> HashMap<String, Duration> {
    let (begin, mut times) = (clock::now(), HashMap::new());
    program.run_with(1000 * seconds, |program| {
        for path in program.take_returned() {
            let former = times.insert(path, clock::now() - begin);
            assert_eq!(former, None, "it is returned twice");
        }
    });
    times
}

/// Each file is created, and written to once while it waits.
fn written() {
    let quiet = Duration::from_secs(2);
    let method = WriteMethod::InPlace { quiet };
    let config = Config { events: 65_536, ..with_directories(1) };
    let mut program =
        Program::start(config, || directories(1).write_method(method).verify_interval(None));
    program.run_for(1000);
    let (looks, wakes) = (made(Call::Fstatat), wakeups());
    create_many("/v/q/d0", FILES as usize);
    program.run_for(1000);
    (0..FILES).for_each(|number| write(&format!("/v/q/d0/{number:02}")));
    let times = times_of_return(&mut program, 10);
    assert_eq!(times.len() as u64, FILES);
    for (path, time) in times {
        let on_time = quiet - Duration::from_nanos(TICK)..quiet + LATE;
        assert!(on_time.contains(&time), "{path} is returned after {time:?}");
    }
    assert_eq!(made(Call::Fstatat) - looks, FILES, "a look each");
    let wakes = wakeups() - wakes;
    assert!(wakes <= FILES / 4, "{wakes} wake-ups");
}

/// The first half is due one after the other, and the second half at once.
fn requeued() {
    let mut program = Program::start(with_directories(1), || {
        create_many("/v/q/d0", FILES as usize);
        directories(1).trigger(TRIGGER).verify_interval(None).rescan_interval(None)
    });
    program.run_for(1000);
    let entries = std::mem::take(&mut program.returned);
    assert_eq!(entries.len() as u64, FILES);
    let (looks, wakes) = (made(Call::Fstatat), wakeups());
    let (now, mut due) = (clock::now(), HashMap::new());
    for (number, entry) in (0..).zip(&entries) {
        let after = Duration::from_millis(5000 + number.min(FILES / 2));
        program.queue.requeue(entry, now + after).expect("it is in the queue");
        due.insert(entry.path().to_str().expect("a name").to_owned(), after);
    }
    let begun = clock::now() - now;
    let times = times_of_return(&mut program, 20);
    assert_eq!(times.len(), due.len());
    for (path, time) in times {
        let (time, due) = (time + begun, due[&path]);
        assert!((due..due + LATE).contains(&time), "{path} is due at {due:?}: {time:?}");
    }
    assert_eq!(made(Call::Fstatat) - looks, FILES, "a look each");
    let wakes = wakeups() - wakes;
    assert!(wakes <= FILES / 2 + 1 + FILES / 2 / ENTRIES_OF_A_TURN, "{wakes} wake-ups");
}

/// The program leaves each entry in the directory, so that each scan returns it again.
fn polled() {
    const ENTRIES: usize = 100_000;
    const INTERVAL: Duration = QueueOptions::DEFAULT_POLL_INTERVAL;
    let config = Config { batch: 1000, ..with_directories(1) };
    let mut program = Program::start(config, || {
        create_many("/v/q/d0", ENTRIES);
        directories(1).watch(WatchMode::Off).verify_interval(None)
    });
    memory::restart();
    let (mut ended, mut held) = (None, Vec::new());
    for scans in 1..=3 {
        while program.scans(0) < scans && !program.queue.is_scanning() {
            program.turn(LATE);
        }
        let pause = ended.map_or(INTERVAL, |ended| clock::now() - ended);
        assert!(
            (INTERVAL..INTERVAL + LATE).contains(&pause),
            "scan {scans} begins after {pause:?}"
        );
        let mut most = 0;
        while program.scans(0) < scans || program.queue.is_scanning() {
            program.turn(LATE);
            most = most.max(memory::held());
        }
        let returned = std::mem::take(&mut program.returned);
        assert_eq!(returned.len(), ENTRIES, "in scan {scans}");
        ended = Some(clock::now());
        held.push(most);
    }
    assert!(held[2] <= 4096 && held[2] == held[1], "bytes in each scan: {held:?}");
}
