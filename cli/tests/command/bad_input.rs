//! Bad input: one line with the path and a hint, exit code 2, nothing changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pullcord::{Backend, Trigger};

use crate::support::{Queue, copy_binary, output, pullcord, text};

/// Collects the inode number, mode and change time of everything below a path.
fn state_of(path: &Path, state: &mut BTreeMap<PathBuf, (u64, u32, i64, i64)>) {
    let metadata = path.symlink_metadata().unwrap();
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    state.insert(path.into(), (metadata.ino(), metadata.mode(), changed.0, changed.1));
    if metadata.is_dir() {
        // A test takes the right to read one; its change time is compared all the same.
        let entries = match fs::read_dir(path) {
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return,
            entries => entries.unwrap(),
        };
        for entry in entries {
            state_of(&entry.unwrap().path(), state);
        }
    }
}

/// Runs the command, which must fail and must not change the queue. Returns its message.
fn complaint(queue: &Queue, command: &mut Command) -> String {
    let [mut before, mut after] = [BTreeMap::new(), BTreeMap::new()];
    state_of(queue.root(), &mut before);
    let done = output(command);
    state_of(queue.root(), &mut after);
    assert_eq!(before, after, "{command:?} changed something");
    one_line(&done)
}

fn one_line(done: &Output) -> String {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(done.stdout.is_empty());
    said.into()
}

#[track_caller]
fn assert_says(complaint: &str, path: &Path, what: &str) {
    assert!(complaint.contains(&format!("{}: ", path.display())), "{path:?} in {complaint}");
    assert!(complaint.contains(what), "{what:?} in {complaint}");
}

fn watch(queue: &Path) -> Command {
    let mut command = pullcord(["watch"]);
    command.arg(queue);
    command
}

#[test]
fn a_missing_or_incomplete_queue_is_rejected_with_the_path() {
    let queue = Queue::flat();
    let missing = queue.path("missing");
    let said = complaint(&queue, &mut watch(&missing));
    assert_says(&said, &missing.join("todo"), "name a queue directory");

    fs::remove_dir(queue.path("todo")).unwrap();
    let said = complaint(&queue, &mut watch(queue.root()));
    assert_says(&said, &queue.path("todo"), "name a queue directory");

    let queue = Queue::split(4);
    let said = complaint(&queue, watch(queue.root()).args(["--layout", "postfix"]));
    assert_says(&said, &queue.path("public/pickup"), "mkfifo");
}

#[test]
fn a_trigger_that_is_not_a_fifo_is_rejected_with_its_type() {
    let queue = Queue::flat();
    fs::rename(queue.trigger(), queue.path("fifo")).unwrap();
    type Make = fn(&Path);
    let cases: [(&str, Make); 4] = [
        ("mkfifo", |_| ()),
        ("a regular file", |path| fs::write(path, "kept").unwrap()),
        ("a symbolic link", |path| symlink("../fifo", path).unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, make) in cases {
        let path = queue.trigger();
        make(&path);
        let mut other = pullcord(["watch", "--trigger"]);
        other.arg(&path).arg("--dir").arg(queue.path("todo"));
        for command in [&mut watch(queue.root()), &mut other, pullcord(["pull"]).arg(&path)] {
            assert_says(&complaint(&queue, command), &path, what);
        }
        let _ = fs::remove_file(&path);
    }
}

#[test]
fn a_missing_directory_or_a_file_in_its_place_is_rejected() {
    let queue = Queue::flat();
    fs::write(queue.path("file"), "").unwrap();
    for (name, what) in [("missing", "check the path"), ("file", "name the directory")] {
        let mut command = pullcord(["watch", "--trigger"]);
        command.arg(queue.trigger()).arg("--dir").args([queue.path("todo"), queue.path(name)]);
        assert_says(&complaint(&queue, &mut command), &queue.path(name), what);
    }
}

#[test]
fn a_path_without_permission_is_rejected_with_the_path() {
    let queue = Queue::flat();
    let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_pullcord"));
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        // Another user may not reach the place where the command was built.
        let copy = queue.path("pullcord");
        copy_binary(&copy);
        fs::set_permissions(queue.root(), fs::Permissions::from_mode(0o755)).unwrap();
        binary = copy;
    }
    for (name, option, mode, what) in [
        ("lock/trigger", "off", 0o000, "Permission denied"),
        ("lock/trigger", "off", 0o444, "may be read but not written to"),
        ("todo", "auto", 0o000, "Permission denied"),
    ] {
        let path = queue.path(name);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(&binary);
        if is_root {
            command.uid(65_534).gid(65_534).current_dir("/");
        }
        command.args(["watch", "--watch", option]).arg(queue.root());
        assert_says(&complaint(&queue, &mut command), &path, what);
        fs::set_permissions(&path, before).unwrap();
    }
}

