//! kqueue(2): FreeBSD, NetBSD, OpenBSD, DragonFly, macOS. Its faults, and the remedies:
//! - `EV_ADD` on an existing knote changes neither `EV_CLEAR` nor `EV_ONESHOT`, and returns no error. So
//!   every registration is a delete and an add.
//! - Closing a descriptor removes its knotes without an event. A copy of the kernel's set would become wrong.
//!   So no copy is kept.
//! - Reading and writing are two independent knotes. A one-shot event must disarm both: this file deletes the
//!   other one.
//! - A failing change may stop the next ones, and may be reported as an event if there is room. With
//!   `EV_RECEIPT` each change has its own result.
//! - A regular file can be registered, and is readable until its end. This file refuses it, as epoll does.
//! - `EV_EOF` may come before the last bytes are read. A NetBSD FIFO loses it at the first read that returns
//!   0. macOS posts no event when the last writer closes.
//! - A child of fork(2) does not inherit a kqueue. Its number is free there, and another file soon has it.
//! - `struct kevent` has different types and fields on each system: it is zeroed, then filled.

// The types of the fields differ between systems, so that a cast that one needs is useless on another.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process;
use std::ptr;
use std::time::Duration;

use crate::notifier::{always_ready, check_key, grow};
use crate::{
    BackendInfo, Event, Events, Interest, Key, Mode, Notifier, OwnedFd, Waker, bsd, check_errno,
    file, libc, timeout,
};

/// The backend of the BSDs and macOS, over kevent(2).
///
/// Man pages of kqueue(2): [FreeBSD](https://man.freebsd.org/cgi/man.cgi?kqueue(2)),
/// [NetBSD](https://man.netbsd.org/kqueue.2), [OpenBSD](https://man.openbsd.org/kqueue.2),
/// [DragonFly](https://man.dragonflybsd.org/?command=kqueue&section=2),
/// [macOS](https://developer.apple.com/library/archive/documentation/System/Conceptual/ManPages_iPhoneOS/man2/kqueue.2.html).
#[derive(Debug)]
pub struct Kqueue {
    kqueue: KqueueFd,
    raw_events: Vec<RawEvent>,
    waker: Option<Waker>,
}

/// An open kqueue, for the backend and for the directory watch.
#[derive(Debug)]
pub(crate) struct KqueueFd {
    fd: ManuallyDrop<OwnedFd>,
    /// The process in which `fd` is a kqueue.
    opened_by: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct RawEvent(pub(crate) bsd::kevent);

// SAFETY: its `udata`, where it is a pointer, holds a key and is never followed.
unsafe impl Send for RawEvent {}

const READ: i64 = bsd::EVFILT_READ as i64;
const WRITE: i64 = bsd::EVFILT_WRITE as i64;

/// One change of the kernel's set.
pub(crate) fn change(source: RawFd, filter: i64, flags: u32, key: Key) -> RawEvent {
    // SAFETY: a plain C struct of integers and a pointer, for which zero is a value.
    let mut raw: bsd::kevent = unsafe { mem::zeroed() };
    raw.ident = source as _;
    raw.filter = filter as _;
    raw.flags = (flags | bsd::EV_RECEIPT as u32) as _;
    raw.udata = key.0 as _;
    RawEvent(raw)
}

impl RawEvent {
    fn has(&self, flag: impl Into<u32>) -> bool {
        self.0.flags as u32 & flag.into() != 0
    }

    /// Returns the error in this event, if it is the result of a change.
    fn failure(&self) -> Option<i32> {
        (self.has(bsd::EV_ERROR) && self.0.data != 0).then_some(self.0.data as i32)
    }
}

/// Marks a one-shot knote whose source has another filter, which must be deleted too. The kernel ignores this
/// flag on such a knote, and returns it with the event.
const ONESHOT_BOTH: u32 = bsd::EV_CLEAR as u32;

impl KqueueFd {
    /// kqueue(2), closed by exec(2).
    pub(crate) fn new() -> io::Result<KqueueFd> {
        // FreeBSD duplicates a kqueue as it does any descriptor, so that one with a low number can be
        // moved. That was not tried on the other systems.
        #[cfg(not(pullcord_libkqueue))]
        // SAFETY: no pointers; the returned descriptor has no other owner.
        let fd = unsafe { crate::fd::own(bsd::kqueue())? };
        // The library knows a kqueue by its number: it stays where it is.
        #[cfg(pullcord_libkqueue)]
        // SAFETY: as above.
        let fd = unsafe {
            <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(check_errno(bsd::kqueue())?)
        };
        // A child of another thread's fork does not inherit it, so that there is no moment at which
        // it could leak.
        // SAFETY: the descriptor is open.
        check_errno(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
        Ok(KqueueFd { fd: ManuallyDrop::new(fd), opened_by: process::id() })
    }

    /// Applies these changes, at most four, and returns the first error that is not "was not there".
    pub(crate) fn apply_changes(&self, changes: &[RawEvent]) -> io::Result<()> {
        let mut receipts = [change(0, READ, 0, Key(0)); 4];
        let answered = loop {
            // SAFETY: both lists live through the call, the second has room for as many as it says,
            // and RawEvent is a transparent kevent.
            let answered = check_errno(unsafe {
                bsd::kevent(
                    self.fd.as_raw_fd(),
                    changes.as_ptr().cast(),
                    changes.len() as _,
                    receipts.as_mut_ptr().cast(),
                    changes.len().min(receipts.len()) as _,
                    &timespec(Duration::ZERO),
                )
            });
            match answered {
                // The changes were made, and their results are not known. Each list of changes can be applied
                // twice.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                answered => break answered? as usize,
            }
        };
        receipts[..answered]
            .iter()
            .filter_map(RawEvent::failure)
            .find(|errno| *errno != libc::ENOENT)
            .map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// Waits for the first event, and returns as many as there is room for.
    pub(crate) fn wait(
        &self,
        room: &mut [RawEvent],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let timeout = timeout.map(timespec);
        let most = i32::try_from(room.len()).unwrap_or(i32::MAX);
        // SAFETY: `room` has room for as many events, RawEvent is a transparent kevent, and the
        // timeout, where there is one, lives through the call.
        let found = check_errno(unsafe {
            bsd::kevent(
                self.fd.as_raw_fd(),
                ptr::null(),
                0,
                room.as_mut_ptr().cast(),
                most as _,
                timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
            )
        })?;
        Ok(found as usize)
    }
}

/// Readable while there are events.
impl AsFd for KqueueFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.fd.as_fd();
        #[cfg(pullcord_libkqueue)]
        let fd = bsd::waitable(fd);
        fd
    }
}

/// A forked child has not inherited the kqueue, and another file may have its number.
impl Drop for KqueueFd {
    fn drop(&mut self) {
        if self.opened_by == process::id() {
            // SAFETY: dropped once, here, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.fd) }
        }
    }
}

impl Kqueue {
    pub(crate) const INFO: BackendInfo = BackendInfo {
        name: "kqueue",
        emulated: cfg!(pullcord_libkqueue),
        open: || Ok(Box::new(Kqueue::new()?)),
    };

