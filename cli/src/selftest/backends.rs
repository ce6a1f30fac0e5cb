//! Tests the behaviour of each backend.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Interest, Key, Mode, Notifier, OtherReaders, Trigger, pull};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Observation, Recorder};

/// How long to wait for an event that must come, and for one that must not come.
const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(20);

pub(super) fn observe(directory: &Path, observations: &mut Vec<Observation>) {
    for backend in Backend::available() {
        let mut recorder = Recorder { subject: backend.to_string(), observations };
        match backend.open() {
            Ok(_) => try_all(backend, &directory.join(backend.as_str()), &mut recorder),
            Err(e) => recorder.expect("it can be opened", Err(e)),
        }
    }
}

type Try = fn(&mut Fixture) -> io::Result<bool>;

const TRIES: [(&str, Try); 8] = [
    ("a pull wakes it, and a drain ends the event", |fixture| {
        fixture.register(Mode::Level)?;
        fixture.pull()?;
        Ok(fixture.wakes()? && fixture.wakes()? && fixture.drain()? && fixture.is_quiet()?)
    }),
    ("an edge comes after each drain", |fixture| {
        fixture.register(Mode::Edge)?;
        for _ in 0..100 {
            fixture.pull()?;
            if !(fixture.wakes()? && fixture.drain()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }),
    ("one-shot fires once, until it is registered again", |fixture| {
        fixture.register(Mode::OneShot)?;
        fixture.pull()?;
        let once = fixture.wakes()? && fixture.is_quiet()?;
        fixture.register(Mode::OneShot)?;
        Ok(once && fixture.wakes()?)
    }),
    ("a deregistered source has no events", |fixture| {
        fixture.register(Mode::Level)?;
        fixture.pull()?;
        fixture.notifier.deregister(&fixture.trigger)?;
        fixture.is_quiet()
    }),
    ("a wait is not early", |fixture| {
        let begun = Instant::now();
        Ok(fixture.is_quiet()? && begun.elapsed() >= QUIET)
    }),
    ("a waker ends a wait", |fixture| {
        fixture.notifier.waker()?.wake()?;
        fixture.notifier.wait(&mut fixture.events, Some(PATIENCE))?;
        Ok(fixture.events.woken())
    }),
    ("a regular file is rejected", |fixture| {
        let file = tempfile::tempfile()?;
        let refused = fixture.notifier.register(&file, Key(1), Interest::Read, Mode::Level);
        Ok(refused.is_err_and(|e| e.kind() == ErrorKind::InvalidInput))
    }),
    ("a descriptor beyond 1,024 can be waited for", |fixture| {
        let Some(high) = high_duplicate(&fixture.trigger) else {
            return Err(io::Error::other("the descriptor limit of this process is too low"));
        };
        fixture.notifier.register(&high, Key(0), Interest::Read, Mode::Level)?;
        fixture.pull()?;
        let wakes = fixture.wakes();
        fixture.notifier.deregister(&high)?;
        wakes
    }),
];

fn try_all(backend: Backend, path: &Path, recorder: &mut Recorder<'_>) {
    for (number, (what, attempt)) in TRIES.into_iter().enumerate() {
        let tried = Fixture::new(backend, &path.with_extension(number.to_string()));
        recorder.expect(what, tried.and_then(|mut fixture| attempt(&mut fixture)));
    }
    let nested = Fixture::new(backend, &path.with_extension("nested"));
    match nested.and_then(works_inside_another_loop) {
        Ok(Some(holds)) => recorder.expect("it works inside another event loop", Ok(holds)),
        Ok(None) => {
            recorder.observe("it works inside another event loop", "no, it has no descriptor")
        }
        Err(e) => recorder.expect("it works inside another event loop", Err(e)),
    }
}

/// A trigger, and a notifier that waits for it.
struct Fixture {
    notifier: Box<dyn Notifier>,
    events: Events,
    trigger: Trigger,
}

impl Fixture {
    fn new(backend: Backend, path: &Path) -> io::Result<Fixture> {
        let trigger =
            Trigger::create(path, 0o600).and_then(|()| Trigger::open(path, OtherReaders::Reject));
        let trigger = trigger.map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Fixture { notifier: backend.open()?, events: Events::with_capacity(4), trigger })
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

/// Returns whether an outer loop, on select, gets an event for the inner notifier, and no more events
/// once the inner one has returned all of its own.
fn works_inside_another_loop(mut inner: Fixture) -> io::Result<Option<bool>> {
    inner.register(Mode::Level)?;
    let Some(descriptor) = inner.notifier.pollable_fd().map(|fd| fd.try_clone_to_owned()) else {
        return Ok(None);
    };
    let (outer, mut events) = (Backend::Select.open(), Events::with_capacity(1));
    let (mut outer, descriptor) = (outer?, descriptor?);
    outer.register(&descriptor, Key(9), Interest::Read, Mode::Level)?;
    inner.pull()?;
    outer.wait(&mut events, Some(PATIENCE))?;
    let has_event = !events.is_empty();
    let emptied = inner.wakes()? && inner.drain()? && inner.is_quiet()?;
    outer.wait(&mut events, Some(QUIET))?;
    Ok(Some(has_event && emptied && events.is_empty()))
}

/// Returns a duplicate with a number that no `fd_set` has room for.
fn high_duplicate(file: impl AsFd) -> Option<OwnedFd> {
    const HIGH: u64 = 1500;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current <= HIGH) {
        let raised = Rlimit { current: Some(HIGH + 10), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).ok()?;
    }
    let duplicate = fcntl_dupfd_cloexec(file, HIGH as i32).ok()?;
    // Checks that it is open.
    File::from(duplicate.try_clone().ok()?).metadata().ok()?;
    Some(duplicate)
}
