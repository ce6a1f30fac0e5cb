//! The C library as the simulation plays it: the functions that the other files of this crate call,
//! with the types and constants of the real one.
//!
//! Each function takes the parameters of the real one, lets the [`Kernel`](super::Kernel) of this
//! thread answer, and sets `errno`. A function that is not here cannot be called: there is no glob.

// The names and the safety are those of the C library.
#![allow(missing_docs, clippy::missing_safety_doc)]
// The widths of types differ from one system to the next.
#![allow(clippy::unnecessary_cast)]

use std::ffi::{CStr, c_char};
use std::io::{Cursor, Write};
use std::slice;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        pub use real_libc::{
            __errno_location as errno, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, EPOLL_CLOEXEC,
            EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN,
            EPOLLONESHOT, EPOLLOUT, IN_ATTRIB, IN_CLOEXEC, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE,
            IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MASK_ADD, IN_MODIFY, IN_MOVE_SELF,
            IN_MOVED_FROM, IN_MOVED_TO, IN_NONBLOCK, IN_ONLYDIR, IN_Q_OVERFLOW, IN_UNMOUNT,
            MNT_DETACH, MS_BIND, O_DIRECT, O_LARGEFILE, O_TMPFILE, SYS_getdents64, TFD_CLOEXEC,
            TFD_NONBLOCK, TFD_TIMER_ABSTIME, epoll_event, itimerspec, off64_t, stat64,
        };
    } else {
        pub use super::libc_foreign::*;
        #[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
        pub use real_libc::__error as errno;
        #[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
        pub use real_libc::__errno as errno;
        pub use real_libc::stat;
        pub use self::{fstat64 as fstat, fstatat64 as fstatat};
    }
}
pub use real_libc::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, CLOCK_MONOTONIC, CLOCK_REALTIME, DIR, DT_DIR, DT_LNK,
    DT_UNKNOWN, EACCES, EAGAIN, EBADF, EBUSY, EEXIST, EINTR, EINVAL, EIO, EISDIR, ELOOP, EMFILE,
    ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, ENOTEMPTY, ENOTTY,
    ENXIO, EOVERFLOW, EPERM, EPIPE, EROFS, ESTALE, ETXTBSY, EXDEV, F_DUPFD_CLOEXEC, F_GETFD,
    F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, FD_SETSIZE, FIONREAD, O_ACCMODE, O_APPEND, O_CLOEXEC,
    O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY,
    POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFMT, S_IFREG, S_IFSOCK, S_IXUSR, SIG_BLOCK, SIG_SETMASK, SIGPIPE, c_int, c_long, c_uint,
    c_ulong, c_void, clockid_t, dirent, fd_set, mode_t, nfds_t, pollfd, size_t, ssize_t, timespec,
    timeval,
};
/// The simulation sends no signal: these change the mask of the test's own thread and nothing else.
pub use real_libc::{
    pthread_sigmask, sigaddset, sigemptyset, sigismember, sigpending, sigset_t, sigwait,
};

use super::call::Call;
use super::kernel::{Kernel, Outcome, Stat};
#[cfg(pullcord_sim = "bsd")]
pub use super::libc_bsd::*;
#[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
pub use super::libc_readdir::*;
use super::settings::FsKind;
use super::with;

/// Makes a call: the seam, the call itself, and its result as the C library returns it.
pub(super) fn call<T: Returned>(call: Call, run: impl FnOnce(&mut Kernel) -> Outcome<T>) -> T {
    wait(call, true, run)
}

/// Makes a call that waits, or (`sleeps` is false) only looks: no signal interrupts it then.
pub(super) fn wait<T: Returned>(
    call: Call,
    sleeps: bool,
    run: impl FnOnce(&mut Kernel) -> Outcome<T>,
) -> T {
    let result = with(|kernel| {
        let result = match kernel.enter(call, sleeps) {
            Ok(()) => run(kernel),
            Err(errno) => Err(errno),
        };
        let number = result.as_ref().map(|value| value.number()).map_err(|errno| *errno);
        kernel.leave(call, number);
        result
    });
    result.unwrap_or_else(|number| {
        // SAFETY: the address of this thread's errno is valid for as long as the thread runs.
        unsafe { *errno() = number };
        T::FAILED
    })
}

/// A type that a call returns.
pub(super) trait Returned {
    const FAILED: Self;
    fn number(&self) -> i64;
}

impl Returned for c_int {
    const FAILED: c_int = -1;
    fn number(&self) -> i64 {
        i64::from(*self)
    }
}

