//! Test queues and processes. Every wait here has a timeout.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Backend, PullOutcome, QueueOptions, Trigger};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The longest wait, which is sufficient on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the command, with its own choice of a backend and without forced colours.
pub(crate) fn pullcord<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullcord"));
    command.args(arguments).stdin(Stdio::null());
    for variable in [Backend::ENV_VAR, "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

/// Copies the command, for a user who may not reach the place where it was built. Another process writes
/// the copy. If this process wrote it, a child that another thread starts meanwhile would have it open for
/// writing, and it could not be executed (ETXTBSY).
pub(crate) fn copy_binary(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_pullcord")).arg(to).status();
    assert!(copied.expect("cp starts").success());
}

/// Runs a command to its end and returns its output.
pub(crate) fn output(command: &mut Command) -> Output {
    Running::start(command).output()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the command speaks UTF-8")
}

/// Says that a test is left out, also where the output of good tests is hidden.
pub(crate) fn left_out(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "left out: {why}");
}

/// Whether a command is installed.
pub(crate) fn has_command(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok()
}

/// Tries until it succeeds.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(begun.elapsed() < PATIENCE, "timeout: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A queue directory in a temporary place.
pub(crate) struct Queue(TempDir);

impl Queue {
    pub(crate) fn flat() -> Queue {
        let queue = Queue(tempfile::tempdir().unwrap());
        for directory in ["lock", "mess", "todo"] {
            fs::create_dir(queue.path(directory)).unwrap();
        }
        Trigger::create(queue.trigger(), 0o622).unwrap();
        queue
    }

    pub(crate) fn split(parts: usize) -> Queue {
        let queue = Queue::flat();
        for part in 0..parts {
            fs::create_dir(queue.path("todo").join(part.to_string())).unwrap();
        }
        queue
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn trigger(&self) -> PathBuf {
        self.path("lock/trigger")
    }

    /// Links a finished message to `name` below the queue. Does not pull.
    pub(crate) fn link(&self, name: impl AsRef<Path>) -> PathBuf {
        let (written, linked) = (self.path("mess/written"), self.path(name));
        fs::write(&written, "Subject: test\n\n").unwrap();
        fs::hard_link(&written, &linked).unwrap();
        fs::remove_file(written).unwrap();
        linked
    }

    /// Returns whether an observer needs no trigger here.
    pub(crate) fn is_fully_watched(&self) -> bool {
        let options = QueueOptions::directories([self.path("todo")]);
        options.open().unwrap().is_fully_watched()
    }

    /// Pulls the trigger as soon as a process reads it.
    pub(crate) fn pull(&self) {
        eventually("a process reads the trigger", || {
            (pullcord::pull(self.trigger()).unwrap() != PullOutcome::NoReader).then_some(())
        });
    }
}

/// A running process, which is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        Running { child, lines, complaints }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line of its standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| {
            let complaints: Vec<_> = self.complaints.try_iter().collect();
            panic!("no line on standard output ({e}); on standard error: {complaints:?}")
        })
    }

    /// Returns the next line of its standard error.
    pub(crate) fn complaint(&self) -> String {
        self.complaints.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    /// Waits for its end, and returns its output.
    pub(crate) fn output(mut self) -> Output {
        let status = self.end();
        let bytes = |lines: &Receiver<String>| {
            lines.iter().flat_map(|line| (line + "\n").into_bytes()).collect()
        };
        Output { status, stdout: bytes(&self.lines), stderr: bytes(&self.complaints) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines() {
            if sender.send(line.expect("the command speaks UTF-8")).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns every process whose parent is `id`.
#[cfg(target_os = "linux")]
pub(crate) fn children_of(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    processes.filter(|process| stat(*process).is_some_and(|(_, parent)| parent == id)).collect()
}

/// Returns the state of a process as a letter, and its parent. Returns `None` if it does not exist.
#[cfg(target_os = "linux")]
pub(crate) fn stat(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Returns whether a process has ended. One whose parent is gone may stay as a zombie in a container.
#[cfg(target_os = "linux")]
pub(crate) fn has_ended(id: u32) -> bool {
    stat(id).is_none_or(|(state, _)| state == 'Z')
}

/// Runs a command that ends by itself, with a terminal as standard error. Returns what it has shown there.
#[cfg(target_os = "linux")]
pub(crate) fn on_terminal(command: &mut Command) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let inside =
        fs::File::options().read(true).write(true).open(OsStr::from_bytes(name.to_bytes()));
    let mut child =
        command.env("TERM", "xterm").stdout(Stdio::null()).stderr(inside.unwrap()).spawn().unwrap();
    // The command object keeps a copy of the inner end, and the reader would not see the end of file.
    command.stderr(Stdio::null());
    let (sender, shown) = channel();
    thread::spawn(move || {
        let (mut terminal, mut shown, mut bytes) =
            (fs::File::from(terminal), Vec::new(), [0; 4096]);
        // EIO: the last process that has the inner end open is gone.
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            shown.extend_from_slice(&bytes[..count]);
        }
        sender.send(shown)
    });
    let status = eventually("the command ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let shown = shown.recv_timeout(PATIENCE).expect("the terminal is closed");
    String::from_utf8_lossy(&shown).into_owned()
}
