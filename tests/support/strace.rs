//! Runs a role of this test binary under strace(1), and returns the system calls that it made.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use super::ROLE;

/// A system call of the main thread.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The time of the call in seconds.
    pub(crate) time: f64,
    pub(crate) name: String,
    /// The whole line of the log.
    pub(crate) line: String,
}

/// The calls between two [marks](mark), and the output of the role.
pub(crate) struct Traced {
    pub(crate) calls: Vec<Call>,
    pub(crate) output: String,
}

/// Makes a system call that can be found in the log.
pub(crate) fn mark() {
    // The first such call of a process is preceded by one that tests for statx(2).
    static FIRST: Once = Once::new();
    FIRST.call_once(|| drop(Path::new("/").try_exists()));
    let _ = Path::new("/mark").exists();
}

/// Runs a role, which must call [`mark`] twice. Returns `None`, with a message, without strace.
///
/// `injected` is an argument of strace's `-e inject=`, or empty. Calls for memory and for locks are not
/// in the result.
#[track_caller]
pub(crate) fn trace(role: &str, injected: &str, arguments: &[&OsStr]) -> Option<Traced> {
    if Command::new("strace").arg("-V").output().is_err() {
        // Not by println!, which the harness hides.
        let _ = writeln!(std::io::stderr(), "left out: strace is not here");
        return None;
    }
    let directory = super::directory();
    let log = directory.path().join("log");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-y", "-ttt", "-e", "signal=none", "-e"]);
    strace.arg("trace=!futex,mmap,munmap,mremap,brk,madvise,sched_yield");
    if !injected.is_empty() {
        strace.args(["-e", &format!("inject={injected}")]);
    }
    strace.arg("-o").arg(&log).arg(env::current_exe().unwrap()).args(arguments).env(ROLE, role);
    // The loader would search Cargo's directories and so make more system calls.
    strace.env_remove("LD_LIBRARY_PATH");
    let output = strace.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role}: {printed}{complaint}");
    let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    let is_mark = |call: &Call| call.line.contains("\"/mark\"");
    let calls = log.lines().filter_map(parse).skip_while(|call| !is_mark(call)).skip(1);
    let calls: Vec<_> = calls.take_while(|call| !is_mark(call)).collect();
    Some(Traced { calls, output: printed })
}

/// Parses a line such as `1700000000.123456 read(3</path>, ...) = 1`.
fn parse(line: &str) -> Option<Call> {
    let (time, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    Some(Call { time: time.parse().ok()?, name: name.to_owned(), line: line.to_owned() })
}

impl Call {
    /// Returns whether the call waits for events.
    pub(crate) fn is_wait(&self) -> bool {
        self.name.starts_with("epoll_wait")
            || self.name.starts_with("epoll_pwait")
            || self.name.contains("select")
    }

    /// Returns whether the call reads a file whose name or path ends with `file`.
    pub(crate) fn is_read_of(&self, file: &str) -> bool {
        self.name == "read" && self.line.contains(&format!("{file}>"))
    }
}

impl Traced {
    pub(crate) fn count(&self, which: impl Fn(&Call) -> bool) -> usize {
        self.calls.iter().filter(|call| which(call)).count()
    }

    /// Returns the lines of the calls for which `known` returns false.
    pub(crate) fn others(&self, known: impl Fn(&Call) -> bool) -> Vec<&str> {
        self.calls.iter().filter(|call| !known(call)).map(|call| call.line.as_str()).collect()
    }
}
