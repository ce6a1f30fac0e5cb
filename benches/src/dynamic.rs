//! The loops of C programs, libev's and libevent's, where the system has them.
//!
//! They are looked for at run time: what is built here runs on a machine without them, too. Each is
//! used as its documentation says: a watcher is allocated for each source, and its callback sees to
//! the event.

#![allow(unsafe_code)]

mod libev;
mod libevent;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libloading::Library;

use crate::raw::Loop;

pub(crate) type Libev = Foreign<libev::Libev>;
pub(crate) type Libevent = Foreign<libevent::Libevent>;

/// Those that are here, with their versions.
pub(crate) fn versions() -> impl Iterator<Item = String> {
    [libev::version(), libevent::version()].into_iter().flatten()
}

/// A base of one of the libraries: what it waits with.
pub(crate) trait Base: Sized {
    /// What waits for one source.
    type Watcher;

    fn open() -> io::Result<Self>;

    /// # Safety
    ///
    /// `told` is valid until the watcher is stopped.
    unsafe fn start(&self, source: c_int, told: *const Told) -> io::Result<Self::Watcher>;

    /// # Safety
    ///
    /// The watcher was started by this base, and was not stopped.
    unsafe fn stop(&self, watcher: Self::Watcher);

    /// Waits once, and calls back for each event.
    fn run(&self);

    /// # Safety
    ///
    /// No watcher is left, and nothing else is called after this.
    unsafe fn free(&self);
}

/// A loop of such a library.
pub(crate) struct Foreign<B: Base> {
    base: B,
    /// By descriptor, each with what its callback is told.
    watchers: HashMap<c_int, (B::Watcher, *mut Told)>,
    current: Box<CurrentWait>,
}

/// What a callback is told: whose event it is, and where the wait is that asked for it.
pub(crate) struct Told {
    key: usize,
    current: *const CurrentWait,
}

/// Null between waits.
type CurrentWait = Cell<*mut Wait<'static>>;

struct Wait<'a> {
    ready: &'a mut dyn FnMut(usize) -> io::Result<()>,
    result: io::Result<()>,
}

/// Sees to an event.
///
/// # Safety
///
/// Only in the callback of a watcher that was started with `told`.
unsafe fn called_back(told: *const c_void) {
    // SAFETY: it lives until the watcher is stopped; and who calls back does so within `run`, which
    // only `Foreign::wait` calls, when it has said where its own wait is, that nobody else has.
    unsafe {
        let told = &*told.cast::<Told>();
        let wait = &mut *(*told.current).get();
        if wait.result.is_ok() {
            wait.result = (wait.ready)(told.key);
        }
    }
}

impl<B: Base> Foreign<B> {
    fn stop(&mut self, source: c_int) {
        if let Some((watcher, told)) = self.watchers.remove(&source) {
            // SAFETY: both were made by `add`, and nobody else has either.
            unsafe {
                self.base.stop(watcher);
                drop(Box::from_raw(told));
            }
        }
    }
}

impl<B: Base> Loop for Foreign<B> {
    fn open() -> io::Result<Self> {
        let (watchers, current) = (HashMap::new(), Box::new(Cell::new(ptr::null_mut())));
        Ok(Foreign { base: B::open()?, watchers, current })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let source = source.as_raw_fd();
        let told = Box::into_raw(Box::new(Told { key, current: &raw const *self.current }));
        // SAFETY: it is freed once the watcher was stopped, or at once if there is none.
        match unsafe { self.base.start(source, told) } {
            Ok(watcher) => {
                self.watchers.insert(source, (watcher, told));
                Ok(())
            }
            Err(error) => {
                // SAFETY: made above, and nobody else has it.
                drop(unsafe { Box::from_raw(told) });
                Err(error)
            }
        }
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.stop(source.as_raw_fd());
        self.add(source, key)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.stop(source.as_raw_fd());
        Ok(())
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        let mut wait = Wait { ready: &mut ready, result: Ok(()) };
        self.current.set(ptr::from_mut(&mut wait).cast());
        self.base.run();
        self.current.set(ptr::null_mut());
        wait.result
    }
}

impl<B: Base> Drop for Foreign<B> {
    fn drop(&mut self) {
        let left: Vec<_> = self.watchers.keys().copied().collect();
        left.into_iter().for_each(|source| self.stop(source));
        // SAFETY: all were stopped.
        unsafe { self.base.free() };
    }
}

/// The first library of these names that is here.
fn find(names: &[&str]) -> Option<Library> {
    // SAFETY: what these libraries do when they are loaded is to set up their own data.
    names.iter().find_map(|name| unsafe { Library::new(name).ok() })
}

/// A function of the library.
///
/// # Safety
///
/// `F` is its type, and nobody calls it once the library is dropped.
unsafe fn function<F: Copy>(library: &Library, name: &CStr) -> Option<F> {
    // SAFETY: as this function's own.
    unsafe { library.get::<F>(name.to_bytes_with_nul()).ok().map(|symbol| *symbol) }
}

/// What is asked of a library that is not here.
fn is_missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{name} is not installed"))
}
