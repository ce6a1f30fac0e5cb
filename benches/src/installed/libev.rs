//! [libev](http://software.schmorp.de/pkg/libev.html), version 4.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use libloading::Library;

use super::{CurrentWait, called_back, find, function, is_missing, wait};
use crate::raw::Loop;

/// `struct ev_loop`.
#[repr(C)]
struct Base([u8; 0]);

/// `ev_io`, as `ev.h` lays it out where nobody has configured it otherwise. Its macros for filling
/// it are not to be had here.
#[repr(C)]
struct Io {
    active: c_int,
    pending: c_int,
    priority: c_int,
    data: *mut c_void,
    callback: unsafe extern "C" fn(*mut Base, *mut Io, c_int),
    next: *mut c_void,
    fd: c_int,
    events: c_int,
}

const EV_READ: c_int = 0x01;
/// What `ev_io_set` says besides: the descriptor is a new one.
const EV_IOFDSET: c_int = 0x80;
/// No environment variable chooses the backend.
const EVFLAG_NOENV: c_uint = 0x0100_0000;
const EVRUN_ONCE: c_int = 2;

struct Api {
    version_major: unsafe extern "C" fn() -> c_int,
    version_minor: unsafe extern "C" fn() -> c_int,
    loop_new: unsafe extern "C" fn(c_uint) -> *mut Base,
    loop_destroy: unsafe extern "C" fn(*mut Base),
    io_start: unsafe extern "C" fn(*mut Base, *mut Io),
    io_stop: unsafe extern "C" fn(*mut Base, *mut Io),
    run: unsafe extern "C" fn(*mut Base, c_int) -> c_int,
    _library: Library,
}

impl Api {
    fn get() -> Option<&'static Api> {
        static API: OnceLock<Option<Api>> = OnceLock::new();
        API.get_or_init(Api::load).as_ref()
    }

    fn load() -> Option<Api> {
        let library = find(&["libev.so.4", "libev.4.dylib", "libev.so"])?;
        // SAFETY: the types are those of `ev.h`, and the library is kept beside the functions.
        unsafe {
            Some(Api {
                version_major: function(&library, c"ev_version_major")?,
                version_minor: function(&library, c"ev_version_minor")?,
                loop_new: function(&library, c"ev_loop_new")?,
                loop_destroy: function(&library, c"ev_loop_destroy")?,
                io_start: function(&library, c"ev_io_start")?,
                io_stop: function(&library, c"ev_io_stop")?,
                run: function(&library, c"ev_run")?,
                _library: library,
            })
        }
        // Another version may lay out an `ev_io` in another way.
        // SAFETY: no arguments.
        .filter(|api| unsafe { (api.version_major)() } == 4)
    }
}

pub(super) fn version() -> Option<String> {
    let api = Api::get()?;
    // SAFETY: no arguments.
    let (major, minor) = unsafe { ((api.version_major)(), (api.version_minor)()) };
    Some(format!("libev {major}.{minor}"))
}

/// A loop on the backend that libev itself finds best, level-triggered, as it always is.
pub(crate) struct Libev {
    api: &'static Api,
    base: NonNull<Base>,
    /// Those that were started, by descriptor.
    sources: HashMap<c_int, *mut Source>,
    current: Box<CurrentWait>,
}

/// A watcher, with what its callback has to know behind it.
#[repr(C)]
struct Source {
    io: Io,
    key: usize,
    current: *const CurrentWait,
}

unsafe extern "C" fn ready(_: *mut Base, io: *mut Io, _: c_int) {
    // SAFETY: every watcher is the beginning of a `Source` that lives until it is stopped; libev
    // calls back within `ev_run`, which only `wait` calls.
    unsafe {
        let source = &*io.cast::<Source>();
        called_back(&*source.current, source.key);
    }
}

impl Libev {
    fn start(&mut self, number: c_int, key: usize) {
        let io = Io {
            active: 0,
            pending: 0,
            priority: 0,
            data: ptr::null_mut(),
            callback: ready,
            next: ptr::null_mut(),
            fd: number,
            events: EV_READ | EV_IOFDSET,
        };
        let source = Box::new(Source { io, key, current: &raw const *self.current });
        let source = Box::into_raw(source);
        // SAFETY: the base lives, and so does the watcher, until it is stopped.
        unsafe { (self.api.io_start)(self.base.as_ptr(), source.cast()) };
        self.sources.insert(number, source);
    }

    fn stop(&mut self, number: c_int) {
        if let Some(source) = self.sources.remove(&number) {
            // SAFETY: it was made and started above, and once it is stopped nobody knows it.
            unsafe {
                (self.api.io_stop)(self.base.as_ptr(), source.cast());
                drop(Box::from_raw(source));
            }
        }
    }
}

impl Loop for Libev {
    fn open() -> io::Result<Libev> {
        let api = Api::get().ok_or_else(|| is_missing("libev"))?;
        // SAFETY: an integer is all it takes.
        let base = NonNull::new(unsafe { (api.loop_new)(EVFLAG_NOENV) });
        let base = base.ok_or_else(|| io::Error::other("libev finds no backend"))?;
        Ok(Libev { api, base, sources: HashMap::new(), current: Box::new(CurrentWait::default()) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.start(source.as_raw_fd(), key);
        Ok(())
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
        wait(&self.current, &mut ready, || {
            // SAFETY: the base and all watchers started on it live.
            unsafe { (self.api.run)(self.base.as_ptr(), EVRUN_ONCE) };
        })
    }
}

impl Drop for Libev {
    fn drop(&mut self) {
        let left: Vec<_> = self.sources.keys().copied().collect();
        left.into_iter().for_each(|number| self.stop(number));
        // SAFETY: no watcher is left, and it is not used again.
        unsafe { (self.api.loop_destroy)(self.base.as_ptr()) };
    }
}
