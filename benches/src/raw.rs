//! What a good C programmer would write: system calls, buffers of the right size, nothing else.
//!
//! Everything else is measured against these loops, so they share no code with pullcord, do no more
//! than is needed, and no less than pullcord does: a name is handed out with its length and its
//! directory, `.` and `..` are left out, errors are looked at.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "linux", target_os = "android"))] {
        mod linux;
        pub(crate) use linux::*;
    } else if #[cfg(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_vendor = "apple",
    ))] {
        mod kqueue;
        pub(crate) use kqueue::*;
    } else {
        mod elsewhere;
        pub(crate) use elsewhere::*;
    }
}

mod puller;
pub(crate) use puller::Puller;

/// What `ring`, `wake` and `churn` ask of whoever waits.
pub(crate) trait Loop: Sized {
    /// Whether a source has to be armed again, by [`change`](Loop::change), after each event.
    const ONE_SHOT: bool = false;

    fn open() -> io::Result<Self>;

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()>;

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()>;

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()>;

    /// Waits for ever, and tells of each source that can be read.
    fn wait(&mut self, ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()>;
}

/// How many events everybody fetches at once.
pub(crate) const EVENTS: usize = 1024;

/// How readiness is reported.
pub(crate) const EDGE: u8 = 0;
pub(crate) const LEVEL: u8 = 1;
pub(crate) const ONE_SHOT: u8 = 2;

/// Nobody who waits for mail sleeps for ever: qmail-send looks for itself every 25 minutes, and so
/// does pullcord. To the kernel a wait with an end costs more than one without.
const TICK: Duration = Duration::from_secs(1500);

/// Takes an entry as it is found: its directory and its name.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&Path, &[u8]);

fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("the benchmark's own paths have no NUL byte")
}

/// getppid(2): a call that nobody else makes, between two of which system calls are counted.
pub(crate) fn mark() {
    // SAFETY: no pointers.
    unsafe { libc::getppid() };
}

/// clock_gettime(2).
pub(crate) fn clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one time. That every clock here exists is in POSIX.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn is_entry(name: &CStr) -> bool {
    name != c"." && name != c".."
}

/// opendir(3), readdir(3) to the end, closedir(3).
pub(crate) fn readdir(directory: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    each_entry(directory, |_, name| {
        each(name.to_bytes());
        Ok(())
    })
}

/// The same, and fstatat(2) of every entry, as those do who want to know what it is.
pub(crate) fn readdir_and_stat(directory: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    each_entry(directory, |directory, name| {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the directory is open, the name ends with a NUL byte, and there is room for one
        // stat.
        checked(unsafe {
            let flags = libc::AT_SYMLINK_NOFOLLOW;
            libc::fstatat(directory, name.as_ptr(), status.as_mut_ptr(), flags)
        })?;
        // SAFETY: fstatat has filled it.
        if unsafe { status.assume_init_ref() }.st_mode & libc::S_IFMT == libc::S_IFREG {
            each(name.to_bytes());
        }
        Ok(())
    })
}

fn each_entry(
    directory: &Path,
    mut each: impl FnMut(RawFd, &CStr) -> io::Result<()>,
) -> io::Result<()> {
    let path = c_string(directory);
    // SAFETY: the path ends with a NUL byte.
    let stream = unsafe { libc::opendir(path.as_ptr()) };
    if stream.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut read = Ok(());
    while read.is_ok() {
        // SAFETY: the stream is open, and nobody else's.
        let entry = unsafe { libc::readdir(stream) };
        if entry.is_null() {
            break;
        }
        // SAFETY: the entry is valid until the next readdir, and its name ends with a NUL byte.
        let name = unsafe { CStr::from_ptr((&raw const (*entry).d_name).cast()) };
        if is_entry(name) {
            // SAFETY: as above.
            read = each(unsafe { libc::dirfd(stream) }, name);
        }
    }
    // SAFETY: opened above, and not used again.
    unsafe { libc::closedir(stream) };
    read
}

/// Both ends of a FIFO, the reading one first: kept open, so that it never hangs up.
#[derive(Debug)]
pub(crate) struct Fifo {
    reader: OwnedFd,
    _writer: OwnedFd,
    bytes: Box<[u8; FIFO]>,
}

/// What a FIFO holds at most.
const FIFO: usize = 64 * 1024;

impl Fifo {
    pub(crate) fn open(path: &Path) -> io::Result<Fifo> {
        let path = c_string(path);
        let reader = open_fifo(&path, libc::O_RDONLY)?;
        let writer = open_fifo(&path, libc::O_WRONLY)?;
        Ok(Fifo { reader, _writer: writer, bytes: Box::new([0; FIFO]) })
    }

