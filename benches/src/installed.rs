//! The loops of C programs, libev's and libevent's, where the system has them.
//!
//! They are looked for at run time: what is built here runs on a machine without them, too. Each is
//! used as its documentation says: a watcher is allocated for each source, and its callback sees to
//! the event.

#![allow(unsafe_code)]

mod libev;
mod libevent;

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::ptr;

use libloading::Library;

pub(crate) use libev::Libev;
pub(crate) use libevent::Libevent;

/// Those that are here, with their versions.
pub(crate) fn versions() -> impl Iterator<Item = String> {
    [libev::version(), libevent::version()].into_iter().flatten()
}

/// The wait that is under way, as a callback finds it.
struct Wait<'a> {
    ready: &'a mut dyn FnMut(usize) -> io::Result<()>,
    result: io::Result<()>,
}

/// Where a callback finds it; null between waits.
type CurrentWait = Cell<*mut Wait<'static>>;

/// Lets the library wait: `run` calls back for each event.
fn wait(
    current: &CurrentWait,
    ready: &mut dyn FnMut(usize) -> io::Result<()>,
    run: impl FnOnce(),
) -> io::Result<()> {
    let mut wait = Wait { ready, result: Ok(()) };
    current.set(ptr::from_mut(&mut wait).cast());
    run();
    current.set(ptr::null_mut());
    wait.result
}

/// The event of this source, in the callback.
///
/// # Safety
///
/// Only within the `run` of a [`wait`] on this `current`.
unsafe fn called_back(current: &CurrentWait, key: usize) {
    // SAFETY: `wait` has set it, and lets nobody else have it until `run` returns.
    let wait = unsafe { &mut *current.get() };
    if wait.result.is_ok() {
        wait.result = (wait.ready)(key);
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
