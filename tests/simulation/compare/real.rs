//! The kernel of this system, and a place on it that a script cannot leave. The place has its own
//! directory, its own descriptors, and its own mounts if that is permitted.

#[path = "arrivals.rs"]
pub(crate) mod arrivals;
#[path = "player.rs"]
pub(crate) mod player;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::script::{Limit, Script};

/// The C library of this system, with the additions of the simulated one.
mod c {
    pub(super) use libc::__errno_location as errno;
    pub(super) use libc::*;

    pub(super) unsafe fn open_with_mode(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: the caller guarantees it.
        unsafe { libc::open(path, flags, mode) }
    }

    pub(super) unsafe fn epoll_pwait2(
        epoll: c_int,
        events: *mut epoll_event,
        room: c_int,
        seconds: i64,
        nanoseconds: i64,
    ) -> c_int {
        let (timeout, no_mask) = ([seconds, nanoseconds], std::ptr::null::<sigset_t>());
        let timeout = &raw const timeout;
        // SAFETY: as the caller promises; `timeout` lives through the call.
        unsafe {
            libc::syscall(SYS_epoll_pwait2, epoll, events, room, timeout, no_mask, 0) as c_int
        }
    }

    /// Whether this kernel has the call.
    pub(super) fn has_epoll_pwait2() -> bool {
        // SAFETY: no events are returned through a descriptor that does not exist.
        let waited = unsafe { epoll_pwait2(-1, std::ptr::null_mut(), 1, 0, 0) };
        // SAFETY: the address of this thread's errno is valid.
        waited == -1 && unsafe { *errno() } == EBADF
    }
}

/// A pause that is longer than a tick of the time stamps, which is at most 10 ms.
pub(crate) const PAUSE: Duration = Duration::from_millis(12);

/// The number of descriptors that a script can have, plus three.
pub(crate) const DESCRIPTORS: usize = 256;

/// The permissions of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    /// To open every file regardless of its mode, and to give up this right.
    pub(crate) privileged: bool,
    pub(crate) mounts: bool,
    /// To lower the limits of inotify(7).
    pub(crate) limits: bool,
    /// epoll_pwait2(2).
    pub(crate) precise_waits: bool,
}

/// The kernel of this system, as the player uses it.
pub(crate) struct Host {
    /// How often each function was called.
    pub(crate) calls: BTreeMap<&'static str, u64>,
    /// How often each exception was applied.
    pub(crate) exceptions: BTreeMap<&'static str, u64>,
    /// The first descriptor that a script gets.
    lowest: c::c_int,
    limits: [Option<Knob>; 3],
    lowered: Option<usize>,
    /// Locked during a call to which a limit applies.
    turn: Option<MutexGuard<'static, ()>>,
}

/// The limits are those of the system: only one thread at a time makes a call that they apply to.
static TURN: Mutex<()> = Mutex::new(());

const LIMITS: [&str; 3] = ["max_queued_events", "max_user_watches", "max_user_instances"];

impl Host {
    pub(crate) fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }

    pub(crate) fn exception(&mut self, name: &'static str) {
        *self.exceptions.entry(name).or_default() += 1;
    }

    /// The first descriptor that a script gets.
    pub(crate) fn lowest(&self) -> c::c_int {
        self.lowest
    }

    /// The directory in which this thread's descriptors have names.
    pub(crate) fn descriptors(&self) -> &'static str {
        "/proc/thread-self/fd"
    }

    /// Sleeps longer than a tick of the time stamps, so that timers expire.
    pub(crate) fn pause(&mut self) {
        thread::sleep(PAUSE);
    }

    /// Sets a limit for the next call. Another process on this system is affected only if it makes
    /// the same call in the same few microseconds.
    pub(crate) fn limit(&mut self, limit: Limit) {
        self.turn = Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
        let (which, value) = match limit {
            Limit::Usual => return,
            Limit::Events(count) => (0, count),
            Limit::NoWatches => (1, 0),
            Limit::NoInstances => (2, 0),
        };
        if let Some(knob) = &self.limits[which] {
            self.lowered = Some(which);
            set(knob.fd, &value.to_string());
        }
    }

    /// Restores the limit.
    pub(crate) fn no_limit(&mut self) {
        if let Some(lowered) = self.lowered.take() {
            let knob = self.limits[lowered].as_ref().expect("it was lowered");
            set(knob.fd, &knob.usual);
        }
        self.turn = None;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.no_limit();
    }
}

