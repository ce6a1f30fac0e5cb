//! The loops of libev and libevent, if these C libraries are installed.
//!
//! The libraries are loaded at run time, so that the program also runs on a machine without them. Each
//! is used as documented: a watcher is allocated for each source, and its callback handles the event.

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

/// Returns the installed libraries with their versions.
pub(crate) fn versions() -> impl Iterator<Item = String> {
    [libev::version(), libevent::version()].into_iter().flatten()
}

/// The object of one of the libraries that waits for events.
pub(crate) trait Base: Sized {
    /// The library's object for one source.
    type Watcher;

    fn open() -> io::Result<Self>;

    /// # Safety
    ///
    /// `told` must stay valid until the watcher is stopped.
    unsafe fn start(&self, source: c_int, told: *const Told) -> io::Result<Self::Watcher>;

    /// # Safety
    ///
    /// The watcher must have been started by this base and must not have been stopped.
    unsafe fn stop(&self, watcher: Self::Watcher);

    /// Waits once and calls the callback for each event.
    fn run(&self);

    /// # Safety
    ///
    /// All watchers must have been stopped. The base must not be used afterwards.
    unsafe fn free(&self);
}

/// A loop of such a library.
pub(crate) struct Foreign<B: Base> {
    base: B,
    /// The watcher of each descriptor, with the argument of its callback.
    watchers: HashMap<c_int, (B::Watcher, *mut Told)>,
    current: Box<CurrentWait>,
}

/// The argument of a callback: the key of the source, and the current wait.
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

/// Handles an event.
///
/// # Safety
///
/// Must only be called in the callback of a watcher that was started with `told`.
unsafe fn called_back(told: *const c_void) {
    // SAFETY: `told` lives until the watcher is stopped. The library calls back only within `run`, which
    // only `Foreign::wait` calls. That function has stored a pointer to its own `Wait` before, and no
    // other code has a reference to it.
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
            // SAFETY: `add` created both, and no other code has a pointer to them.
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
        // SAFETY: `told` is freed after the watcher was stopped, or below if there is no watcher.
        match unsafe { self.base.start(source, told) } {
            Ok(watcher) => {
                self.watchers.insert(source, (watcher, told));
                Ok(())
            }
            Err(error) => {
                // SAFETY: created above, and no other code has a pointer to it.
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
        // SAFETY: all watchers were stopped.
        unsafe { self.base.free() };
    }
}

/// Returns the first of these libraries that is installed.
fn find(names: &[&str]) -> Option<Library> {
    // SAFETY: these libraries only initialise their own data when they are loaded.
    names.iter().find_map(|name| unsafe { Library::new(name).ok() })
}

/// Returns a function of the library.
///
/// # Safety
///
/// `F` must be the function's type. The function must not be called after the library was dropped.
unsafe fn function<F: Copy>(library: &Library, name: &CStr) -> Option<F> {
    // SAFETY: the caller guarantees it.
    unsafe { library.get::<F>(name.to_bytes_with_nul()).ok().map(|symbol| *symbol) }
}

/// Returns the error for a library that is not installed.
fn is_missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{name} is not installed"))
}
