//! The kernel as a whole: processes, descriptors, waiting, the clock, and the seam for faults and
//! for the world around the queue.

use super::call::Call;
use super::epoll::Epoll;
use super::faults::{Census, Fault, Faults};
use super::fifo::{Fifo, WriteError};
use super::inotify::Inotify;
#[cfg(pullcord_sim = "bsd")]
use super::kqueue::Kqueue;
use super::libc::{
    EACCES, EAGAIN, EBADF, EEXIST, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENOENT,
    ENOSPC, ENOTDIR, ENOTTY, ENXIO, EPERM, EPIPE, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, ETXTBSY,
    F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, IN_ONLYDIR, O_ACCMODE,
    O_CLOEXEC, O_CREAT, O_DIRECT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR,
    O_WRONLY, c_int,
};
use super::settings::{FsKind, Pipes, Settings};
use super::tree::{
    Caller, Cursor, Errno, Ino, Listed, Node, Place, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, Tree, Use,
};

/// All that happens beside the queue's process.
pub trait World {
    /// Is called before each system call of the queue, and may change everything.
    fn before_call(&mut self, kernel: &mut Kernel, call: Call);

    /// The queue sleeps until `deadline`, or without a timeout: the next time at which something
    /// happens, if there is one.
    fn next_time(&mut self, kernel: &Kernel) -> Option<u64>;

    /// The time that `next_time` returned has come.
    fn at_time(&mut self, kernel: &mut Kernel);
}

/// The number of the process that the queue runs in. The world may use the others.
pub const QUEUE: usize = 0;

#[derive(Debug)]
struct Process {
    /// The description and the close-on-exec flag of each descriptor.
    table: Vec<Option<(usize, bool)>>,
    directory: Place,
}

/// An open file description.
#[derive(Debug)]
pub(super) struct Description {
    references: u32,
    flags: c_int,
    /// How often those that wait for it were woken.
    wakes: u64,
    /// How a directory, a FIFO or a file was reached.
    by: Option<Use>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory(Cursor),
    /// `writer_opens` as of its own open, if no writer had it open then.
    Fifo {
        ino: Ino,
        without_writer: Option<u64>,
    },
    File(Ino),
    Inotify(Inotify),
    Epoll(Epoll),
    #[cfg(pullcord_sim = "bsd")]
    Kqueue(Kqueue),
}

/// A simulated kernel.
pub struct Kernel {
    settings: Settings,
    pub(super) tree: Tree,
    descriptions: Vec<Option<Description>>,
    processes: Vec<Process>,
    current: usize,
    now: u64,
    faults: Faults,
    world: Option<Box<dyn World>>,
    interrupted: bool,
    /// Calls of the queue's process, and how often it was woken.
    calls: u64,
    wakeups: u64,
    trace: u64,
    log: Option<Vec<String>>,
    /// The number of the last registration with an epoll instance.
    registrations: u64,
    /// The directories that the queue's process has opened since this was last asked.
    opened: Vec<Ino>,
    last_fault: Option<u64>,
}

/// The result of what can fail with an error number.
pub type Outcome<T> = Result<T, Errno>;

impl Kernel {
    /// A kernel with one file system, whose root directory is empty.
    pub fn new(settings: Settings, root: FsKind) -> Kernel {
        let mut kernel = Kernel {
            settings,
            tree: Tree::new(root),
            descriptions: Vec::new(),
            processes: Vec::new(),
            current: QUEUE,
            // Not 0, so that a time before the start exists.
            now: 1_000_000_000_000,
            faults: Faults::default(),
            world: None,
            interrupted: false,
            calls: 0,
            wakeups: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            log: None,
            registrations: 0,
            opened: Vec::new(),
            last_fault: None,
        };
        kernel.tree.now = kernel.now;
        kernel.add_process();
        kernel
    }

    /// Starts a process without descriptors, and returns its number.
    pub fn add_process(&mut self) -> usize {
        let directory = self.tree.root();
        self.processes.push(Process { table: Vec::new(), directory });
        self.processes.len() - 1
    }

    /// Sets what happens beside the queue.
    pub fn set_world(&mut self, world: Box<dyn World>) {
        self.world = Some(world);
    }

    /// Removes it.
    pub fn take_world(&mut self) -> Option<Box<dyn World>> {
        self.world.take()
    }

    /// Lets another process than the queue's act. Its calls cost no time and cannot fail by a fault.
    pub fn act<R>(&mut self, process: usize, act: impl FnOnce(&mut Kernel) -> R) -> R {
        let before = std::mem::replace(&mut self.current, process);
        let result = act(self);
        self.current = before;
        result
    }

    /// The settings, to be changed while it runs.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The file systems.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The time, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets time pass.
    pub fn advance(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.tree.now = self.now;
    }