#[test]
fn an_unavailable_backend_is_rejected_with_the_available_ones() {
    let queue = Queue::flat();
    let absent = Backend::ALL.into_iter().find(|backend| !backend.is_available()).unwrap();
    for name in ["devpoll", absent.as_str()] {
        let by_option = complaint(&queue, watch(queue.root()).args(["--backend", name]));
        let by_variable = complaint(&queue, watch(queue.root()).env(Backend::ENV_VAR, name));
        let by_demo = complaint(&queue, pullcord(["demo"]).args(["--backend", name]));
        assert!(by_option.contains("--backend") && by_variable.contains(Backend::ENV_VAR));
        for said in [by_option, by_variable, by_demo] {
            assert!(said.contains(name), "{said}");
            assert!(Backend::available().all(|backend| said.contains(backend.as_str())), "{said}");
        }
    }
}

/// A unit or a compose file may pass an empty `PULLCORD_BACKEND=`.
#[test]
fn an_empty_backend_variable_is_the_same_as_none() {
    let queue = Queue::flat();
    let done = output(watch(queue.root()).args(["--idle-exit", "0"]).env(Backend::ENV_VAR, ""));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

#[test]
fn too_few_descriptors_are_reported_with_the_limit_to_raise() {
    for (backend, option) in
        Backend::available().flat_map(|backend| ["auto", "off", "required"].map(|o| (backend, o)))
    {
        let queue = Queue::flat();
        let limited = |limit: u32| {
            let mut command = Command::new("/bin/sh");
            // Another test may have a descriptor open at this moment that the child inherits. Under a
            // low limit the shell cannot close it: it keeps a copy until then, numbered from 10 on.
            let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
            let script = format!("{close}; ulimit -n {limit} && exec \"$0\" \"$@\"");
            command.args(["-c", &script]);
            command.args([env!("CARGO_BIN_EXE_pullcord"), "watch", "--allow-other-readers"]);
            command.args(["--idle-exit", "0", "--backend", backend.as_str(), "--watch", option]);
            output(command.arg(queue.root()))
        };
        // With fewer than four, the command's own libraries cannot be opened.
        let enough = (4..64).find(|limit| {
            let done = limited(*limit);
            let starts = done.status.code() == Some(0);
            if !starts {
                let said = one_line(&done);
                assert!(said.contains("ulimit -n"), "{said}");
                assert!(said.contains(queue.root().to_str().unwrap()), "{said}");
            }
            starts
        });
        assert!(enough.is_some_and(|limit| limit > 6), "{enough:?}: {backend}, --watch {option}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let queue = Queue::flat();
    let fifo = OsString::from(queue.trigger());
    let usages: [&[&str]; 9] = [
        &[],
        &["watch"],
        &["watch", "/q", "--dir", "/q/todo"],
        &["watch", "/q", "--count", "0"],
        &["watch", "/q", "--idle-exit", "-1"],
        &["watch", "/q", "--idle-exit", "soon"],
        &["watch", "--dir", "/q/todo"],
        &["demo", "--writers", "0"],
        &["shove"],
    ];
    for usage in usages {
        assert_eq!(output(&mut pullcord(usage)).status.code(), Some(2), "{usage:?}");
    }
    let without_directory = output(pullcord(["watch", "--trigger"]).arg(fifo));
    assert_eq!(without_directory.status.code(), Some(2));
}

/// CLICOLOR_FORCE has the effect of a terminal.
#[test]
fn colours_are_printed_on_a_terminal_unless_no_color_is_set() {
    let complains = |variables: &[&str]| {
        let mut command = pullcord(["pull", "/missing"]);
        command.envs(variables.iter().map(|variable| (variable, "1")));
        output(&mut command).stderr
    };
    assert!(!complains(&[]).contains(&0x1b), "this is not a terminal");
    assert!(complains(&["CLICOLOR_FORCE"]).contains(&0x1b));
    assert!(!complains(&["CLICOLOR_FORCE", "NO_COLOR"]).contains(&0x1b));
}

#[test]
fn a_hostile_path_is_printed_escaped() {
    let queue = Queue::flat();
    let hostile = queue.path("\x1b[2J\nevil");
    Trigger::create(&hostile, 0o622).unwrap();
    for command in [pullcord(["pull"]).arg(&hostile), &mut watch(&hostile)] {
        let said = output(command).stderr;
        assert_eq!(text(&said).lines().count(), 1);
        assert!(text(&said).contains(r"\u{1b}[2J\nevil"), "{}", text(&said));
    }
}
