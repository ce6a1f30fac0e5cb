//! The trigger and the pull: the guarantees of a reader to the FIFO's writers, and of a writer to its own
//! program.

#![deny(unsafe_code)]

mod support;

use std::env;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, DrainOutcome, Interest, Mode, OtherReaders, PullOutcome, Trigger, pull};
use pullcord_platform::fifo::{self, DRAIN_LIMIT, WriteOutcome};
use support::{Desk, Fifo, Helper, MODES, Suite, drain, fill, named, put, sys};
use tempfile::TempDir;

fn main() -> ExitCode {
    let suite = Suite::default()
        .on_each_backend(named![
            no_writer_is_refused_while_a_trigger_lives,
            writers_come_and_go_without_end_of_file_or_hang_up,
            an_idle_trigger_causes_no_event_for_five_seconds,
            a_writer_that_holds_the_fifo_open_causes_one_wake_for_its_byte,
            bytes_left_by_a_drain_are_reported_again_under_level,
        ])
        .once(named![
            a_drain_ends_even_if_a_writer_never_stops,
            only_a_fifo_is_opened_or_written_to,
            a_missing_path_fails_with_a_hint,
            create_fails_if_the_path_exists,
        ])
        // Some of these tests need a FIFO that no other process has open. A child that another test has
        // forked would have it open until its exec(2).
        .alone(named![
            closing_and_reopening_does_not_flush_a_fifo_but_a_drain_does,
            a_second_reader_is_rejected_unless_others_are_allowed,
            the_check_for_another_reader_is_not_a_pull,
            a_trigger_detects_that_its_path_was_replaced,
            a_path_that_cannot_be_looked_at_counts_as_replaced,
            a_trigger_of_a_descriptor_is_not_replaced_with_its_path,
            a_pull_is_delivered_or_pending_or_has_no_reader,
            a_fifo_is_created_with_the_requested_mode_under_any_umask,
            without_permission_the_error_has_a_hint,
            a_pull_raises_no_sigpipe_where_that_signal_kills,
            a_pending_sigpipe_of_another_cause_stays_pending,
            no_descriptor_leaks_across_exec,
        ]);
    #[cfg(target_os = "linux")]
    let suite = suite
        .on_each_backend(named![packets_left_by_a_drain_are_reported_again_under_level])
        .once(named![a_drain_reads_at_most_its_limit]);
    suite.run(named![holder, flooder])
}

/// A trigger in a directory of its own.
struct Station {
    directory: TempDir,
    path: PathBuf,
    trigger: Trigger,
}

impl Station {
    fn new() -> Station {
        let directory = support::directory();
        let path = directory.path().join("trigger");
        Trigger::create(&path, 0o622).unwrap();
        let trigger = Trigger::open(&path, OtherReaders::Reject).unwrap();
        Station { directory, path, trigger }
    }

    /// Registers the trigger as a queue does.
    fn desk(&self, backend: Backend) -> Desk {
        let mut desk = Desk::new(backend);
        desk.register(&self.trigger, 1, Interest::Read, Mode::Level);
        desk
    }
}

/// Returns the number of events within five seconds.
fn wakes_in_five_seconds(desk: &mut Desk) -> usize {
    let end = Instant::now() + Duration::from_secs(5);
    let mut wakes = 0;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        desk.wait(left);
        wakes += desk.events.len();
    }
    wakes
}

/// Returns the path that the role received as its argument.
fn argument() -> PathBuf {
    env::args_os().nth(1).expect("a role is given a path").into()
}

/// A role: writes one byte and keeps the FIFO open until its standard input ends.
fn holder() {
    let fifo = support::writer(&argument());
    put(&fifo);
    let _ = std::io::stdin().read(&mut [0]);
}

/// A role: writes as fast as possible until no reader is left.
fn flooder() {
    let mut fifo = fs::OpenOptions::new().write(true).open(argument()).unwrap();
    while std::io::Write::write_all(&mut fifo, &[0; DRAIN_LIMIT]).is_ok() {}
}