    /// How many calls the queue's process has made.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// How often its waits have returned.
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    /// A hash of all calls and results.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Records each call, for a person to read.
    pub fn keep_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// Adds a line to the record, if one is kept.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.6} {}", (now as f64 - 1e12) / 1e9, line()));
        }
    }

    /// The record.
    pub fn take_log(&mut self) -> Vec<String> {
        self.log.take().unwrap_or_default()
    }

    /// Injects a fault into the calls of the queue's process.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.inject(fault);
    }

    /// Ends all faults.
    pub fn end_faults(&mut self) {
        self.faults.clear();
    }

    /// The time at which a call failed by a fault, once.
    pub fn take_fault(&mut self) -> Option<u64> {
        self.last_fault.take()
    }

    /// The directories that the queue's process has opened since the last call.
    pub fn take_opened(&mut self) -> Vec<Ino> {
        std::mem::take(&mut self.opened)
    }

    /// Whether a fault is in force.
    pub fn is_faulty(&self) -> bool {
        self.faults.are_active(self.now)
    }

    /// How often each call was made, and failed.
    pub fn census(&self) -> &Census {
        &self.faults.census
    }

    /// Ends the wait that the queue sleeps in, or its next one, with `EINTR`.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// How many descriptors a process has open.
    pub fn open_descriptors(&self, process: usize) -> usize {
        self.processes[process].table.iter().flatten().count()
    }

    /// The watches that the queue's process has: whether an inode has one.
    pub fn is_watched(&self, ino: Ino) -> bool {
        let mut descriptions = self.descriptions.iter().flatten();
        descriptions.any(|it| match &it.kind {
            Kind::Inotify(inotify) => inotify.is_watched(ino),
            _ => false,
        })
    }

    // --- the seam --------------------------------------------------------------------------

    /// Begins a call of the library: lets the world act, lets time pass, and fails it if a fault
    /// says so.
    pub(super) fn enter(&mut self, call: Call) -> Outcome<()> {
        if let Some(mut world) = self.world.take() {
            world.before_call(self, call);
            self.world = Some(world);
        }
        if self.current != QUEUE {
            return Ok(());
        }
        self.calls += 1;
        self.advance(self.settings.cost);
        match self.faults.strike(call, self.now) {
            Some(errno) => {
                self.last_fault = Some(self.now);
                Err(errno)
            }
            None => Ok(()),
        }
    }

    /// Ends a call of the library: hashes it into the trace.
    pub(super) fn leave(&mut self, call: Call, result: Outcome<i64>) -> Outcome<i64> {
        let value = match result {
            Ok(value) => value,
            Err(errno) => -i64::from(errno),
        };
        for part in [call as u64, value as u64, self.now] {
            self.trace = (self.trace ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
        }
        if self.current == QUEUE && call.waits() {
            self.wakeups += 1;
        }
        self.note(|| match result {
            Ok(value) => format!("{} = {value}", call.name()),
            Err(errno) => format!("{}: {}", call.name(), std::io::Error::from_raw_os_error(errno)),
        });
        result
    }

    /// Sleeps until `ready`, a signal, or the deadline. Returns whether it is ready.
    fn sleep(&mut self, deadline: Option<u64>, ready: impl Fn(&Kernel) -> bool) -> Outcome<bool> {
        self.check_low_descriptors();
        loop {
            if ready(self) {
                return Ok(true);
            }
            if std::mem::take(&mut self.interrupted) {
                return Err(EINTR);
            }
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                return Ok(false);
            }
            let Some(mut world) = self.world.take() else {
                let Some(deadline) = deadline else {
                    panic!("the queue waits without a timeout, and nothing else can happen");
                };
                self.advance(deadline - self.now);
                continue;
            };
            let next = world.next_time(self);
            match (next, deadline) {
                (Some(next), deadline) if deadline.is_none_or(|deadline| next <= deadline) => {
                    self.advance(next.saturating_sub(self.now));
                    world.at_time(self);
                }
                (_, Some(deadline)) => self.advance(deadline - self.now + self.settings.oversleep),
                (_, None) => panic!("the queue waits without a timeout, and the world has ended"),
            }
            self.world = Some(world);
        }
    }

    fn check_low_descriptors(&self) {
        let table = &self.processes[QUEUE].table;
        if let Some(low) = table.iter().take(3).position(Option::is_some) {
            panic!("the queue sleeps and keeps descriptor {low}");
        }
    }

    /// Lets the queue's process sleep without waiting for anything. Returns early on a signal.
    pub fn rest(&mut self, nanoseconds: u64) {
        let deadline = self.now + nanoseconds;
        let _ = self.sleep(Some(deadline), |_| false);
    }

    // --- descriptors -----------------------------------------------------------------------

    fn caller(&self) -> Caller {
        if self.current == QUEUE && !self.settings.privileged {
            Caller::Owner
        } else {
            Caller::Privileged
        }
    }

    fn here(&self) -> Place {
        self.processes[self.current].directory
    }

    /// The description of a descriptor of the current process.
    fn description_of(&self, fd: c_int) -> Outcome<usize> {
        let table = &self.processes[self.current].table;
        let found = usize::try_from(fd).ok().and_then(|fd| table.get(fd).copied().flatten());
        match found {
            Some((description, _)) => Ok(description),
            None if self.settings.strict && self.current == QUEUE => {
                panic!("descriptor {fd} is used, and is not open")
            }
            None => Err(EBADF),
        }
    }

    pub(super) fn description(&self, number: usize) -> &Description {
        self.descriptions[number].as_ref().expect("an open description")
    }

    fn description_mut(&mut self, number: usize) -> &mut Description {
        self.descriptions[number].as_mut().expect("an open description")
    }

    fn free_descriptor(&self, from: usize) -> Outcome<usize> {
        let lowest = if self.settings.low_descriptors && self.current == QUEUE { 0 } else { 3 };
        let table = &self.processes[self.current].table;
        let from = from.max(lowest);
        let free = (from..).find(|fd| table.get(*fd).is_none_or(Option::is_none));
        let free = free.unwrap_or(usize::MAX);
        if free < self.settings.descriptors { Ok(free) } else { Err(EMFILE) }
    }

    fn set_descriptor(&mut self, fd: usize, description: usize, cloexec: bool) {
        let table = &mut self.processes[self.current].table;
        if table.len() <= fd {
            table.resize(fd + 1, None);
        }
        table[fd] = Some((description, cloexec));
    }

    /// Gives a new description its first descriptor.
    fn install(&mut self, kind: Kind, flags: c_int, by: Option<Use>) -> Outcome<c_int> {
        let fd = self.free_descriptor(0)?;
        let cloexec = flags & O_CLOEXEC != 0;
        let flags = flags & (O_ACCMODE | O_NONBLOCK | O_DIRECT);
        if let Some(by) = by {
            self.tree.hold(by);
        }
        let description = Description { references: 1, flags, wakes: 0, by, kind };
        let slot = self.descriptions.iter().position(Option::is_none);
        let number = slot.unwrap_or_else(|| {
            self.descriptions.push(None);
            self.descriptions.len() - 1
        });
        self.descriptions[number] = Some(description);
        self.set_descriptor(fd, number, cloexec);
        Ok(fd as c_int)
    }

    /// close(2).
    pub fn close(&mut self, fd: c_int) -> Outcome<()> {
        let number = self.description_of(fd)?;
        self.processes[self.current].table[fd as usize] = None;
        #[cfg(pullcord_sim = "bsd")]
        for at in 0..self.processes[self.current].table.len() {
            // A kqueue is not inherited, so that it belongs to one process.
            let Some((kqueue, _)) = self.processes[self.current].table[at] else { continue };
            if let Kind::Kqueue(kqueue) = &mut self.description_mut(kqueue).kind {
                kqueue.forget(fd);
            }
        }
        let description = self.description_mut(number);
        description.references -= 1;
        if description.references > 0 {
            return Ok(());
        }
        let closed = self.descriptions[number].take().expect("it was open");
        for other in self.descriptions.iter_mut().flatten() {
            if let Kind::Epoll(epoll) = &mut other.kind {
                epoll.forget(number);
            }
        }
        if let Kind::Fifo { ino, .. } = closed.kind {
            self.close_fifo(ino, closed.flags);
        }
        if let Some(by) = closed.by {
            self.tree.release(by);
        }
        self.deliver();
        Ok(())
    }

    /// Ends a process: all its descriptors are closed.
    pub fn kill(&mut self, process: usize) {
        self.act(process, |kernel| {
            for fd in 0..kernel.processes[process].table.len() {
                if kernel.processes[process].table[fd].is_some() {
                    let _ = kernel.close(fd as c_int);
                }
            }
        });
    }

    /// fcntl(2).
    pub fn fcntl(&mut self, fd: c_int, command: c_int, argument: c_int) -> Outcome<c_int> {
        let number = self.description_of(fd)?;
        match command {
            F_DUPFD_CLOEXEC => {
                let lowest = usize::try_from(argument).map_err(|_| EINVAL)?;
                if lowest >= self.settings.descriptors {
                    return Err(EINVAL);
                }
                let fd = self.free_descriptor(lowest)?;
                self.description_mut(number).references += 1;
                self.set_descriptor(fd, number, true);
                Ok(fd as c_int)
            }
            F_GETFD => {
                let (_, cloexec) = self.processes[self.current].table[fd as usize].expect("open");
                Ok(c_int::from(cloexec))
            }
            F_SETFD => {
                let cloexec = argument & FD_CLOEXEC != 0;
                self.set_descriptor(fd as usize, number, cloexec);
                Ok(0)
            }
            F_GETFL => Ok(self.description(number).flags),
            F_SETFL => {
                let flags = &mut self.description_mut(number).flags;
                *flags = *flags & O_ACCMODE | argument & !O_ACCMODE;
                Ok(0)
            }
            _ => Err(EINVAL),
        }
    }

    // --- files -----------------------------------------------------------------------------

    /// open(2).
    pub fn open(&mut self, path: &[u8], flags: c_int, mode: u32) -> Outcome<c_int> {
        let creates = flags & O_CREAT != 0;
        let exclusive = creates && flags & O_EXCL != 0;
        let follow = flags & O_NOFOLLOW == 0 && !exclusive;
        self.prepare_open(path)?;
        let mut created = false;
        if creates {
            let absent = self.tree.resolve_absent(self.caller(), self.here(), path, follow)?;
            if let Some((parent, name)) = absent {
                let (name, mode) = (name.to_vec(), S_IFREG | mode & 0o7777);
                self.tree.make_in(self.caller(), parent, &name, mode, Node::File)?;
                created = true;
                self.deliver();
            }
        }
        let spot = self.tree.resolve_spot(self.caller(), self.here(), path, follow)?;
        let place = spot.place;
        if exclusive && !created {
            return Err(EEXIST);
        }
        let (read, write) = match flags & O_ACCMODE {
            O_WRONLY => (false, true),
            O_RDWR => (true, true),
            _ => (true, false),
        };
        // A file that was just created is opened whatever its mode is.
        let caller = if created { Caller::Privileged } else { self.caller() };
        let inode = self.tree.inode(place.ino);
        if inode.mode & super::tree::S_IFMT == S_IFLNK {
            return Err(if flags & O_DIRECTORY != 0 { ENOTDIR } else { ELOOP });
        }
        let is_directory = self.tree.is_directory(place.ino);
        if flags & O_DIRECTORY != 0 && !is_directory {
            return Err(ENOTDIR);
        }
        if is_directory && (write || creates) {
            return Err(EISDIR);
        }
        if read && !self.tree.may_read(caller, place.ino)
            || write && !self.tree.may_write(caller, place.ino)
        {
            return Err(EACCES);
        }
        let kind = match &self.tree.inode(place.ino).node {
            Node::Directory(_) => Kind::Directory(self.tree.open_directory(place.ino)),
            Node::Fifo(fifo) => {
                let alone = read && fifo.writers == 0;
                let without_writer = alone.then_some(fifo.writer_opens);
                if flags & O_NONBLOCK == 0 && !write && fifo.writers == 0 && self.current == QUEUE {
                    panic!("open of a FIFO blocks for ever: {}", String::from_utf8_lossy(path));
                }
                if write && !read && fifo.readers == 0 {
                    return Err(ENXIO);
                }
                Kind::Fifo { ino: place.ino, without_writer }
            }
            Node::File => Kind::File(place.ino),
            Node::Link(_) => return Err(ETXTBSY),
        };
        if is_directory && self.current == QUEUE {
            self.opened.push(place.ino);
        }
        let is_fifo = matches!(kind, Kind::Fifo { .. });
        let by = self.tree.use_of(spot);
        let fd = self.install(kind, flags, Some(by))?;
        if is_fifo {
            self.open_fifo(place.ino, flags);
            if flags & O_DIRECT != 0 && self.settings.pipes == Pipes::Linux {
                // Found only then: those that wait were woken.
                self.close(fd)?;
                return Err(EINVAL);
            }
        }
        Ok(fd)
    }

    /// What an open fails with whatever there is at the path.
    fn prepare_open(&self, path: &[u8]) -> Outcome<()> {
        match path.len() {
            0 => Err(ENOENT),
            1..4096 => self.free_descriptor(0).map(drop),
            _ => Err(ENAMETOOLONG),
        }
    }

    /// open(2) with `O_TMPFILE`: a file without a name in a directory.
    pub fn open_unnamed(&mut self, directory: &[u8], mode: u32) -> Outcome<c_int> {
        self.prepare_open(directory)?;
        let place = self.tree.resolve(self.caller(), self.here(), directory, true)?;
        if !self.tree.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        let by = self.tree.make_unnamed(self.caller(), place, S_IFREG | mode & 0o7777)?;
        self.install(Kind::File(by.ino), O_RDWR, Some(by))
    }

    /// linkat(2) of an open file, with `AT_EMPTY_PATH`.
    pub fn link_open(&mut self, fd: c_int, path: &[u8]) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let by = self.description(number).by.ok_or(ENOENT)?;
        let linked = self.tree.link_open(self.caller(), self.here(), by, path);
        self.deliver();
        linked
    }

    fn open_fifo(&mut self, ino: Ino, flags: c_int) {
        let (read, write) = ends(flags);
        let fifo = self.tree.fifo_mut(ino);
        fifo.readers += u32::from(read);
        fifo.writers += u32::from(write);
        let first = write && fifo.writers == 1 || read && fifo.readers == 1;
        if write {
            fifo.writer_opens += 1;
            fifo.end_was_read = false;
        }
        if first {
            self.wake_fifo(ino, End::Read, 0);
            if self.settings.pipes != Pipes::Linux {
                self.wake_fifo(ino, End::Write, 0);
            }
        }
    }

    fn close_fifo(&mut self, ino: Ino, flags: c_int) {
        let (read, write) = ends(flags);
        let fifo = self.tree.fifo_mut(ino);
        fifo.readers -= u32::from(read);
        fifo.writers -= u32::from(write);
        let one_sided = (fifo.writers == 0) != (fifo.readers == 0);
        fifo.discard_if_closed();
        if one_sided {
            self.wake_fifo(ino, End::Read, 0);
            self.wake_fifo(ino, End::Write, 0);
        }
    }

    /// Wakes all that wait for one end of a FIFO. `key` has the events that it is for, or is 0 for
    /// all.
    fn wake_fifo(&mut self, ino: Ino, end: End, key: c_int) {
        let is_end = |it: &Description| {
            let (read, write) = ends(it.flags);
            let is_that_end = if end == End::Read { read } else { write };
            is_that_end && matches!(it.kind, Kind::Fifo { ino: its, .. } if its == ino)
        };
        for number in 0..self.descriptions.len() {
            if self.descriptions[number].as_ref().is_some_and(is_end) {
                self.count_wake(number);
            }
        }
        self.wake_pollers(&|kernel, number| is_end(kernel.description(number)), key);
    }

    /// Wakes all that wait for a description, and those that wait for what waits for it.
    fn wake(&mut self, number: usize) {
        self.count_wake(number);
        self.wake_pollers(&|_, source| source == number, 0);
    }

    fn count_wake(&mut self, number: usize) {
        self.description_mut(number).wakes += 1;
        #[cfg(pullcord_sim = "bsd")]
        for outer in 0..self.descriptions.len() {
            let waits = match self.descriptions[outer].as_ref().map(|it| &it.kind) {
                Some(Kind::Kqueue(kqueue)) => outer != number && kqueue.watches(number),
                _ => false,
            };
            if waits {
                self.wake(outer);
            }
        }
    }

    /// Calls the epoll instances that wait for these sources: the latest registration first.
    fn wake_pollers(&mut self, is_source: &dyn Fn(&Kernel, usize) -> bool, key: c_int) {
        let mut before = u64::MAX;
        loop {
            let mut latest: Option<(usize, u64)> = None;
            for (number, description) in self.descriptions.iter().enumerate() {
                let Some(Kind::Epoll(epoll)) = description.as_ref().map(|it| &it.kind) else {
                    continue;
                };
                for registration in epoll.registrations() {
                    let order = registration.order;
                    if order < before
                        && latest.is_none_or(|(_, latest)| order > latest)
                        && is_source(self, registration.description)
                    {
                        latest = Some((number, order));
                    }
                }
            }
            let Some((number, order)) = latest else { return };
            before = order;
            let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return };
            if epoll.wake(order, key as u32) {
                self.wake_pollers(&|_, source| source == number, EPOLLIN);
            }
        }
    }

    /// read(2) from a FIFO, a pipe or a file. Returns how many bytes there were.
    pub fn read(&mut self, fd: c_int, room: usize) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let description = self.description(number);
        let flags = description.flags;
        match description.kind {
            Kind::Fifo { .. } if !ends(flags).0 => Err(EBADF),
            Kind::Fifo { ino, without_writer } => {
                let pipes = self.settings.pipes;
                let fifo = self.tree.fifo_mut(ino);
                let was_full = fifo.is_full(pipes);
                let count = fifo.read(room);
                let never = without_writer == Some(fifo.writer_opens);
                if count == 0 && room > 0 && (fifo.writers > 0 || never && pipes == Pipes::FreeBsd)
                {
                    if flags & O_NONBLOCK == 0 && self.current == QUEUE {
                        panic!("a read blocks for ever");
                    }
                    return Err(EAGAIN);
                }
                fifo.end_was_read |= count == 0;
                if was_full && !fifo.is_full(pipes) {
                    self.wake_fifo(ino, End::Write, EPOLLOUT);
                }
                Ok(count)
            }
            Kind::Directory(_) => Err(EISDIR),
            Kind::File(_) => Ok(0),
            _ => Err(EINVAL),
        }
    }

    /// write(2) to a FIFO, a pipe or a file. Returns how many bytes were written.
    pub fn write(&mut self, fd: c_int, count: usize) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let description = self.description(number);
        let flags = description.flags;
        match description.kind {
            _ if flags & O_ACCMODE == O_RDONLY => Err(EBADF),
            Kind::Fifo { ino, .. } => {
                let packet = flags & O_DIRECT != 0 && self.settings.pipes == Pipes::Linux;
                let fifo = self.tree.fifo_mut(ino);
                let was_empty = fifo.is_empty();
                let written = fifo.write(count, packet, self.settings.pipes);
                // Linux wakes the readers even if nothing was written.
                let wakes = match written {
                    Ok(0) => false,
                    Ok(_) => was_empty || self.settings.edge_at_each_write,
                    Err(_) => {
                        self.settings.pipes == Pipes::Linux && self.settings.edge_at_each_write
                    }
                };
                if wakes {
                    self.wake_fifo(ino, End::Read, EPOLLIN);
                }
                match written {
                    Ok(count) => Ok(count),
                    Err(WriteError::NoReader) => Err(EPIPE),
                    Err(WriteError::Full) => Err(EAGAIN),
                }
            }
            Kind::File(_) => Ok(count),
            _ => Err(EINVAL),
        }
    }

    /// pipe2(2).
    pub fn pipe(&mut self, flags: c_int) -> Outcome<[c_int; 2]> {
        let root = self.tree.root().ino;
        let fs = self.tree.inode(root).fs;
        let ino = self.tree.add_inode(fs, S_IFIFO | 0o600, Node::Fifo(Fifo::default()), root);
        self.tree.inode_mut(ino).links = 1;
        let end = |kernel: &mut Kernel, flags| {
            let kind = Kind::Fifo { ino, without_writer: None };
            let by = Use { ino, mount: None, entry: None };
            let fd = kernel.install(kind, flags, Some(by))?;
            kernel.open_fifo(ino, flags);
            Ok(fd)
        };
        let reader = end(self, O_RDONLY | flags & (O_NONBLOCK | O_CLOEXEC))?;
        match end(self, O_WRONLY | flags & (O_NONBLOCK | O_CLOEXEC | O_DIRECT)) {
            Ok(writer) => Ok([reader, writer]),
            Err(errno) => {
                self.close(reader)?;
                Err(errno)
            }
        }
    }

    /// The next entries of an open directory, one call of getdents64(2).
    pub(super) fn read_directory(
        &mut self,
        fd: c_int,
        fits: impl FnMut(&Listed) -> bool,
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        let Kind::Directory(cursor) = &self.description(number).kind else { return Err(ENOTDIR) };
        let mut cursor = cursor.clone();
        let count = self.tree.read_directory(&mut cursor, self.settings.batch, fits)?;
        self.description_mut(number).kind = Kind::Directory(cursor);
        self.advance(count as u64 * self.settings.cost_of_entry);
        Ok(count)
    }

    /// The inode and mode behind a descriptor.
    pub(super) fn fstat(&mut self, fd: c_int) -> Outcome<Stat> {
        let number = self.description_of(fd)?;
        let ino = match &self.description(number).kind {
            Kind::Directory(cursor) => cursor.ino,
            Kind::Fifo { ino, .. } | Kind::File(ino) => *ino,
            _ => {
                return Ok(Stat {
                    device: 14,
                    number: number as u64,
                    mode: 0o600,
                    ..Stat::default()
                });
            }
        };
        Ok(self.stat_inode(ino))
    }

    /// fstatat(2). `directory` is `None` for the current one.
    pub(super) fn fstatat(
        &mut self,
        directory: Option<c_int>,
        path: &[u8],
        follow: bool,
    ) -> Outcome<Stat> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        let start = match directory {
            Some(fd) if path[0] != b'/' => {
                let number = self.description_of(fd)?;
                let description = self.description(number);
                if !matches!(description.kind, Kind::Directory(_)) {
                    return Err(ENOTDIR);
                }
                let by = description.by.expect("a directory was reached by something");
                Place { ino: by.ino, mount: by.mount.expect("a directory is on a mount") }
            }
            _ => self.here(),
        };
        let place = self.tree.resolve(self.caller(), start, path, follow)?;
        Ok(self.stat_inode(place.ino))
    }

    fn stat_inode(&mut self, ino: Ino) -> Stat {
        let (device, number) = self.tree.identity(ino);
        let inode = self.tree.inode(ino);
        let links = u64::from(inode.links);
        Stat { device, number, mode: inode.mode, links, changed: inode.changed }
    }

    /// The kind of the file system that a path is on.
    pub(super) fn statfs(&self, path: &[u8]) -> Outcome<FsKind> {
        let place = self.tree.resolve(self.caller(), self.here(), path, true)?;
        Ok(self.tree.kind_of_system(place.ino))
    }

    // --- changes to the tree, mostly by others -----------------------------------------------

    /// mkdir(2).
    pub fn mkdir(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFDIR | mode & 0o7777, Node::Directory(Vec::new()))
    }

    /// mkfifo(3).
    pub fn mkfifo(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFIFO | mode & 0o7777, Node::Fifo(Fifo::default()))
    }

    /// symlink(2).
    pub fn symlink(&mut self, target: &[u8], path: &[u8]) -> Outcome<()> {
        if target.is_empty() {
            return Err(ENOENT);
        }
        self.make(path, S_IFLNK | 0o777, Node::Link(target.into()))
    }

    /// open(2) with `O_CREAT | O_EXCL`, and close(2).
    pub fn create(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        self.make(path, S_IFREG | mode, Node::File)
    }

    fn make(&mut self, path: &[u8], mode: u32, node: Node) -> Outcome<()> {
        let made = self.tree.make(self.caller(), self.here(), path, mode, node).map(drop);
        self.deliver();
        made
    }

    /// link(2).
    pub fn link(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        let linked = self.tree.link(self.caller(), self.here(), old, new);
        self.deliver();
        linked
    }

    /// unlink(2).
    pub fn unlink(&mut self, path: &[u8]) -> Outcome<()> {
        let unlinked = self.tree.unlink(self.caller(), self.here(), path);
        self.deliver();
        unlinked
    }

    /// rmdir(2).
    pub fn rmdir(&mut self, path: &[u8]) -> Outcome<()> {
        let posts = self.settings.failed_rmdir_posts_delete;
        let removed = self.tree.rmdir(self.caller(), self.here(), path, posts);
        self.deliver();
        removed
    }

    /// rename(2).
    pub fn rename(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        let renamed = self.tree.rename(self.caller(), self.here(), old, new);
        self.deliver();
        renamed
    }

    /// chmod(2).
    pub fn chmod(&mut self, path: &[u8], mode: u32) -> Outcome<()> {
        let spot = self.tree.resolve_spot(self.caller(), self.here(), path, true)?;
        self.tree.chmod(spot.place.ino, mode, spot.entry);
        self.deliver();
        Ok(())
    }

    /// fchmod(2). The entry by which the file was opened is reported, and no other name of it.
    pub fn fchmod(&mut self, fd: c_int, mode: u32) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let by = self.description(number).by.ok_or(EINVAL)?;
        self.tree.chmod(by.ino, mode, by.entry);
        self.deliver();
        Ok(())
    }

    /// A new file system, not mounted yet.
    pub fn add_system(&mut self, kind: FsKind) -> usize {
        self.tree.add_system(kind)
    }

    /// mount(2) of a file system.
    pub fn mount(&mut self, system: usize, path: &[u8]) -> Outcome<()> {
        self.tree.mount(self.caller(), self.here(), system, path)
    }

    /// mount(2) with `MS_BIND`.
    pub fn bind(&mut self, old: &[u8], new: &[u8]) -> Outcome<()> {
        self.tree.bind(self.caller(), self.here(), old, new)
    }

    /// umount2(2), with `MNT_DETACH` if `lazy`.
    pub fn unmount(&mut self, path: &[u8], lazy: bool) -> Outcome<()> {
        let unmounted = self.tree.unmount(self.caller(), self.here(), path, lazy);
        self.deliver();
        unmounted
    }

    /// chdir(2) of a process.
    pub fn chdir(&mut self, process: usize, path: &[u8]) -> Outcome<()> {
        let from = self.processes[process].directory;
        let place = self.tree.resolve(Caller::Privileged, from, path, true)?;
        self.processes[process].directory = place;
        Ok(())
    }

    /// The number of the entry that a path names, from the current process's directory.
    pub fn entry(&self, path: &[u8]) -> Option<u64> {
        self.tree.entry_at(self.here(), path).map(|entry| entry.id)
    }

    /// The inode that a path leads to, as a privileged process finds it.
    pub fn find(&self, path: &[u8]) -> Outcome<Ino> {
        let place = self.tree.resolve(Caller::Privileged, self.tree.root(), path, true)?;
        Ok(place.ino)
    }

    // --- watches -----------------------------------------------------------------------------

    /// Hands all notices to the watches.
    fn deliver(&mut self) {
        if self.tree.notices.is_empty() {
            return;
        }
        for notice in std::mem::take(&mut self.tree.notices) {
            for number in 0..self.descriptions.len() {
                let description = self.descriptions[number].as_mut();
                let has_more = match description.map(|it| &mut it.kind) {
                    Some(Kind::Inotify(inotify)) => inotify.notice(&notice),
                    _ => false,
                };
                if has_more {
                    self.wake(number);
                }
            }
            #[cfg(pullcord_sim = "bsd")]
            self.deliver_to_kqueues(&notice);
        }
    }

    /// inotify_init1(2).
    pub fn inotify_init(&mut self, flags: c_int) -> Outcome<c_int> {
        let instances = self.descriptions.iter().flatten();
        let instances = instances.filter(|it| matches!(it.kind, Kind::Inotify(_))).count();
        if instances >= self.settings.instances {
            return Err(EMFILE);
        }
        let inotify = Inotify::new(self.settings.queued_events);
        self.install(Kind::Inotify(inotify), O_RDONLY | flags & (O_NONBLOCK | O_CLOEXEC), None)
    }

    fn inotify(&mut self, fd: c_int) -> Outcome<(usize, &mut Inotify)> {
        let number = self.description_of(fd)?;
        match &mut self.description_mut(number).kind {
            Kind::Inotify(inotify) => Ok((number, inotify)),
            _ => Err(EINVAL),
        }
    }

    /// inotify_add_watch(2).
    pub fn inotify_add_watch(&mut self, fd: c_int, path: &[u8], mask: u32) -> Outcome<i32> {
        // `ALL_INOTIFY_BITS` of the kernel.
        if mask & 0xf700_efff == 0 {
            return Err(EINVAL);
        }
        self.inotify(fd)?;
        let place = self.tree.resolve(self.caller(), self.here(), path, true)?;
        if mask & IN_ONLYDIR != 0 && !self.tree.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        if !self.tree.may_read(self.caller(), place.ino) {
            return Err(EACCES);
        }
        let limit = self.settings.watches;
        let (_, inotify) = self.inotify(fd)?;
        if !inotify.is_watched(place.ino) && inotify.watch_count() >= limit {
            inotify.take_id();
            return Err(ENOSPC);
        }
        Ok(inotify.add(place.ino, mask))
    }

    /// inotify_rm_watch(2).
    pub fn inotify_rm_watch(&mut self, fd: c_int, watch: i32) -> Outcome<()> {
        let (number, inotify) = self.inotify(fd)?;
        if !inotify.remove(watch) {
            return Err(EINVAL);
        }
        self.wake(number);
        Ok(())
    }

    /// read(2) from an inotify descriptor: `take` receives each event that fits.
    pub(super) fn read_inotify(
        &mut self,
        fd: c_int,
        mut room: usize,
        mut take: impl FnMut(super::inotify::Event),
    ) -> Outcome<usize> {
        let before = room;
        let mut masks = Vec::new();
        let (_, inotify) = self.inotify(fd)?;
        if inotify.is_empty() {
            return Err(EAGAIN);
        }
        while let Some(event) = inotify.next(room) {
            room -= event.size();
            masks.push(event.mask);
            take(event);
        }
        masks.into_iter().for_each(|mask| self.faults.census.count_event(mask));
        if room == before { Err(EINVAL) } else { Ok(before - room) }
    }

    /// Whether a descriptor is of a directory. Fails with `ENOTDIR` if it is not.
    #[cfg(any(pullcord_sim = "bsd", pullcord_sim = "none"))]
    pub(super) fn is_directory(&self, fd: c_int) -> Outcome<bool> {
        let number = self.description_of(fd)?;
        let is_directory = matches!(self.description(number).kind, Kind::Directory { .. });
        if is_directory { Ok(true) } else { Err(ENOTDIR) }
    }

    pub(super) fn is_inotify(&self, fd: c_int) -> bool {
        let number = self.description_of(fd);
        number.is_ok_and(|number| matches!(self.description(number).kind, Kind::Inotify(_)))
    }

    /// ioctl(2) with `FIONREAD`.
    pub fn bytes_available(&mut self, fd: c_int) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        match &self.description(number).kind {
            Kind::Inotify(inotify) => Ok(inotify.bytes()),
            Kind::Fifo { ino, .. } => Ok(self.tree.fifo(*ino).bytes()),
            Kind::Epoll(_) => Err(EINVAL),
            _ => Err(ENOTTY),
        }
    }

    // --- waiting -----------------------------------------------------------------------------

    /// Whether the description is ready, in the bits of epoll(7); and how often it was woken.
    fn readiness(&self, number: usize) -> (u32, u64) {
        let description = self.description(number);
        let wakes = description.wakes;
        let events = match &description.kind {
            Kind::Fifo { ino, without_writer } => {
                let fifo = self.tree.fifo(*ino);
                let (read, write) = ends(description.flags);
                let pipes = self.settings.pipes;
                let mut events = 0;
                if read {
                    events |= if fifo.is_empty() { 0 } else { EPOLLIN };
                    let never = *without_writer == Some(fifo.writer_opens);
                    if fifo.writers == 0 && !never {
                        events |= match pipes {
                            Pipes::Linux => EPOLLHUP,
                            Pipes::FreeBsd => EPOLLIN | EPOLLHUP,
                            Pipes::NetBsd => EPOLLIN,
                        };
                    }
                }
                if write {
                    events |= if fifo.is_full(pipes) { 0 } else { EPOLLOUT };
                    events |= if fifo.readers == 0 { EPOLLERR } else { 0 };
                }
                events
            }
            Kind::Inotify(inotify) => {
                if inotify.is_empty() {
                    0
                } else {
                    EPOLLIN
                }
            }
            Kind::Epoll(epoll) => {
                if epoll.is_ready(&|number| self.readiness(number).0) {
                    EPOLLIN
                } else {
                    0
                }
            }
            #[cfg(pullcord_sim = "bsd")]
            Kind::Kqueue(kqueue) => {
                if kqueue.is_ready(&|knote| self.source_state(knote)) {
                    EPOLLIN
                } else {
                    0
                }
            }
            Kind::Directory(_) | Kind::File(_) => EPOLLIN | EPOLLOUT,
        };
        (events as u32, wakes)
    }

    /// epoll_create1(2).
    pub fn epoll_create(&mut self) -> Outcome<c_int> {
        self.install(Kind::Epoll(Epoll::default()), O_RDWR | O_CLOEXEC, None)
    }

    /// epoll_ctl(2). `operation`: 1 adds, 2 deletes, 3 modifies.
    pub fn epoll_ctl(
        &mut self,
        fd: c_int,
        operation: c_int,
        source: c_int,
        events: u32,
        data: u64,
    ) -> Outcome<()> {
        let number = self.description_of(fd)?;
        let source_number = self.description_of(source)?;
        if matches!(self.description(source_number).kind, Kind::Directory(_) | Kind::File(_)) {
            return Err(EPERM);
        }
        let is_epoll = |number: usize| matches!(self.description(number).kind, Kind::Epoll(_));
        if number == source_number || !is_epoll(number) {
            return Err(EINVAL);
        }
        if operation == 1 && is_epoll(source_number) {
            let depth = self.depth_below(source_number, number)?;
            if depth + 1 + self.depth_above(number) > 4 {
                return Err(ELOOP);
            }
        }
        let now = self.readiness(source_number).0;
        self.registrations += 1;
        let order = self.registrations;
        let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return Err(EINVAL) };
        let event = (events, data);
        let ready = match operation {
            1 => epoll.add(source, source_number, event, order, now).ok_or(EEXIST)?,
            2 if epoll.remove(source, source_number) => false,
            2 => return Err(ENOENT),
            3 => epoll.modify(source, source_number, event, now).ok_or(ENOENT)?,
            _ => return Err(EINVAL),
        };
        if ready {
            self.wake_pollers(&|_, source| source == number, EPOLLIN);
        }
        Ok(())
    }

    /// How deep epoll instances are nested in this one. Fails with `ELOOP` if `outer` is among them.
    fn depth_below(&self, number: usize, outer: usize) -> Outcome<u32> {
        if number == outer {
            return Err(ELOOP);
        }
        let Kind::Epoll(epoll) = &self.description(number).kind else { return Ok(0) };
        let mut depth = 0;
        for inner in epoll.registrations() {
            if matches!(self.description(inner.description).kind, Kind::Epoll(_)) {
                depth = depth.max(self.depth_below(inner.description, outer)? + 1);
            }
        }
        Ok(depth)
    }

    /// How deep this epoll instance is nested in others.
    fn depth_above(&self, number: usize) -> u32 {
        let outer = self.descriptions.iter().enumerate().filter(|(_, it)| {
            let kind = it.as_ref().map(|it| &it.kind);
            matches!(kind, Some(Kind::Epoll(epoll)) if epoll.watches(number))
        });
        outer.map(|(outer, _)| self.depth_above(outer) + 1).max().unwrap_or(0)
    }

    /// epoll_wait(2): `report` receives events and data.
    pub(super) fn epoll_wait(
        &mut self,
        fd: c_int,
        room: usize,
        milliseconds: c_int,
        report: impl FnMut(u32, u64),
    ) -> Outcome<usize> {
        let number = self.description_of(fd)?;
        if !matches!(self.description(number).kind, Kind::Epoll(_)) || room == 0 {
            return Err(EINVAL);
        }
        let timeout = u64::try_from(milliseconds).ok().map(|ms| ms * 1_000_000);
        let deadline = timeout.map(|timeout| self.now + timeout);
        self.sleep(deadline, |kernel| kernel.readiness(number).0 != 0)?;
        // It is taken out for a moment, since what it asks for is in the same table.
        let Kind::Epoll(epoll) = &mut self.description_mut(number).kind else { return Err(EINVAL) };
        let mut taken = std::mem::take(epoll);
        let found = taken.wait(room, |number| self.readiness(number).0, report);
        self.description_mut(number).kind = Kind::Epoll(taken);
        Ok(found)
    }

    /// select(2): the wanted descriptors in, the ready ones out. Returns how many there are.
    pub(super) fn select(
        &mut self,
        read: &mut Vec<c_int>,
        write: &mut Vec<c_int>,
        microseconds: Option<u64>,
    ) -> Outcome<usize> {
        let number_of = |kernel: &Kernel, fd: &c_int| -> Outcome<usize> {
            let table = &kernel.processes[kernel.current].table;
            table.get(*fd as usize).copied().flatten().map(|(number, _)| number).ok_or(EBADF)
        };
        for fd in read.iter().chain(write.iter()) {
            number_of(self, fd)?;
        }
        let is_ready = |kernel: &Kernel, fd: &c_int, bits: c_int| {
            number_of(kernel, fd).is_ok_and(|number| kernel.readiness(number).0 & bits as u32 != 0)
        };
        let (readable, writable) = (EPOLLIN | EPOLLHUP | EPOLLERR, EPOLLOUT | EPOLLERR);
        let deadline = microseconds.map(|microseconds| self.now + microseconds * 1000);
        self.sleep(deadline, |kernel| {
            read.iter().any(|fd| is_ready(kernel, fd, readable))
                || write.iter().any(|fd| is_ready(kernel, fd, writable))
        })?;
        read.retain(|fd| is_ready(self, fd, readable));
        write.retain(|fd| is_ready(self, fd, writable));
        Ok(read.len() + write.len())
    }
}

