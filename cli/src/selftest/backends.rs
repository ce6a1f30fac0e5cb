//! What each backend does here.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Interest, Key, Mode, Notifier, OtherReaders, Trigger, pull};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Notes, Observation};

/// How long to wait for what must come, and how long to be sure that nothing does.
const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(20);

pub(super) fn observe(directory: &Path, observations: &mut Vec<Observation>) {
    for backend in Backend::available() {
        let mut notes = Notes { about: backend.to_string(), observations };
        match backend.open() {
            Ok(_) => try_all(backend, &directory.join(backend.as_str()), &mut notes),
            Err(e) => notes.expect("it can be opened", Err(e)),
        }
    }
}

type Try = fn(&mut Bench) -> io::Result<bool>;

const TRIES: [(&str, Try); 8] = [
    ("a pull wakes it, and a drain ends that", |bench| {
        bench.register(Mode::Level)?;
        bench.pull()?;
        Ok(bench.wakes()? && bench.wakes()? && bench.drain()? && bench.is_quiet()?)
    }),
    ("an edge comes after each drain", |bench| {
        bench.register(Mode::Edge)?;
        for _ in 0..100 {
            bench.pull()?;
            if !(bench.wakes()? && bench.drain()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }),
    ("one-shot fires once, until it is registered again", |bench| {
        bench.register(Mode::OneShot)?;
        bench.pull()?;
        let once = bench.wakes()? && bench.is_quiet()?;
        bench.register(Mode::OneShot)?;
        Ok(once && bench.wakes()?)
    }),
    ("what was removed is silent", |bench| {
        bench.register(Mode::Level)?;
        bench.pull()?;
        bench.notifier.deregister(&bench.trigger)?;
        bench.is_quiet()
    }),
    ("a wait is not early", |bench| {
        let begun = Instant::now();
        Ok(bench.is_quiet()? && begun.elapsed() >= QUIET)
    }),
    ("a waker ends a wait", |bench| {
        bench.notifier.waker()?.wake()?;
        bench.notifier.wait(&mut bench.events, Some(PATIENCE))?;
        Ok(bench.events.woken())
    }),
    ("a regular file is refused", |bench| {
        let file = tempfile::tempfile()?;
        let refused = bench.notifier.register(&file, Key(1), Interest::Read, Mode::Level);
        Ok(refused.is_err_and(|e| e.kind() == ErrorKind::InvalidInput))
    }),
    ("a descriptor beyond 1,024 can be waited for", |bench| {
        let Some(high) = high_duplicate(&bench.trigger) else {
            return Err(io::Error::other("this process may not have one"));
        };
        bench.notifier.register(&high, Key(0), Interest::Read, Mode::Level)?;
        bench.pull()?;
        let wakes = bench.wakes();
        bench.notifier.deregister(&high)?;
        wakes
    }),
];

fn try_all(backend: Backend, path: &Path, notes: &mut Notes<'_>) {
    for (number, (what, attempt)) in TRIES.into_iter().enumerate() {
        let tried = Bench::new(backend, &path.with_extension(number.to_string()));
        notes.expect(what, tried.and_then(|mut bench| attempt(&mut bench)));
    }
    let nested = Bench::new(backend, &path.with_extension("nested")).and_then(nests);
    match nested {
        Ok(Some(holds)) => notes.expect("it rides in another loop", Ok(holds)),
        Ok(None) => notes.observe("it rides in another loop", "no, it has no descriptor"),
        Err(e) => notes.expect("it rides in another loop", Err(e)),
    }
}

/// A trigger, and a notifier to wait for it with.
struct Bench {
    notifier: Box<dyn Notifier>,
    events: Events,
    trigger: Trigger,
}

impl Bench {
    fn new(backend: Backend, path: &Path) -> io::Result<Bench> {
        let trigger =
            Trigger::create(path, 0o600).and_then(|()| Trigger::open(path, OtherReaders::Reject));
        let trigger = trigger.map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Bench { notifier: backend.open()?, events: Events::with_capacity(4), trigger })
    }

    fn register(&mut self, mode: Mode) -> io::Result<()> {
        self.notifier.register(&self.trigger, Key(0), Interest::Read, mode)
    }

    fn pull(&self) -> io::Result<()> {
        pull(self.trigger.path()).map(drop).map_err(|e| io::Error::other(e.to_string()))
    }

    fn drain(&mut self) -> io::Result<bool> {
        self.trigger.drain().map(|_| true).map_err(|e| io::Error::other(e.to_string()))
    }

    fn wakes(&mut self) -> io::Result<bool> {
        self.notifier.wait(&mut self.events, Some(PATIENCE))?;
        Ok(self.events.iter().any(|event| event.key == Key(0) && event.readable))
    }

    fn is_quiet(&mut self) -> io::Result<bool> {
        self.notifier.wait(&mut self.events, Some(QUIET))?;
        Ok(self.events.is_empty())
    }
}

/// Whether an outer loop, on select, hears of an event in the inner one, and hears no more of it
/// once the inner one was asked until it had nothing left.
fn nests(mut inner: Bench) -> io::Result<Option<bool>> {
    inner.register(Mode::Level)?;
    let Some(descriptor) = inner.notifier.pollable_fd().map(|fd| fd.try_clone_to_owned()) else {
        return Ok(None);
    };
    let (outer, mut events) = (Backend::Select.open(), Events::with_capacity(1));
    let (mut outer, descriptor) = (outer?, descriptor?);
    outer.register(&descriptor, Key(9), Interest::Read, Mode::Level)?;
    inner.pull()?;
    outer.wait(&mut events, Some(PATIENCE))?;
    let heard = !events.is_empty();
    let emptied = inner.wakes()? && inner.drain()? && inner.is_quiet()?;
    outer.wait(&mut events, Some(QUIET))?;
    Ok(Some(heard && emptied && events.is_empty()))
}

/// A duplicate with a number that no `fd_set` has room for.
fn high_duplicate(file: impl AsFd) -> Option<OwnedFd> {
    const HIGH: u64 = 1500;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current <= HIGH) {
        let raised = Rlimit { current: Some(HIGH + 10), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).ok()?;
    }
    let duplicate = fcntl_dupfd_cloexec(file, HIGH as i32).ok()?;
    // Only to be sure that it is open: an error here is one of the kernel's.
    File::from(duplicate.try_clone().ok()?).metadata().ok()?;
    Some(duplicate)
}
