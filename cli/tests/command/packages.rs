//! The Debian packages, as far as no tool of Debian is needed, and the examples for supervisors in them.
//! `ci/debian --check` builds and installs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{has_command, left_out};

/// Returns a file of the repository. A published crate does not have those above it.
fn file(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if !path.exists() {
        left_out(&format!("{name} is not here"));
        return None;
    }
    Some(path)
}

fn lines(name: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(file(name)?).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn the_packages_have_the_version_of_the_crate() {
    let Some(changelog) = lines("debian/changelog") else { return };
    assert!(changelog[0].starts_with(concat!("pullcord (", env!("CARGO_PKG_VERSION"), ") ")));
}

#[test]
fn the_trigger_of_systemd_is_as_qmail_has_it_and_cannot_be_blocked_by_pulls() {
    let Some(socket) = lines("examples/supervisor/queue-manager.socket") else { return };
    for line in [
        "ListenFIFO=/var/qmail/queue/lock/trigger",
        "SocketMode=0622",
        "SocketUser=qmails",
        "SocketGroup=qmail",
        "FlushPending=yes",
        "TriggerLimitIntervalSec=0",
        "PollLimitIntervalSec=2s",
    ] {
        assert!(socket.iter().any(|one| one == line), "{line}");
    }
    let has_accept = socket.iter().any(|line| line.starts_with("Accept="));
    assert!(!has_accept, "systemd ignores Accept= for a FIFO");
    let Some(service) = lines("examples/supervisor/queue-manager.service") else { return };
    assert!(service.iter().any(|line| line == "StartLimitIntervalSec=0"));
}

#[test]
fn systemd_accepts_the_units() {
    if !has_command("systemd-analyze") {
        return left_out("systemd-analyze is not here");
    }
    let directory = tempfile::tempdir().unwrap();
    for name in ["pullcord-watch.service", "queue-manager.socket", "queue-manager.service"] {
        let Some(path) = file(&format!("examples/supervisor/{name}")) else { return };
        // The programs are not installed here, and neither is the manual.
        let lines = fs::read_to_string(path).unwrap();
        let lines = lines.lines().filter(|line| !line.starts_with("Documentation="));
        let text = lines.map(|line| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                format!("ExecStart=/bin/sh{}\n", &command[command.find(' ').unwrap()..])
            }
            None => format!("{line}\n"),
        });
        fs::write(directory.path().join(name), text.collect::<String>()).unwrap();
    }
    for name in ["pullcord-watch.service", "queue-manager.socket"] {
        let mut verify = Command::new("systemd-analyze");
        let done = verify.arg("verify").arg(directory.path().join(name)).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        // Versions before 255 do not know the limit of polls.
        let unknown = said.lines().filter(|line| !line.contains("Unknown key name 'PollLimit"));
        let unknown = unknown.filter(|line| !line.contains("Unknown key 'PollLimit"));
        let about_it: Vec<_> = unknown.filter(|line| line.contains(name)).collect();
        assert!(about_it.is_empty(), "{about_it:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_run_script_replaces_itself_by_the_command_and_ends_with_it() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Stdio;

    use rustix::process::Signal;

    use crate::support::{Queue, Running, eventually};

    let Some(script) = file("examples/supervisor/run") else { return };
    let queue = Queue::flat();
    let bin = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_pullcord"), bin.path().join("pullcord")).unwrap();
    // daemontools' own takes a user, and this test has only one.
    let setuidgid = bin.path().join("setuidgid");
    fs::write(&setuidgid, "#!/bin/sh\n[ \"$1\" = somebody ] && shift && exec \"$@\"\n").unwrap();
    fs::set_permissions(&setuidgid, fs::Permissions::from_mode(0o755)).unwrap();

    // Started as an argument of the shell, since a file that was just written may not be executed yet.
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("/bin/sh");
    command.arg(script).env("PATH", path).env("OWNER", "somebody").env("QUEUE", queue.root());
    let running = Running::start(command.stdin(Stdio::null()));
    let process = PathBuf::from(format!("/proc/{}", running.id()));
    eventually("the script has become the command, which catches SIGTERM", || {
        let is_command = fs::read_link(process.join("exe")).ok()?.ends_with("pullcord");
        let status = fs::read_to_string(process.join("status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"))?;
        let caught = u64::from_str_radix(caught, 16).ok()?;
        (is_command && caught & 1 << (Signal::TERM.as_raw() - 1) != 0).then_some(())
    });
    running.signal(Signal::TERM);
    assert!(running.output().status.success());
}
