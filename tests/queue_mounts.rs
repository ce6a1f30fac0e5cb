//! The queue on file systems that are mounted and unmounted, and at the limits of the kernel. All tests
//! need root. They restore all settings.

#[path = "support/images.rs"]
mod images;
mod queue_fixture;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use pullcord::{Backend, DirWatcher, OtherReaders, PullOutcome, Trigger, WatchGrade, WatchMode};
use queue_fixture::QueueFixture;

/// A file system that stays mounted until this is dropped.
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

/// A changed kernel setting, which is restored when this is dropped.
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

fn is_watched(fixture: &mut QueueFixture) -> bool {
    fixture.queue().is_fully_watched()
}

/// Adds an entry and checks that it is returned without a scan.
fn expect_by_watch(fixture: &mut QueueFixture, name: &str) {
    fixture.settle();
    let scans = fixture.stats().scans;
    let entry = fixture.path("todo").join(name);
    fs::write(&entry, "a message").unwrap();
    fixture.expect(&[entry]);
    assert_eq!(fixture.stats().scans, scans, "found by the watch");
}

/// inotify does not report mounts.
#[test]
#[ignore = "needs root, to mount"]
fn a_directory_that_is_mounted_over_is_found_within_the_verify_interval() {
    let mut fixture = QueueFixture::new(Backend::best(), Some(2));
    fixture.open(&fixture.options().verify_interval(Duration::from_millis(100)));
    fixture.settle();
    assert!(is_watched(&mut fixture), "a local file system is needed");

    let before = fixture.stats();
    let mount = Mount::new("tmpfs", "size=1m", &fixture.path("todo/1"));
    let entry = fixture.path("todo/1/17");
    fs::write(&entry, "a message").unwrap();
    fixture.expect(&[entry]);
    fixture.turn_until("the mounted directory is watched", is_watched);
    assert!(fixture.stats().scans - before.scans <= 2);
    expect_by_watch(&mut fixture, "1/18");

    // The directory below is found again.
    drop(mount);
    let entry = fixture.link("1/19");
    fixture.expect(&[entry]);
    fixture.turn_until("the directory below is watched again", is_watched);
    expect_by_watch(&mut fixture, "1/20");
}

/// Other hosts may change such a file system.
#[test]
#[ignore = "needs root, to mount"]
fn on_an_unknown_file_system_each_pull_causes_a_scan_and_the_watch_helps() {
    let mut fixture = QueueFixture::new(Backend::best(), None);
    for directory in ["lower", "upper", "work"] {
        fs::create_dir(fixture.path(directory)).unwrap();
    }
    let tmpfs = Mount::new("tmpfs", "size=1m", &fixture.path("upper"));
    for directory in ["upper/upper", "upper/work"] {
        fs::create_dir(fixture.path(directory)).unwrap();
    }
    let root = fixture.root.path().display().to_string();
    let options =
        format!("lowerdir={root}/lower,upperdir={root}/upper/upper,workdir={root}/upper/work");
    let overlay = Mount::new("overlay", &options, &fixture.path("todo"));

    fixture.open(&fixture.options());
    fixture.settle();
    let status: Vec<_> = fixture.queue().status().map(|directory| directory.watch).collect();
    assert_eq!(status, [WatchGrade::None], "overlayfs is not known to be local");
    let entry = fixture.path("todo/17");
    let scans = fixture.stats().scans;
    fs::write(&entry, "a message").unwrap();
    fixture.expect(&[&entry]);
    assert_eq!(fixture.stats().scans, scans, "the watch has reported it");
    fs::remove_file(&entry).unwrap();
    fixture.pull();
    fixture.turn_until("the pull causes a scan", |fixture| fixture.stats().scans == scans + 1);
    fixture.settle();
    assert_eq!(fixture.stats().scans, scans + 1);

    // Without a trigger it is polled.
    let poll = Duration::from_millis(100);
    fixture.warned.clear();
    fixture.open(&fixture.options().without_trigger().poll_interval(poll));
    let (_, warnings) = fixture.turn_for(poll * 3);
    let [warning] = &warnings[..] else { panic!("reported once: {warnings:?}") };
    assert!(warning.contains("overlayfs") && warning.contains("100ms"), "{warning}");

    // The user knows better.
    fixture.open(&fixture.options().assume_local(true));
    assert!(is_watched(&mut fixture));
    fixture.close();
    drop((overlay, tmpfs));
}

