//! Shared by the tests of the contract: runs each test on every backend, some in a process of their own.
//! Also has a FIFO with both ends, and a notifier that checks its events.
//!
//! The tests need only a writable directory: `PULLCORD_TEST_DIR`, or the system's temporary directory.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::env::{self, consts::OS};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pullcord::{Backend, Event, Events, Interest, Key, Mode, Notifier, Trigger};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
pub(crate) mod strace;
pub(crate) mod sys;

/// How long a test waits for an event that must come. No test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The environment variable of a process that runs one test alone.
const ALONE: &str = "PULLCORD_TEST_ALONE";

/// The environment variable of a process that plays a role in a test of another process, for example a
/// writer.
pub(crate) const ROLE: &str = "PULLCORD_TEST_ROLE";

/// Tests by name, as the macro [`named`] lists them.
pub(crate) type Named<F> = [(&'static str, F)];

/// `named![a, b]` is `&[("a", a), ("b", b)]`.
macro_rules! named {
    ($($function:ident),* $(,)?) => { &[$((stringify!($function), $function)),*] };
}
pub(crate) use named;

/// The tests of one binary.
pub(crate) struct Suite {
    trials: Vec<Trial>,
    patience: Duration,
}

impl Default for Suite {
    fn default() -> Suite {
        Suite { trials: Vec::new(), patience: PATIENCE }
    }
}

impl Suite {
    /// Sets the longest duration of the tests that are added afterwards.
    pub(crate) fn patience(self, patience: Duration) -> Suite {
        Suite { patience, ..self }
    }

    /// Adds tests that run once for every backend, in parallel.
    pub(crate) fn on_each_backend(mut self, tests: &Named<fn(Backend)>) -> Suite {
        let patience = self.patience;
        for backend in backends() {
            for &(name, test) in tests {
                let name = format!("{backend}::{name}");
                self.trials.push(trial(name, move |name| run(name, patience, || test(backend))));
            }
        }
        self
    }

    /// Adds tests that run once for every backend and change the whole process. Each runs in a process of
    /// its own.
    pub(crate) fn alone_on_each_backend(mut self, tests: &Named<fn(Backend)>) -> Suite {
        let patience = self.patience;
        for backend in backends() {
            for &(name, test) in tests {
                let name = format!("{backend}::{name}");
                self.trials.push(trial(name, move |name| alone(name, patience, || test(backend))));
            }
        }
        self
    }

    /// Adds tests that use no backend or choose one themselves.
    pub(crate) fn once(mut self, tests: &Named<fn()>) -> Suite {
        let patience = self.patience;
        self.trials.extend(
            tests.iter().map(|&(name, test)| trial(name, move |name| run(name, patience, test))),
        );
        self
    }

    /// Adds such tests, each in a process of its own.
    pub(crate) fn alone(mut self, tests: &Named<fn()>) -> Suite {
        let patience = self.patience;
        self.trials.extend(
            tests.iter().map(|&(name, test)| trial(name, move |name| alone(name, patience, test))),
        );
        self
    }

    /// Runs the tests that the command line selects, or plays the role that another process has requested.
    pub(crate) fn run(self, roles: &Named<fn()>) -> ExitCode {
        if let Some(asked) = env::var_os(ROLE) {
            let all = [roles, named![descriptors]].concat();
            let (_, play) = all.iter().find(|(name, _)| asked == *name).expect("no such role");
            play();
            return ExitCode::SUCCESS;
        }
        if env::var_os(ALONE).is_none() {
            let names: Vec<_> = backends().map(|backend| backend.to_string()).collect();
            eprintln!("backends covered, on {OS}: {}", names.join(", "));
            for backend in backends().filter(|backend| backend.is_emulated()) {
                eprintln!("{backend} is emulated");
            }
        }
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit_code()
    }
}

/// Returns the backends that can be opened here. Only the first process tries to open them. The processes
/// that it starts for one test or one role skip this, so that they open no further descriptors.
pub(crate) fn backends() -> impl Iterator<Item = Backend> {
    let started = env::var_os(ALONE).is_some() || env::var_os(ROLE).is_some();
    Backend::available().filter(move |backend| started || backend.open().is_ok())
}

fn trial(
    name: impl Into<String>,
    test: impl FnOnce(&str) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || test(&name))
}

/// Runs a test. The message of a failure contains the name of the system, because the failure may be
/// specific to it. If the test hangs, prints its name and ends the process.
fn run(name: &str, patience: Duration, test: impl FnOnce()) -> Result<(), Failed> {
    let (running, ended) = mpsc::channel::<()>();
    let hangs = format!("{name} hangs on {OS}: ended after {patience:?}");
    thread::spawn(move || {
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{hangs}");
            process::exit(1);
        }
    });
    let result = panic::catch_unwind(AssertUnwindSafe(test));
    drop(running);
    result.map_err(|payload| {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or(payload.downcast_ref::<&str>().copied()).unwrap_or("panicked");
        Failed::from(format!("on {OS}: {message}"))
    })
}