fn no_writer_is_refused_while_a_trigger_lives(backend: Backend) {
    let mut station = Station::new();
    let mut desk = station.desk(backend);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let path = station.path.clone();
            thread::spawn(move || (0..2000).all(|_| pull(&path).unwrap() != PullOutcome::NoReader))
        })
        .collect();
    let mut drains = 0;
    while !writers.iter().all(|writer| writer.is_finished()) {
        desk.wait(Duration::from_millis(1));
        drains += u32::from(station.trigger.drain().unwrap() != DrainOutcome::Empty);
    }
    let served = writers.into_iter().all(|writer| writer.join().unwrap());
    assert!(served, "a writer found no reader");
    assert!(drains > 0);
}

fn writers_come_and_go_without_end_of_file_or_hang_up(backend: Backend) {
    let mut station = Station::new();
    for mode in MODES {
        let mut desk = Desk::new(backend);
        for _ in 0..100 {
            desk.register(&station.trigger, 1, Interest::Read, mode);
            drop(support::writer(&station.path));
            desk.expect_nothing();
            assert_eq!(pull(&station.path).unwrap(), PullOutcome::Delivered);
            desk.expect([(1, "r")]);
            assert!(desk.events.iter().all(|event| !event.hang_up && !event.error));
            assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Drained);
            desk.expect_nothing();
            assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Empty);
        }
        desk.deregister(&station.trigger);
    }
}

fn an_idle_trigger_causes_no_event_for_five_seconds(backend: Backend) {
    let station = Station::new();
    assert_eq!(wakes_in_five_seconds(&mut station.desk(backend)), 0);
}

/// This library exists because of this bug: a reader that closes and reopens the FIFO to remove the byte
/// spins as long as such a writer lives.
fn a_writer_that_holds_the_fifo_open_causes_one_wake_for_its_byte(backend: Backend) {
    let mut station = Station::new();
    let mut desk = station.desk(backend);
    let _holder = Helper::play("holder", &[station.path.as_os_str()]);
    desk.expect([(1, "r")]);
    assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Drained);
    assert_eq!(wakes_in_five_seconds(&mut desk), 0);
}

fn bytes_left_by_a_drain_are_reported_again_under_level(backend: Backend) {
    let mut station = Station::new();
    let writer = support::writer(&station.path);
    let mut desk = station.desk(backend);
    fill(&writer);
    while sys::unread(&station.trigger) > 0 {
        desk.expect([(1, "r")]);
        assert_ne!(station.trigger.drain().unwrap(), DrainOutcome::Empty);
    }
    desk.expect_nothing();
}

/// A writer can turn each write into a packet, and a read returns one packet only. Therefore a short read
/// does not prove that the FIFO is empty. A level-triggered notifier reports the remaining packets. An
/// edge-triggered one may not report them.
#[cfg(target_os = "linux")]
fn packets_left_by_a_drain_are_reported_again_under_level(backend: Backend) {
    const PACKETS: usize = 5;
    let mut station = Station::new();
    let writer = support::writer(&station.path);
    let mut desk = station.desk(backend);
    sys::make_packets(&writer);
    for _ in 0..PACKETS {
        put(&writer);
    }
    for _ in 0..PACKETS {
        desk.expect([(1, "r")]);
        assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Drained, "a short read");
    }
    desk.expect_nothing();
}

/// qmail-send closes and reopens the FIFO. Its bytes stay as long as any process has it open, and
/// qmail-send spins.
fn closing_and_reopening_does_not_flush_a_fifo_but_a_drain_does() {
    let Fifo { path, reader, writer, _directory } = Fifo::new();
    put(&writer);
    drop(reader);
    let mut trigger = Trigger::open(&path, OtherReaders::Reject).unwrap();
    assert_eq!(sys::unread(&trigger), 1);
    assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
    assert_eq!(sys::unread(&trigger), 0);
}

