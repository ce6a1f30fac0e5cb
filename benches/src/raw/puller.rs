//! The other process: it pulls a FIFO at random times, as those do who queue mail.

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

/// How long before it pulls again, because nobody seems to have been there.
const PATIENCE: i64 = 50_000_000;

/// A process that pulls so many times, each time after the one before was seen.
pub(crate) struct Puller {
    shared: NonNull<Shared>,
    process: libc::pid_t,
    pulls: usize,
    seen: usize,
    latencies: Vec<f64>,
}

/// A page that both processes have.
struct Shared {
    begun: AtomicBool,
    /// The last pull, and the nanosecond at which it began.
    pulled: AtomicUsize,
    at: AtomicI64,
    seen: AtomicUsize,
}

impl Puller {
    /// Forks it. It waits for [`begin`](Puller::begin).
    pub(crate) fn start(fifo: &Path, pulls: usize) -> io::Result<Puller> {
        let fifo = c_string(fifo);
        // SAFETY: a page of our own, of zeros, which are what `Shared` begins with.
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
        // SAFETY: the child calls nothing but what it may after a fork of many threads: it neither
        // allocates nor locks.
        let process = checked(unsafe { libc::fork() })?;
        if process == 0 {
            // SAFETY: the page is mapped in the child, too; `_exit` runs no destructors.
            unsafe {
                pull(shared.as_ref(), &fifo, pulls, parent);
                libc::_exit(0);
            }
        }
        let latencies = Vec::with_capacity(pulls);
        Ok(Puller { shared, process, pulls, seen: 0, latencies })
    }

    fn shared(&self) -> &Shared {
        // SAFETY: mapped until drop, and all its fields are atomic.
        unsafe { self.shared.as_ref() }
    }

    /// The reader is about to sleep.
    pub(crate) fn begin(&self) {
        mark();
        self.shared().begun.store(true, Ordering::Release);
    }

    /// The reader will not sleep again; the counterpart of [`begin`](Puller::begin).
    pub(crate) fn end(&self) {
        mark();
    }

    /// Whether there is a pull to come.
    pub(crate) fn goes_on(&self) -> bool {
        self.seen < self.pulls
    }

    /// The reader has woken and seen to the FIFO.
    pub(crate) fn seen(&mut self) {
        let now = nanoseconds();
        let pulled = self.shared().pulled.load(Ordering::Acquire);
        if pulled > self.seen {
            self.latencies.push((now - self.shared().at.load(Ordering::Relaxed)) as f64);
            self.seen = pulled;
            self.shared().seen.store(pulled, Ordering::Release);
        }
    }

    /// The nanoseconds each pull took to be seen.
    pub(crate) fn latencies(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.latencies)
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        // SAFETY: the child is ours and was not waited for; the page is not used again.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, ptr::null_mut(), 0);
            libc::munmap(self.shared.as_ptr().cast(), size_of::<Shared>());
        }
    }
}

/// The life of the child; it ends when its parent does.
fn pull(shared: &Shared, fifo: &CStr, pulls: usize, parent: libc::pid_t) {
    let mut rng = Rng::new();
    // SAFETY: no pointers. Whoever re-opens its FIFO may leave us with nobody to write to.
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

/// open(2), write(2), close(2): the protocol.
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
