//! A simulated kernel. Under `--cfg pullcord_sim` it takes the place of the C library, so that the
//! real code of this crate and of `pullcord` runs on it: no real file, descriptor, thread or sleep.
//!
//! It has one thread, one clock, and no chance in it: the same calls give the same results. A call
//! that no correct program makes panics: the use of a descriptor that is not open, a wait that
//! nothing can end, an open or a read that blocks for ever.
//!
//! `tests/simulation` drives it, and compares it with the kernel of the system.
//!
//! | file | contents |
//! |---|---|
//! | `libc` | the C library's functions, on the kernel of this thread |
//! | `kernel` | processes, descriptors, waiting, the clock |
//! | `tree` | inodes, directories, links, mounts |
//! | `fifo`, `inotify`, `epoll`, `kqueue`, `timer` | one facility each, without descriptors |
//! | `clock` | the clocks, and the time stamps of files |
//! | `faults` | the calls that fail, and a census |
//! | `mutants` | rules of the library that are switched off |
//! | `settings` | the behaviours in which kernels and file systems differ |

mod call;
mod clock;
mod epoll;
mod faults;
mod fifo;
mod inotify;
mod kernel;
#[cfg(pullcord_sim = "bsd")]
mod kqueue;
pub mod libc;
#[cfg(pullcord_sim = "bsd")]
mod libc_bsd;
#[cfg(not(target_os = "linux"))]
mod libc_foreign;
#[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
mod libc_readdir;
mod mutants;
mod owned_fd;
mod settings;
mod timer;
mod tree;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use call::Call;
pub use faults::{Census, EVENTS, Fault};
pub use kernel::{Kernel, Outcome, QUEUE, Stat, World};
pub use mutants::{Mutant, mutant, set_mutant};
pub use owned_fd::OwnedFd;
pub use settings::{FsKind, Numbers, Pipes, Settings};
pub use tree::{Entry, Errno, Ino, Name, Place, Tree};

thread_local! {
    static CURRENT: RefCell<Option<Box<Kernel>>> = const { RefCell::new(None) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in the kernel: memory that is allocated then is not the library's.
pub fn is_inside() -> bool {
    INSIDE.get()
}

/// Boots a kernel in this thread, in place of one that runs there.
pub fn boot(kernel: Kernel) {
    // A panic may have left it set.
    INSIDE.set(false);
    CURRENT.with(|current| *current.borrow_mut() = Some(Box::new(kernel)));
}

/// Ends the kernel of this thread, and returns it.
pub fn halt() -> Option<Kernel> {
    CURRENT.with(|current| current.borrow_mut().take().map(|kernel| *kernel))
}

/// Runs `act` with the kernel of this thread.
///
/// # Panics
///
/// Panics if no kernel was booted, and within a call of that kernel.
pub fn with<R>(act: impl FnOnce(&mut Kernel) -> R) -> R {
    CURRENT.with(|current| {
        let mut current = current.borrow_mut();
        let kernel = current.as_mut().expect("a simulated kernel was booted in this thread");
        let before = INSIDE.replace(true);
        let result = act(kernel);
        INSIDE.set(before);
        result
    })
}

/// Returns the simulated time as an `Instant`.
pub fn now() -> Instant {
    instant(with(|kernel| kernel.now()))
}

/// Returns the current directory of the queue's process.
///
/// # Errors
///
/// Fails with `NotFound` if it was removed.
pub fn current_directory() -> io::Result<PathBuf> {
    let path = with(|kernel| kernel.current_directory());
    path.map(|bytes| OsString::from_vec(bytes).into()).map_err(io::Error::from_raw_os_error)
}

/// Returns the time since 1970 that the simulated wall clock shows.
pub fn wall() -> Duration {
    Duration::from_nanos(with(|kernel| kernel.real_time()))
}

/// Converts a simulated time.
pub fn instant(nanoseconds: u64) -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods, reason = "any time will do to count from")]
    let epoch = *EPOCH.get_or_init(Instant::now);
    epoch + Duration::from_nanos(nanoseconds)
}