fn a_drain_ends_even_if_a_writer_never_stops() {
    let mut station = Station::new();
    let flooder = Helper::play("flooder", &[station.path.as_os_str()]);
    let mut full = 0;
    while full < 100 {
        full += u32::from(station.trigger.drain().unwrap() != DrainOutcome::Empty);
    }
    drop(flooder);
    while station.trigger.drain().unwrap() != DrainOutcome::Empty {}
    assert_eq!(sys::unread(&station.trigger), 0);
}

/// On Linux any writer can enlarge a FIFO, so that it holds more than one drain reads.
#[cfg(target_os = "linux")]
fn a_drain_reads_at_most_its_limit() {
    let mut station = Station::new();
    let writer = support::writer(&station.path);
    sys::set_capacity(&writer, 4 * DRAIN_LIMIT as i32);
    fill(&writer);
    for left in (0..4).rev() {
        assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Partial);
        assert_eq!(sys::unread(&station.trigger), left * DRAIN_LIMIT);
    }
    assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Empty);
}

/// Returns the errors of `Trigger::open` and `pull` for a path. Checks that each message is one line that
/// starts with the path.
fn refusals(path: &Path) -> [pullcord::Error; 2] {
    let opened = Trigger::open(path, OtherReaders::Allow).map(drop).unwrap_err();
    let pulled = pull(path).map(drop).unwrap_err();
    for error in [&opened, &pulled] {
        let message = error.to_string();
        assert!(
            message.starts_with(path.to_str().unwrap()) && !message.contains('\n'),
            "{message}"
        );
        assert_eq!(error.path(), path);
    }
    [opened, pulled]
}

fn only_a_fifo_is_opened_or_written_to() {
    let mut station = Station::new();
    let path = |name: &str| station.directory.path().join(name);
    fs::write(path("file"), "kept").unwrap();
    fs::create_dir(path("directory")).unwrap();
    symlink("trigger", path("link")).unwrap();
    symlink("nowhere", path("broken")).unwrap();
    let socket = UnixListener::bind(path("socket")).unwrap();
    for (name, is) in [
        ("file", "a regular file"),
        ("directory", "a directory"),
        ("link", "a symbolic link"),
        ("broken", "a symbolic link"),
        ("socket", "a socket"),
    ] {
        for error in refusals(&path(name)) {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            let message = error.to_string();
            assert!(message.contains(is) && message.contains("mkfifo"), "{message}");
        }
    }
    assert_eq!(fs::read(path("file")).unwrap(), b"kept");
    assert!(!path("nowhere").exists());
    assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Empty, "pulled through the link");
    drop(socket);
}

fn a_missing_path_fails_with_a_hint() {
    let station = Station::new();
    for name in ["missing", "nowhere/trigger", "trigger/under a file"] {
        for error in refusals(&station.directory.path().join(name)) {
            let under_a_file = name.starts_with("trigger/");
            let kind = if under_a_file { ErrorKind::NotADirectory } else { ErrorKind::NotFound };
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(';'), "no hint: {error}");
        }
    }
}

fn create_fails_if_the_path_exists() {
    let station = Station::new();
    let refused = Trigger::create(&station.path, 0o600).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("trigger"), "{refused}");
    assert_eq!(mode_of(&station.path), 0o622);
}

fn a_second_reader_is_rejected_unless_others_are_allowed() {
    let Station { path, trigger, directory: _directory } = Station::new();
    let refused = Trigger::open(&path, OtherReaders::Reject).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
    let message = refused.to_string();
    assert!(message.contains("trigger") && message.contains("delay its mail"), "{message}");

    let mut second = Trigger::open(&path, OtherReaders::Allow).unwrap();
    assert_eq!(pull(&path).unwrap(), PullOutcome::Delivered);
    assert_eq!(second.drain().unwrap(), DrainOutcome::Drained, "a byte goes to one of them");
    drop((trigger, second));
    Trigger::open(&path, OtherReaders::Reject).unwrap();
}

