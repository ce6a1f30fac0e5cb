//! The raw loops with epoll(7), inotify(7) and getdents64(2).

#[cfg(target_env = "gnu")]
mod trace;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use super::{EDGE, EVENTS, Fifo, Loop, Sink, TICK, c_string, checked, is_entry};

#[cfg(target_env = "gnu")]
pub(crate) use trace::system_calls;

/// Returns `None`: the libc crate has no declarations for tracing on this C library.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn system_calls(
    _: impl FnOnce() -> io::Result<()>,
) -> io::Result<Option<Vec<libc::c_long>>> {
    Ok(None)
}

/// The system calls that read a directory.
pub(crate) const READS_DIRECTORY: [libc::c_long; 1] = [libc::SYS_getdents64];

/// The names of this module's loops in the tables.
pub(crate) const WATCH: &str = "raw inotify";
pub(crate) const WATCH_AND_TRIGGER: &str = "raw inotify+trigger";
pub(crate) const LIST: &str = "raw getdents64";

const BUFFER: usize = 64 * 1024;

/// A buffer for the kernel's records, aligned for their widest field.
#[repr(C, align(8))]
struct Buffer([u8; BUFFER]);

impl Buffer {
    fn new() -> Box<Buffer> {
        Box::new(Buffer([0; BUFFER]))
    }
}

fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new, and no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) })
}

fn control(epoll: &OwnedFd, operation: i32, fd: RawFd, events: i32, key: usize) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: key as u64 };
    // SAFETY: the event lives through the call.
    checked(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &mut event) })?;
    Ok(())
}

/// An epoll loop, edge-triggered or level-triggered.
pub(crate) struct Epoll<const MODE: u8> {
    epoll: OwnedFd,
    events: [libc::epoll_event; EVENTS],
}

impl<const MODE: u8> Epoll<MODE> {
    const READ: i32 = if MODE == EDGE { libc::EPOLLIN | libc::EPOLLET } else { libc::EPOLLIN };
}

impl<const MODE: u8> Loop for Epoll<MODE> {
    fn open() -> io::Result<Self> {
        let events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        Ok(Epoll { epoll: epoll_create()?, events })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        control(&self.epoll, libc::EPOLL_CTL_ADD, source.as_raw_fd(), Self::READ, key)
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        control(&self.epoll, libc::EPOLL_CTL_MOD, source.as_raw_fd(), Self::READ, key)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        control(&self.epoll, libc::EPOLL_CTL_DEL, source.as_raw_fd(), 0, 0)
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        // SAFETY: the buffer has room for `room` events.
        let count = checked(unsafe {
            let room = EVENTS as libc::c_int;
            libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), room, -1)
        })?;
        self.events[..count as usize].iter().try_for_each(|event| ready(event.u64 as usize))
    }
}

/// Watches directories for new names. Also waits for a trigger if one is given.
pub(crate) struct Arrivals {
    epoll: OwnedFd,
    inotify: OwnedFd,
    trigger: Option<Fifo>,
    /// The directory of each watch descriptor. The kernel numbers them from 1.
    watched: Vec<PathBuf>,
    buffer: Box<Buffer>,
}