impl Returned for isize {
    const FAILED: isize = -1;
    fn number(&self) -> i64 {
        *self as i64
    }
}

/// For calls that return only whether they succeeded.
fn done(outcome: Outcome<()>) -> Outcome<c_int> {
    outcome.map(|()| 0)
}

/// The bytes of a path.
///
/// # Safety
///
/// `path` must point to a C string that lives as long as the result is used.
pub(super) unsafe fn bytes<'a>(path: *const c_char) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(path) }.to_bytes()
}

// --- descriptors -------------------------------------------------------------------------------

pub unsafe fn open(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Open, |kernel| kernel.open(path, flags, 0))
}

/// open(2) with the mode that `O_CREAT` needs.
pub unsafe fn open_with_mode(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Open, |kernel| {
        if flags & O_TMPFILE == O_TMPFILE {
            return kernel.open_unnamed(path, mode);
        }
        kernel.open(path, flags, mode)
    })
}

pub unsafe fn close(fd: c_int) -> c_int {
    call(Call::Close, |kernel| done(kernel.close(fd)))
}

pub unsafe fn fcntl(fd: c_int, command: c_int, argument: c_int) -> c_int {
    call(Call::Fcntl, |kernel| kernel.fcntl(fd, command, argument))
}

/// dup3(2), and dup2(2) of the systems that have no other.
pub unsafe fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    call(Call::Dup, |kernel| kernel.dup3(old, new, flags))
}

pub unsafe fn dup2(old: c_int, new: c_int) -> c_int {
    call(Call::Dup, |kernel| kernel.dup2(old, new))
}

pub unsafe fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    call(Call::Pipe, |kernel| {
        let made = kernel.pipe(flags)?;
        // SAFETY: the caller has room for two.
        unsafe { slice::from_raw_parts_mut(ends, 2) }.copy_from_slice(&made);
        Ok(0)
    })
}

pub unsafe fn read(fd: c_int, buffer: *mut c_void, room: size_t) -> ssize_t {
    call(Call::Read, |kernel| {
        if kernel.is_timer(fd) {
            let expirations = kernel.read_timer(fd, room)?.to_ne_bytes();
            // SAFETY: the caller has room for `room` bytes, which are 8 or more.
            unsafe { slice::from_raw_parts_mut(buffer.cast(), 8) }.copy_from_slice(&expirations);
            return Ok(8);
        }
        if !kernel.is_inotify(fd) {
            let count = kernel.read(fd, room)?;
            // The bytes of the real writers are not looked at. A number that they never wrote shows
            // a reader that relies on them.
            // SAFETY: the caller has room for `room` bytes, and `count` is at most that.
            unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), count) }.fill(0xa5);
            return Ok(count as ssize_t);
        }
        // SAFETY: as above.
        let mut to = Cursor::new(unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), room) });
        let count = kernel.read_inotify(fd, room, |event| {
            let name = event.name.as_deref().unwrap_or_default();
            let length = event.size() - 16;
            for field in [event.watch as u32, event.mask, event.cookie, length as u32] {
                to.write_all(&field.to_ne_bytes()).expect("room");
            }
            to.write_all(name).expect("room");
            let padding = [0; 272];
            to.write_all(&padding[..length - name.len()]).expect("room");
        })?;
        Ok(count as ssize_t)
    })
}

pub unsafe fn write(fd: c_int, _: *const c_void, count: size_t) -> ssize_t {
    call(Call::Write, |kernel| Ok(kernel.write(fd, count)? as ssize_t))
}

pub unsafe fn ftruncate64(fd: c_int, size: off64_t) -> c_int {
    call(Call::Truncate, |kernel| done(kernel.ftruncate(fd, size)))
}

pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_int) -> c_int {
    assert_eq!(request, FIONREAD, "no other request is known");
    call(Call::Ioctl, |kernel| {
        let bytes = kernel.bytes_available(fd)?;
        // SAFETY: FIONREAD writes one int, and the caller has one.
        unsafe { *argument = bytes as c_int };
        Ok(0)
    })
}

// --- files -------------------------------------------------------------------------------------

