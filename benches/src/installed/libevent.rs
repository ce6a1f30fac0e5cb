//! [libevent](https://libevent.org), version 2.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_short, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use libloading::Library;

use super::{CurrentWait, called_back, find, function, is_missing, wait};
use crate::raw::Loop;

/// `struct event_base`.
#[repr(C)]
struct Base([u8; 0]);

/// `struct event`.
#[repr(C)]
struct Event([u8; 0]);

type Callback = unsafe extern "C" fn(c_int, c_short, *mut c_void);

const EV_READ: c_short = 0x02;
const EV_PERSIST: c_short = 0x10;
const EVLOOP_ONCE: c_int = 0x01;

struct Api {
    get_version: unsafe extern "C" fn() -> *const c_char,
    base_new: unsafe extern "C" fn() -> *mut Base,
    base_free: unsafe extern "C" fn(*mut Base),
    event_new: unsafe extern "C" fn(*mut Base, c_int, c_short, Callback, *mut c_void) -> *mut Event,
    event_add: unsafe extern "C" fn(*mut Event, *const libc::timeval) -> c_int,
    event_free: unsafe extern "C" fn(*mut Event),
    base_loop: unsafe extern "C" fn(*mut Base, c_int) -> c_int,
    _library: Library,
}

impl Api {
    fn get() -> Option<&'static Api> {
        static API: OnceLock<Option<Api>> = OnceLock::new();
        API.get_or_init(Api::load).as_ref()
    }

    fn load() -> Option<Api> {
        let library = find(&[
            "libevent_core-2.1.so.7",
            "libevent-2.1.so.7",
            "libevent_core-2.1.7.dylib",
            "libevent_core.so",
            "libevent.so",
        ])?;
        // SAFETY: the types are those of `event2/event.h`, and the library is kept beside the
        // functions.
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
    let api = Api::get()?;
    // SAFETY: it returns a string that lives as long as the library.
    let version = unsafe { CStr::from_ptr((api.get_version)()) };
    Some(format!("libevent {}", version.to_string_lossy()))
}

/// A loop on the backend that libevent itself finds best, with events that are level-triggered and
/// stay, which is what most programs ask for.
pub(crate) struct Libevent {
    api: &'static Api,
    base: NonNull<Base>,
    /// Those that were added, by descriptor, each with what its callback was told.
    sources: HashMap<c_int, (NonNull<Event>, *mut Told)>,
    current: Box<CurrentWait>,
}

/// What a callback has to know.
struct Told {
    key: usize,
    current: *const CurrentWait,
}

unsafe extern "C" fn ready(_: c_int, _: c_short, told: *mut c_void) {
    // SAFETY: it is what was handed over with the event, and lives until that is freed; libevent
    // calls back within `event_base_loop`, which only `wait` calls.
    unsafe {
        let told = &*told.cast::<Told>();
        called_back(&*told.current, told.key);
    }
}

impl Libevent {
    fn free(&mut self, number: c_int) {
        if let Some((event, told)) = self.sources.remove(&number) {
            // SAFETY: both were made in `add`, and once the event is freed nobody knows them.
            unsafe {
                (self.api.event_free)(event.as_ptr());
                drop(Box::from_raw(told));
            }
        }
    }
}

impl Loop for Libevent {
    fn open() -> io::Result<Libevent> {
        let api = Api::get().ok_or_else(|| is_missing("libevent"))?;
        // SAFETY: no arguments.
        let base = NonNull::new(unsafe { (api.base_new)() });
        let base = base.ok_or_else(|| io::Error::other("libevent finds no backend"))?;
        Ok(Libevent {
            api,
            base,
            sources: HashMap::new(),
            current: Box::new(CurrentWait::default()),
        })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let number = source.as_raw_fd();
        let told = Box::into_raw(Box::new(Told { key, current: &raw const *self.current }));
        // SAFETY: the base lives, and what the callback is told lives until the event is freed.
        let event = unsafe {
            let (base, flags) = (self.base.as_ptr(), EV_READ | EV_PERSIST);
            (self.api.event_new)(base, number, flags, ready, told.cast())
        };
        let event = NonNull::new(event).expect("libevent is out of memory");
        self.sources.insert(number, (event, told));
        // SAFETY: the event is new, and there is no time to be read.
        match unsafe { (self.api.event_add)(event.as_ptr(), ptr::null()) } {
            0 => Ok(()),
            _ => Err(io::Error::other("libevent cannot wait for it")),
        }
    }

    fn change(&mut self, source: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.remove(source)?;
        self.add(source, key)
    }

    fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.free(source.as_raw_fd());
        Ok(())
    }

    fn wait(&mut self, mut ready: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        wait(&self.current, &mut ready, || {
            // SAFETY: the base and all its events live.
            unsafe { (self.api.base_loop)(self.base.as_ptr(), EVLOOP_ONCE) };
        })
    }
}

impl Drop for Libevent {
    fn drop(&mut self) {
        let left: Vec<_> = self.sources.keys().copied().collect();
        left.into_iter().for_each(|number| self.free(number));
        // SAFETY: no event is left, and it is not used again.
        unsafe { (self.api.base_free)(self.base.as_ptr()) };
    }
}
