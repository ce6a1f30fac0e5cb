//! Makes the calls of a script. This file is compiled twice: with the C library of this system and with
//! the simulated one, each under the name `c`.

use std::ffi::{CStr, CString};
use std::mem;

use super::super::exceptions;
use super::super::script::{Detail, Expiry, Listing, Noticed, Op, Outcome, SLOTS, Slot};
use super::{Host, c};

/// A descriptor that is never open.
const CLOSED: c::c_int = 100_000;
/// A descriptor that is not open, unless all are. It counts from the first one of the script. Linux does
/// not examine greater ones in select(2).
const CLOSED_FOR_SELECT: c::c_int = 59;

pub(crate) struct Player<'a> {
    host: &'a mut Host,
    /// The directory of the script.
    root: &'a str,
    slots: [Option<c::c_int>; SLOTS],
    /// Made by `Exhaust`.
    surplus: Vec<c::c_int>,
    buffer: Vec<u64>,
    /// The cookies of moves, in the order in which they were seen.
    cookies: Vec<u32>,
    /// The times of pauses, in nanoseconds.
    pauses: Vec<i128>,
}

macro_rules! call {
    ($player:ident, $name:ident($($argument:expr),* $(,)?)) => {{
        $player.host.count(stringify!($name));
        // SAFETY: pointers point to live values of the right size. Descriptors belong to the script, or
        // are not open.
        let returned = unsafe { c::$name($($argument),*) };
        if returned == -1 { Err(errno()) } else { Ok(i64::from(returned as i32)) }
    }};
}

/// The result of a wait, with the events that it has returned.
fn waited_for(waited: Result<i64, i32>, events: &[c::epoll_event]) -> Outcome {
    let count = waited.unwrap_or(0) as usize;
    Outcome::new(waited).with(|| {
        let found = events[..count].iter();
        Detail::Waited(found.map(|event| (event.u64, event.events)).collect())
    })
}

fn errno() -> i32 {
    // SAFETY: the address of this thread's errno is valid.
    unsafe { *c::errno() }
}