/// Writes the value of a limit.
fn set(fd: c::c_int, value: &str) {
    // SAFETY: the bytes live as long as the call.
    let written = unsafe { c::pwrite(fd, value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(written, value.len() as isize, "{}", io::Error::last_os_error());
}

/// The behaviours in which versions of this kernel differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quirks {
    pub(crate) writes_to_fifos_are_reported: bool,
}

impl Quirks {
    fn of(directory: &Path) -> io::Result<Quirks> {
        let (directory, fifo) = (c_path(directory), c_path(&directory.join("fifo")));
        let mut buffer = [0_u8; 512];
        // SAFETY: C strings, and a buffer that lives as long as the calls.
        unsafe {
            checked(c::mkfifo(fifo.as_ptr(), 0o600))?;
            let watch = checked(c::inotify_init1(c::IN_NONBLOCK | c::IN_CLOEXEC))?;
            checked(c::inotify_add_watch(watch, directory.as_ptr(), c::IN_MODIFY))?;
            let fd = checked(c::open(fifo.as_ptr(), c::O_RDWR | c::O_NONBLOCK | c::O_CLOEXEC))?;
            let written = c::write(fd, buffer.as_ptr().cast(), 1);
            let read = c::read(watch, buffer.as_mut_ptr().cast(), buffer.len());
            c::close(fd);
            c::close(watch);
            c::unlink(fifo.as_ptr());
            assert_eq!(written, 1, "a FIFO accepts a byte");
            Ok(Quirks { writes_to_fifos_are_reported: read > 0 })
        }
    }
}

/// The place, until it is dropped.
pub(crate) struct Ground {
    pub(crate) host: Host,
    pub(crate) means: Means,
    pub(crate) quirks: Quirks,
    /// Messages about the parts that are left out.
    pub(crate) left_out: Vec<String>,
    base: tempfile::TempDir,
    bound: bool,
}

/// The result of a call that returns -1 for an error.
fn checked(returned: c::c_int) -> io::Result<c::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

impl Ground {
    /// Prepares the calling thread. If threads can be private, no other one of this process changes.
    pub(crate) fn new(directory: &Path, limits: &Limits) -> io::Result<Ground> {
        let base = tempfile::Builder::new().prefix("pullcord-compare-").tempdir_in(directory)?;
        if limits.threads_can_be_private() {
            be_private()?;
            // SAFETY: no pointers. From 3 on, no descriptor of this thread is in use.
            checked(unsafe { c::close_range(3, DESCRIPTORS as c::c_uint - 1, 0) })?;
        }
        let lowest = limits.lowest;
        // SAFETY: no pointers.
        unsafe {
            c::umask(0);
            c::signal(c::SIGPIPE, c::SIG_IGN);
        }
        let mut left_out = Vec::new();
        let mounts = private_mounts(base.path());
        if let Err(error) = &mounts {
            left_out.push(format!("mounts: {error}"));
        }
        let drops = owner_only(true).and_then(|()| owner_only(false));
        // SAFETY: it has no arguments.
        let privileged = unsafe { c::geteuid() } == 0 && drops.is_ok();
        if !privileged {
            left_out.push("files that a process opens regardless of their mode: not root".into());
        }
        left_out.extend(limits.missing.clone());
        let all = limits.missing.is_none();
        let limits = limits.knobs.clone();
        let (calls, exceptions) = Default::default();
        let host = Host { calls, exceptions, lowest, limits, lowered: None, turn: None };
        let precise_waits = c::has_epoll_pwait2();
        if !precise_waits {
            left_out.push("epoll_pwait2: this kernel has none".into());
        }
        let means = Means { privileged, mounts: mounts.is_ok(), limits: all, precise_waits };
        let quirks = Quirks::of(base.path())?;
        Ok(Ground { host, means, quirks, left_out, base, bound: false })
    }

    /// Creates the directory of a script and drops the rights that the script must not have.
    pub(crate) fn enter(&mut self, script: &Script) -> String {
        if script.mounts() {
            bind(self.base.path(), self.base.path()).expect("it succeeded before");
            self.bound = true;
        }
        let root = self.root();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(&root).expect("a directory for the script");
        if script.as_owner && self.means.privileged {
            owner_only(true).expect("it succeeded before");
        }
        root.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Returns a path below the temporary directory, so that `..` stays within it.
    fn root(&self) -> PathBuf {
        self.base.path().join("p/q/r")
    }

    /// Removes all that a script has left. Its descriptors are closed.
    pub(crate) fn leave(&mut self) {
        if self.means.privileged {
            owner_only(false).expect("it succeeded before");
        }
        if std::mem::take(&mut self.bound) {
            let path = c_path(self.base.path());
            // SAFETY: a C string.
            checked(unsafe { c::umount2(path.as_ptr(), c::MNT_DETACH) }).expect("it was mounted");
        }
        let top = self.base.path().join("p");
        if fs::remove_dir_all(&top).is_err() {
            permit(&top);
            fs::remove_dir_all(&top).expect("the script's files can be removed");
        }
    }

    /// The type of the file system.
    pub(crate) fn magic(&self) -> i64 {
        magic(self.base.path())
    }
}

/// Gives this thread descriptors and a umask of its own.
fn be_private() -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { c::unshare(c::CLONE_FILES | c::CLONE_FS) })?;
    Ok(())
}

