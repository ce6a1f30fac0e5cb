//! Todo on file systems that come and go, and under limits that are reached: all of it needs root,
//! and puts back what it changed.

#[path = "support/images.rs"]
mod images;
mod office;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use office::{Office, PATIENCE};
use pullcord::{Backend, DirWatcher, OtherReaders, PullOutcome, Trigger, WatchMode};

/// Something mounted, until it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(kind: &str, options: &str, at: &Path) -> Mount {
        run(Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(at));
        Mount(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A setting of the kernel's, until it is dropped.
struct Setting(&'static str, String);

impl Setting {
    fn new(path: &'static str, value: &str) -> Setting {
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, value).unwrap();
        Setting(path, before)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(self.0, &self.1);
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn turn_until(office: &mut Office, what: &str, done: impl Fn(&mut Office) -> bool) -> Vec<PathBuf> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while !done(office) {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        seen.extend(office.turn(PATIENCE).0);
    }
    seen
}

fn is_watched(office: &mut Office) -> bool {
    office.todo().counters().unwatched == 0
}

/// inotify says nothing at all of this: the pull is what makes Todo look.
#[test]
#[ignore = "needs root, to mount"]
fn a_directory_that_is_mounted_over_is_noticed_by_the_next_pull() {
    let mut office = Office::new(Backend::best(), Some(2));
    office.open_on(office.queue());
    office.settle();
    assert!(is_watched(&mut office), "a local file system is needed");

    let mount = Mount::new("tmpfs", "size=1m", &office.path("todo/1"));
    let entry = office.path("todo/1/17");
    fs::write(&entry, "a message").unwrap();
    office.pull();
    let before = office.todo().counters();
    office.expect(&[entry]);
    turn_until(&mut office, "what is mounted there is watched", is_watched);
    assert!(office.todo().counters().scans - before.scans <= 2);
    let before = office.todo().counters();
    let entry = office.path("todo/1/18");
    fs::write(&entry, "a message").unwrap();
    office.expect(&[entry]);
    assert_eq!(office.todo().counters().scans, before.scans, "found by the watch");

    // Unmounted, which the watch says. What is below is seen again.
    drop(mount);
    let entry = office.link("1/19");
    office.expect(&[entry]);
    turn_until(&mut office, "what was below is watched again", is_watched);
}

/// Changes may come from elsewhere there, or nobody knows: every pull scans.
#[test]
#[ignore = "needs root, to mount"]
fn on_a_file_system_that_nobody_knows_every_pull_scans_and_the_watch_helps() {
    let mut office = Office::new(Backend::best(), None);
    for directory in ["lower", "upper", "work"] {
        fs::create_dir(office.path(directory)).unwrap();
    }
    let tmpfs = Mount::new("tmpfs", "size=1m", &office.path("upper"));
    for directory in ["upper/upper", "upper/work"] {
        fs::create_dir(office.path(directory)).unwrap();
    }
    let root = office.root.path().display().to_string();
    let options =
        format!("lowerdir={root}/lower,upperdir={root}/upper/upper,workdir={root}/upper/work");
    let overlay = Mount::new("overlay", &options, &office.path("todo"));

    office.open_on(office.queue());
    office.settle();
    assert_eq!(office.todo().counters().unwatched, 1, "overlayfs is not known to be local");
    let entry = office.path("todo/17");
    fs::write(&entry, "a message").unwrap();
    let scans = office.todo().counters().scans;
    office.expect(std::slice::from_ref(&entry));
    assert_eq!(office.todo().counters().scans, scans, "the watch told of it");
    fs::remove_file(&entry).unwrap();
    office.pull();
    office.settle();
    assert_eq!(office.todo().counters().scans, scans + 1, "and the pull scans");
    office.todo = None;
    drop((overlay, tmpfs));
}

#[test]
#[ignore = "needs root, to lower a limit"]
fn without_watches_to_be_had_it_says_which_limit_and_scans_until_there_are() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";
    for backend in Backend::available() {
        let mut office = Office::new(backend, Some(5));
        let setting = Setting::new(LIMIT, "2");
        let required = pullcord::Todo::open(office.queue().watch(WatchMode::Required)).unwrap_err();
        assert!(required.to_string().contains("max_user_watches (now 2)"), "{required}");

        office.open_on(office.queue());
        let (_, errors) = office.settle();
        assert!(!errors.is_empty());
        for error in &errors {
            assert!(error.contains("fs.inotify.max_user_watches (now 2)"), "{error}");
        }
        let entry = office.link("4/17");
        office.pull();
        office.expect(&[entry]);
        assert!(office.settle().1.is_empty(), "said once");

        drop(setting);
        turn_until(&mut office, "it is tried again", is_watched);
        let scans = office.todo().counters().scans;
        let entry = office.link("4/18");
        office.expect(&[entry]);
        assert_eq!(office.todo().counters().scans, scans, "found by the watch");
    }
}

#[test]
#[ignore = "needs root, to lower a limit"]
fn without_an_instance_to_be_had_it_says_which_limit_and_scans_until_there_is() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
    let mut office = Office::new(Backend::best(), Some(2));
    let setting = Setting::new(LIMIT, "1");
    let _taken = DirWatcher::new();
    office.open_on(office.queue());
    let (_, errors) = office.settle();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("fs.inotify.max_user_instances (now 1)"), "{errors:?}");
    let entry = office.link("1/17");
    office.pull();
    office.expect(&[entry]);

    drop(setting);
    turn_until(&mut office, "it is tried again", is_watched);
    let scans = office.todo().counters().scans;
    let entry = office.link("1/18");
    office.expect(&[entry]);
    assert_eq!(office.todo().counters().scans, scans, "found by the watch");
}

