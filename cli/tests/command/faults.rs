//! Tests faults of real hosts: processes are killed and stopped, a trigger is removed, system calls fail.
//! No entry may be lost, and no process may spin.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, Events, Key, Notifier, PullOutcome, QueueOptions, Trigger, WatchMode};
use rustix::process::Signal;

use crate::support::{
    PATIENCE, Queue, Running, eventually, has_command, left_out, output, pullcord, text,
};

/// A reader, the entries that it must print, and a consumer that removes the printed ones.
struct QueueFixture {
    queue: Queue,
    reader: Running,
    linked: BTreeSet<PathBuf>,
    count: u64,
}

impl QueueFixture {
    fn open() -> QueueFixture {
        let queue = Queue::flat();
        let reader = Running::start(&mut watch(&queue));
        let mut fixture = QueueFixture { queue, reader, linked: BTreeSet::new(), count: 0 };
        fixture.inject(1);
        fixture.settle();
        fixture
    }

    /// Links this many entries and pulls, with or without a reader.
    fn inject(&mut self, entries: u64) -> PullOutcome {
        for _ in 0..entries {
            self.count += 1;
            self.linked.insert(self.queue.link(format!("todo/{}", self.count)));
        }
        pullcord::pull(self.queue.trigger()).unwrap()
    }

    /// Waits until every entry was seen.
    fn settle(&mut self) {
        while !self.linked.is_empty() {
            let seen = PathBuf::from(self.reader.line());
            self.linked.remove(&seen);
            let _ = fs::remove_file(seen); // a killed reader may have returned it before
        }
    }

    /// Ends the reader. Returns the numbers of its wake-ups and scans.
    fn wakeups_and_scans(self) -> (u64, u64) {
        self.reader.signal(Signal::TERM);
        let done = self.reader.output();
        let said = text(&done.stderr);
        let counter = |name: &str| {
            let (_, count) = said.split_once(name).unwrap_or_else(|| panic!("{name} in {said}"));
            count.split(',').next().unwrap().trim().parse().unwrap()
        };
        (counter(" wakeups "), counter(" scans "))
    }
}

fn watch(queue: &Queue) -> Command {
    let mut command = pullcord(["watch", "--watch", "off"]);
    command.arg(queue.root());
    command
}

/// Starts a writer that repeatedly queues an entry, holds the trigger open and pauses, for an hour.
fn writer(queue: &Queue, first: u64, hold: Duration) -> Command {
    const HOUR: Duration = Duration::from_secs(3600);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let until = Duration::try_from(now).unwrap() + HOUR;
    let mut command = pullcord(["storm-writer"]);
    command.arg(queue.root());
    command.args([until.as_nanos(), first.into(), 1, hold.as_micros(), 0].map(|n| n.to_string()));
    command
}

#[test]
#[ignore = "takes some seconds"]
fn entries_of_killed_writers_are_printed() {
    let fixture = QueueFixture::open();
    let mut chance = 1_u64;
    for number in 0..2_000 {
        let killed = Running::start(&mut writer(&fixture.queue, number << 32, Duration::ZERO));
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros(1_000 + (chance >> 32) % 2_000));
        drop(killed);
    }
    // The entry of a writer that was killed between link and pull is found by the next pull.
    fixture.queue.pull();
    let mut waiting: BTreeSet<_> = fs::read_dir(fixture.queue.path("todo"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    println!("{} entries from 2,000 writers that were killed", waiting.len());
    assert!(waiting.len() > 100, "the writers were killed too early to test anything");
    while !waiting.is_empty() {
        waiting.remove(Path::new(&fixture.reader.line()));
    }
}

#[test]
#[ignore = "takes some seconds"]
fn a_reader_stopped_until_its_trigger_is_full_prints_every_entry() {
    let mut fixture = QueueFixture::open();
    fixture.reader.signal(Signal::STOP);
    fixture.inject(100);
    let full = (0..1 << 20).find(|_| fixture.inject(0) == PullOutcome::Pending);
    println!("full after {} pulls", full.expect("a FIFO has an end"));
    assert_eq!(fixture.inject(100), PullOutcome::Pending);
    fixture.reader.signal(Signal::CONT);
    fixture.settle();
    assert_eq!(fixture.inject(1), PullOutcome::Delivered);
    fixture.settle();
}

#[test]
#[ignore = "takes some seconds"]
fn a_reader_killed_and_started_again_prints_every_entry() {
    let mut fixture = QueueFixture::open();
    for _ in 0..20 {
        fixture.inject(10);
        fixture.reader.signal(Signal::KILL);
        fixture.reader.end();
        assert_eq!(fixture.inject(10), PullOutcome::NoReader);
        fixture.reader = Running::start(&mut watch(&fixture.queue));
        fixture.settle();
    }
}

#[test]
#[ignore = "takes some seconds"]
fn a_writer_stopped_with_the_trigger_open_causes_no_wake_ups() {
    let mut fixture = QueueFixture::open();
    let hostile = Running::start(&mut writer(&fixture.queue, 0, PATIENCE));
    assert!(fixture.reader.line().contains("/0."), "its byte is written, or about to be");
    eventually("it holds the trigger open", || {
        let open = fs::read_dir(format!("/proc/{}/fd", hostile.id())).unwrap();
        let mut open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        open.any(|path| path == fixture.queue.trigger()).then_some(())
    });
    hostile.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(2));
    for _ in 0..100 {
        fixture.inject(1);
        fixture.settle();
    }
    let (wakeups, scans) = fixture.wakeups_and_scans();
    let counts = format!("{wakeups} wake-ups, {scans} scans");
    assert!(wakeups <= 110 && scans <= 110, "one for each pull: {counts}");
}