fn the_check_for_another_reader_is_not_a_pull() {
    let mut station = Station::new();
    Trigger::open(&station.path, OtherReaders::Reject).unwrap_err();
    assert_eq!(station.trigger.drain().unwrap(), DrainOutcome::Empty);
}

fn a_trigger_detects_that_its_path_was_replaced() {
    let Station { directory, path, mut trigger } = Station::new();
    assert!(!trigger.is_replaced());
    let number = trigger.as_fd().as_raw_fd();

    fs::remove_file(&path).unwrap();
    assert!(trigger.is_replaced(), "removed");
    assert_eq!(trigger.reopen().unwrap_err().kind(), ErrorKind::NotFound);

    fs::write(&path, "").unwrap();
    assert!(trigger.is_replaced(), "a regular file in its place");
    assert!(trigger.reopen().unwrap_err().to_string().contains("a regular file"));

    let new = directory.path().join("new");
    Trigger::create(&new, 0o622).unwrap();
    fs::rename(&new, &path).unwrap();
    assert!(trigger.is_replaced(), "another FIFO in its place");
    assert_eq!(pull(&path).unwrap(), PullOutcome::NoReader);
    trigger.reopen().unwrap();
    assert!(!trigger.is_replaced());
    assert_eq!(trigger.as_fd().as_raw_fd(), number, "the number stays");
    assert_eq!(pull(&path).unwrap(), PullOutcome::Delivered);
    assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
    assert_eq!(trigger.path(), path);
}

fn a_path_that_cannot_be_looked_at_counts_as_replaced() {
    let directory = support::directory();
    let lock = directory.path().join("lock");
    fs::create_dir(&lock).unwrap();
    let path = lock.join("trigger");
    Trigger::create(&path, 0o622).unwrap();
    let trigger = Trigger::open(&path, OtherReaders::Reject).unwrap();
    fs::rename(&lock, directory.path().join("old")).unwrap();
    symlink("lock", &lock).unwrap(); // A loop, which no user can pass.
    assert!(trigger.is_replaced());
}

fn a_trigger_of_a_descriptor_is_not_replaced_with_its_path() {
    let directory = support::directory();
    let path = directory.path().join("trigger");
    Trigger::create(&path, 0o622).unwrap();
    let passed = fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut trigger = Trigger::from_fd(&passed).unwrap();
    fs::remove_file(&path).unwrap();
    Trigger::create(&path, 0o622).unwrap();
    assert!(!trigger.is_replaced());
    trigger.reopen().unwrap();
    put(&passed);
    assert_eq!(trigger.drain().unwrap(), DrainOutcome::Drained);
    assert_eq!(trigger.path(), Path::new(&format!("/dev/fd/{}", passed.as_raw_fd())));
}