#[test]
#[ignore = "needs root, to lower a limit"]
fn without_free_watches_the_limit_is_reported_and_directories_are_scanned_meanwhile() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";
    for backend in Backend::available() {
        let mut fixture = QueueFixture::new(backend, Some(5));
        let setting = Setting::new(LIMIT, "2");
        let required = fixture.options().watch(WatchMode::Required).open().unwrap_err();
        assert!(required.to_string().contains("max_user_watches (now 2)"), "{required}");

        fixture.open(&fixture.options());
        let (_, warnings) =
            fixture.turn_until("each is reported", |fixture| fixture.warned.len() >= 4);
        for warning in &warnings {
            assert!(warning.contains("fs.inotify.max_user_watches (now 2)"), "{warning}");
        }
        let entry = fixture.link("4/17");
        fixture.pull();
        fixture.expect(&[entry]);
        let (_, warnings) = fixture.turn_for(Duration::from_millis(1500));
        assert!(warnings.is_empty(), "reported once: {warnings:?}");

        drop(setting);
        fixture.turn_until("it is tried again", is_watched);
        expect_by_watch(&mut fixture, "4/18");
    }
}

#[test]
#[ignore = "needs root, to lower a limit"]
fn without_a_free_inotify_instance_the_limit_is_reported_and_directories_are_scanned_meanwhile() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
    let mut fixture = QueueFixture::new(Backend::best(), Some(2));
    let setting = Setting::new(LIMIT, "1");
    let _taken = DirWatcher::new();
    fixture.open(&fixture.options());
    let (_, warnings) = fixture.turn_for(Duration::from_millis(1500));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("fs.inotify.max_user_instances (now 1)"), "{warnings:?}");
    let entry = fixture.link("1/17");
    fixture.pull();
    fixture.expect(&[entry]);

    drop(setting);
    fixture.turn_until("it is tried again", is_watched);
    expect_by_watch(&mut fixture, "1/18");
}

/// In a 32-bit program, the calls without large file support fail with EOVERFLOW here.
#[test]
#[ignore = "needs root, to mount"]
fn inode_numbers_and_sizes_of_more_than_32_bits_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["lower", "upper", "merged", "large"] {
        fs::create_dir(path(name)).unwrap();
    }
    // With xino, the upper bits of an inode number identify one of the two file systems.
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

    // The file system has 2^34 blocks.
    let large = Mount::new("tmpfs", "size=64T", &path("large"));
    watch.watch(&large.0).unwrap();
}

/// Runs the tests that need no root on a file system of each kind that can be created here.
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

/// Creates and mounts a file system of this kind.
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
    for test in ["queue-", "queue_watch-", "queue_replaced-", "queue_model-"] {
        let binary = newest(tests.parent().unwrap(), test);
        let done = Command::new(&binary).env("PULLCORD_TEST_DIR", &mount.0).output().unwrap();
        let output = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{test} on {kind}:\n{output}");
        let result = output.lines().find(|line| line.starts_with("test result"));
        println!("{kind}: {test} {}", result.unwrap_or("no result"));
    }
}

/// Returns the newest test binary in the directory with this prefix.
fn newest(directory: &Path, prefix: &str) -> PathBuf {
    let binaries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    binaries
        .filter(|path| path.extension().is_none())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .unwrap_or_else(|| panic!("{prefix} was not built: cargo test builds it"))
}
