//! select(2), everywhere. Its faults, and the remedies:
//! - The cost of each call is proportional to the highest descriptor. Only the search is shorter: empty words
//!   of the answer are skipped.
//! - `fd_set` ends at FD_SETSIZE. Linux, the BSDs and macOS (its `$DARWIN_EXTSN` variant) accept longer sets.
//!   On other systems, `register` refuses a higher descriptor.
//! - One closed descriptor makes every call fail with `EBADF`. It is searched for, removed, and reported with
//!   its key.
//! - It knows descriptors only. After a source was closed, another file may have its number. That file would
//!   be reported with the key of the source; a regular file at each wait. So a source that is reported often
//!   is compared with the registered file. Files without an identity of their own (eventfd, timerfd) cannot
//!   be distinguished.
//! - After a signal, the sets still contain all descriptors, as if each were ready. They are ignored.
//! - It has no edges and no one-shots. An edge-triggered source is reported level-triggered. This file
//!   implements one-shots.
//! - It reports hang-ups and errors only as "readable" and "writable". More would need a poll(2) after every
//!   wait.
//! - A regular file is always ready. This file refuses it, as epoll does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::file::FileId;
use crate::notifier::{always_ready, check_key, grow};
use crate::{
    BackendInfo, Event, Events, Interest, Key, Mode, Notifier, Waker, check_errno, file, libc,
    timeout,
};

/// The word that the kernel uses for the sets. Its width matters only if the first byte is not the lowest.
#[cfg(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple"))]
type Word = u32;
#[cfg(not(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple")))]
type Word = libc::c_ulong;

/// The highest descriptor that can be waited for. There is no limit if select(2) accepts longer sets than
/// `fd_set`.
const MAX_FD: usize = if cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_vendor = "apple",
)) {
    usize::MAX
} else {
    libc::FD_SETSIZE - 1
};

/// The backend of every system, over select(2).
///
/// Man pages: [Linux](https://man7.org/linux/man-pages/man2/select.2.html),
/// [FreeBSD](https://man.freebsd.org/cgi/man.cgi?select(2)),
/// [NetBSD](https://man.netbsd.org/select.2), [OpenBSD](https://man.openbsd.org/select.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=select&section=2),
/// [illumos](https://illumos.org/man/3C/select),
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/select.html).
#[derive(Debug, Default)]
pub struct Select {
    /// By descriptor; as long as the highest one that is registered requires.
    sources: Vec<Option<Source>>,
    asked: Sets,
    ready: Sets,
    /// The begin of the next search in the answer, so that a wait with little room starves no source.
    next: usize,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    key: Key,
    one_shot: bool,
    /// The file that was registered.
    id: FileId,
    /// After how many reports it is compared with the file that the number belongs to, and how many
    /// are left until then.
    check_after: u16,
    reports_left: u16,
}

const FIRST_CHECK: u16 = 8;
/// A file that takes the place of one that was reported often is found after so many reports at most.
const LAST_CHECK: u16 = 1024;

impl Source {
    /// Counts a report of the source. Returns whether its number belongs to another file by now, which is
    /// found at the 8th report, and then ever more rarely.
    fn was_replaced(&mut self, number: usize) -> bool {
        self.reports_left -= 1;
        if self.reports_left > 0 {
            return false;
        }
        self.check_after = (self.check_after * 2).min(LAST_CHECK);
        self.reports_left = self.check_after;
        // SAFETY: select(2) has just reported the number, so that it is open. If another thread closes
        // it, fstat(2) fails, and nothing else happens.
        let source = unsafe { BorrowedFd::borrow_raw(number as RawFd) };
        let Ok(found) = file::fstat(source) else { return false };
        // Some file systems give a file another number at each look.
        let is_proven = || file::fstat(source).is_ok_and(|again| again.id == found.id);
        found.id != self.id && (found.is_always_ready() || is_proven())
    }
}

impl Select {
    pub(crate) const INFO: BackendInfo =
        BackendInfo { name: "select", emulated: false, open: || Ok(Box::new(Select::new()?)) };