/// What a stat returns, as far as it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub number: u64,
    /// `st_mode`.
    pub mode: u32,
    /// `st_nlink`.
    pub links: u64,
    /// `st_ctime`, in nanoseconds.
    pub changed: u64,
}

/// An end of a FIFO, and those that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Read,
    Write,
}

/// Which ends of a FIFO a description has: to read, to write.
fn ends(flags: c_int) -> (bool, bool) {
    let direction = flags & O_ACCMODE;
    (direction != O_WRONLY, direction != O_RDONLY)
}

#[cfg(pullcord_sim = "bsd")]
mod bsd {
    use super::super::kqueue::{Knote, SourceState};
    use super::super::libc::{
        EV_ADD, EV_DELETE, EV_RECEIPT, EVFILT_READ, EVFILT_VNODE, EVFILT_WRITE, NOTE_ATTRIB,
        NOTE_DELETE, NOTE_EXTEND, NOTE_LINK, NOTE_RENAME, NOTE_REVOKE, NOTE_WRITE, kevent,
    };
    use super::super::tree::{EntryChange, Notice, SelfChange};
    use super::*;

    impl Kernel {
        pub(in super::super) fn kqueue(&mut self) -> Outcome<c_int> {
            self.install(Kind::Kqueue(Kqueue::default()), O_RDWR, None)
        }

