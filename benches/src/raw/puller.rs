//! The other process: pulls a FIFO at random times, as programs that queue mail do.

use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use super::{c_string, checked, clock, mark};
use crate::rng::Rng;

/// The mean time between two pulls.
const GAP: Duration = Duration::from_micros(300);

/// The time in nanoseconds after which it pulls again if the reader has not reacted.
const PATIENCE: i64 = 50_000_000;

/// A process that pulls a number of times. It waits until the reader has seen each pull.
pub(crate) struct Puller {
    shared: NonNull<Shared>,
    process: libc::pid_t,
    pulls: usize,
    seen: usize,
    latencies: Vec<f64>,
}

/// A memory page that both processes share.
struct Shared {
    begun: AtomicBool,
    /// The number of the last pull, and below the nanosecond at which it started.
    pulled: AtomicUsize,
    at: AtomicI64,
    seen: AtomicUsize,
}

impl Puller {
    /// Forks the process. It waits for [`begin`](Puller::begin).
    pub(crate) fn start(fifo: &Path, pulls: usize) -> io::Result<Puller> {
        let fifo = c_string(fifo);
        // SAFETY: the page is new and filled with zeros, which are valid for `Shared`.
        let page = unsafe {
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANON);
            libc::mmap(ptr::null_mut(), size_of::<Shared>(), access, kind, -1, 0)
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let shared = NonNull::new(page.cast::<Shared>()).expect("mmap does not return null");
        // SAFETY: no pointers.
        let parent = unsafe { libc::getpid() };
        // SAFETY: the child of a process with threads must call only async-signal-safe functions. This
        // child does not allocate memory or take locks.
        let process = checked(unsafe { libc::fork() })?;
        if process == 0 {
            // SAFETY: the page is also mapped in the child. `_exit` runs no destructors.
            unsafe {
                pull(shared.as_ref(), &fifo, pulls, parent);
                libc::_exit(0);
            }
        }
        let latencies = Vec::with_capacity(pulls);
        Ok(Puller { shared, process, pulls, seen: 0, latencies })
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the page is mapped until drop, and all fields are atomic.
        unsafe { self.shared.as_ref() }
    }

    /// Starts the pulls. Call it before the reader sleeps for the first time.
    pub(crate) fn begin(&self) {
        mark();
        self.shared().begun.store(true, Ordering::Release);
    }

    /// Ends the counting of system calls, the counterpart of [`begin`](Puller::begin).
    pub(crate) fn end(&self) {
        mark();
    }

    /// Returns whether more pulls follow.
    pub(crate) fn goes_on(&self) -> bool {
        self.seen < self.pulls
    }

    /// Reports that the reader has woken and drained the FIFO.
    pub(crate) fn seen(&mut self) {
        let now = nanoseconds();
        let pulled = self.shared().pulled.load(Ordering::Acquire);
        if pulled > self.seen {
            self.latencies.push((now - self.shared().at.load(Ordering::Relaxed)) as f64);
            self.seen = pulled;
            self.shared().seen.store(pulled, Ordering::Release);
        }
    }

    /// Returns the latency of each pull in nanoseconds.
    pub(crate) fn latencies(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.latencies)
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        // SAFETY: the child is ours and was not waited for. The page is not used again.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, ptr::null_mut(), 0);
            libc::munmap(self.shared.as_ptr().cast(), size_of::<Shared>());
        }
    }
}

/// Runs the child. Returns after the last pull, or when its parent has ended.
fn pull(shared: &Shared, fifo: &CStr, pulls: usize, parent: libc::pid_t) {
    let mut rng = Rng::new();
    // A reader that reopens its FIFO may leave this process without a reader.
    // SAFETY: no pointers.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: no pointers.
    let is_wanted = || unsafe { libc::getppid() } == parent;
    while !shared.begun.load(Ordering::Acquire) && is_wanted() {
        sleep(Duration::from_micros(50));
    }
    for number in 1..=pulls {
        sleep(rng.around(GAP));
        shared.at.store(nanoseconds(), Ordering::Relaxed);
        shared.pulled.store(number, Ordering::Release);
        write_byte(fifo);
        let mut again_at = nanoseconds() + PATIENCE;
        while shared.seen.load(Ordering::Acquire) < number && is_wanted() {
            sleep(Duration::from_micros(50));
            if nanoseconds() > again_at {
                write_byte(fifo);
                again_at += PATIENCE;
            }
        }
    }
}

/// Pulls the trigger as qmail-queue does: open(2), write(2), close(2).
fn write_byte(fifo: &CStr) {
    // SAFETY: the path ends with a NUL byte, and one byte is read from a constant.
    unsafe {
        let number = libc::open(fifo.as_ptr(), libc::O_WRONLY | libc::O_NONBLOCK);
        if number != -1 {
            libc::write(number, [1u8].as_ptr().cast(), 1);
            libc::close(number);
        }
    }
}

fn sleep(time: Duration) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: time.subsec_nanos() as _ };
    // SAFETY: the time lives through the call.
    unsafe { libc::nanosleep(&time, ptr::null_mut()) };
}

fn nanoseconds() -> i64 {
    clock(libc::CLOCK_MONOTONIC).as_nanos() as i64
}