    /// kqueue(2), closed by exec(2).
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE` when there is no descriptor left, `ENOMEM`.
    pub fn new() -> io::Result<Kqueue> {
        Ok(Kqueue { kqueue: KqueueFd::new()?, raw_events: Vec::new(), waker: None })
    }

    fn add_or_modify(
        &self,
        source: RawFd,
        key: Key,
        interest: Interest,
        flags: u32,
    ) -> io::Result<()> {
        let delete = |filter| change(source, filter, bsd::EV_DELETE as u32, key);
        let add = |filter| change(source, filter, bsd::EV_ADD as u32 | flags, key);
        let result = match interest {
            Interest::Read => self.kqueue.apply_changes(&[delete(READ), delete(WRITE), add(READ)]),
            Interest::Write => {
                self.kqueue.apply_changes(&[delete(READ), delete(WRITE), add(WRITE)])
            }
            Interest::Both => {
                self.kqueue.apply_changes(&[delete(READ), delete(WRITE), add(READ), add(WRITE)])
            }
        };
        // A registration of one filter only would be wrong.
        result.inspect_err(|_| drop(self.delete(source)))
    }

    fn delete(&self, source: RawFd) -> io::Result<()> {
        self.kqueue.apply_changes(
            &[READ, WRITE]
                .map(|filter| change(source, filter, bsd::EV_DELETE as u32, Key::RESERVED)),
        )
    }
}

impl Notifier for Kqueue {
    fn register(
        &mut self,
        source: &dyn AsFd,
        key: Key,
        interest: Interest,
        mode: Mode,
    ) -> io::Result<()> {
        check_key(key)?;
        let source = source.as_fd();
        if file::fstat(source)?.is_always_ready() {
            return Err(always_ready());
        }
        let flags = match mode {
            Mode::Level => 0,
            Mode::Edge => bsd::EV_CLEAR as u32,
            Mode::OneShot if interest == Interest::Both => bsd::EV_ONESHOT as u32 | ONESHOT_BOTH,
            Mode::OneShot => bsd::EV_ONESHOT as u32,
        };
        self.add_or_modify(source.as_raw_fd(), key, interest, flags)
    }

    fn deregister(&mut self, source: &dyn AsFd) -> io::Result<()> {
        self.delete(source.as_fd().as_raw_fd())
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        grow(&mut self.raw_events, events.capacity(), || change(0, READ, 0, Key(0)))?;
        let room = &mut self.raw_events[..events.capacity()];
        let found = timeout::wait_with_timeout(timeout, |slice| self.kqueue.wait(room, slice))?;
        for raw in &self.raw_events[..found] {
            let key = Key(raw.0.udata as usize);
            if key == Key::RESERVED {
                Waker::acknowledge_if_any(&self.waker);
                events.set_woken();
                continue;
            }
            if raw.has(bsd::EV_ONESHOT) && raw.has(ONESHOT_BOTH) {
                // An error would lose the events of this wait. It only deletes, and the only known error is
                // that the knote does not exist.
                let _ = self.delete(raw.0.ident as RawFd);
            }
            let (end, reads) = (raw.has(bsd::EV_EOF), raw.0.filter as i64 == READ);
            events.push(Event {
                key,
                readable: reads,
                writable: !reads,
                hang_up: end,
                // At end-of-file `fflags` has the socket's error, if it has one.
                error: raw.failure().is_some() || end && raw.0.fflags != 0,
            });
        }
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if self.waker.is_none() {
            let waker = Waker::new()?;
            self.add_or_modify(waker.reader().as_raw_fd(), Key::RESERVED, Interest::Read, 0)?;
            self.waker = Some(waker);
        }
        Ok(self.waker.clone().expect("made above"))
    }

    fn pollable_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.kqueue.as_fd())
    }
}

impl AsFd for Kqueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kqueue.as_fd()
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos() as _ }
}