/// Does one turn of a program's loop. Returns the entries.
fn turn(mail: &mut pullcord::Queue, notifier: &mut dyn Notifier) -> Vec<PathBuf> {
    let mut events = Events::with_capacity(2);
    let timeout = mail.prepare(notifier, Instant::now());
    notifier.wait(&mut events, timeout.min(Some(PATIENCE))).unwrap();
    for event in &events {
        assert!(mail.handle_event(event));
    }
    let mut entries = Vec::new();
    while let Some(entry) = mail.next_entry(Instant::now()) {
        entries.push(entry.path());
    }
    while let Some(warning) = mail.next_warning() {
        println!("{warning}");
    }
    entries
}

#[test]
#[ignore = "takes some seconds a backend"]
fn a_trigger_that_is_removed_and_created_again_is_read_again() {
    type Replace = fn(&Queue);
    let faults: [(&str, Replace); 4] = [
        ("removed", |_| ()),
        ("made again", |queue| Trigger::create(queue.trigger(), 0o622).unwrap()),
        ("a regular file", |queue| fs::write(queue.trigger(), "").unwrap()),
        ("a symbolic link", |queue| symlink("../mess", queue.trigger()).unwrap()),
    ];
    for (backend, (what, replace)) in
        Backend::available().flat_map(|backend| faults.map(|fault| (backend, fault)))
    {
        let queue = Queue::flat();
        let options = QueueOptions::qmail(queue.root()).unwrap().watch(WatchMode::Off);
        // No event reports that a trigger was removed. The next verification finds it.
        let mut mail = options.verify_interval(Duration::from_millis(200)).open().unwrap();
        let mut notifier = backend.open().unwrap();
        mail.register(&mut *notifier, [Key(0), Key(1)]);
        let mut see = |linked: PathBuf, when: &str| {
            eventually(what, || turn(&mut mail, &mut *notifier).contains(&linked).then_some(()));
            fs::remove_file(linked).unwrap();
            println!("{backend}, {what}: seen {when}");
        };
        fs::remove_file(queue.trigger()).unwrap();
        replace(&queue);
        see(queue.link("todo/1"), "meanwhile");
        let _ = fs::remove_file(queue.trigger());
        Trigger::create(queue.trigger(), 0o622).unwrap();
        see(queue.link("todo/2"), "with a trigger again");
        assert_eq!(pullcord::pull(queue.trigger()).unwrap(), PullOutcome::Delivered);
        let stats = mail.stats();
        assert!(stats.trigger_reopens > 0 && stats.scans < 1_000, "{stats:?}");
    }
}

/// The calls that fail, the error, and the numbers of the failing calls, as strace(1) counts them. The
/// earlier calls belong to the start.
const FAILING: [(&str, &str); 11] = [
    ("off", "epoll_wait,epoll_pwait,epoll_pwait2,select,pselect6:error=EINTR:when=2+3"),
    ("off", "read:error=EINTR:when=12+2"),
    ("off", "openat:error=EMFILE:when=40..60"),
    ("off", "openat:error=ENFILE:when=40..60"),
    ("off", "openat:error=ENOMEM:when=40..60"),
    ("off", "getdents64:error=EIO:when=20..40"),
    ("off", "getdents64:error=ENOMEM:when=20..40"),
    ("auto", "inotify_init1:error=EMFILE"),
    ("auto", "inotify_add_watch:error=ENOSPC"),
    ("auto", "inotify_add_watch:error=ENOMEM"),
    ("auto", "read:error=EINTR:when=12+2"),
];

#[test]
#[ignore = "needs strace"]
fn failing_system_calls_lose_no_entry_and_cause_no_spin() {
    // They sleep most of the time, so they run in parallel.
    thread::scope(|scope| {
        for backend in Backend::available() {
            for fault in FAILING {
                scope.spawn(move || run_with_fault(backend, fault));
            }
        }
    });
}

