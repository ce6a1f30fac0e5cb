//! The raw loops with kqueue(2) and readdir(3).

// The types of the fields differ between systems. A cast that one system needs is unnecessary on
// another.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

use super::{EDGE, EVENTS, Fifo, Loop, Sink, TICK, c_string, checked, readdir};

/// The system calls that read a directory. They are not counted on these systems.
pub(crate) const READS_DIRECTORY: [libc::c_long; 0] = [];

/// The names of this module's loops in the tables.
pub(crate) const WATCH: &str = "raw vnode";
pub(crate) const WATCH_AND_TRIGGER: &str = "raw vnode+trigger";
pub(crate) const LIST: &str = "raw readdir";

pub(crate) use super::readdir as list;

fn kqueue() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new, and no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(checked(libc::kqueue())?) })
}

/// Returns a `kevent`. The types and fields differ between systems.
fn event(source: RawFd, filter: i64, flags: u32, key: usize) -> libc::kevent {
    // SAFETY: the fields are integers and a pointer, for which zero is valid.
    let mut event: libc::kevent = unsafe { mem::zeroed() };
    event.ident = source as _;
    event.filter = filter as _;
    event.flags = flags as _;
    event.udata = key as _;
    event
}

fn apply(kqueue: &OwnedFd, change: libc::kevent) -> io::Result<()> {
    // SAFETY: the call reads one change and writes no events.
    checked(unsafe {
        libc::kevent(kqueue.as_raw_fd(), &change, 1, ptr::null_mut(), 0, ptr::null())
    })?;
    Ok(())
}

fn fetch(
    kqueue: &OwnedFd,
    events: &mut [libc::kevent],
    tick: Option<Duration>,
) -> io::Result<usize> {
    let tick = tick.map(|tick| libc::timespec { tv_sec: tick.as_secs() as _, tv_nsec: 0 });
    // SAFETY: the buffer has room for `room` events, and the time lives through the call.
    let count = checked(unsafe {
        let room = events.len() as _;
        let tick = tick.as_ref().map_or(ptr::null(), ptr::from_ref);
        libc::kevent(kqueue.as_raw_fd(), ptr::null(), 0, events.as_mut_ptr(), room, tick)
    })?;
    Ok(count as usize)
}

/// A kqueue loop, edge-triggered or level-triggered.
pub(crate) struct Kqueue<const MODE: u8> {
    kqueue: OwnedFd,
    events: Vec<libc::kevent>,
}

impl<const MODE: u8> Kqueue<MODE> {
    const ADD: u32 = libc::EV_ADD as u32 | if MODE == EDGE { libc::EV_CLEAR as u32 } else { 0 };
}

const READ: i64 = libc::EVFILT_READ as i64;

impl<const MODE: u8> Loop for Kqueue<MODE> {
    fn open() -> io::Result<Self> {
        Ok(Kqueue { kqueue: kqueue()?, events: vec![event(0, READ, 0, 0); EVENTS] })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        apply(&self.kqueue, event(source.as_raw_fd(), READ, Self::ADD, key))
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.add(source, key)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        apply(&self.kqueue, event(source.as_raw_fd(), READ, libc::EV_DELETE as u32, 0))
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        let count = fetch(&self.kqueue, &mut self.events, None)?;
        self.events[..count].iter().try_for_each(|event| ready(event.udata as usize))
    }
}

/// Watches directories for changes and reads each changed directory. Also waits for a trigger if one is
/// given.
pub(crate) struct Arrivals {
    kqueue: OwnedFd,
    trigger: Option<Fifo>,
    watched: Vec<(PathBuf, OwnedFd)>,
}

/// The descriptor that another loop waits for.
impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kqueue.as_fd()
    }
}

impl Arrivals {
    pub(crate) fn open(directories: &[PathBuf], trigger: Option<&Path>) -> io::Result<Arrivals> {
        let kqueue = kqueue()?;
        let mut watched = Vec::new();
        for (number, directory) in directories.iter().enumerate() {
            let path = c_string(directory);
            // SAFETY: the path ends with a NUL byte; the descriptor is new, and no other code owns it.
            let opened = unsafe {
                let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
                OwnedFd::from_raw_fd(checked(libc::open(path.as_ptr(), flags))?)
            };
            let flags = libc::EV_ADD as u32 | libc::EV_CLEAR as u32;
            let mut add = event(opened.as_raw_fd(), libc::EVFILT_VNODE as i64, flags, number);
            add.fflags = libc::NOTE_WRITE | libc::NOTE_DELETE | libc::NOTE_RENAME;
            apply(&kqueue, add)?;
            watched.push((directory.clone(), opened));
        }
        let trigger = trigger.map(Fifo::open).transpose()?;
        if let Some(trigger) = &trigger {
            let (reader, key) = (trigger.reader.as_raw_fd(), watched.len());
            apply(&kqueue, event(reader, READ, libc::EV_ADD as u32, key))?;
        }
        Ok(Arrivals { kqueue, trigger, watched })
    }

    pub(crate) fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let mut events = [event(0, READ, 0, 0); 32];
        let count = fetch(&self.kqueue, &mut events, Some(TICK))?;
        for event in &events[..count] {
            match (self.watched.get(event.udata as usize), &mut self.trigger) {
                (Some((directory, _)), _) => readdir(directory, |name| sink(directory, name))?,
                (None, Some(trigger)) => drop(trigger.drain()?),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// Returns `None`: no method is known that counts system calls without another program.
pub(crate) fn system_calls(
    _: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    Ok(None)
}