/// Opens descriptors until every free number is greater than every open one. Returns the opened
/// descriptors and the first free number.
fn fill_gaps() -> io::Result<(Vec<c::c_int>, c::c_int)> {
    // SAFETY: no pointers.
    let is_open = |fd: &c::c_int| unsafe { c::fcntl(*fd, c::F_GETFD, 0) } != -1;
    let top = (0..4096).rev().find(is_open).unwrap_or(2);
    let mut fillers = Vec::new();
    loop {
        // SAFETY: a C string.
        let fd = checked(unsafe { c::open(c"/dev/null".as_ptr(), c::O_RDONLY | c::O_CLOEXEC) })?;
        if fd > top {
            // The duplicate makes the table of descriptors grow. select(2) does not skip numbers within
            // the table.
            // SAFETY: the descriptor and its duplicate were just opened.
            unsafe {
                c::close(c::fcntl(fd, c::F_DUPFD_CLOEXEC, fd + DESCRIPTORS as c::c_int));
                c::close(fd);
            }
            return Ok((fillers, fd));
        }
        fillers.push(fd);
    }
}

/// The type of the file system that a path is on.
pub(crate) fn magic(path: &Path) -> i64 {
    let path = c_path(path);
    // SAFETY: integers only; the pointers live as long as the call.
    unsafe {
        let mut stat: c::statfs64 = std::mem::zeroed();
        checked(c::statfs64(path.as_ptr(), &raw mut stat)).expect("it exists");
        #[allow(clippy::unnecessary_cast)]
        return stat.f_type as i64;
    }
}

/// The limits of the system and of this process. Until it is dropped, the limit of descriptors is lower.
pub(crate) struct Limits {
    knobs: [Option<Knob>; 3],
    /// The errors of limits that cannot be changed.
    missing: Option<String>,
    private: bool,
    /// The first descriptor that a script gets.
    lowest: c::c_int,
    fillers: Vec<c::c_int>,
    descriptors: c::rlimit,
    /// Restores the limits of the system when this process has ended, even if it was killed.
    _guard: Guard,
}

/// A process that waits until this one has ended.
struct Guard(Child);

