//! Measures the memory of the queue. Counts the memory that this thread allocates while the library runs,
//! without that of the simulated kernel and of the driver.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pullcord_platform::sim;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Puts a word before each allocation that identifies its owner.
pub(crate) struct Counting;

/// Returns the size of that word with padding, so that the rest stays aligned.
fn header(layout: Layout) -> usize {
    layout.align().max(size_of::<usize>())
}

fn with_header(layout: Layout) -> Layout {
    let size = layout.size() + header(layout);
    Layout::from_size_align(size, header(layout)).unwrap_or(layout)
}

/// Counts an allocation. Returns the pointer for the caller.
///
/// # Safety
///
/// `start` must be null, or have room for the header and the layout.
unsafe fn given(start: *mut u8, layout: Layout) -> *mut u8 {
    if start.is_null() {
        return start;
    }
    let is_queues = COUNTING.get() && !sim::is_inside();
    if is_queues {
        HELD.set(HELD.get() + layout.size() as isize);
    }
    // SAFETY: the allocation has room for the header, which ends with an aligned word.
    unsafe {
        let given = start.add(header(layout));
        given.cast::<usize>().sub(1).write(usize::from(is_queues));
        given
    }
}

// SAFETY: each returned pointer is `header` bytes after a pointer of the system's allocator, whose
// allocation is larger by as many bytes. The word before the returned pointer belongs to this allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, that of the header at the least.
        let start = unsafe { System.alloc(with_header(layout)) };
        // SAFETY: it was allocated with the header's room.
        unsafe { given(start, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, that of the header at the least.
        let start = unsafe { System.alloc_zeroed(with_header(layout)) };
        // SAFETY: it was allocated with the header's room.
        unsafe { given(start, layout) }
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        // SAFETY: `alloc` has returned the pointer for the same layout.
        unsafe {
            if given.cast::<usize>().sub(1).read() == 1 {
                HELD.set(HELD.get() - layout.size() as isize);
            }
            System.dealloc(given.sub(header(layout)), with_header(layout));
        }
    }
}

/// Runs the library, and counts the memory that it allocates and frees.
pub(crate) fn counted<R>(run: impl FnOnce() -> R) -> R {
    let before = COUNTING.replace(true);
    let result = run();
    COUNTING.set(before);
    result
}

/// Starts to count from 0. Older memory does not belong to the queue.
pub(crate) fn restart() {
    COUNTING.set(false);
    HELD.set(0);
}

/// Returns the number of bytes that the queue has allocated.
pub(crate) fn held() -> usize {
    usize::try_from(HELD.get()).unwrap_or(0)
}
