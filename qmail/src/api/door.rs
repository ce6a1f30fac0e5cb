//! A queue and what it is waited for with.

use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Key, Notifier, OtherReaders, Todo, WatchMode, todo::Queue};

use super::{
    PULLCORD_DIRECTORY, PULLCORD_NO_TRIGGER, PULLCORD_POSTFIX, PULLCORD_QMAIL, PULLCORD_SHARE,
    PULLCORD_WATCH_OFF, PULLCORD_WATCH_REQUIRED,
};
use crate::boundary::Wanted;
use crate::errors::Failure;

const LAYOUTS: u32 = 15;
const KNOWN: u32 =
    LAYOUTS | PULLCORD_WATCH_OFF | PULLCORD_WATCH_REQUIRED | PULLCORD_SHARE | PULLCORD_NO_TRIGGER;

pub(super) struct Door {
    todo: Todo,
    waits: Waits,
    /// Nothing was asked of the kernel since the turn began.
    fresh: bool,
    path: Vec<u8>,
    /// The entry of that path was found and is not handed out yet.
    waiting: bool,
}

/// How the queue's descriptors are waited for.
enum Waits {
    /// By one of ours, that holds them.
    Nested(Box<dyn Notifier>, Events),
    /// By themselves, in the caller's set.
    Bare,
}

impl Door {
    pub(super) fn open(path: &Path, options: u32, tick: u32) -> Result<Door, Failure> {
        let notifier = Backend::from_env()?.open()?;
        let mut todo = Todo::open(queue(path, options, tick)?)?;
        let mut waits = Waits::Bare;
        if notifier.pollable_fd().is_some() {
            let mut notifier = notifier;
            todo.register(&mut *notifier, [Key(0), Key(1)])?;
            waits = Waits::Nested(notifier, Events::with_capacity(8));
        }
        Ok(Door { todo, waits, fresh: true, path: Vec::new(), waiting: false })
    }

    pub(super) fn descriptor(&self) -> Result<c_int, Failure> {
        let nested = match &self.waits {
            Waits::Nested(notifier, _) => notifier.pollable_fd(),
            Waits::Bare => None,
        };
        let none =
            || Failure::new(libc::ENOTSUP, "select cannot nest: use pullcord_prepare_select");
        nested.map(|descriptor| descriptor.as_raw_fd()).ok_or_else(none)
    }

    pub(super) fn prepare(&mut self) -> Result<c_int, Failure> {
        self.fresh = true;
        let timeout = match &mut self.waits {
            Waits::Nested(notifier, _) => {
                let timeout = self.todo.prepare(&mut **notifier, Instant::now())?;
                timeout.unwrap_or(Duration::MAX)
            }
            Waits::Bare => self.todo.sources(Instant::now()).timeout,
        };
        Ok(if self.waiting { 0 } else { milliseconds(timeout) })
    }

    pub(super) fn prepare_select(&mut self, wanted: &mut Wanted<'_>) -> Result<c_int, Failure> {
        let deadline = self.prepare()?;
        let fits = match &self.waits {
            Waits::Nested(notifier, _) => notifier.pollable_fd().is_none_or(|fd| wanted.add(fd)),
            Waits::Bare => {
                let sources = self.todo.sources(Instant::now());
                let mut all = [sources.trigger, sources.watch].into_iter().flatten();
                all.all(|source| wanted.add(source))
            }
        };
        if fits {
            return Ok(deadline);
        }
        Err(Failure::new(libc::EMFILE, "a descriptor is beyond FD_SETSIZE: close some"))
    }

    /// The path of the next entry. It comes again until [`handed_out`](Door::handed_out) is said.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        if !self.waiting {
            self.ask()?;
            let Some(entry) = self.todo.next(Instant::now()) else { return Ok(None) };
            let path = entry?.path();
            self.path.clear();
            self.path.extend_from_slice(path.as_os_str().as_bytes());
            self.waiting = true;
        }
        Ok(Some(&self.path))
    }

    pub(super) fn handed_out(&mut self) {
        self.waiting = false;
    }

    pub(super) fn requeue(&mut self, path: &Path, delay: u32) -> Result<c_int, Failure> {
        let delay = Duration::from_millis(delay.into());
        self.todo.requeue(path, Instant::now() + delay)?;
        Ok(0)
    }

    /// Asks the kernel, once a turn, what has become ready.
    fn ask(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.fresh) {
            return Ok(());
        }
        match &mut self.waits {
            Waits::Nested(notifier, events) => {
                notifier.wait(events, Some(Duration::ZERO))?;
                for event in &*events {
                    self.todo.ready(event);
                }
            }
            // The set is the caller's; to look in vain costs a read.
            Waits::Bare => {
                self.todo.trigger_ready();
                self.todo.watch_ready();
            }
        }
        Ok(())
    }
}

fn queue(path: &Path, options: u32, tick: u32) -> Result<Queue, Failure> {
    let has = |option| options & option != 0;
    if options & !KNOWN != 0 || has(PULLCORD_WATCH_OFF) && has(PULLCORD_WATCH_REQUIRED) {
        let words = format_args!("these options do not go together, or do not exist: {options}");
        return Err(Failure::new(libc::EINVAL, words));
    }
    let mut queue = match options & LAYOUTS {
        PULLCORD_QMAIL => Queue::qmail(path)?,
        PULLCORD_POSTFIX => Queue::postfix(path)?,
        PULLCORD_DIRECTORY => Queue::directories([path]),
        other => {
            return Err(Failure::new(libc::EINVAL, format_args!("there is no layout {other}")));
        }
    };
    if has(PULLCORD_WATCH_OFF) {
        queue = queue.watch(WatchMode::Off);
    }
    if has(PULLCORD_WATCH_REQUIRED) {
        queue = queue.watch(WatchMode::Required);
    }
    if has(PULLCORD_SHARE) {
        queue = queue.sharing(OtherReaders::Allow);
    }
    if has(PULLCORD_NO_TRIGGER) {
        queue = queue.without_trigger();
    }
    if tick != 0 {
        queue = queue.tick(Duration::from_secs(tick.into()));
    }
    Ok(queue)
}

/// In whole milliseconds, never early.
fn milliseconds(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}