fn a_pull_is_delivered_or_pending_or_has_no_reader() {
    let mut station = Station::new();
    assert_eq!(pull(&station.path).unwrap(), PullOutcome::Delivered);
    assert_eq!(sys::unread(&station.trigger), 1);
    fill(support::writer(&station.path));
    assert_eq!(pull(&station.path).unwrap(), PullOutcome::Pending);
    while station.trigger.drain().unwrap() != DrainOutcome::Empty {}
    assert_eq!(pull(&station.path).unwrap(), PullOutcome::Delivered);
    let Station { path, trigger, directory: _directory } = station;
    drop(trigger);
    assert_eq!(pull(&path).unwrap(), PullOutcome::NoReader);
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Creates a directory that the user `nobody` may use too. Permissions do not restrict root, so the test
/// needs another user.
fn public_directory() -> TempDir {
    let directory = support::directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

fn a_fifo_is_created_with_the_requested_mode_under_any_umask() {
    let directory = public_directory();
    let make_them = || {
        for umask in [0o000, 0o022, 0o077, 0o777] {
            for mode in [0o622, 0o600, 0o666, 0o200, 0o000] {
                let path = directory.path().join("fifo");
                sys::umask(umask);
                Trigger::create(&path, mode).unwrap();
                assert_eq!(mode_of(&path), mode, "umask {umask:03o}");
                fs::remove_file(&path).unwrap();
            }
        }
    };
    make_them();
    let child = sys::in_child(|| {
        sys::become_nobody();
        make_them();
    });
    assert!(child.success(), "as nobody: {child}");
}

fn without_permission_the_error_has_a_hint() {
    let directory = public_directory();
    let path = directory.path().join("fifo");
    Trigger::create(&path, 0o000).unwrap();
    let readable = directory.path().join("readable");
    Trigger::create(&readable, 0o444).unwrap();
    let child = sys::in_child(|| {
        sys::become_nobody();
        for error in refusals(&path) {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(error.to_string().contains("run as"), "{error}");
            assert!(!error.to_string().contains("may be read"), "{error}");
        }
        for other_readers in [OtherReaders::Reject, OtherReaders::Allow] {
            let error = Trigger::open(&readable, other_readers).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(error.to_string().contains("it may be read but not written to"), "{error}");
        }
    });
    assert!(child.success(), "as nobody: {child}");
}

/// SIGPIPE ends C programs, and Rust programs that request this from the runtime.
fn a_pull_raises_no_sigpipe_where_that_signal_kills() {
    sys::set_default(libc::SIGPIPE);
    let Fifo { path, reader, writer, _directory } = Fifo::new();
    drop(reader);
    let killed = sys::in_child(|| drop(std::io::Write::write(&mut &writer, &[1])));
    assert_eq!(killed.signal(), Some(libc::SIGPIPE), "the signal kills: {killed}");

    assert_eq!(fifo::write_byte(&writer).unwrap(), WriteOutcome::NoReader);
    assert!(!sys::is_blocked(libc::SIGPIPE) && !sys::is_pending(libc::SIGPIPE));
    drop(writer);
    assert_eq!(pull(&path).unwrap(), PullOutcome::NoReader);

    // Readers also leave between the open and the write of a pull.
    let (mut delivered, mut refused) = (0, 0);
    let reader = thread::spawn({
        let path = path.clone();
        move || {
            for _ in 0..1000 {
                drain(support::reader(&path));
            }
        }
    });
    while !reader.is_finished() {
        match pull(&path).unwrap() {
            PullOutcome::NoReader => refused += 1,
            PullOutcome::Delivered | PullOutcome::Pending => delivered += 1,
        }
    }
    reader.join().unwrap();
    eprintln!("{delivered} pulls delivered, {refused} refused");
    assert!(!sys::is_blocked(libc::SIGPIPE) && !sys::is_pending(libc::SIGPIPE));
}

fn a_pending_sigpipe_of_another_cause_stays_pending() {
    sys::set_default(libc::SIGPIPE);
    let Fifo { reader, writer, .. } = Fifo::new();
    drop(reader);

    sys::block(libc::SIGPIPE);
    assert_eq!(fifo::write_byte(&writer).unwrap(), WriteOutcome::NoReader);
    assert!(sys::is_blocked(libc::SIGPIPE), "the mask is as it was");
    assert!(!sys::is_pending(libc::SIGPIPE), "its own signal is removed");

    sys::Thread::this().signal(libc::SIGPIPE);
    assert_eq!(fifo::write_byte(&writer).unwrap(), WriteOutcome::NoReader);
    assert!(sys::is_blocked(libc::SIGPIPE), "the mask is as it was");
    assert!(sys::is_pending(libc::SIGPIPE), "the other's signal is still there");
}

fn no_descriptor_leaks_across_exec() {
    let before = support::descriptors_after_exec();
    let station = Station::new();
    assert_eq!(pull(&station.path).unwrap(), PullOutcome::Delivered);
    assert_eq!(support::descriptors_after_exec(), before);
}
