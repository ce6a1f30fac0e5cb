//! A timer that exists can be set when the system permits no further one. A receiver in another loop would
//! otherwise sleep past its deadlines. This file has one test, because other timers of the process would fail.
#![cfg(any(
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_vendor = "apple",
))]
// The fields' types differ from one system to the next, so that a cast needed on one is none on another.
#![allow(clippy::unnecessary_cast)]

use std::env::consts::OS;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use pullcord_platform::timer::Timer;
use pullcord_platform::{BACKENDS, Events, Interest, Key, Mode};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// FreeBSD permits 4,096 timers to a system, OpenBSD 1,024 to a process, macOS any number.
const MOST: usize = 20_000;

#[test]
fn a_timer_can_be_set_when_no_further_one_can_be_registered() {
    let mut notifier = (BACKENDS[0].open)().unwrap();
    let mut timer = Timer::new().unwrap();
    notifier.register(&timer, Key(7), Interest::Read, Mode::Level).unwrap();

    let others = Others::new().unwrap();
    let refused = (0..MOST).find_map(|number| others.register(number).err());
    match &refused {
        Some(error) => assert_eq!(error.raw_os_error(), Some(real_libc::ENOMEM), "{OS}: {error}"),
        None => println!("{OS} has no limit below {MOST} timers"),
    }
    let is_refused = refused.is_some();

    let mut events = Events::with_capacity(4);
    for round in 0..20 {
        let refused = || format!("{OS}, round {round}, at the limit: {is_refused}");
        timer.set(DAY).unwrap_or_else(|error| panic!("{}: {error}", refused()));
        timer.set(Duration::from_millis(1)).unwrap_or_else(|e| panic!("{}: {e}", refused()));
        notifier.wait(&mut events, Some(Duration::from_secs(60))).unwrap();
        let keys: Vec<_> = events.iter().map(|event| event.key).collect();
        assert_eq!(keys, [Key(7)], "{}", refused());
        timer.acknowledge();
        notifier.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "{}: it is acknowledged", refused());
    }
}

/// A kqueue with other timers.
struct Others(OwnedFd);

impl Others {
    fn new() -> io::Result<Others> {
        // SAFETY: no pointers.
        match unsafe { real_libc::kqueue() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the descriptor was opened just now, and has no other owner.
            fd => Ok(Others(unsafe { OwnedFd::from_raw_fd(fd) })),
        }
    }

    /// Registers one more, which expires after a day.
    fn register(&self, number: usize) -> io::Result<()> {
        // SAFETY: a plain C struct of integers and a pointer, for which zero is a value.
        let mut add: real_libc::kevent = unsafe { mem::zeroed() };
        add.ident = number as _;
        add.filter = real_libc::EVFILT_TIMER as _;
        add.flags = (real_libc::EV_ADD | real_libc::EV_ONESHOT) as _;
        add.data = DAY.as_millis() as _;
        // SAFETY: the descriptor is open, the change lives through the call, and no event is asked for.
        let done = unsafe {
            real_libc::kevent(self.0.as_raw_fd(), &add, 1, ptr::null_mut(), 0, ptr::null())
        };
        if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