/// Fills the result of a stat.
///
/// # Safety
///
/// `to` must have room for one.
unsafe fn fill(to: *mut stat64, stat: Stat) {
    // SAFETY: integers only, for which zero is a value; the caller has room.
    unsafe {
        to.write_bytes(0, 1);
        let raw = &mut *to;
        raw.st_dev = stat.device as _;
        raw.st_ino = stat.number as _;
        raw.st_mode = stat.mode as _;
        raw.st_nlink = stat.links as _;
        raw.st_size = stat.size as _;
        raw.st_mtime = (stat.modified / 1_000_000_000) as _;
        raw.st_mtime_nsec = (stat.modified % 1_000_000_000) as _;
        raw.st_ctime = (stat.changed / 1_000_000_000) as _;
        raw.st_ctime_nsec = (stat.changed % 1_000_000_000) as _;
    }
}

pub unsafe fn fstat64(fd: c_int, to: *mut stat64) -> c_int {
    call(Call::Fstat, |kernel| {
        let stat = kernel.fstat(fd)?;
        // SAFETY: the caller has room for one.
        unsafe { fill(to, stat) };
        Ok(0)
    })
}

pub unsafe fn fstatat64(
    directory: c_int,
    path: *const c_char,
    to: *mut stat64,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Fstatat, |kernel| {
        if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 {
            return Err(EINVAL);
        }
        let directory = (directory != AT_FDCWD).then_some(directory);
        let stat = kernel.fstatat(directory, path, flags & AT_SYMLINK_NOFOLLOW == 0)?;
        // SAFETY: the caller has room for one.
        unsafe { fill(to, stat) };
        Ok(0)
    })
}

// In C the structure and the function have one name; so they have here.
#[cfg(not(pullcord_sim = "bsd"))]
pub use linux::statfs64;

#[cfg(not(pullcord_sim = "bsd"))]
mod linux {
    use super::{Call, bytes, c_char, c_int, call};

    #[allow(non_camel_case_types)]
    pub type statfs64 = real_libc::statfs64;

    pub unsafe fn statfs64(path: *const c_char, to: *mut statfs64) -> c_int {
        // SAFETY: the caller passes a C string.
        let path = unsafe { bytes(path) };
        call(Call::Statfs, |kernel| {
            let kind = kernel.statfs(path)?;
            // SAFETY: integers only, for which zero is a value; the caller has room for one.
            unsafe {
                let mut raw: statfs64 = std::mem::zeroed();
                raw.f_type = i64::from(kind.magic()) as _;
                to.write(raw);
            }
            Ok(0)
        })
    }
}

macro_rules! changes {
    ($($name:ident($($argument:ident),*))*) => {
        $(
            /// A change of the tree. The library makes none; the comparison with a real kernel does.
            pub unsafe fn $name($($argument: *const c_char),*) -> c_int {
                // SAFETY: the caller passes C strings.
                $(let $argument = unsafe { bytes($argument) };)*
                call(Call::Open, |kernel| done(kernel.$name($($argument),*)))
            }
        )*
    };
}

changes! {
    link(old, new)
    rename(old, new)
    unlink(path)
    rmdir(path)
    symlink(target, path)
}

/// linkat(2) of an open file, with `AT_EMPTY_PATH`.
pub unsafe fn linkat(
    fd: c_int,
    empty: *const c_char,
    _: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller passes C strings.
    let (empty, new) = unsafe { (bytes(empty), bytes(new)) };
    assert!(empty.is_empty() && flags == AT_EMPTY_PATH, "no other use is known");
    call(Call::Open, |kernel| done(kernel.link_open(fd, new)))
}

/// mount(2) of a tmpfs, or with `MS_BIND`.
pub unsafe fn mount(
    source: *const c_char,
    path: *const c_char,
    _: *const c_char,
    flags: c_ulong,
    _: *const c_void,
) -> c_int {
    // SAFETY: the caller passes C strings.
    let (source, path) = unsafe { (bytes(source), bytes(path)) };
    call(Call::Open, |kernel| {
        if flags & MS_BIND != 0 {
            return done(kernel.bind(source, path));
        }
        let system = kernel.add_system(FsKind::Tmpfs);
        done(kernel.mount(system, path))
    })
}

/// umount2(2), with `MNT_DETACH` or without.
pub unsafe fn umount2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Open, |kernel| done(kernel.unmount(path, flags & MNT_DETACH != 0)))
}

pub unsafe fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Open, |kernel| done(kernel.mkdir(path, mode as u32)))
}

pub unsafe fn mkfifo(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Open, |kernel| done(kernel.mkfifo(path, mode as u32)))
}

pub unsafe fn fchmod(fd: c_int, mode: mode_t) -> c_int {
    call(Call::Fcntl, |kernel| done(kernel.fchmod(fd, mode as u32)))
}