/// Runs a test in a process of its own, in which the only other thread is the watchdog.
fn alone(name: &str, patience: Duration, test: impl FnOnce()) -> Result<(), Failed> {
    if env::var_os(ALONE).is_some() {
        return run(name, patience, test);
    }
    let this = env::current_exe()?;
    let process = Command::new(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()?;
    let printed = String::from_utf8_lossy(&process.stdout);
    if process.status.success() && printed.contains("1 passed") {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&process.stderr);
    Err(format!("alone, on {OS}: {}\n{printed}{errors}", process.status).into())
}

/// Another process of this binary. It plays a role until this is dropped.
pub(crate) struct Helper(Child);

impl Helper {
    /// Starts the process. Its standard input and its output are pipes to this process.
    pub(crate) fn play(role: &str, arguments: &[&OsStr]) -> Helper {
        let this = env::current_exe().unwrap();
        let process = Command::new(this)
            .args(arguments)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Helper(process.unwrap())
    }

    /// Waits for its end and returns its output.
    fn output(mut self) -> String {
        let mut output = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        output
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Returns the descriptors that are open in a program that this process executes, from 3 on.
pub(crate) fn descriptors_after_exec() -> Vec<RawFd> {
    let output = Helper::play("descriptors", &[]).output();
    output.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// A role: prints its open descriptors.
fn descriptors() {
    for number in sys::open_descriptors() {
        println!("{number}");
    }
}

/// Creates a directory for one test.
pub(crate) fn directory() -> TempDir {
    let parent = env::var_os("PULLCORD_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).unwrap()
}

/// A FIFO in a directory of its own. Both ends are open and do not block.
pub(crate) struct Fifo {
    pub(crate) path: PathBuf,
    pub(crate) reader: File,
    pub(crate) writer: File,
    /// Removed when this is dropped.
    pub(crate) _directory: TempDir,
}

impl Fifo {
    pub(crate) fn new() -> Fifo {
        let directory = directory();
        let path = directory.path().join("fifo");
        Trigger::create(&path, 0o622).unwrap();
        let reader = reader(&path);
        Fifo { reader, writer: writer(&path), path, _directory: directory }
    }
}

/// Opens a reading end.
pub(crate) fn reader(path: &Path) -> File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Opens a writing end. A reader must exist.
pub(crate) fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Writes one byte.
pub(crate) fn put(mut to: impl Write) {
    to.write_all(b"x").unwrap();
}

/// Writes until the FIFO is full.
pub(crate) fn fill(mut to: impl Write) {
    for block in [&[0; 4096][..], &[0]] {
        while would_not_block(to.write(block)).is_some() {}
    }
}

/// Reads until it would block or to the end. Returns the number of bytes.
pub(crate) fn drain(mut from: impl Read) -> usize {
    let mut bytes = [0; 4096];
    let mut count = 0;
    while let Some(read @ 1..) = would_not_block(from.read(&mut bytes)) {
        count += read;
    }
    count
}

/// Returns the number of transferred bytes, or `None` for `WouldBlock`.
pub(crate) fn would_not_block(transferred: std::io::Result<usize>) -> Option<usize> {
    match transferred {
        Err(e) if e.kind() == ErrorKind::WouldBlock => None,
        transferred => Some(transferred.unwrap()),
    }
}

pub(crate) const MODES: [Mode; 3] = [Mode::Level, Mode::Edge, Mode::OneShot];

/// A notifier, and the buffer for its events.
pub(crate) struct Desk {
    pub(crate) notifier: Box<dyn Notifier>,
    pub(crate) events: Events,
    pub(crate) backend: Backend,
}

impl Desk {
    pub(crate) fn new(backend: Backend) -> Desk {
        Desk::with_room_for(backend, 64)
    }

    pub(crate) fn with_room_for(backend: Backend, capacity: usize) -> Desk {
        let notifier = backend.open().unwrap();
        Desk { notifier, events: Events::with_capacity(capacity), backend }
    }

    #[track_caller]
    pub(crate) fn register(
        &mut self,
        source: &dyn AsFd,
        key: usize,
        interest: Interest,
        mode: Mode,
    ) {
        self.notifier.register(source, Key(key), interest, mode).unwrap();
    }

    #[track_caller]
    pub(crate) fn deregister(&mut self, source: &dyn AsFd) {
        self.notifier.deregister(source).unwrap();
    }

    /// Waits and returns whether a waker ended the wait.
    #[track_caller]
    pub(crate) fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> bool {
        self.notifier.wait(&mut self.events, timeout.into()).unwrap();
        self.events.woken()
    }

    /// Waits and checks that exactly these sources are ready for reading ("r"), writing ("w") or both
    /// ("rw").
    ///
    /// An event with a hang-up or an error may report a direction that is not expected.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&mut self, wanted: [(usize, &str); N]) {
        self.wait(if N == 0 { Duration::ZERO } else { PATIENCE / 2 });
        let mut seen = BTreeMap::new();
        for event in &self.events {
            let all = seen.entry(event.key.0).or_insert(Event::new(event.key));
            all.readable |= event.readable;
            all.writable |= event.writable;
            all.hang_up |= event.hang_up | event.error;
        }
        let fits = |(key, ready): &(usize, &str)| {
            seen.get(key).is_some_and(|event| {
                let fits = |seen, wanted| seen == wanted || seen && event.hang_up;
                fits(event.readable, ready.contains('r'))
                    && fits(event.writable, ready.contains('w'))
            })
        };
        let as_wanted = seen.len() == N && wanted.iter().all(fits) && !self.events.woken();
        assert!(as_wanted, "{} on {OS}: wanted {wanted:?}, saw {:?}", self.backend, self.events);
    }

    /// Checks that nothing is ready.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.expect([]);
    }
}