        /// One change. The error that its receipt carries.
        pub(in super::super) fn kevent_change(&mut self, fd: c_int, change: kevent) -> Outcome<()> {
            let number = self.description_of(fd)?;
            let source = change.ident as c_int;
            let description = self.description_of(source)?;
            let is_directory = matches!(self.description(description).kind, Kind::Directory(_));
            if change.filter == EVFILT_VNODE && !is_directory {
                return Err(EINVAL);
            }
            let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind else {
                return Err(EBADF);
            };
            if change.flags & EV_DELETE != 0 {
                let done = kqueue.delete(source, change.filter);
                return if done { Ok(()) } else { Err(ENOENT) };
            }
            if change.flags & EV_ADD != 0 {
                let event = kevent { flags: change.flags & !(EV_ADD | EV_RECEIPT), ..change };
                kqueue.add(source, description, event);
            }
            self.wake(number);
            Ok(())
        }

        /// Waits for events and fetches at most `room`.
        pub(in super::super) fn kevent_fetch(
            &mut self,
            fd: c_int,
            room: usize,
            timeout: Option<u64>,
            report: impl FnMut(kevent),
        ) -> Outcome<usize> {
            let number = self.description_of(fd)?;
            if !matches!(self.description(number).kind, Kind::Kqueue(_)) {
                return Err(EBADF);
            }
            if timeout != Some(0) {
                self.wakeups += 1;
            }
            let deadline = timeout.map(|timeout| self.now.saturating_add(timeout));
            self.sleep(deadline, |kernel| kernel.readiness(number).0 != 0)?;
            let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind else {
                return Err(EBADF);
            };
            let mut taken = std::mem::take(kqueue);
            let found = taken.fetch(room, |knote| self.source_state(knote), report);
            self.description_mut(number).kind = Kind::Kqueue(taken);
            Ok(found)
        }

