//! Asserts counts of system calls. Times are not asserted.

#![cfg(any(target_os = "linux", target_os = "android"))]

use pullcord_bench::syscalls;

#[test]
fn a_wake_makes_two_system_calls() {
    // The counts are for 20 wakes. At the 8th report of a source, pullcord's select checks that it is
    // still the file that was registered. Later it checks more rarely.
    for (name, expected) in [
        ("raw epoll", 2.0),
        ("pullcord epoll", 2.0),
        ("raw select", 2.0),
        ("pullcord select", 41.0 / 20.0),
    ] {
        match syscalls::of_a_wake(name).unwrap() {
            Some(calls) => assert_eq!(calls, expected, "{name}"),
            None => eprintln!("{name}: tracing is not allowed here, nothing was counted"),
        }
    }
}

#[test]
fn with_100_000_waiting_no_directory_is_read_after_the_start() {
    let reads = |watching| syscalls::directory_reads(watching, 100_000, 5).unwrap();
    match (reads(true), reads(false)) {
        (Some(watching), Some(scanning)) => {
            assert_eq!(watching, 0);
            assert!(scanning > 0, "no directory read was counted, although scans need them");
        }
        _ => eprintln!("tracing is not allowed here, nothing was counted"),
    }
}
