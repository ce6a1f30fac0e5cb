//! The system calls of a wake-up, counted with strace(1): the wait and one read. `watch` makes one scan
//! besides, and a second wait where the receiver's descriptor is used inside its loop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::Backend;

use crate::support::{Queue, Running, eventually, stat};

const PULLS: usize = 10_000;

/// A process that strace observes as its child, so that the process stays a child of the test.
struct Traced {
    running: Running,
    log: PathBuf,
}

/// The number of calls of each kind, from the first wait on.
#[derive(Debug, PartialEq)]
struct Calls {
    waits: usize,
    reads: usize,
    scans: usize,
}

impl Traced {
    fn start(queue: &Queue, backend: Backend, command: &Path, arguments: &[&str]) -> Traced {
        const CALLS: &str =
            "trace=read,openat,?epoll_wait,?epoll_pwait,?epoll_pwait2,?select,?pselect6";
        let log = queue.path("log");
        let mut strace = Command::new("strace");
        strace.args(["-D", "-q", "-y", "-e", CALLS, "-o"]).arg(&log).arg(command).args(arguments);
        Traced { running: Running::start(strace.env(Backend::ENV_VAR, backend.as_str())), log }
    }

    /// Waits until it sleeps: for the next pull, as there is nothing else it could sleep for.
    fn sleeps(&self) {
        eventually("it sleeps", || stat(self.running.id()).filter(|(state, _)| *state == 'S'));
    }

    /// Waits for its end, and counts.
    fn calls(mut self, queue: &Queue) -> Calls {
        assert!(self.running.end().success());
        let log = eventually("strace has written all", || {
            fs::read_to_string(&self.log).ok().filter(|log| log.contains("+++ exited with 0 +++"))
        });
        let is_wait = |line: &&str| line.starts_with("epoll_") || line.contains("select");
        let lines: Vec<_> = log.lines().skip_while(|line| !is_wait(line)).collect();
        let read = format!("<{}>", queue.trigger().display());
        let scan = format!("\"{}\"", queue.path("todo").display());
        let count = |counts: &dyn Fn(&&str) -> bool| lines.iter().copied().filter(counts).count();
        Calls {
            waits: count(&is_wait),
            reads: count(&|line| line.starts_with("read(") && line.contains(&read)),
            scans: count(&|line| line.starts_with("openat(") && line.contains(&scan)),
        }
    }
}

/// Most of the time they rest: side by side.
fn on_each_backend(test: fn(Backend)) {
    thread::scope(|scope| {
        Backend::available().for_each(|backend| drop(scope.spawn(move || test(backend))));
    });
}

#[test]
#[ignore = "needs strace"]
fn a_drained_trigger_takes_two_calls_per_wake_up() {
    on_each_backend(|backend| {
        let command = Path::new(env!("CARGO_BIN_EXE_pullcord")).with_file_name("examples/drain");
        assert!(command.exists(), "cargo build --example drain, first");
        let queue = Queue::flat();
        let trigger = queue.trigger();
        let arguments = [trigger.to_str().unwrap(), &PULLS.to_string()];
        let drain = Traced::start(&queue, backend, &command, &arguments);
        for wake in 1..=PULLS {
            queue.pull();
            assert_eq!(drain.running.line(), format!("wake {wake}: Drained"));
            if wake < PULLS {
                drain.sleeps();
            }
        }
        let expected = Calls { waits: PULLS, reads: PULLS, scans: 0 };
        assert_eq!(drain.calls(&queue), expected, "{backend}");
    });
}

#[test]
#[ignore = "needs strace"]
fn watch_takes_one_read_and_one_scan_per_wake_up() {
    on_each_backend(|backend| {
        let queue = Queue::flat();
        let mut before = queue.link("todo/first");
        let count = (PULLS + 1).to_string();
        let arguments =
            ["watch", "--watch", "off", "--count", &count, queue.root().to_str().unwrap()];
        let begun = Instant::now();
        let mut pulled = begun;
        let watch =
            Traced::start(&queue, backend, env!("CARGO_BIN_EXE_pullcord").as_ref(), &arguments);
        assert!(watch.running.line().ends_with("first"));
        for pull in 0..PULLS {
            // A pause after a scan is at most as long as its reading took, or 2 ms: so once as much
            // time has passed since it was over as it can have taken at the most, the pause is over
            // too, and a pull that comes then is spaced.
            watch.sleeps();
            thread::sleep(pulled.elapsed().max(Duration::from_millis(2)));
            fs::remove_file(before).unwrap();
            before = queue.link(format!("todo/{pull}"));
            pulled = Instant::now();
            queue.pull();
            assert!(watch.running.line().ends_with(&format!("/{pull}")));
        }
        let calls = watch.calls(&queue);
        // The first scan returns the entry that was there before any pull. It follows a read, too.
        let expected = (1 + PULLS, 1 + PULLS);
        assert_eq!((calls.reads, calls.scans), expected, "{backend}: {calls:?}");
        // The paths of the queue are verified every ten seconds.
        let waits = if backend.has_pollable_fd() { 2 } else { 1 };
        let most = waits * (1 + PULLS + begun.elapsed().as_secs() as usize / 10 + 1);
        assert!((waits * (1 + PULLS)..=most).contains(&calls.waits), "{backend}: {calls:?}");
    });
}