/// The tests that need no root, on a file system of each kind that can be made here.
/// A 32-bit program sees EOVERFLOW here from the calls that know no large files.
#[test]
#[ignore = "needs root, to mount"]
fn inode_numbers_and_sizes_of_more_than_32_bits_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["lower", "upper", "merged", "large"] {
        fs::create_dir(path(name)).unwrap();
    }
    // With xino, the upper bits of an inode number say which file system it is of: there are two.
    let _lower = Mount::new("tmpfs", "size=1m", &path("lower"));
    let _upper = Mount::new("tmpfs", "size=1m", &path("upper"));
    for name in ["lower/todo", "upper/upper", "upper/work"] {
        fs::create_dir(path(name)).unwrap();
    }
    Trigger::create(path("lower/trigger"), 0o600).unwrap();
    let layers = [("lower", "lower"), ("upper", "upper/upper"), ("work", "upper/work")];
    let layers = layers.map(|(layer, at)| format!("{layer}dir={}", path(at).display()));
    let merged = Mount::new("overlay", &format!("{},xino=on", layers.join(",")), &path("merged"));
    let trigger = merged.0.join("trigger");
    let inode = fs::metadata(&trigger).unwrap().ino();
    assert!(inode > u64::from(u32::MAX), "overlayfs gives no large number here: {inode}");

    let opened = Trigger::open(&trigger, OtherReaders::Reject).unwrap();
    assert_eq!(pullcord::pull(&trigger).unwrap(), PullOutcome::Delivered);
    assert!(!opened.is_replaced());
    drop(opened);
    let mut watch = DirWatcher::new().unwrap();
    watch.watch(merged.0.join("todo")).unwrap();

    // Of 2^34 blocks.
    let large = Mount::new("tmpfs", "size=64T", &path("large"));
    watch.watch(&large.0).unwrap();
}

#[test]
#[ignore = "needs root and mkfs, to mount file systems of its own"]
fn on_every_file_system_that_can_be_made() {
    let directory = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for kind in ["tmpfs", "ext4", "xfs", "btrfs"] {
            let directory = directory.path();
            scope.spawn(move || match made(kind, directory) {
                Ok(mount) => the_other_tests_on(kind, &mount),
                Err(why) => println!("{kind}: left out, {why}"),
            });
        }
    });
}

/// A file system of this kind, mounted.
fn made(kind: &str, directory: &Path) -> Result<Mount, String> {
    if kind == "tmpfs" {
        let at = directory.join(kind);
        fs::create_dir(&at).unwrap();
        return Ok(Mount::new("tmpfs", "size=512m", &at));
    }
    images::mounted(kind, directory).map(Mount)
}

fn the_other_tests_on(kind: &str, mount: &Mount) {
    let tests = std::env::current_exe().unwrap();
    for test in ["todo-", "todo_watch-", "todo_model-"] {
        let binary = newest(tests.parent().unwrap(), test);
        let done = Command::new(&binary).env("PULLCORD_TEST_DIR", &mount.0).output().unwrap();
        let output = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{test} on {kind}:\n{output}");
        let result = output.lines().find(|line| line.starts_with("test result"));
        println!("{kind}: {test} {}", result.unwrap_or("no result"));
    }
}

/// The test binary that was built last, of those beside this one.
fn newest(directory: &Path, prefix: &str) -> PathBuf {
    let binaries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    binaries
        .filter(|path| path.extension().is_none())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .unwrap_or_else(|| panic!("{prefix} was not built: cargo test builds it"))
}
