//! [libevent](https://libevent.org), version 2.

use std::ffi::{CStr, c_char, c_int, c_short, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use libloading::Library;

use super::{Base, Told, called_back, find, function, is_missing};

/// `struct event_base`.
#[repr(C)]
struct EventBase([u8; 0]);

/// `struct event`.
#[repr(C)]
pub(crate) struct Event([u8; 0]);

type Callback = unsafe extern "C" fn(c_int, c_short, *mut c_void);

const EV_READ: c_short = 0x02;
const EV_PERSIST: c_short = 0x10;
const EVLOOP_ONCE: c_int = 0x01;

struct Api {
    get_version: unsafe extern "C" fn() -> *const c_char,
    base_new: unsafe extern "C" fn() -> *mut EventBase,
    base_free: unsafe extern "C" fn(*mut EventBase),
    event_new:
        unsafe extern "C" fn(*mut EventBase, c_int, c_short, Callback, *mut c_void) -> *mut Event,
    event_add: unsafe extern "C" fn(*mut Event, *const libc::timeval) -> c_int,
    event_free: unsafe extern "C" fn(*mut Event),
    base_loop: unsafe extern "C" fn(*mut EventBase, c_int) -> c_int,
    _library: Library,
}

/// Loaded at the first use.
static API: LazyLock<Option<Api>> = LazyLock::new(Api::load);

impl Api {
    fn load() -> Option<Api> {
        let library = find(&[
            "libevent_core-2.1.so.7",
            "libevent-2.1.so.7",
            "libevent_core-2.1.7.dylib",
            "libevent_core.so",
            "libevent.so",
        ])?;
        // SAFETY: the types are those of `event2/event.h`, and `Api` keeps the library loaded.
        unsafe {
            Some(Api {
                get_version: function(&library, c"event_get_version")?,
                base_new: function(&library, c"event_base_new")?,
                base_free: function(&library, c"event_base_free")?,
                event_new: function(&library, c"event_new")?,
                event_add: function(&library, c"event_add")?,
                event_free: function(&library, c"event_free")?,
                base_loop: function(&library, c"event_base_loop")?,
                _library: library,
            })
        }
    }
}

pub(super) fn version() -> Option<String> {
    let api = API.as_ref()?;
    // SAFETY: the function returns a string that lives as long as the library.
    let version = unsafe { CStr::from_ptr((api.get_version)()) };
    Some(format!("libevent {}", version.to_string_lossy()))
}

/// A libevent base on the backend that libevent chooses. Its events are level-triggered and persistent,
/// as in most programs.
pub(crate) struct Libevent {
    api: &'static Api,
    base: NonNull<EventBase>,
}

unsafe extern "C" fn ready(_: c_int, _: c_short, told: *mut c_void) {
    // SAFETY: `told` is the argument with which the event was created.
    unsafe { called_back(told) };
}

impl Base for Libevent {
    type Watcher = NonNull<Event>;

    fn open() -> io::Result<Libevent> {
        let api = API.as_ref().ok_or_else(|| is_missing("libevent"))?;
        // SAFETY: no arguments.
        let base = NonNull::new(unsafe { (api.base_new)() });
        let base = base.ok_or_else(|| io::Error::other("libevent finds no backend"))?;
        Ok(Libevent { api, base })
    }

    unsafe fn start(&self, source: c_int, told: *const Told) -> io::Result<NonNull<Event>> {
        let (base, told) = (self.base.as_ptr(), told.cast_mut().cast());
        // SAFETY: the base lives, and the argument of the callback lives until the event is freed.
        let event =
            unsafe { (self.api.event_new)(base, source, EV_READ | EV_PERSIST, ready, told) };
        let event = NonNull::new(event).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the event is new, and a null pointer means no timeout.
        if unsafe { (self.api.event_add)(event.as_ptr(), ptr::null()) } == 0 {
            return Ok(event);
        }
        // SAFETY: no other code has a pointer to the event.
        unsafe { (self.api.event_free)(event.as_ptr()) };
        Err(io::Error::other("libevent cannot wait for this descriptor"))
    }

    unsafe fn stop(&self, event: NonNull<Event>) {
        // SAFETY: `start` has created the event, and it is not used again.
        unsafe { (self.api.event_free)(event.as_ptr()) };
    }

    fn run(&self) {
        // SAFETY: the base and all its events live.
        unsafe { (self.api.base_loop)(self.base.as_ptr(), EVLOOP_ONCE) };
    }

    unsafe fn free(&self) {
        // SAFETY: the base has no event and is not used again.
        unsafe { (self.api.base_free)(self.base.as_ptr()) };
    }
}
