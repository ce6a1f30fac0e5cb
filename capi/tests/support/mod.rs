//! Compiles C programs with the system's compiler and the libraries of this build, and runs them.
#![allow(dead_code)] // each test uses its part

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Returns the output of the script: the system libraries for a static link.
pub(crate) fn native_libs() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../capi/native-libs");
    let done = Command::new(&script).output().unwrap_or_else(|e| panic!("{script:?}: {e}"));
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Whether a command is installed.
pub(crate) fn has_command(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok()
}

/// Says that a test is left out, also where the output of good tests is hidden.
pub(crate) fn left_out(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "left out: {why}");
}

/// Where cargo puts the libraries of the crate under test.
pub(crate) fn built() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

pub(crate) struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// Compiles sources of `tests/c`, and links the static library as the documentation says.
    pub(crate) fn compile(compiler: &str, sources: &[&str], options: &[&str]) -> Program {
        let archive = format!("lib{}.a", env!("CARGO_PKG_NAME").replace('-', "_"));
        let mut linked = vec![built().join(archive).into_os_string()];
        linked.extend(native_libs().split_whitespace().map(OsString::from));
        Program::compile_with(compiler, sources, options, linked)
    }

    /// Compiles sources of `tests/c`, and links them with these libraries.
    pub(crate) fn compile_with(
        compiler: &str,
        sources: &[&str],
        options: &[&str],
        linked: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Program {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("program");
        let compiled = Command::new(compiler)
            .args(["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(here.join("include"))
            .args(options)
            .args(sources.iter().map(|source| here.join("tests/c").join(source)))
            .args(linked)
            .arg("-o")
            .arg(&path)
            .output()
            .unwrap_or_else(|e| panic!("{compiler} must be installed: {e}"));
        let printed = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{compiler}: {printed}");
        Program { path, _directory: directory }
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it to its end, which must be a success, and returns its output.
    pub(crate) fn run(&self, arguments: &[&Path]) -> String {
        let done = self.command().args(arguments).output().unwrap();
        let printed = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {printed}", done.status);
        String::from_utf8(done.stdout).unwrap()
    }
}

/// A queue as qmail's is, as far as its manager is concerned here.
pub(crate) struct Queue(TempDir);

impl Queue {
    pub(crate) fn new() -> Queue {
        let directory = TempDir::new().unwrap();
        for name in ["lock", "todo", "mess"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let queue = Queue(directory);
        pullcord::Trigger::create(queue.trigger(), 0o622).unwrap();
        queue
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn trigger(&self) -> PathBuf {
        self.path().join("lock/trigger")
    }

    /// Writes a message and links it into `todo`, as qmail-queue does, but does not pull.
    pub(crate) fn link(&self, name: &str) {
        let message = self.path().join("mess").join(name);
        fs::write(&message, "").unwrap();
        fs::hard_link(&message, self.path().join("todo").join(name)).unwrap();
    }

    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.path().join("todo")).unwrap().next().is_none()
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