        pub(super) fn source_state(&self, knote: &Knote) -> SourceState {
            let description = self.description(knote.description);
            let wakes = description.wakes;
            let pipes = self.settings.pipes;
            match &description.kind {
                Kind::Fifo { ino, without_writer } => {
                    let fifo = self.tree.fifo(*ino);
                    if knote.filter == EVFILT_WRITE {
                        let end = fifo.readers == 0;
                        return SourceState { data: usize::from(!fifo.is_full(pipes)), end, wakes };
                    }
                    let never = *without_writer == Some(fifo.writer_opens);
                    let end_is_over = pipes == Pipes::NetBsd && fifo.end_was_read;
                    let end = fifo.writers == 0 && !never && !end_is_over;
                    SourceState { data: fifo.bytes(), end, wakes }
                }
                _ => {
                    debug_assert!(knote.filter != EVFILT_READ || !knote.disabled);
                    let ready = self.readiness(knote.description).0 != 0;
                    SourceState { data: usize::from(ready), end: false, wakes }
                }
            }
        }

        pub(super) fn deliver_to_kqueues(&mut self, notice: &Notice) {
            let (ino, notes) = match notice {
                Notice::Entry { directory, change, is_directory, .. } => {
                    let notes = match change {
                        EntryChange::Created | EntryChange::Removed if *is_directory => {
                            NOTE_WRITE | NOTE_LINK
                        }
                        EntryChange::Created | EntryChange::Removed => NOTE_WRITE,
                        // FreeBSD; plain NOTE_WRITE on NetBSD's tmpfs.
                        EntryChange::MovedFrom | EntryChange::MovedTo => NOTE_WRITE | NOTE_EXTEND,
                        EntryChange::Attributes => return,
                    };
                    (*directory, notes)
                }
                Notice::Itself { ino, change, .. } => {
                    let notes = match change {
                        SelfChange::Attributes => NOTE_ATTRIB,
                        SelfChange::Moved => NOTE_RENAME,
                        SelfChange::Unlinked => NOTE_DELETE,
                        SelfChange::Unmounted => NOTE_REVOKE,
                        SelfChange::Deleted => return,
                    };
                    (*ino, notes)
                }
            };
            for number in 0..self.descriptions.len() {
                let watched = |description: usize| {
                    let kind = self.descriptions[description].as_ref().map(|it| &it.kind);
                    matches!(kind, Some(Kind::Directory(cursor)) if cursor.ino == ino)
                };
                let Some(Kind::Kqueue(kqueue)) =
                    self.descriptions[number].as_ref().map(|it| &it.kind)
                else {
                    continue;
                };
                let hits: Vec<usize> = (0..kqueue.knotes.len())
                    .filter(|at| {
                        let knote = &kqueue.knotes[*at];
                        knote.filter == EVFILT_VNODE
                            && knote.event.fflags & notes != 0
                            && watched(knote.description)
                    })
                    .collect();
                if hits.is_empty() {
                    continue;
                }
                if let Kind::Kqueue(kqueue) = &mut self.description_mut(number).kind {
                    for at in hits {
                        let wanted = kqueue.knotes[at].event.fflags;
                        kqueue.knotes[at].notes |= notes & wanted;
                    }
                }
                self.wake(number);
            }
        }
    }
}
