//! Functions of the BSDs' C libraries: kqueue(2), and a statfs(2) that names the file system.

#![allow(non_camel_case_types)]
// The names and the safety are those of the C library.
#![allow(missing_docs, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int};
use std::slice;

use super::call::Call;
use super::kernel::{Kernel, Outcome};
use super::libc::{bytes, call, timespec, wait};
use super::with;
pub use crate::sys_event::*;

pub const EV_ENABLE: u16 = 0x4;
pub const EV_DISABLE: u16 = 0x8;
pub const NOTE_SECONDS: u32 = 0x1;
pub const NOTE_MSECONDS: u32 = 0x2;
pub const NOTE_USECONDS: u32 = 0x4;
pub const NOTE_NSECONDS: u32 = 0x8;

pub unsafe fn kqueue() -> c_int {
    call(Call::Kqueue, Kernel::kqueue)
}

/// As FreeBSD does it: each change with `EV_RECEIPT` is answered by an event, and a failed change
/// without it ends the call.
pub unsafe fn kevent(
    queue: c_int,
    changes: *const kevent,
    change_count: c_int,
    events: *mut kevent,
    event_count: c_int,
    timeout: *const timespec,
) -> c_int {
    let list = |count: c_int| usize::try_from(count).unwrap_or(0);
    let changes = match list(change_count) {
        0 => &[][..],
        // SAFETY: the caller has as many.
        count => unsafe { slice::from_raw_parts(changes, count) },
    };
    let room = match list(event_count) {
        0 => &mut [][..],
        // SAFETY: the caller has room for as many.
        count => unsafe { slice::from_raw_parts_mut(events, count) },
    };
    // SAFETY: null, or a timespec of the caller's.
    let timeout = unsafe { timeout.as_ref() };
    let timeout = timeout.map(|it| it.tv_sec as u64 * 1_000_000_000 + it.tv_nsec as u64);
    // Only to register an event may fail: kevent(2) has no memory for it. To restart a timer needs none.
    let deletes = changes.iter().all(|change| change.flags & EV_DELETE != 0);
    with(|kernel| {
        if deletes || changes.iter().all(|change| kernel.restarts_timer(queue, change)) {
            kernel.spare_next();
        }
    });
    wait(Call::Kevent, timeout != Some(0), |kernel| {
        let mut filled = 0;
        for change in changes {
            let done = kernel.kevent_change(queue, *change);
            let errno = done.err().unwrap_or(0);
            if errno == 0 && change.flags & EV_RECEIPT == 0 {
                continue;
            }
            let Some(to) = room.get_mut(filled) else { return Err(errno) };
            *to = kevent { flags: change.flags | EV_ERROR, data: errno as isize, ..*change };
            filled += 1;
        }
        if filled > 0 || room.is_empty() {
            return Ok(filled as c_int);
        }
        let found = kernel.kevent_fetch(queue, room.len(), timeout, |event| {
            room[filled] = event;
            filled += 1;
        })?;
        Ok(found as c_int)
    })
}

/// The result of statfs(2), as far as it is used.
#[derive(Clone, Copy)]
pub struct statfs {
    pub f_fstypename: [c_char; 16],
}

pub unsafe fn statfs(path: *const c_char, to: *mut statfs) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Statfs, |kernel| -> Outcome<c_int> {
        let name = kernel.statfs(path)?.bsd_name();
        let mut raw = statfs { f_fstypename: [0; 16] };
        for (to, from) in raw.f_fstypename.iter_mut().zip(name.bytes()) {
            *to = from as c_char;
        }
        // SAFETY: the caller has room for one.
        unsafe { to.write(raw) };
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::{self, Fault, FsKind, Settings, libc::ENOMEM};
    use crate::timer::Timer;

    #[test]
    fn a_timer_is_set_and_acknowledged_by_one_call_each_while_nothing_can_be_registered() {
        sim::boot(Kernel::new(Settings::default(), FsKind::Ext4));
        let mut timer = Timer::new().unwrap();
        let fault = Fault::Until { call: Call::Kevent, errno: ENOMEM, until: u64::MAX };
        with(|kernel| kernel.inject(fault));
        let calls = || with(|kernel| kernel.calls());
        for _ in 0..3 {
            let before = calls();
            timer.set(Duration::from_secs(5)).unwrap();
            with(|kernel| kernel.rest(5_000_000_000));
            timer.acknowledge();
            assert_eq!(calls() - before, 2);
        }
        assert_eq!(Timer::new().unwrap_err().raw_os_error(), Some(ENOMEM));
        drop(timer);
        sim::halt();
    }
}
