//! epoll(7), Linux and Android.
//!
//! Its faults, and the remedies:
//! - A registration belongs to the open file description, not to the descriptor. After a descriptor is
//!   closed, it is still reported while a duplicate is open anywhere, also in a forked child. Only the
//!   caller can prevent that: deregister first.
//! - No operation adds or modifies. `EPOLL_CTL_ADD` fails if the descriptor is registered,
//!   `EPOLL_CTL_MOD` if it is not. A set of the registered descriptors would become wrong when one is
//!   closed. So the set is only a hint: it decides which operation is tried first.
//! - An empty FIFO after a hang-up is reported with `EPOLLHUP` and without `EPOLLIN`. A full FIFO
//!   without a reader is reported with `EPOLLERR` and without `EPOLLOUT`. These two events cannot be
//!   turned off.
//! - Some versions report an edge for each write into a pipe that was not drained, others (5.5 to 5.13)
//!   do not. Nothing here relies on it.
//! - The timeouts of epoll_wait(2) are milliseconds in an int. epoll_pwait2(2) has nanoseconds, since Linux
//!   5.11. If the kernel does not have it, or a filter of system calls refuses it, timeouts are rounded up
//!   to milliseconds, so that no wait ends early.
//! - fork(2) shares an epoll instance between both processes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use crate::notifier::{always_ready, check_key, grow};
use crate::{
    BackendInfo, Event, Events, Interest, Key, Mode, Notifier, OwnedFd, Waker, check_errno, fd,
    libc, timeout,
};

/// The backend of Linux and Android, over epoll_wait(2) and epoll_pwait2(2).
///
/// Man pages: [epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html),
/// [epoll_ctl(2)](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html),
/// [epoll_wait(2), epoll_pwait2(2)](https://man7.org/linux/man-pages/man2/epoll_wait.2.html).
#[derive(Debug)]
pub struct Epoll {
    epoll: OwnedFd,
    /// A hint, one bit for each descriptor: whether this number was registered before.
    registered_hint: Vec<u64>,
    raw_events: Vec<libc::epoll_event>,
    /// epoll_pwait2(2) was not tried yet, or has succeeded.
    has_pwait2: bool,
    waker: Option<Waker>,
}

impl Epoll {
    pub(crate) const INFO: BackendInfo =
        BackendInfo { name: "epoll", emulated: false, open: || Ok(Box::new(Epoll::new()?)) };

    /// Opens an epoll instance with epoll_create1(2) and `EPOLL_CLOEXEC`. Never blocks.
    ///
    /// # Errors
    ///
    /// Fails with `EMFILE` or `ENFILE` if no descriptor is free, or with `ENOMEM`.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the returned descriptor has no other owner.
        let epoll = unsafe { fd::own(libc::epoll_create1(libc::EPOLL_CLOEXEC))? };
        Ok(Epoll {
            epoll,
            registered_hint: Vec::new(),
            raw_events: Vec::new(),
            has_pwait2: true,
            waker: None,
        })
    }

    fn epoll_ctl(&self, operation: i32, source: RawFd, events: u32, key: Key) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: key.0 as u64 };
        // SAFETY: `event` lives through the call, which reads it and keeps no pointer; a stale
        // number in `source` would be an error, not undefined.
        check_errno(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, source, &mut event)
        })?;
        Ok(())
    }

    /// Adds the source, or modifies it if it is registered.
    fn add_or_modify(&mut self, source: RawFd, events: u32, key: Key) -> io::Result<()> {
        use libc::{EPOLL_CTL_ADD as ADD, EPOLL_CTL_MOD as MOD};
        let (first, wrong, second) = if self.was_registered(source) {
            (MOD, libc::ENOENT, ADD)
        } else {
            (ADD, libc::EEXIST, MOD)
        };
        grow(&mut self.registered_hint, source as usize / 64 + 1, || 0)?;
        let result = match self.epoll_ctl(first, source, events, key) {
            Err(e) if e.raw_os_error() == Some(wrong) => {
                self.epoll_ctl(second, source, events, key)
            }
            result => result,
        };
        self.set_registered(source, result.is_ok());
        result.map_err(|e| if e.raw_os_error() == Some(libc::EPERM) { always_ready() } else { e })
    }

    /// epoll_wait(2). -1 milliseconds wait without a timeout.
    fn epoll_wait(&mut self, room: i32, milliseconds: i32) -> io::Result<usize> {
        let to = self.raw_events.as_mut_ptr();
        // SAFETY: `raw_events` has room for `room` events, and lives through the call.
        let found = check_errno(unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), to, room, milliseconds)
        })?;
        Ok(found as usize)
    }

    /// epoll_pwait2(2), with the signal mask as it is.
    fn epoll_pwait2(&mut self, room: i32, timeout: Duration) -> io::Result<usize> {
        let to = self.raw_events.as_mut_ptr();
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let nanoseconds = i64::from(timeout.subsec_nanos());
        // SAFETY: as above.
        let found = check_errno(unsafe {
            libc::epoll_pwait2(self.epoll.as_raw_fd(), to, room, seconds, nanoseconds)
        })?;
        Ok(found as usize)
    }

    /// Waits with epoll_pwait2(2), or in milliseconds where that is refused.
    fn wait_for(&mut self, room: i32, timeout: Duration) -> io::Result<usize> {
        if self.has_pwait2 {
            match self.epoll_pwait2(room, timeout) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.has_pwait2 = false;
                }
                found => return found,
            }
        }
        timeout::wait_with_timeout(Some(timeout), |slice| {
            self.epoll_wait(room, milliseconds(slice))
        })
    }

    /// Takes the event of the waker out, which is none of a source.
    #[cold]
    fn take_waker_event(&self, events: &mut Events) {
        events.list.retain(|event| event.key != Key::RESERVED);
        events.set_woken();
        Waker::acknowledge_if_any(&self.waker);
    }

    fn was_registered(&self, source: RawFd) -> bool {
        let bit = source as usize;
        self.registered_hint.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn set_registered(&mut self, source: RawFd, registered: bool) {
        let bit = source as usize;
        if let Some(word) = self.registered_hint.get_mut(bit / 64) {
            *word = *word & !(1 << (bit % 64)) | u64::from(registered) << (bit % 64);
        }
    }
}

