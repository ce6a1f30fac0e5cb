//! The system's allocator. It counts the allocations of one thread, and the bytes of all.

// Each test binary uses its part of this.
#![allow(dead_code)]
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// The thread whose allocations are counted, or 0.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// The thread whose allocations fail, or 0.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);

pub(crate) struct Counting;

/// Returns the number of allocations that `work` makes. Only for tests that run alone.
pub(crate) fn allocations_of(work: impl FnOnce()) -> usize {
    COUNT.store(0, Ordering::Relaxed);
    WATCHED.store(this_thread(), Ordering::Relaxed);
    work();
    WATCHED.store(0, Ordering::Relaxed);
    COUNT.load(Ordering::Relaxed)
}

/// Runs `work`. All its allocations fail. Only for tests that run alone.
pub(crate) fn without_memory<R>(work: impl FnOnce() -> R) -> R {
    REFUSED.store(this_thread(), Ordering::Relaxed);
    let result = work();
    REFUSED.store(0, Ordering::Relaxed);
    result
}

/// Returns the number of allocated bytes.
pub(crate) fn live_bytes() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// Returns the number of this thread. It uses no thread-local variable, because the first use of one
/// allocates on some systems.
fn this_thread() -> usize {
    // SAFETY: no pointers.
    unsafe { libc::pthread_self() as usize }
}

fn count() {
    if WATCHED.load(Ordering::Relaxed) == this_thread() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_refused() -> bool {
    REFUSED.load(Ordering::Relaxed) == this_thread()
}

// SAFETY: every call is passed to the system allocator unchanged, or fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        count();
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller fulfils the contract of alloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller fulfils the contract of dealloc.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        count();
        LIVE.fetch_add(size as isize - layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller fulfils the contract of realloc.
        unsafe { System.realloc(memory, layout, size) }
    }
}