/// The descriptor that another loop waits for.
impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Arrivals {
    pub(crate) fn open(directories: &[PathBuf], trigger: Option<&Path>) -> io::Result<Arrivals> {
        let epoll = epoll_create()?;
        // SAFETY: no pointers; the descriptor is new, and no other code owns it.
        let inotify = unsafe {
            let flags = libc::IN_NONBLOCK | libc::IN_CLOEXEC;
            OwnedFd::from_raw_fd(checked(libc::inotify_init1(flags))?)
        };
        let mut watched = Vec::new();
        for directory in directories {
            let path = c_string(directory);
            let mask = libc::IN_CREATE
                | libc::IN_MOVED_TO
                | libc::IN_DELETE_SELF
                | libc::IN_MOVE_SELF
                | libc::IN_ONLYDIR;
            // SAFETY: the path ends with a NUL byte.
            let watch = checked(unsafe {
                libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), mask)
            })? as usize;
            watched.resize(watched.len().max(watch + 1), PathBuf::new());
            watched[watch] = directory.clone();
        }
        let trigger = trigger.map(Fifo::open).transpose()?;
        if let Some(trigger) = &trigger {
            control(&epoll, libc::EPOLL_CTL_ADD, trigger.reader.as_raw_fd(), libc::EPOLLIN, 0)?;
        }
        control(&epoll, libc::EPOLL_CTL_ADD, inotify.as_raw_fd(), libc::EPOLLIN, 1)?;
        Ok(Arrivals { epoll, inotify, trigger, watched, buffer: Buffer::new() })
    }

    pub(crate) fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        // SAFETY: there is room for two events.
        let count = checked(unsafe {
            let tick = TICK.as_millis() as libc::c_int;
            libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 2, tick)
        })?;
        for event in &events[..count as usize] {
            match (event.u64, &mut self.trigger) {
                (0, Some(trigger)) => drop(trigger.drain()?),
                _ => self.read_names(sink)?,
            }
        }
        Ok(())
    }

    fn read_names(&mut self, sink: Sink<'_>) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the buffer has room for `BUFFER` bytes.
        let count = unsafe {
            libc::read(self.inotify.as_raw_fd(), self.buffer.0.as_mut_ptr().cast(), BUFFER)
        };
        if count == -1 {
            return Err(io::Error::last_os_error());
        }
        let (mut at, end) = (self.buffer.0.as_ptr(), count as usize);
        // SAFETY: the kernel has written complete events one after the other, up to `end`. Each starts
        // at a multiple of 4. Its name, if it has one, ends with a NUL byte.
        unsafe {
            let end = at.add(end);
            while at < end {
                let event = at.cast::<libc::inotify_event>();
                let name = at.add(size_of::<libc::inotify_event>());
                let appeared = libc::IN_CREATE | libc::IN_MOVED_TO;
                if (*event).mask & appeared != 0 && (*event).len > 0 {
                    let directory = &self.watched[(*event).wd as usize];
                    sink(directory, CStr::from_ptr(name.cast()).to_bytes());
                } else {
                    return Err(io::Error::other(
                        "unexpected inotify event; do not change the benchmark's directories",
                    ));
                }
                at = name.add((*event).len as usize);
            }
        }
        Ok(())
    }
}

/// Reads a directory with open(2), getdents64(2) to the end, and close(2).
pub(crate) fn list(directory: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let path = c_string(directory);
    // SAFETY: the path ends with a NUL byte; the descriptor is new, and no other code owns it.
    let directory = unsafe {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        OwnedFd::from_raw_fd(checked(libc::open(path.as_ptr(), flags))?)
    };
    let mut buffer = Buffer::new();
    loop {
        // SAFETY: the descriptor is open, and the buffer has room for `BUFFER` bytes.
        let count = unsafe {
            let (number, start) = (libc::SYS_getdents64, buffer.0.as_mut_ptr());
            libc::syscall(number, directory.as_raw_fd(), start, BUFFER)
        };
        match count {
            -1 => return Err(io::Error::last_os_error()),
            0 => return Ok(()),
            _ => {}
        }
        let mut at = buffer.0.as_ptr();
        // SAFETY: the kernel has written complete records one after the other, up to `end`. Each starts
        // at a multiple of 8, and its name ends with a NUL byte.
        unsafe {
            let end = at.add(count as usize);
            while at < end {
                let record = at.cast::<libc::dirent64>();
                let name = CStr::from_ptr((&raw const (*record).d_name).cast());
                if is_entry(name) {
                    each(name.to_bytes());
                }
                at = at.add(usize::from((*record).d_reclen));
            }
        }
    }
}