    /// Takes no system call, and no descriptor.
    ///
    /// # Errors
    ///
    /// None; the other backends have some.
    pub fn new() -> io::Result<Select> {
        Ok(Select::default())
    }

    fn add_or_modify(
        &mut self,
        source: RawFd,
        id: FileId,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        let number = source as usize;
        if number >= self.sources.len() {
            self.asked.grow_to(number)?;
            self.ready.grow_to(number)?;
            grow(&mut self.sources, number + 1, || None)?;
        }
        self.sources[number] = Some(Source {
            key,
            one_shot: mode == Mode::OneShot,
            id,
            check_after: FIRST_CHECK,
            reports_left: FIRST_CHECK,
        });
        self.asked.set(number, interest.is_readable(), interest.is_writable());
        Ok(())
    }

    fn clear(&mut self, number: usize) {
        if number < self.sources.len() {
            self.sources[number] = None;
            self.asked.set(number, false, false);
            while self.sources.last().is_some_and(Option::is_none) {
                self.sources.pop();
            }
        }
    }

    /// select(2), once. The answer is in `ready`.
    fn select(&mut self, slice: Option<Duration>) -> io::Result<usize> {
        self.ready.copy_from(&self.asked);
        let mut slice = slice.map(timeval);
        // SAFETY: both sets reach as far as the highest of `sources`, in whole words; the kernel
        // reads and writes no more than the words that hold the first `nfds` bits.
        let ready = check_errno(unsafe {
            libc::select(
                self.sources.len() as libc::c_int,
                self.ready.read.as_mut_ptr().cast(),
                // Without a set there is less for the kernel to do.
                if self.ready.writers == 0 {
                    ptr::null_mut()
                } else {
                    self.ready.write.as_mut_ptr().cast()
                },
                ptr::null_mut(),
                slice.as_mut().map_or(ptr::null_mut(), ptr::from_mut),
            )
        })?;
        Ok(ready as usize)
    }

    /// Removes each source that is not open any more, and reports it: as many as there is room for.
    fn report_closed(&mut self, events: &mut Events) {
        for number in 0..self.sources.len() {
            if events.len() == events.capacity() {
                return;
            }
            let Some(&Some(Source { key, .. })) = self.sources.get(number) else { continue };
            // One that was reported, and is silent now, is none of those that make select(2) fail.
            if !self.asked.has(number) {
                continue;
            }
            // SAFETY: no pointers; a number that is not open is an error, and that is the question.
            if unsafe { libc::fcntl(number as RawFd, libc::F_GETFD, 0) } == -1 {
                self.clear(number);
                events.push(gone(key));
            }
        }
    }

    /// Reports from the answer, once round, beginning where the last wait had no more room.
    fn report_ready(&mut self, events: &mut Events) {
        let words = self.ready.read.len();
        let (first, below) = (self.next / BITS, (1 << (self.next % BITS)) - 1);
        self.next = 0;
        for step in 0..=words {
            let word = (first + step) % words;
            let read = self.ready.read[word];
            let write = if self.ready.writers == 0 { 0 } else { self.ready.write[word] };
            let mut bits = read | write;
            // The word it begins in is visited twice: its upper part first, its lower part last.
            match step {
                0 => bits &= !below,
                _ if step == words => bits &= below,
                _ => {}
            }
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let number = word * BITS + bit;
                let Some(Some(source)) = self.sources.get_mut(number) else { continue };
                if source.key == Key::RESERVED {
                    Waker::acknowledge_if_any(&self.waker);
                    events.set_woken();
                    continue;
                }
                if events.len() == events.capacity() {
                    self.next = number;
                    return;
                }
                let (is_replaced, source) = (source.was_replaced(number), *source);
                if is_replaced {
                    self.clear(number);
                    events.push(gone(source.key));
                    continue;
                }
                events.push(Event {
                    readable: read & (1 << bit) != 0,
                    writable: write & (1 << bit) != 0,
                    ..Event::new(source.key)
                });
                if source.one_shot {
                    self.asked.set(number, false, false);
                }
            }
        }
    }
}

