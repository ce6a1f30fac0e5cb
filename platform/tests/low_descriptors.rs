//! In a program that has closed descriptors 0, 1 and 2, this crate must not use their numbers. The test
//! starts itself again as that program. It has no standard harness, because a harness would print.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::{Command, ExitCode};

use pullcord_platform::{BACKENDS, OwnedFd, dir, fifo, file, watch};

/// The argument of the process that closes these descriptors.
const CLOSED: &str = "with-closed-descriptors";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CLOSED) {
        return with_closed_descriptors();
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg(CLOSED).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    println!("test no_kept_descriptor_is_0_1_or_2 ... ok\n\n1 passed, 0 failed");
    ExitCode::SUCCESS
}

fn with_closed_descriptors() -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let (trigger, queue) = (directory.path().join("trigger"), directory.path().join("queue"));
    fs::create_dir(&queue).unwrap();

    // Messages of this test use a higher number.
    // SAFETY: the descriptor is open.
    let report = unsafe { real_libc::fcntl(2, real_libc::F_DUPFD_CLOEXEC, 20) };
    for number in 0..3 {
        // SAFETY: no code here owns a standard descriptor or uses one afterwards.
        unsafe { real_libc::close(number) };
    }
    let found = kept(&trigger, &queue);
    // std uses the standard descriptors at the end of a program and in a panic.
    // SAFETY: `report` is open, and the standard descriptors are closed.
    (0..3).for_each(|number| assert!(unsafe { real_libc::dup2(report, number) } == number));

    match found {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens one of each type and keeps all of them open. Checks after each step, so that internal
/// descriptors are also found.
fn kept(trigger: &std::path::Path, queue: &std::path::Path) -> Result<(), String> {
    let failed = |step: &'static str| move |error| format!("{step}: {error}");

    fifo::create(trigger, 0o600).map_err(failed("make a FIFO"))?;
    none_is_low("make a FIFO", None)?;
    let reader = fifo::open_read(trigger).map_err(failed("open the FIFO to read"))?;
    none_is_low("the reading end", Some(&reader))?;
    let writer: Option<OwnedFd> =
        fifo::open_write(trigger).map_err(failed("open the FIFO to write"))?;
    none_is_low("the writing end", writer.as_ref().map(|writer| writer as &dyn AsFd))?;

    let opened = file::open(queue).map_err(failed("open a file"))?;
    none_is_low("a file", Some(&opened))?;
    let mut batch = dir::Batch::new();
    let mut directory = dir::Dir::open(queue).map_err(failed("open the directory"))?;
    directory.read_batch(&mut batch).map_err(failed("read the directory"))?;
    none_is_low("a directory", Some(&directory))?;

    // An emulation library may use any descriptors.
    let emulated = BACKENDS.iter().any(|info| info.emulated);
    let opened = (!emulated).then(watch::DirWatcher::new);
    let watch = match opened.transpose() {
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => None,
        opened => {
            let mut watch = opened.map_err(failed("open the watch"))?;
            if let Some(watch) = &mut watch {
                watch
                    .watch(queue, pullcord_platform::watch::WatchFor::Entries, true)
                    .map_err(failed("watch the directory"))?;
            }
            watch
        }
    };
    none_is_low("the watch", watch.as_ref().map(|watch| watch as &dyn AsFd))?;

    let mut notifiers = Vec::new();
    for info in BACKENDS.iter().filter(|info| !info.emulated) {
        let mut notifier = (info.open)().map_err(failed(info.name))?;
        let waker = notifier.waker().map_err(failed("the waker"))?;
        none_is_low("the waker", Some(&waker.reader()))?;
        none_is_low(info.name, None)?;
        notifiers.push(notifier);
    }
    Ok(())
}

/// Fails if `step` has opened a descriptor below 3.
fn none_is_low(step: &str, opened: Option<&dyn AsFd>) -> Result<(), String> {
    let is_open = |number: RawFd| {
        // SAFETY: no pointers. The call fails if the number is not open, which is expected.
        unsafe { real_libc::fcntl(number, real_libc::F_GETFD) != -1 }
    };
    let low = (0..3).find(|number| is_open(*number));
    let low = low.or(opened.map(|opened| opened.as_fd().as_raw_fd()).filter(|number| *number < 3));
    low.map_or(Ok(()), |number| Err(format!("{step}: descriptor {number} was taken")))
}