impl Notifier for Epoll {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        check_key(key)?;
        let mut events = match mode {
            Mode::Level => 0,
            Mode::Edge => libc::EPOLLET,
            Mode::OneShot => libc::EPOLLONESHOT,
        };
        if interest.is_readable() {
            events |= libc::EPOLLIN;
        }
        if interest.is_writable() {
            events |= libc::EPOLLOUT;
        }
        self.add_or_modify(source.as_fd().as_raw_fd(), events as u32, key)
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        let source = source.as_fd().as_raw_fd();
        match self.epoll_ctl(libc::EPOLL_CTL_DEL, source, 0, Key::RESERVED) {
            // EPERM: a file that could never have been registered.
            Err(e) if !matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EPERM)) => Err(e),
            _ => {
                self.set_registered(source, false);
                Ok(())
            }
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let none = || libc::epoll_event { events: 0, u64: 0 };
        grow(&mut self.raw_events, events.capacity(), none)?;
        let room = events.capacity() as i32;
        let found = match timeout {
            None => self.epoll_wait(room, -1),
            Some(Duration::ZERO) => self.epoll_wait(room, 0),
            Some(timeout) => self.wait_for(room, timeout),
        };
        let found = match found {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            found => found?,
        };
        let mut is_woken = false;
        // A packed struct: its fields are copied, never borrowed.
        events.list.extend(self.raw_events[..found].iter().map(|raw| {
            let (bits, key) = (raw.events as i32, Key(raw.u64 as usize));
            is_woken |= key == Key::RESERVED;
            Event {
                key,
                readable: bits & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                writable: bits & (libc::EPOLLOUT | libc::EPOLLERR) != 0,
                hang_up: bits & libc::EPOLLHUP != 0,
                error: bits & libc::EPOLLERR != 0,
            }
        }));
        if is_woken {
            self.take_waker_event(events);
        }
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if self.waker.is_none() {
            let waker = Waker::new()?;
            self.add_or_modify(waker.reader().as_raw_fd(), libc::EPOLLIN as u32, Key::RESERVED)?;
            self.waker = Some(waker);
        }
        Ok(self.waker.clone().expect("made above"))
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.epoll.as_fd())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Returns milliseconds, rounded up so that no wait ends early; -1 has no limit. A slice fits into an
/// int.
fn milliseconds(slice: Option<Duration>) -> i32 {
    slice.map_or(-1, |slice| {
        slice.as_secs() as i32 * 1000 + slice.subsec_nanos().div_ceil(1_000_000) as i32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part that Miri can run: edges, on a pipe.
    #[test]
    fn an_edge_is_reported_with_its_key() {
        let (mut epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(4));
        let (reader, writer) = crate::pipe::pipe().unwrap();
        epoll.register(&reader, Key(7), Interest::Read, Mode::Edge).unwrap();
        // SAFETY: the descriptor is open; one byte is read from a constant.
        assert_eq!(unsafe { libc::write(writer.as_raw_fd(), [1u8].as_ptr().cast(), 1) }, 1);
        epoll.wait(&mut events, None).unwrap();
        let expected = [Event { readable: true, ..Event::new(Key(7)) }];
        assert!(events.iter().eq(&expected), "{events:?}");
        epoll.deregister(&reader).unwrap();
    }

    /// A caller that looks only at one direction must see the error.
    #[test]
    #[cfg_attr(miri, ignore = "Miri's pipes have no EPOLLERR")]
    fn an_error_counts_as_readable_and_as_writable() {
        let (mut epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(4));
        for interest in [Interest::Read, Interest::Write] {
            let (reader, writer) = crate::pipe::pipe().unwrap();
            epoll.register(&writer, Key(7), interest, Mode::Level).unwrap();
            drop(reader);
            epoll.wait(&mut events, None).unwrap();
            let event = events.iter().next().unwrap();
            assert!(event.error && event.readable && event.writable, "{interest:?}: {event:?}");
            epoll.deregister(&writer).unwrap();
        }
    }

    /// Makes epoll_pwait2(2) fail with this error in this thread: seccomp(2).
    #[cfg(all(target_os = "linux", not(pullcord_sim)))]
    fn refuse_pwait2(errno: i32) {
        use real_libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
        let step = |code, jf, k| real_libc::sock_filter { code: code as u16, jt: 0, jf, k };
        let number = real_libc::SYS_epoll_pwait2 as u32;
        let mut filter = [
            // `nr`, the first field of `struct seccomp_data`.
            step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
            step(BPF_JMP | BPF_JEQ | BPF_K, 1, number),
            step(BPF_RET | BPF_K, 0, real_libc::SECCOMP_RET_ERRNO | errno as u32),
            step(BPF_RET | BPF_K, 0, real_libc::SECCOMP_RET_ALLOW),
        ];
        let program = real_libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        let (no_new, mode) = (real_libc::PR_SET_NO_NEW_PRIVS, real_libc::PR_SET_SECCOMP);
        // SAFETY: the program and its steps live through the calls.
        unsafe {
            check_errno(real_libc::prctl(no_new, 1, 0, 0, 0)).unwrap();
            check_errno(real_libc::prctl(mode, real_libc::SECCOMP_MODE_FILTER, &raw const program))
                .unwrap();
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(pullcord_sim)))]
    #[cfg_attr(miri, ignore = "Miri has no seccomp(2)")]
    fn a_filter_that_refuses_epoll_pwait2_costs_precision_and_no_wait() {
        for errno in [libc::EPERM, libc::ENOSYS] {
            // A filter is one of a thread, and stays as long as that.
            let waits = std::thread::spawn(move || {
                refuse_pwait2(errno);
                let (mut epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(4));
                let (reader, writer) = crate::pipe::pipe().unwrap();
                epoll.register(&reader, Key(7), Interest::Read, Mode::Level).unwrap();
                for _ in 0..2 {
                    let begun = std::time::Instant::now();
                    epoll.wait(&mut events, Some(Duration::from_micros(300))).unwrap();
                    assert!(events.is_empty());
                    assert!(begun.elapsed() >= Duration::from_micros(300), "it was early");
                    assert!(!epoll.has_pwait2, "it would be tried again");
                }
                // SAFETY: the descriptor is open; one byte is read from a constant.
                assert_eq!(unsafe { libc::write(writer.as_raw_fd(), [1u8].as_ptr().cast(), 1) }, 1);
                epoll.wait(&mut events, Some(Duration::from_secs(60))).unwrap();
                assert_eq!(events.len(), 1);
            });
            waits.join().unwrap();
        }
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        for (nanos, expected) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(milliseconds(Some(Duration::from_nanos(nanos))), expected, "{nanos} ns");
        }
        let longest = milliseconds(Some(timeout::MAX_SLICE));
        assert_eq!(longest as u128, timeout::MAX_SLICE.as_millis());
        assert_eq!(milliseconds(None), -1);
    }
}