impl Guard {
    fn new() -> io::Result<Guard> {
        let mut script = String::from("cat");
        for name in LIMITS {
            let path = format!("/proc/sys/fs/inotify/{name}");
            let usual = fs::read_to_string(&path).unwrap_or_default();
            if !usual.is_empty() {
                script += &format!("; echo {} > {path}", usual.trim());
            }
        }
        // In a process group of its own, so that it survives a signal to this one's.
        let mut command = Command::new("sh");
        command.args(["-c", &script]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Limits {
    pub(crate) fn new() -> io::Result<Limits> {
        // Before all other descriptors.
        let guard = Guard::new()?;
        let private = thread::spawn(|| be_private().is_ok()).join().unwrap_or(false);
        let (fillers, lowest) = if private { (Vec::new(), 3) } else { fill_gaps()? };
        let end = lowest - 3 + DESCRIPTORS as c::c_int;
        let opened = LIMITS.map(|name| open_limit(name, end));
        let missing = opened.iter().find_map(|it| it.as_ref().err().map(io::Error::to_string));
        let knobs = opened.map(Result::ok);
        // SAFETY: integers only, for which zero is a value.
        let mut usual: c::rlimit = unsafe { std::mem::zeroed() };
        // SAFETY: both point to a value that lives as long as the call.
        unsafe {
            checked(c::getrlimit(c::RLIMIT_NOFILE, &raw mut usual))?;
            let lower = c::rlimit { rlim_cur: end as _, ..usual };
            checked(c::setrlimit(c::RLIMIT_NOFILE, &raw const lower))?;
        }
        let descriptors = usual;
        Ok(Limits { knobs, missing, private, lowest, fillers, descriptors, _guard: guard })
    }

    /// Returns whether a thread can have its own descriptors.
    pub(crate) fn threads_can_be_private(&self) -> bool {
        self.private
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        // SAFETY: it points to a value that lives as long as the call.
        unsafe { c::setrlimit(c::RLIMIT_NOFILE, &raw const self.descriptors) };
        let knobs = self.knobs.iter().flatten().map(|knob| knob.fd);
        for fd in knobs.chain(self.fillers.iter().copied()) {
            // SAFETY: it is open, and owned here.
            unsafe { c::close(fd) };
        }
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no zero byte")
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (c_path(from), c_path(to));
    let none = std::ptr::null();
    // SAFETY: C strings, and null where nothing is wanted.
    checked(unsafe { c::mount(from.as_ptr(), to.as_ptr(), none, c::MS_BIND, none.cast()) })?;
    Ok(())
}

/// Gives this thread, and those that it starts, mounts of their own.
pub(crate) fn have_private_mounts() -> io::Result<()> {
    let none = std::ptr::null();
    let flags = c::MS_REC | c::MS_PRIVATE;
    // SAFETY: C strings, and null where nothing is wanted.
    unsafe {
        checked(c::unshare(c::CLONE_NEWNS))?;
        checked(c::mount(none, c"/".as_ptr(), none, flags, none.cast()))?;
    }
    Ok(())
}

/// Gives this thread mounts of its own, and tries one.
fn private_mounts(base: &Path) -> io::Result<()> {
    have_private_mounts()?;
    bind(base, base)?;
    // SAFETY: a C string.
    checked(unsafe { c::umount2(c_path(base).as_ptr(), c::MNT_DETACH) })?;
    Ok(())
}

/// A limit of inotify(7), open to be changed.
#[derive(Clone)]
struct Knob {
    fd: c::c_int,
    usual: String,
}

/// Opens it with a descriptor that is `end` or greater: none that a script can have.
fn open_limit(name: &str, end: c::c_int) -> io::Result<Knob> {
    let path = format!("/proc/sys/fs/inotify/{name}");
    let error = |error: io::Error| io::Error::other(format!("{path}: {error}"));
    let usual = fs::read_to_string(&path).map_err(error)?.trim().to_owned();
    let name = CString::new(path.as_str()).expect("no zero byte");
    // SAFETY: a C string; then a descriptor that was just opened.
    unsafe {
        let low = checked(c::open(name.as_ptr(), c::O_WRONLY | c::O_CLOEXEC)).map_err(error)?;
        let high = checked(c::fcntl(low, c::F_DUPFD_CLOEXEC, end));
        c::close(low);
        Ok(Knob { fd: high.map_err(error)?, usual })
    }
}

/// Drops this thread's right to open files regardless of their mode, or restores it.
fn owner_only(only: bool) -> io::Result<()> {
    /// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`.
    const RIGHTS: u32 = 1 << 1 | 1 << 2;
    let mut header: [u32; 2] = [0x2008_0522, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: both point to values of the sizes that capget(2) and capset(2) name.
    unsafe {
        checked(c::syscall(c::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) as c::c_int)?;
        let [effective, permitted, _] = &mut sets[0];
        *effective = if only { *effective & !RIGHTS } else { *effective | *permitted & RIGHTS };
        checked(c::syscall(c::SYS_capset, header.as_mut_ptr(), sets.as_mut_ptr()) as c::c_int)?;
    }
    Ok(())
}

/// Permits the owner to remove everything below a directory.
fn permit(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            permit(&entry.path());
        }
    }
}