/// Returns the last event of a source that was closed while it was registered.
fn gone(key: Key) -> Event {
    Event { readable: true, writable: true, error: true, ..Event::new(key) }
}

impl Notifier for Select {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        check_key(key)?;
        let source = source.as_fd();
        if source.as_raw_fd() as usize > MAX_FD {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "descriptor {} is too high for select(2), whose highest is {MAX_FD} here: \
                     lower the descriptor limit (ulimit -n) or use another backend",
                    source.as_raw_fd(),
                ),
            ));
        }
        let status = file::fstat(source)?;
        if status.is_always_ready() {
            return Err(always_ready());
        }
        self.add_or_modify(source.as_raw_fd(), status.id, key, interest, mode)
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        self.clear(source.as_fd().as_raw_fd() as usize);
        Ok(())
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        match timeout::wait_with_timeout(timeout, |slice| self.select(slice)) {
            Ok(0) => Ok(()),
            Ok(_) => {
                self.report_ready(events);
                Ok(())
            }
            Err(e) if e.raw_os_error() == Some(libc::EBADF) => {
                self.report_closed(events);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if self.waker.is_none() {
            let waker = Waker::new()?;
            let (reader, id) = (waker.reader().as_raw_fd(), file::fstat(waker.reader())?.id);
            self.add_or_modify(reader, id, Key::RESERVED, Interest::Read, Mode::Level)?;
            self.waker = Some(waker);
        }
        Ok(self.waker.clone().expect("made above"))
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The set to be read and the set to be written, in as many words as it takes.
#[derive(Debug, Default)]
struct Sets {
    read: Vec<Word>,
    write: Vec<Word>,
    /// How many there are in `write`: mostly none.
    writers: usize,
}

const BITS: usize = Word::BITS as usize;

impl Sets {
    /// Grows until `number` is inside.
    fn grow_to(&mut self, number: usize) -> io::Result<()> {
        let words = number / BITS + 1;
        grow(&mut self.read, words, || 0)?;
        grow(&mut self.write, words, || 0)
    }

    /// Whether a number is in one of the sets.
    fn has(&self, number: usize) -> bool {
        let (word, bit) = (number / BITS, number % BITS);
        (self.read[word] | self.write[word]) & (1 << bit) != 0
    }

    fn set(&mut self, number: usize, read: bool, write: bool) {
        let (word, bit) = (number / BITS, number % BITS);
        self.writers -= usize::from(self.write[word] & (1 << bit) != 0);
        self.writers += usize::from(write);
        for (set, value) in [(&mut self.read, read), (&mut self.write, write)] {
            set[word] = set[word] & !(1 << bit) | Word::from(value) << bit;
        }
    }

    /// Allocates nothing: `grow_to` has made room.
    fn copy_from(&mut self, other: &Sets) {
        self.writers = other.writers;
        self.read.clone_from(&other.read);
        if other.writers > 0 {
            self.write.clone_from(&other.write);
        }
    }
}

/// Microseconds, rounded up so that no wait is early.
fn timeval(slice: Duration) -> libc::timeval {
    let (seconds, microseconds) = (slice.as_secs(), slice.subsec_nanos().div_ceil(1000));
    match microseconds {
        1_000_000 => libc::timeval { tv_sec: (seconds + 1) as _, tv_usec: 0 },
        _ => libc::timeval { tv_sec: seconds as _, tv_usec: microseconds as _ },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_rounded_up_and_a_million_of_them_is_a_second() {
        for (nanoseconds, tv_sec, tv_usec) in [
            (0, 0, 0),
            (1, 0, 1),
            (1000, 0, 1),
            (1001, 0, 2),
            (999_999_000, 0, 999_999),
            (999_999_001, 1, 0),
            (2_999_999_999, 3, 0),
        ] {
            let time = timeval(Duration::from_nanos(nanoseconds));
            assert_eq!((time.tv_sec, time.tv_usec), (tv_sec, tv_usec), "{nanoseconds} ns");
        }
    }
}
