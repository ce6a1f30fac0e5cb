//! The raw loops, as a good C programmer would write them: system calls and buffers of the right size.
//!
//! All other implementations are compared with these loops. Therefore they share no code with pullcord
//! and do only the necessary work. They do as much as pullcord does: they return each name with its
//! length and its directory, skip `.` and `..`, and check errors.

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

/// An implementation that waits, as `ring`, `wake` and `churn` use it.
pub(crate) trait Loop: Sized {
    /// Whether [`change`](Loop::change) must arm a source again after each event.
    const ONE_SHOT: bool = false;

    fn open() -> io::Result<Self>;

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()>;

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()>;

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()>;

    /// Waits without a timeout and calls `ready` for each readable source.
    fn wait(&mut self, ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()>;
}

/// The number of events that each implementation fetches with one wait.
pub(crate) const EVENTS: usize = 1024;

/// How readiness is reported.
pub(crate) const EDGE: u8 = 0;
pub(crate) const LEVEL: u8 = 1;
pub(crate) const ONE_SHOT: u8 = 2;

/// The timeout of a wait for mail: qmail-send and pullcord both scan every 25 minutes. In the kernel, a
/// wait with a timeout costs more than a wait without one.
const TICK: Duration = Duration::from_secs(1500);

/// Receives each entry that is found: its directory and its name.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&Path, &[u8]);

fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("the benchmark's own paths have no NUL byte")
}

/// Calls getppid(2), which no other code here calls. System calls are counted between two of these calls.
pub(crate) fn mark() {
    // SAFETY: no pointers.
    unsafe { libc::getppid() };
}

/// Returns the time of a clock, with clock_gettime(2).
pub(crate) fn clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has room for one time. POSIX defines all clocks that are used here.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn is_entry(name: &CStr) -> bool {
    name != c"." && name != c".."
}

/// Reads a directory with opendir(3), readdir(3) to the end, and closedir(3).
pub(crate) fn readdir(directory: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    each_entry(directory, |_, name| {
        each(name.to_bytes());
        Ok(())
    })
}

/// Reads a directory and calls fstatat(2) for every entry, as programs do that need its type.
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
        // SAFETY: the stream is open, and no other code uses it.
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
    // SAFETY: the stream was opened above and is not used again.
    unsafe { libc::closedir(stream) };
    read
}

/// Both ends of a FIFO. Both stay open, so that the reader never gets a hang-up.
#[derive(Debug)]
pub(crate) struct Fifo {
    reader: OwnedFd,
    _writer: OwnedFd,
    bytes: Box<[u8; FIFO]>,
}

/// The capacity of a FIFO in bytes.
const FIFO: usize = 64 * 1024;

impl Fifo {
    pub(crate) fn open(path: &Path) -> io::Result<Fifo> {
        let path = c_string(path);
        let reader = open_fifo(&path, libc::O_RDONLY)?;
        let writer = open_fifo(&path, libc::O_WRONLY)?;
        Ok(Fifo { reader, _writer: writer, bytes: Box::new([0; FIFO]) })
    }

    /// Reads with one read(2) into a buffer as large as a FIFO. Returns the number of bytes.
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

/// select(2) on any number of descriptors. The sets are longer than `fd_set` where the system accepts
/// that. In the result, only the words that are not zero are examined.
#[derive(Debug)]
pub(crate) struct Select {
    keys: Vec<usize>,
    asked: Vec<Word>,
    found: Vec<Word>,
    highest: libc::c_int,
}

/// The words of a set. On big-endian systems the width matters.
#[cfg(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple"))]
type Word = u32;
#[cfg(not(any(target_os = "netbsd", target_os = "openbsd", target_vendor = "apple")))]
type Word = libc::c_ulong;

const BITS: usize = Word::BITS as usize;

unsafe extern "C" {
    /// The variant of macOS that accepts longer sets. The libc crate declares the other one.
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
        // SAFETY: the set covers `highest` in whole words and lives through the call.
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

/// Waits for the trigger as qmail-send does without a patch. It closes the FIFO and opens it again,
/// instead of reading the byte.
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

/// Waits with select(2) for one descriptor, whose number must be below `FD_SETSIZE`.
fn readable(source: &OwnedFd) -> io::Result<()> {
    let number = source.as_raw_fd();
    let mut set = MaybeUninit::<libc::fd_set>::zeroed();
    // SAFETY: a set of zeros is valid, and it lives through the call.
    checked(unsafe {
        libc::FD_SET(number, set.as_mut_ptr());
        let (none, mut tick) = (ptr::null_mut(), timeval(TICK));
        libc::select(number + 1, set.as_mut_ptr(), none, none, &mut tick)
    })?;
    Ok(())
}

fn open_fifo(path: &CStr, direction: libc::c_int) -> io::Result<OwnedFd> {
    let flags = direction | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the path ends with a NUL byte; the descriptor is new, and no other code owns it.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::open(path.as_ptr(), flags))?)) }
}

/// Finds mail as qmail-send does: waits for the trigger with select(2), then reads all directories. Unlike
/// qmail-send, it drains the trigger.
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