    /// read(2), into a buffer as large as a FIFO; says how many bytes there were.
    pub(crate) fn drain(&mut self) -> io::Result<usize> {
        // SAFETY: the descriptor is open, and there is room for as many bytes.
        let count =
            unsafe { libc::read(self.reader.as_raw_fd(), self.bytes.as_mut_ptr().cast(), FIFO) };
        match count {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
            count => Ok(count as usize),
        }
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// select(2) on any number of descriptors: longer sets than `fd_set` where the system takes them,
/// and of the answer only the words that are not empty.
#[derive(Debug)]
pub(crate) struct Select {
    keys: Vec<usize>,
    asked: Vec<Word>,
    found: Vec<Word>,
    highest: libc::c_int,
}

/// What a set is made of; where its first byte is not the lowest, the width matters.
#[cfg(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple"))]
type Word = u32;
#[cfg(not(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple")))]
type Word = libc::c_ulong;

const BITS: usize = Word::BITS as usize;

unsafe extern "C" {
    /// The variant of macOS that takes longer sets; libc declares the other one.
    #[cfg_attr(target_vendor = "apple", link_name = "select$DARWIN_EXTSN")]
    fn select(
        nfds: libc::c_int,
        read: *mut libc::fd_set,
        write: *mut libc::fd_set,
        except: *mut libc::fd_set,
        timeout: *mut libc::timeval,
    ) -> libc::c_int;
}

impl Loop for Select {
    fn open() -> io::Result<Select> {
        Ok(Select { keys: Vec::new(), asked: Vec::new(), found: Vec::new(), highest: -1 })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let number = source.as_raw_fd() as usize;
        if number >= self.keys.len() {
            self.keys.resize(number + 1, 0);
            self.asked.resize(number / BITS + 1, 0);
            self.found.resize(number / BITS + 1, 0);
        }
        self.keys[number] = key;
        self.asked[number / BITS] |= 1 << (number % BITS);
        self.highest = self.highest.max(number as libc::c_int);
        Ok(())
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.keys[source.as_raw_fd() as usize] = key;
        Ok(())
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        let number = source.as_raw_fd() as usize;
        self.asked[number / BITS] &= !(1 << (number % BITS));
        while self.highest >= 0 {
            let highest = self.highest as usize;
            if self.asked[highest / BITS] & (1 << (highest % BITS)) != 0 {
                break;
            }
            self.highest -= 1;
        }
        Ok(())
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        self.found.copy_from_slice(&self.asked);
        // SAFETY: the set reaches as far as `highest`, in whole words, and lives through the call.
        checked(unsafe {
            let (set, none) = (self.found.as_mut_ptr().cast(), ptr::null_mut());
            select(self.highest + 1, set, none, none, ptr::null_mut())
        })?;
        for (number, word) in self.found.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let bit = word.trailing_zeros() as usize;
                word &= word - 1;
                ready(self.keys[number * BITS + bit])?;
            }
        }
        Ok(())
    }
}

/// How qmail-send waits for its trigger, without the patch: the byte is never read, the FIFO is
/// closed and opened again.
#[derive(Debug)]
pub(crate) struct Unpatched {
    path: CString,
    trigger: Option<OwnedFd>,
}

impl Unpatched {
    pub(crate) fn open(path: &Path) -> io::Result<Unpatched> {
        let path = c_string(path);
        Ok(Unpatched { trigger: Some(open_fifo(&path, libc::O_RDONLY)?), path })
    }

    pub(crate) fn wait(&mut self) -> io::Result<()> {
        if let Some(trigger) = &self.trigger {
            readable(trigger)?;
        }
        self.trigger = None;
        self.trigger = Some(open_fifo(&self.path, libc::O_RDONLY)?);
        Ok(())
    }
}

fn timeval(time: Duration) -> libc::timeval {
    libc::timeval { tv_sec: time.as_secs() as _, tv_usec: time.subsec_micros() as _ }
}

/// select(2) on one descriptor, far below the end of a set.
fn readable(source: &OwnedFd) -> io::Result<()> {
    let number = source.as_raw_fd();
    let mut set = MaybeUninit::<libc::fd_set>::zeroed();
    // SAFETY: a set of zeros is a set, and it lives through the call.
    checked(unsafe {
        libc::FD_SET(number, set.as_mut_ptr());
        let (none, mut tick) = (ptr::null_mut(), timeval(TICK));
        libc::select(number + 1, set.as_mut_ptr(), none, none, &mut tick)
    })?;
    Ok(())
}

fn open_fifo(path: &CStr, direction: libc::c_int) -> io::Result<OwnedFd> {
    let flags = direction | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the path ends with a NUL byte; the descriptor is new, and nobody else's.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::open(path.as_ptr(), flags))?)) }
}

/// How qmail-send looks for mail, but that it drains its trigger: select(2) on it, and then
/// everything is read.
#[derive(Debug)]
pub(crate) struct Qmail {
    trigger: Fifo,
    directories: Vec<PathBuf>,
}

impl Qmail {
    pub(crate) fn open(directories: &[PathBuf], trigger: &Path) -> io::Result<Qmail> {
        Ok(Qmail { trigger: Fifo::open(trigger)?, directories: directories.to_vec() })
    }

    pub(crate) fn wake(&mut self, sink: Sink<'_>) -> io::Result<()> {
        readable(&self.trigger.reader)?;
        self.trigger.drain()?;
        for directory in &self.directories {
            readdir(directory, |name| sink(directory, name))?;
        }
        Ok(())
    }
}
