//! Tests `pullcord doctor` on mounts, in namespaces and with other owners, on Linux. Most tests need root.
//! Without root they print that they are left out.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pullcord::{OtherReaders, Trigger};

use crate::doctor::{Checks, examine_at};
use crate::support::{Queue, left_out, output};

/// A mount, which is removed when this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts with mount(8). If that fails, prints why the test is left out.
    fn new(at: &Path, arguments: &[&str], stdin: Stdio) -> Option<Mount> {
        let done = Command::new("mount").args(arguments).arg(at).stdin(stdin).output();
        match done {
            Ok(done) if done.status.success() => Some(Mount(at.into())),
            Ok(done) => {
                left_out(&format!("cannot mount: {}", String::from_utf8_lossy(&done.stderr)));
                None
            }
            Err(e) => {
                left_out(&format!("there is no mount(8): {e}"));
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Returns whether this is root with unshare(1). Otherwise prints that the test is left out.
fn can_unshare(namespace: &str) -> bool {
    let done = Command::new("unshare").args([namespace, "--fork", "true"]).output();
    let can = done.is_ok_and(|done| done.status.success());
    if !can {
        left_out("needs root and unshare(1)");
    }
    can
}

const ONCE: [&str; 2] = ["--seconds", "0"];

#[test]
fn a_full_file_system_and_one_without_inodes_are_errors() {
    for (options, files) in [("size=256k", 1), ("size=4m,nr_inodes=24", 64)] {
        let queue = Queue::flat();
        let options = format!("rw,{options}");
        let todo = queue.path("todo");
        let arguments = ["-t", "tmpfs", "-o", &options, "none"];
        let Some(_mount) = Mount::new(&todo, &arguments, Stdio::null()) else { return };
        let _reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
        assert_ne!(examine_at(queue.root(), &ONCE).state("disk"), "error");
        for file in 0..files {
            // The write fails when the file system is full, as intended.
            let _ = fs::write(todo.join(file.to_string()), vec![b'x'; 512 << 10 >> (files / 8)]);
        }
        let checks = examine_at(queue.root(), &ONCE);
        assert_eq!(
            (checks.code, checks.state("disk")),
            (Some(1), "error"),
            "{options}: {checks:?}"
        );
        let what = if files == 1 { "blocks free (0 %)" } else { "inodes free (0 %)" };
        assert!(checks.message("disk").contains(what), "{checks:?}");
    }
}

#[test]
fn a_read_only_file_system_is_an_error() {
    let queue = Queue::flat();
    let todo = queue.path("todo");
    let arguments = ["-t", "tmpfs", "-o", "ro", "none"];
    let Some(_mount) = Mount::new(&todo, &arguments, Stdio::null()) else { return };
    let _reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    let checks = examine_at(queue.root(), &ONCE);
    assert_eq!((checks.code, checks.state("disk")), (Some(1), "error"), "{checks:?}");
    assert!(checks.message("disk").contains("read-only"), "{checks:?}");
    assert!(checks.message("file system").contains("tmpfs is local"), "{checks:?}");
}

#[test]
fn a_file_system_that_is_not_known_to_be_local_is_a_warning_with_its_type() {
    let queue = Queue::flat();
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| queue.path(name));
    let size = ["-t", "tmpfs", "none"];
    let (at, todo) = (queue.path("mess"), queue.path("todo"));
    let Some(_below) = Mount::new(&at, &size, Stdio::null()) else { return };
    let [lower, upper, work] = [lower, upper, work].map(|path| at.join(path.file_name().unwrap()));
    for path in [&lower, &upper, &work] {
        fs::create_dir(path).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let arguments = ["-t", "overlay", "-o", &options, "none"];
    let Some(_mount) = Mount::new(&todo, &arguments, Stdio::null()) else { return };
    let checks = examine_at(queue.root(), &ONCE);
    assert_eq!(checks.state("file system"), "warning", "{checks:?}");
    assert!(checks.message("file system").contains("overlay"), "{checks:?}");
}

/// The queue is a volume, and its reader runs in another container.
#[test]
fn a_reader_in_another_pid_namespace_is_not_reported_as_missing() {
    if !can_unshare("--pid") {
        return;
    }
    let queue = Queue::flat();
    let examine = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_pullcord")]);
        Checks::parse(&output(command.args(["doctor", "--json"]).arg(queue.root())))
    };
    let reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    let checks = examine();
    assert_eq!((checks.code, checks.state("reader")), (Some(0), "ok"), "{checks:?}");
    assert!(checks.message("reader").contains("not known from here"), "{checks:?}");
    assert!(checks.message("reader").contains("PID namespace"), "{checks:?}");
    drop(reader);
    let checks = examine();
    assert_eq!((checks.code, checks.state("reader")), (Some(1), "error"), "{checks:?}");
}

/// The server of a FUSE mount never answers, and another process (this test) has the mount open. A stat(2)
/// through that descriptor would never return.
#[test]
fn a_dead_mount_that_another_process_has_open_does_not_block() {
    let Ok(device) = fs::File::options().read(true).write(true).open("/dev/fuse") else {
        return left_out("needs /dev/fuse");
    };
    let place = tempfile::tempdir().unwrap();
    let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
    let arguments = ["-i", "-t", "fuse", "-o", options, "none"];
    let server = device.try_clone().unwrap();
    let Some(mount) = Mount::new(place.path(), &arguments, server.into()) else { return };
    let held: OwnedFd = rustix::fs::open(
        place.path(),
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let queue = Queue::flat();
    let _reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    // This wait has a timeout.
    let checks = examine_at(queue.root(), &ONCE);
    assert_eq!(checks.state("reader"), "ok", "{checks:?}");
    drop((held, mount, device));
}

/// Returns a command that runs on a system with the users of qmail.
fn with_qmail_users(place: &Path, command: &str, arguments: &[&Path]) -> Command {
    let root = "root:x:0:0::/:/bin/sh\n";
    let passwd = format!("{root}qmailq:x:7371:7370::/:\nqmails:x:7372:7370::/:\n");
    fs::write(place.join("passwd"), passwd).unwrap();
    fs::write(place.join("group"), "root:x:0:\nqmail:x:7370:\n").unwrap();
    let script = format!(
        "mount --bind {0}/passwd /etc/passwd && mount --bind {0}/group /etc/group && {command}",
        place.display()
    );
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_pullcord")]).args(arguments);
    shell
}

#[test]
fn wrong_owners_are_errors_and_the_printed_commands_correct_them() {
    if !can_unshare("-m") {
        return;
    }
    let (queue, place) = (Queue::split(2), tempfile::tempdir().unwrap());
    let examine = || {
        let command = "exec \"$0\" doctor --json --seconds 0 \"$1\"";
        Checks::parse(&output(&mut with_qmail_users(place.path(), command, &[queue.root()])))
    };
    let checks = examine();
    let wrong: Vec<_> = checks
        .all
        .iter()
        .filter(|check| check.check == "owners" && check.state == "error")
        .collect();
    // These are the queue, lock, the trigger, todo and its two parts.
    assert_eq!(wrong.len(), 6, "{checks:?}");
    for check in wrong {
        assert!(
            output(&mut with_qmail_users(place.path(), &check.hint, &[])).status.success(),
            "{check:?}"
        );
    }
    let checks = examine();
    assert_eq!(checks.state("owners"), "ok", "{checks:?}");
    let metadata = fs::metadata(queue.trigger()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o622);

    // One owner is wrong again, and only this one is reported.
    chown(queue.trigger(), Some(0), Some(0)).unwrap();
    let checks = examine();
    assert!(checks.message("owners").contains("lock/trigger"), "{checks:?}");
    assert!(checks.find("owners").unwrap().hint.starts_with("chown qmails:qmail "), "{checks:?}");
}

/// The limit of the whole system is higher and does not apply.
#[test]
fn the_limits_of_inotify_are_those_of_this_user_namespace() {
    if !can_unshare("--map-root-user") {
        return;
    }
    let queue = Queue::flat();
    let script = "echo 0 >/proc/sys/user/max_inotify_instances || exit 9
        exec 3<>\"$1\"
        \"$0\" doctor --json --seconds 0 \"$2\"
        exit $?";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "sh", "-c", script, env!("CARGO_BIN_EXE_pullcord")]);
    let done = output(command.arg(queue.trigger()).arg(queue.root()));
    if done.status.code() == Some(9) {
        return left_out("the limits of a user namespace cannot be set here");
    }
    let checks = Checks::parse(&done);
    assert_eq!(checks.code, Some(0), "warnings only: {checks:?}");
    assert_eq!(checks.state("watch"), "warning", "{checks:?}");
    assert!(
        checks.message("watch").contains("inotify instances of its user: 0 of 0"),
        "{checks:?}"
    );
    assert_eq!(checks.state("inotify instances"), "warning", "{checks:?}");
    assert_eq!(checks.state("inotify watches"), "ok", "{checks:?}");
}