impl<'a> Player<'a> {
    pub(crate) fn new(host: &'a mut Host, root: &'a str) -> Player<'a> {
        let (slots, surplus, cookies, pauses) = Default::default();
        Player { host, root, slots, surplus, buffer: vec![0; 16 * 1024], cookies, pauses }
    }

    fn exception(&mut self, name: &'static str) -> Outcome {
        self.host.exception(name);
        Outcome { returned: Ok(0), detail: Detail::Exception(name) }
    }

    fn path(&self, path: &str) -> CString {
        let joined = if path.is_empty() { String::new() } else { format!("{}/{path}", self.root) };
        CString::new(joined).expect("no zero byte")
    }

    fn fd(&self, slot: Slot) -> c::c_int {
        self.slots[slot].unwrap_or(CLOSED)
    }

    /// Puts a descriptor that was returned into a slot, and closes the one that was there.
    fn put(&mut self, slot: Slot, returned: Result<i64, i32>) -> Outcome {
        let Ok(fd) = returned else { return Outcome::new(returned) };
        let before = self.slots[slot].replace(fd as c::c_int);
        let closed = before.map(|before| call!(self, close(before)));
        let numbers = closed.map(|closed| closed.map_or_else(i64::from, |_| 0));
        Outcome::new(Ok(fd - i64::from(self.host.lowest())))
            .with(|| numbers.map_or(Detail::Nothing, |it| Detail::Numbers(vec![it])))
    }

    fn stat_of(&mut self, fd: c::c_int) -> Result<c::stat64, i32> {
        // SAFETY: integers only, for which zero is a value.
        let mut stat: c::stat64 = unsafe { mem::zeroed() };
        call!(self, fstat64(fd, &raw mut stat))?;
        Ok(stat)
    }

    fn kind_of(&mut self, slot: Slot) -> u32 {
        let fd = self.fd(slot);
        let stat = self.stat_of(fd);
        stat.map_or(0, |stat| (stat.st_mode & c::S_IFMT) as u32)
    }

    fn kind_at(&mut self, path: &CStr) -> u32 {
        // SAFETY: integers only, for which zero is a value.
        let mut stat: c::stat64 = unsafe { mem::zeroed() };
        let found = call!(self, fstatat64(c::AT_FDCWD, path.as_ptr(), &raw mut stat, 0));
        found.map_or(0, |_| (stat.st_mode & c::S_IFMT) as u32)
    }

    /// Returns the part of a stat that is compared.
    fn describe(&mut self, stat: &c::stat64) -> Detail {
        let mut same = Vec::new();
        for slot in 0..SLOTS {
            if let Some(fd) = self.slots[slot] {
                let other = self.stat_of(fd);
                let is_same =
                    |other: c::stat64| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino);
                if stat.st_mode & c::S_IFMT != 0 && other.is_ok_and(is_same) {
                    same.push(slot);
                }
            }
        }
        let links = match stat.st_mode & c::S_IFMT {
            0 => {
                self.host.exception(exceptions::ANONYMOUS);
                0
            }
            c::S_IFDIR => {
                self.host.exception(exceptions::DIRECTORY_LINKS);
                0
            }
            _ => stat.st_nlink as u64,
        };
        let size = match stat.st_mode & c::S_IFMT {
            c::S_IFREG | c::S_IFLNK => stat.st_size as i64,
            _ => 0,
        };
        let stamps = [(stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec)];
        let times = stamps.map(|(seconds, rest)| {
            let time = i128::from(seconds) * 1_000_000_000 + i128::from(rest);
            self.pauses.iter().filter(|pause| **pause < time).count()
        });
        let has_times = stat.st_mode & c::S_IFMT != 0;
        let times = has_times.then_some(times);
        Detail::Stat { mode: stat.st_mode as u32, links, size, times, same }
    }

    /// Makes the call. A call that might block or leave the directory is not made.
    pub(crate) fn play(&mut self, op: &Op) -> Outcome {
        let fd = |player: &Player, slot: &Slot| player.fd(*slot);
        match op {
            Op::Open { slot, path, flags, mode } => {
                let path = self.path(path);
                if flags & c::O_DIRECT != 0 && self.kind_at(&path) != c::S_IFIFO as u32 {
                    return self.exception(exceptions::DIRECT_FILE);
                }
                let opened = match mode {
                    None => call!(self, open(path.as_ptr(), *flags)),
                    Some(mode) => call!(self, open_with_mode(path.as_ptr(), *flags, *mode)),
                };
                self.put(*slot, opened)
            }
            Op::Close(slot) => {
                let fd = self.slots[*slot].take().unwrap_or(CLOSED);
                Outcome::new(call!(self, close(fd)))
            }
            Op::Duplicate { from, to, lowest } => {
                let fd = fd(self, from);
                let first = self.host.lowest();
                let lowest = if *lowest < 3 { *lowest } else { *lowest - 3 + first };
                let made = call!(self, fcntl(fd, c::F_DUPFD_CLOEXEC, lowest));
                self.put(*to, made)
            }
            Op::Replace { old, new, flags } => {
                let free = self.host.lowest() + 40 + *new as c::c_int;
                let (old, number) = (fd(self, old), self.slots[*new].unwrap_or(free));
                let made = match flags {
                    Some(flags) => call!(self, dup3(old, number, *flags)),
                    None => call!(self, dup2(old, number)),
                };
                if made.is_ok() {
                    self.slots[*new] = Some(number);
                }
                Outcome::new(made.map(|fd| fd - i64::from(self.host.lowest())))
            }
            Op::Reopen { slot, from, flags } => {
                let path = format!("{}/{}", self.host.descriptors(), fd(self, from));
                let path = CString::new(path).expect("no zero byte");
                let opened = call!(self, open(path.as_ptr(), *flags));
                self.put(*slot, opened)
            }
            Op::SetFlags { slot, flags } => {
                if flags & c::O_DIRECT != 0 && self.kind_of(*slot) != c::S_IFIFO as u32 {
                    return self.exception(exceptions::DIRECT_FILE);
                }
                let fd = fd(self, slot);
                Outcome::new(call!(self, fcntl(fd, c::F_SETFL, *flags | c::O_NONBLOCK)))
            }
            Op::GetFlags(slot) => {
                let fd = fd(self, slot);
                let kept = i64::from(c::O_ACCMODE | c::O_NONBLOCK | c::O_DIRECT);
                Outcome::new(call!(self, fcntl(fd, c::F_GETFL, 0)).map(|flags| flags & kept))
            }
            Op::GetDescriptorFlags(slot) => {
                let fd = fd(self, slot);
                Outcome::new(call!(self, fcntl(fd, c::F_GETFD, 0)))
            }
            Op::Exhaust(slot) => {
                let fd = fd(self, slot);
                let mut count = 0;
                loop {
                    match call!(self, fcntl(fd, c::F_DUPFD_CLOEXEC, 0)) {
                        Ok(made) => self.surplus.push(made as c::c_int),
                        Err(errno) => {
                            let numbers = vec![i64::from(errno)];
                            return Outcome::new(Ok(count)).with(|| Detail::Numbers(numbers));
                        }
                    }
                    count += 1;
                }
            }
            Op::Recover => {
                for fd in mem::take(&mut self.surplus) {
                    let _ = call!(self, close(fd));
                }
                Outcome::new(Ok(0))
            }
            Op::Pipe { reader, writer, flags } => {
                let mut ends = [0; 2];
                let made = call!(self, pipe2(ends.as_mut_ptr(), *flags | c::O_NONBLOCK));
                if made.is_err() {
                    return Outcome::new(made);
                }
                let reader = self.put(*reader, Ok(i64::from(ends[0])));
                let writer = self.put(*writer, Ok(i64::from(ends[1])));
                let [Ok(reader), Ok(writer)] = [reader.returned, writer.returned] else {
                    unreachable!("both are numbers")
                };
                Outcome::new(made).with(|| Detail::Numbers(vec![reader, writer]))
            }
            Op::Read { slot, room } => self.read(*slot, *room),
            Op::Write { slot, count } => {
                let fd = fd(self, slot);
                let bytes = vec![0xa5_u8; *count];
                Outcome::new(call!(self, write(fd, bytes.as_ptr().cast(), bytes.len())))
            }
            Op::Truncate { slot, size } => {
                let fd = fd(self, slot);
                Outcome::new(call!(self, ftruncate64(fd, *size)))
            }
            Op::Available(slot) => {
                let fd = fd(self, slot);
                let mut bytes = -1;
                let asked = call!(self, ioctl(fd, c::FIONREAD, &raw mut bytes));
                Outcome::new(asked).with(|| Detail::Numbers(vec![i64::from(bytes)]))
            }
            Op::Pause => {
                self.host.pause();
                // SAFETY: integers only, for which zero is a value.
                let mut time: c::timespec = unsafe { mem::zeroed() };
                let asked = call!(self, clock_gettime(c::CLOCK_REALTIME, &raw mut time));
                self.pauses.push(time.tv_sec as i128 * 1_000_000_000 + time.tv_nsec as i128);
                self.host.pause();
                Outcome::new(asked)
            }
            Op::Timer { slot, flags } => {
                let made = call!(self, timerfd_create(c::CLOCK_MONOTONIC, *flags));
                self.put(*slot, made)
            }
            Op::SetTimer { slot, flags, time, interval } => {
                let fd = fd(self, slot);
                // SAFETY: integers only, for which zero is a value.
                let (mut new, mut old): (c::itimerspec, c::itimerspec) =
                    unsafe { (mem::zeroed(), mem::zeroed()) };
                match time {
                    Expiry::Never => {}
                    Expiry::Soon if *flags == c::TFD_TIMER_ABSTIME => {
                        let now = &raw mut new.it_value;
                        let _ = call!(self, clock_gettime(c::CLOCK_MONOTONIC, now));
                    }
                    Expiry::Soon => new.it_value.tv_nsec = 1,
                    Expiry::Later => new.it_value.tv_sec = 1 << 32,
                    Expiry::Invalid(true) => new.it_value.tv_nsec = 1_000_000_000,
                    Expiry::Invalid(false) => new.it_value.tv_sec = -1,
                }
                new.it_interval.tv_sec = *interval as _;
                new.it_interval.tv_sec *= 3600;
                let (to, from) = (&raw mut old, &raw const new);
                let set = call!(self, timerfd_settime(fd, *flags, from, to));
                if *time == Expiry::Soon {
                    self.host.pause();
                }
                let was_running = old.it_value.tv_sec != 0 || old.it_value.tv_nsec != 0;
                let interval = old.it_interval.tv_sec as i64;
                Outcome::new(set).with(|| Detail::Numbers(vec![i64::from(was_running), interval]))
            }

            Op::Fstat(slot) => {
                let fd = fd(self, slot);
                match self.stat_of(fd) {
                    Ok(stat) => {
                        let mut detail = self.describe(&stat);
                        if let Detail::Stat { times, .. } = &mut detail
                            && stat.st_mode & c::S_IFMT == c::S_IFIFO
                        {
                            self.host.exception(exceptions::PIPE_TIMES);
                            *times = None;
                        }
                        Outcome::new(Ok(0)).with(|| detail)
                    }
                    Err(errno) => Outcome::new(Err(errno)),
                }
            }
            Op::Stat { directory, path, follow, flags } => {
                // A path from an open directory is used unchanged.
                let (directory, path) = match directory {
                    Some(slot) => (fd(self, slot), CString::new(path.as_str()).expect("no zero")),
                    None => (c::AT_FDCWD, self.path(path)),
                };
                let flags = *flags | if *follow { 0 } else { c::AT_SYMLINK_NOFOLLOW };
                // SAFETY: integers only, for which zero is a value.
                let mut stat: c::stat64 = unsafe { mem::zeroed() };
                let asked = call!(self, fstatat64(directory, path.as_ptr(), &raw mut stat, flags));
                if asked.is_err() {
                    return Outcome::new(asked);
                }
                let detail = self.describe(&stat);
                Outcome::new(asked).with(|| detail)
            }
            Op::Statfs(path) => {
                let path = self.path(path);
                // SAFETY: integers only, for which zero is a value.
                let mut stat: c::statfs64 = unsafe { mem::zeroed() };
                let asked = call!(self, statfs64(path.as_ptr(), &raw mut stat));
                #[allow(clippy::unnecessary_cast)]
                Outcome::new(asked).with(|| Detail::Numbers(vec![stat.f_type as i64]))
            }
            Op::Link { old, new } => {
                let (old, new) = (self.path(old), self.path(new));
                Outcome::new(call!(self, link(old.as_ptr(), new.as_ptr())))
            }
            Op::LinkOpen { slot, path } => {
                if self.kind_of(*slot) != c::S_IFREG as u32 {
                    return self.exception(exceptions::LINK_OPEN);
                }
                let (fd, path) = (fd(self, slot), self.path(path));
                let (empty, at) = (c"".as_ptr(), c::AT_FDCWD);
                let flag = c::AT_EMPTY_PATH;
                Outcome::new(call!(self, linkat(fd, empty, at, path.as_ptr(), flag)))
            }
            Op::Rename { old, new } => {
                let (old, new) = (self.path(old), self.path(new));
                Outcome::new(call!(self, rename(old.as_ptr(), new.as_ptr())))
            }
            Op::Unlink(path) => {
                let path = self.path(path);
                Outcome::new(call!(self, unlink(path.as_ptr())))
            }
            Op::Rmdir(path) => {
                let path = self.path(path);
                Outcome::new(call!(self, rmdir(path.as_ptr())))
            }
            Op::Symlink { target, path } => {
                let target = CString::new(target.as_str()).expect("no zero byte");
                let path = self.path(path);
                Outcome::new(call!(self, symlink(target.as_ptr(), path.as_ptr())))
            }
            Op::Mkdir { path, mode } => {
                let path = self.path(path);
                Outcome::new(call!(self, mkdir(path.as_ptr(), *mode)))
            }
            Op::Mkfifo { path, mode } => {
                let path = self.path(path);
                Outcome::new(call!(self, mkfifo(path.as_ptr(), *mode)))
            }
            Op::Fchmod { slot, mode } => {
                if self.slots[*slot].is_some() && self.kind_of(*slot) == 0 {
                    return self.exception(exceptions::ANONYMOUS);
                }
                let fd = fd(self, slot);
                Outcome::new(call!(self, fchmod(fd, *mode)))
            }
            Op::Chmod { path, mode } => {
                let path = self.path(path);
                Outcome::new(call!(self, fchmodat(c::AT_FDCWD, path.as_ptr(), *mode, 0)))
            }
            Op::List { slot, room, batches } => self.list(*slot, *room, *batches),

            Op::Watcher { slot, limit } => {
                self.host.limit(*limit);
                let made = call!(self, inotify_init1(c::IN_NONBLOCK | c::IN_CLOEXEC));
                self.host.no_limit();
                self.put(*slot, made)
            }
            Op::Watch { slot, path, mask, limit } => {
                let (fd, path) = (fd(self, slot), self.path(path));
                self.host.limit(*limit);
                let added = call!(self, inotify_add_watch(fd, path.as_ptr(), *mask));
                self.host.no_limit();
                Outcome::new(added)
            }
            Op::Unwatch { slot, watch } => {
                let fd = fd(self, slot);
                Outcome::new(call!(self, inotify_rm_watch(fd, *watch)))
            }

            Op::Poller(slot) => {
                let made = call!(self, epoll_create1(c::EPOLL_CLOEXEC));
                self.put(*slot, made)
            }
            Op::Control { poller, operation, source, events } => {
                let mut event = c::epoll_event { events: *events, u64: *source as u64 };
                let (poller, source) = (fd(self, poller), fd(self, source));
                let event = &raw mut event;
                Outcome::new(call!(self, epoll_ctl(poller, *operation, source, event)))
            }
            Op::Wait { poller, room } => {
                let fd = fd(self, poller);
                let mut events = [c::epoll_event { events: 0, u64: 0 }; 16];
                let waited = call!(self, epoll_wait(fd, events.as_mut_ptr(), *room, 0));
                waited_for(waited, &events)
            }
            Op::WaitPrecisely { poller, room, nanoseconds } => {
                let fd = fd(self, poller);
                let mut events = [c::epoll_event { events: 0, u64: 0 }; 16];
                let to = events.as_mut_ptr();
                let waited = call!(self, epoll_pwait2(fd, to, *room, 0, *nanoseconds));
                waited_for(waited, &events)
            }
            Op::Poll(wanted) => {
                let mut fds: Vec<c::pollfd> = Vec::new();
                for (slot, events) in wanted {
                    let fd = self.slots[*slot].unwrap_or(CLOSED);
                    fds.push(c::pollfd { fd, events: *events, revents: 0 });
                }
                let found = call!(self, poll(fds.as_mut_ptr(), fds.len() as c::nfds_t, 0));
                let events = fds.iter().map(|fd| i64::from(fd.revents));
                Outcome::new(found).with(|| Detail::Numbers(events.collect()))
            }
            Op::Select { read, write } => self.select(read, write),

            Op::Mount(path) => {
                let (path, name) = (self.path(path), c"tmpfs".as_ptr());
                let data = c"mode=755".as_ptr().cast();
                Outcome::new(call!(self, mount(name, path.as_ptr(), name, 0, data)))
            }
            Op::Bind { old, new } => {
                let (old, new) = (self.path(old), self.path(new));
                let (none, nothing) = (std::ptr::null(), std::ptr::null());
                let flags = c::MS_BIND;
                Outcome::new(call!(self, mount(old.as_ptr(), new.as_ptr(), none, flags, nothing)))
            }
            Op::Unmount { path, lazy } => {
                let path = self.path(path);
                let flags = if *lazy { c::MNT_DETACH } else { 0 };
                Outcome::new(call!(self, umount2(path.as_ptr(), flags)))
            }
        }
    }

    fn read(&mut self, slot: Slot, room: usize) -> Outcome {
        let kind = self.kind_of(slot);
        if kind == c::S_IFDIR as u32 && room > 0 {
            return self.exception(exceptions::READ_DIRECTORY);
        }
        let fd = self.fd(slot);
        let room = room.min(self.buffer.len() * 8);
        let got = call!(self, read(fd, self.buffer.as_mut_ptr().cast(), room));
        let count = got.unwrap_or(0) as usize;
        // SAFETY: `u64`s are made of bytes, and there are at least `count`.
        let bytes = unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast::<u8>(), count) };
        if kind == c::S_IFREG as u32 {
            self.host.exception(exceptions::CONTENTS);
            return Outcome::new(got);
        }
        // This is a count of a timer. An event of inotify(7) is longer.
        if kind == 0 && count == 8 {
            let expirations = u64::from_ne_bytes(bytes.try_into().expect("eight"));
            return Outcome::new(got).with(|| Detail::Numbers(vec![expirations as i64]));
        }
        let mut events = Vec::new();
        if kind == 0 {
            let mut at = 0;
            while at < count {
                let field = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
                let length = field(at + 12) as usize;
                let name = &bytes[at + 16..at + 16 + length];
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(length);
                assert!(length == 0 || name[end..].iter().all(|byte| *byte == 0));
                let mut name = String::from_utf8_lossy(&name[..end]).into_owned();
                // The name of a file without a name contains its number.
                if name.starts_with('#') {
                    name.truncate(1);
                }
                let cookie = self.cookie(field(at + 8));
                let (watch, mask) = (field(at) as i32, field(at + 4));
                events.push(Noticed { watch, mask, cookie, name });
                at += 16 + length;
            }
            return Outcome::new(got).with(|| Detail::Watched(events));
        }
        let wrong = bytes.iter().filter(|byte| **byte != 0xa5).count() as i64;
        Outcome::new(got).with(|| Detail::Numbers(vec![wrong]))
    }

    /// Numbers the cookies, which differ between kernels, in the order of their appearance.
    fn cookie(&mut self, cookie: u32) -> u32 {
        if cookie == 0 {
            return 0;
        }
        let known = self.cookies.iter().position(|it| *it == cookie);
        let at = known.unwrap_or_else(|| {
            self.cookies.push(cookie);
            self.cookies.len() - 1
        });
        at as u32 + 1
    }

    fn list(&mut self, slot: Slot, room: usize, batches: Option<usize>) -> Outcome {
        let fd = self.fd(slot);
        let mut listing = Listing { entries: Vec::new(), ended: false };
        let room = room.min(self.buffer.len() * 8);
        for _ in 0..batches.unwrap_or(usize::MAX) {
            let to = self.buffer.as_mut_ptr().cast::<u8>();
            let got = call!(self, syscall(c::SYS_getdents64, fd, to, room));
            let count = match got {
                Ok(count) => count as usize,
                Err(errno) => return Outcome::new(Err(errno)),
            };
            if count == 0 {
                listing.ended = true;
                break;
            }
            // SAFETY: `u64`s are made of bytes, and there are at least `count`.
            let bytes =
                unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast::<u8>(), count) };
            let mut at = 0;
            while at < count {
                let length = u16::from_ne_bytes([bytes[at + 16], bytes[at + 17]]) as usize;
                let name = &bytes[at + 19..at + length];
                let end = name.iter().position(|byte| *byte == 0).expect("it ends");
                let name = String::from_utf8_lossy(&name[..end]).into_owned();
                listing.entries.push((name, bytes[at + 18]));
                at += length;
            }
        }
        Outcome::new(Ok(0)).with(|| Detail::Listed(listing))
    }

    fn select(&mut self, read: &[Slot], write: &[Slot]) -> Outcome {
        /// Sets of more than `FD_SETSIZE` are not needed.
        fn set(fds: &[c::c_int]) -> (c::fd_set, c::c_int) {
            // SAFETY: integers only, for which zero is a value.
            let mut set: c::fd_set = unsafe { mem::zeroed() };
            let words = (&raw mut set).cast::<c::c_ulong>();
            for fd in fds {
                let fd = *fd as usize;
                // SAFETY: below FD_SETSIZE.
                unsafe { *words.add(fd / 64) |= 1 << (fd % 64) };
            }
            (set, fds.iter().max().map_or(0, |fd| fd + 1))
        }
        fn has(set: &c::fd_set, fd: c::c_int) -> bool {
            let words = (&raw const *set).cast::<c::c_ulong>();
            // SAFETY: below FD_SETSIZE.
            unsafe { *words.add(fd as usize / 64) & (1 << (fd as usize % 64)) != 0 }
        }
        const { assert!(c::c_ulong::BITS == 64) };
        let closed = self.host.lowest() + CLOSED_FOR_SELECT;
        let fds = |player: &Player, slots: &[Slot]| -> Vec<c::c_int> {
            slots.iter().map(|slot| player.slots[*slot].unwrap_or(closed)).collect()
        };
        let (readers, writers) = (fds(self, read), fds(self, write));
        let ((mut first, end), (mut second, other)) = (set(&readers), set(&writers));
        let mut timeout = c::timeval { tv_sec: 0, tv_usec: 0 };
        let none = std::ptr::null_mut();
        let end = end.max(other);
        let (to, also) = (&raw mut first, &raw mut second);
        let found = call!(self, select(end, to, also, none, &raw mut timeout));
        let ready = |slots: &[Slot], fds: &[c::c_int], set: &c::fd_set| -> Vec<Slot> {
            let pairs = slots.iter().zip(fds);
            pairs.filter(|(_, fd)| has(set, **fd)).map(|(slot, _)| *slot).collect()
        };
        Outcome::new(found).with(|| Detail::Selected {
            read: ready(read, &readers, &first),
            write: ready(write, &writers, &second),
        })
    }

    /// Closes all descriptors.
    pub(crate) fn end(mut self) {
        for fd in mem::take(&mut self.slots).into_iter().flatten() {
            let _ = call!(self, close(fd));
        }
        self.play(&Op::Recover);
    }
}