fn run_with_fault(backend: Backend, (watch, fault): (&str, &str)) {
    const PULLS: u64 = 200;
    const CALLS: &str = "trace=read,openat,getdents64,inotify_init1,inotify_add_watch,epoll_wait,\
                         epoll_pwait,epoll_pwait2,epoll_ctl,select,pselect6";
    let queue = Queue::flat();
    let log = queue.path("log");
    let mut strace = Command::new("strace");
    strace.args(["-D", "-q", "-e", CALLS, "-e", &format!("inject={fault}"), "-o"]);
    strace.arg(&log).args([env!("CARGO_BIN_EXE_pullcord"), "watch", "--backend"]);
    strace.args([backend.as_str(), "--watch", watch]).arg(queue.root());
    // The loader would search Cargo's directories with more calls than a start has.
    strace.env_remove("LD_LIBRARY_PATH");
    let begun = Instant::now();
    let mut fixture = QueueFixture {
        reader: Running::start(&mut strace),
        queue,
        linked: BTreeSet::new(),
        count: 0,
    };
    fixture.inject(1);
    fixture.settle();
    // A busy machine makes fewer scans of so many pulls, and so fewer calls.
    let has_failed = || fs::read_to_string(&log).unwrap().contains("(INJECTED)");
    for pulls in 0.. {
        if pulls >= PULLS && (has_failed() || begun.elapsed() > PATIENCE) {
            break;
        }
        fixture.inject(1);
        thread::sleep(Duration::from_millis(5));
    }
    // A call that has always failed is tried again at the next pull, or after a delay.
    fixture.settle();
    thread::sleep(Duration::from_secs(1));
    let calls = fs::read_to_string(&log).unwrap();
    let failed = calls.lines().filter(|call| call.contains("(INJECTED)")).count();
    let calls = calls.lines().count();
    let time = begun.elapsed();
    println!("{backend}, {fault}: {failed} of {calls} calls failed, in {time:?}");
    assert!(failed > 0, "no call failed");
    assert!(calls as f64 <= 2_000.0 * time.as_secs_f64(), "a busy loop: {calls} in {time:?}");
}

#[test]
#[ignore = "takes a minute where TMPDIR is in memory, and many on a busy disk"]
fn memory_does_not_grow_with_a_million_messages() {
    const MESSAGES: usize = 1_000_000;
    const WRITERS: usize = 32;
    let queue = Queue::split(23);
    let mut mail = QueueOptions::qmail(queue.root()).unwrap().open().unwrap();
    let mut notifier = Backend::best().open().unwrap();
    mail.register(&mut *notifier, [Key(0), Key(1)]);
    let mut is_missing = vec![true; MESSAGES];
    let writers: Vec<_> = (0..WRITERS)
        .map(|first| {
            let mut command = pullcord(["demo-writer"]);
            command.arg(queue.root()).args([first, WRITERS, MESSAGES].map(|n| n.to_string()));
            Running::start(&mut command)
        })
        .collect();
    let (mut memory, mut seen, mut again) = (Vec::new(), 0, 0);
    while seen < MESSAGES {
        let entries = turn(&mut mail, &mut *notifier);
        if seen >= [MESSAGES / 10, MESSAGES / 2, MESSAGES][memory.len()] {
            memory.push(resident());
        }
        for path in entries {
            let name = path.file_name().unwrap().to_str().unwrap();
            let number: usize = name.split_once('.').unwrap().0.parse().unwrap();
            if std::mem::replace(&mut is_missing[number], false) {
                seen += 1;
                fs::remove_file(path).unwrap();
            } else {
                again += 1;
            }
        }
    }
    memory.push(resident());
    println!(
        "resident at a tenth, at half, at the end: {memory:?} KiB; {again} seen twice; {:?}",
        mail.stats()
    );
    assert!(again == 0 || mail.stats().watch_overflows > 0, "{again} are seen twice for no reason");
    assert!(memory[2] <= memory[0] + 16_384, "{memory:?} KiB");
    for writer in writers {
        let done = writer.output();
        assert!(text(&done.stdout).contains(r#""refused":0"#), "{done:?}");
    }
}

/// Returns the resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn strace_accepts_every_fault() {
    if !has_command("strace") {
        return left_out("strace is not here");
    }
    for (_, fault) in FAILING {
        let mut strace = Command::new("strace");
        let done = output(strace.args([
            "-qq",
            "-e",
            &format!("inject={fault}"),
            "-o",
            "/dev/null",
            "true",
        ]));
        assert!(!text(&done.stderr).contains("invalid"), "{fault}: {done:?}");
    }
}