pub unsafe fn fchmodat(_: c_int, path: *const c_char, mode: mode_t, _: c_int) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::Fstatat, |kernel| done(kernel.chmod(path, mode as u32)))
}

// --- directories -------------------------------------------------------------------------------

/// getdents64(2), the one call that is made by its number.
pub unsafe fn syscall(number: c_long, directory: c_int, buffer: *mut u8, room: usize) -> c_long {
    assert_eq!(number, SYS_getdents64, "no other call is known");
    call(Call::Getdents, |kernel| {
        // SAFETY: the caller has room for as many bytes.
        let to = unsafe { slice::from_raw_parts_mut(buffer, room) };
        let mut filled = 0;
        kernel.read_directory(directory, |entry| {
            let length = (19 + entry.name.len() + 1).next_multiple_of(8);
            let Some(to) = to.get_mut(filled..filled + length) else { return false };
            let (head, rest) = to.split_at_mut(19);
            head[..8].copy_from_slice(&entry.number.to_ne_bytes());
            head[8..16].fill(0);
            head[16..18].copy_from_slice(&(length as u16).to_ne_bytes());
            head[18] = entry.kind;
            let (name, padding) = rest.split_at_mut(entry.name.len());
            name.copy_from_slice(entry.name);
            padding.fill(0);
            filled += length;
            true
        })?;
        Ok(filled as isize)
    }) as c_long
}

// --- time ----------------------------------------------------------------------------------------

/// clock_gettime(2): no system call, as a rule, and it never fails.
pub unsafe fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    let now = with(|kernel| match clock {
        CLOCK_MONOTONIC => kernel.now(),
        CLOCK_REALTIME => kernel.real_time(),
        _ => panic!("no other clock is known"),
    });
    // SAFETY: integers only, for which zero is a value; the caller has room for one.
    unsafe {
        let mut raw: timespec = std::mem::zeroed();
        (raw.tv_sec, raw.tv_nsec) = ((now / SECOND) as _, (now % SECOND) as _);
        to.write(raw);
    }
    0
}

const SECOND: u64 = 1_000_000_000;

/// The nanoseconds of a time that is valid.
fn nanoseconds(time: &timespec) -> Outcome<u64> {
    duration(time.tv_sec as i64, time.tv_nsec as i64)
}

fn duration(seconds: i64, rest: i64) -> Outcome<u64> {
    match (u64::try_from(seconds), u64::try_from(rest)) {
        (Ok(seconds), Ok(rest)) if rest < SECOND => {
            Ok(seconds.saturating_mul(SECOND).saturating_add(rest))
        }
        _ => Err(EINVAL),
    }
}

pub unsafe fn timerfd_create(clock: clockid_t, flags: c_int) -> c_int {
    assert_eq!(clock, CLOCK_MONOTONIC, "no other clock is known");
    call(Call::TimerCreate, |kernel| kernel.timer(flags))
}

pub unsafe fn timerfd_settime(
    fd: c_int,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    // SAFETY: the caller passes one.
    let new = unsafe { &*new };
    call(Call::TimerSet, |kernel| {
        let (value, interval) = (nanoseconds(&new.it_value)?, nanoseconds(&new.it_interval)?);
        if flags & !TFD_TIMER_ABSTIME != 0 {
            return Err(EINVAL);
        }
        let absolute = flags & TFD_TIMER_ABSTIME != 0;
        let (left, before) = kernel.set_timer(fd, absolute, value, interval)?;
        if !old.is_null() {
            let time = |nanoseconds: u64| timespec {
                tv_sec: (nanoseconds / SECOND) as _,
                tv_nsec: (nanoseconds % SECOND) as _,
            };
            let before = itimerspec { it_interval: time(before), it_value: time(left) };
            // SAFETY: the caller has room for one.
            unsafe { old.write(before) };
        }
        Ok(0)
    })
}

// --- watches and waits -------------------------------------------------------------------------

pub unsafe fn inotify_init1(flags: c_int) -> c_int {
    call(Call::InotifyInit, |kernel| kernel.inotify_init(flags))
}

pub unsafe fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int {
    // SAFETY: the caller passes a C string.
    let path = unsafe { bytes(path) };
    call(Call::InotifyAdd, |kernel| kernel.inotify_add_watch(fd, path, mask))
}

pub unsafe fn inotify_rm_watch(fd: c_int, watch: c_int) -> c_int {
    call(Call::InotifyRemove, |kernel| done(kernel.inotify_rm_watch(fd, watch)))
}

