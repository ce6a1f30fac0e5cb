//! [libev](http://software.schmorp.de/pkg/libev.html), version 4.

use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use libloading::Library;

use super::{Base, Told, called_back, find, function, is_missing};

/// `struct ev_loop`.
#[repr(C)]
struct EvLoop([u8; 0]);

/// `ev_io`, with the layout of `ev.h` in its default configuration. The macros that fill it are not
/// available in Rust.
#[repr(C)]
pub(crate) struct EvIo {
    active: c_int,
    pending: c_int,
    priority: c_int,
    data: *const c_void,
    callback: unsafe extern "C" fn(*mut EvLoop, *mut EvIo, c_int),
    next: *mut c_void,
    fd: c_int,
    events: c_int,
}

const EV_READ: c_int = 0x01;
/// `ev_io_set` adds this flag: the descriptor is new.
const EV_IOFDSET: c_int = 0x80;
/// Ignores the environment variable that chooses the backend.
const EVFLAG_NOENV: c_uint = 0x0100_0000;
const EVRUN_ONCE: c_int = 2;

struct Api {
    version_major: unsafe extern "C" fn() -> c_int,
    version_minor: unsafe extern "C" fn() -> c_int,
    loop_new: unsafe extern "C" fn(c_uint) -> *mut EvLoop,
    loop_destroy: unsafe extern "C" fn(*mut EvLoop),
    io_start: unsafe extern "C" fn(*mut EvLoop, *mut EvIo),
    io_stop: unsafe extern "C" fn(*mut EvLoop, *mut EvIo),
    run: unsafe extern "C" fn(*mut EvLoop, c_int) -> c_int,
    _library: Library,
}

/// Loaded at the first use.
static API: LazyLock<Option<Api>> = LazyLock::new(Api::load);

impl Api {
    fn load() -> Option<Api> {
        let library = find(&["libev.so.4", "libev.4.dylib", "libev.so"])?;
        // SAFETY: the types are those of `ev.h`, and `Api` keeps the library loaded.
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
        // Another version may have another layout of `ev_io`.
        // SAFETY: no arguments.
        .filter(|api| unsafe { (api.version_major)() } == 4)
    }
}

pub(super) fn version() -> Option<String> {
    let api = API.as_ref()?;
    // SAFETY: no arguments.
    let (major, minor) = unsafe { ((api.version_major)(), (api.version_minor)()) };
    Some(format!("libev {major}.{minor}"))
}

/// A libev loop on the backend that libev chooses. libev is always level-triggered.
pub(crate) struct Libev {
    api: &'static Api,
    base: NonNull<EvLoop>,
}

unsafe extern "C" fn ready(_: *mut EvLoop, io: *mut EvIo, _: c_int) {
    // SAFETY: `start` has set `data`, and the watcher lives during its callback.
    unsafe { called_back((*io).data) };
}

impl Base for Libev {
    type Watcher = *mut EvIo;

    fn open() -> io::Result<Libev> {
        let api = API.as_ref().ok_or_else(|| is_missing("libev"))?;
        // SAFETY: the only argument is an integer.
        let base = NonNull::new(unsafe { (api.loop_new)(EVFLAG_NOENV) });
        let base = base.ok_or_else(|| io::Error::other("libev finds no backend"))?;
        Ok(Libev { api, base })
    }

    unsafe fn start(&self, source: c_int, told: *const Told) -> io::Result<*mut EvIo> {
        let io = Box::into_raw(Box::new(EvIo {
            active: 0,
            pending: 0,
            priority: 0,
            data: told.cast(),
            callback: ready,
            next: ptr::null_mut(),
            fd: source,
            events: EV_READ | EV_IOFDSET,
        }));
        // SAFETY: the base lives, and the watcher lives until it is stopped.
        unsafe { (self.api.io_start)(self.base.as_ptr(), io) };
        Ok(io)
    }

    unsafe fn stop(&self, io: *mut EvIo) {
        // SAFETY: `start` has created and started it. After the stop no other code has a pointer to it.
        unsafe {
            (self.api.io_stop)(self.base.as_ptr(), io);
            drop(Box::from_raw(io));
        }
    }

    fn run(&self) {
        // SAFETY: the base and all watchers started on it live.
        unsafe { (self.api.run)(self.base.as_ptr(), EVRUN_ONCE) };
    }

    unsafe fn free(&self) {
        // SAFETY: the base has no watcher and is not used again.
        unsafe { (self.api.loop_destroy)(self.base.as_ptr()) };
    }
}