pub unsafe fn epoll_create1(_: c_int) -> c_int {
    call(Call::EpollCreate, Kernel::epoll_create)
}

pub unsafe fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    source: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the caller passes an event, or null to delete.
    let event = unsafe { event.as_ref() }.copied();
    let event = event.unwrap_or(epoll_event { events: 0, u64: 0 });
    if operation == 2 {
        with(|kernel| kernel.spare_next());
    }
    call(Call::EpollCtl, |kernel| {
        done(kernel.epoll_ctl(epoll, operation, source, event.events, event.u64))
    })
}

pub unsafe fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    milliseconds: c_int,
) -> c_int {
    wait(Call::EpollWait, milliseconds != 0, |kernel| {
        let timeout = u64::try_from(milliseconds).ok().map(|ms| ms * 1_000_000);
        // SAFETY: the caller has room for as many events.
        unsafe { events_of(kernel, epoll, events, room, timeout) }
    })
}

/// epoll_pwait2(2) without a mask, with its timeout by value.
pub unsafe fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    seconds: i64,
    nanoseconds: i64,
) -> c_int {
    wait(Call::EpollPwait2, (seconds, nanoseconds) != (0, 0), |kernel| {
        let timeout = duration(seconds, nanoseconds)?;
        // SAFETY: the caller has room for as many events.
        unsafe { events_of(kernel, epoll, events, room, Some(timeout)) }
    })
}

/// Waits for the events of an epoll instance, for as many nanoseconds.
///
/// # Safety
///
/// The caller must have room for as many events, filled by it before.
unsafe fn events_of(
    kernel: &mut Kernel,
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: Option<u64>,
) -> Outcome<c_int> {
    // SAFETY: as the caller promises.
    let to = unsafe { slice::from_raw_parts_mut(events, usize::try_from(room).unwrap_or(0)) };
    let mut filled = 0;
    let found = kernel.epoll_wait(epoll, to.len(), timeout, |events, u64| {
        to[filled] = epoll_event { events, u64 };
        filled += 1;
    })?;
    Ok(found as c_int)
}

pub unsafe fn poll(fds: *mut pollfd, count: nfds_t, milliseconds: c_int) -> c_int {
    wait(Call::Poll, milliseconds != 0, |kernel| {
        let fds = match count {
            0 => &mut [][..],
            // SAFETY: the caller has as many.
            count => unsafe { slice::from_raw_parts_mut(fds, count as usize) },
        };
        let wanted: Vec<_> = fds.iter().map(|it| (it.fd, c_int::from(it.events))).collect();
        let mut events = Vec::new();
        let found = kernel.poll(&wanted, &mut events, milliseconds)?;
        for (fd, events) in fds.iter_mut().zip(events) {
            fd.revents = events as _;
        }
        Ok(found as c_int)
    })
}

pub unsafe fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    _: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    /// A set as the descriptors in it, and back.
    struct Set(*mut c_ulong);
    const BITS: usize = c_ulong::BITS as usize;
    impl Set {
        fn get(&self, count: c_int) -> Vec<c_int> {
            if self.0.is_null() {
                return Vec::new();
            }
            // SAFETY: the caller's set has whole words for `count` bits.
            let has = |fd: usize| unsafe { *self.0.add(fd / BITS) & (1 << (fd % BITS)) != 0 };
            (0..count).filter(|fd| has(*fd as usize)).collect()
        }
        fn put(&self, count: c_int, found: &[c_int]) {
            if self.0.is_null() {
                return;
            }
            for word in 0..(count as usize).div_ceil(BITS) {
                // SAFETY: as above.
                unsafe { *self.0.add(word) = 0 };
            }
            for fd in found {
                // SAFETY: as above.
                unsafe { *self.0.add(*fd as usize / BITS) |= 1 << (*fd as usize % BITS) };
            }
        }
    }
    let sets = [Set(read.cast()), Set(write.cast())];
    // SAFETY: null, or a timeval of the caller's.
    let timeout = unsafe { timeout.as_ref() };
    let timeout = timeout.map(|it| it.tv_sec as u64 * 1_000_000 + it.tv_usec as u64);
    wait(Call::Select, timeout != Some(0), |kernel| {
        let [mut read, mut write] = [sets[0].get(count), sets[1].get(count)];
        let found = kernel.select(&mut read, &mut write, timeout)?;
        sets[0].put(count, &read);
        sets[1].put(count, &write);
        Ok(found as c_int)
    })
}
