//! Kills the queue managers of the examples repeatedly while mail arrives. Each message must be in the
//! Maildir exactly once.
//!
//! Cargo builds the examples before these tests, except with `cargo test --test mta`: run
//! `cargo build --examples` first, with the same features.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{Trigger, pull};

const MESSAGES: usize = 600;
const KILLS: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn mta_survives_kills() {
    survives_kills("mta");
}

#[test]
#[cfg(all(feature = "mio", not(any(target_os = "illumos", target_os = "solaris"))))]
fn mta_mio_survives_kills() {
    survives_kills("mta_mio");
}

#[test]
#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn mta_polling_survives_kills() {
    survives_kills("mta_polling");
}

#[test]
#[cfg(all(feature = "tokio", not(any(target_os = "illumos", target_os = "solaris"))))]
fn mta_tokio_survives_kills() {
    survives_kills("mta_tokio");
}

fn survives_kills(example: &str) {
    let parent = env::var_os("PULLCORD_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let root = tempfile::tempdir_in(parent).unwrap();
    let (queue, maildir) = (root.path().join("queue"), root.path().join("Maildir"));
    make_queue(&queue);
    let writer = {
        let queue = queue.clone();
        thread::spawn(move || (0..MESSAGES).for_each(|serial| inject(&queue, serial)))
    };

    let deadline = Instant::now() + PATIENCE;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..KILLS {
        let mut manager = start(example, &queue, &maildir);
        // It is killed at a random instruction after it has delivered some messages.
        let enough =
            count(&maildir.join("new")) + (random.below(2 * MESSAGES as u64 / KILLS)) as usize;
        while count(&maildir.join("new")) < enough.min(MESSAGES) {
            assert!(manager.runs(), "{example} has ended");
            assert!(Instant::now() < deadline, "{example} delivers no more");
        }
        let moment = Instant::now() + Duration::from_micros(random.below(2000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        drop(manager);
    }
    writer.join().unwrap();

    let mut manager = start(example, &queue, &maildir);
    while count(&queue.join("todo")) > 0 {
        assert!(manager.runs(), "{example} has ended");
        assert!(Instant::now() < deadline, "{example} leaves mail in the queue");
        thread::yield_now();
    }
    drop(manager);

    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for mail in fs::read_dir(maildir.join("new")).unwrap() {
        let mail = fs::read_to_string(mail.unwrap().path()).unwrap();
        assert!(mail.starts_with("Return-Path: <sender@example.org>\nDelivered-To: "), "{mail}");
        *copies.entry(mail.lines().last().unwrap().to_owned()).or_default() += 1;
    }
    let wanted: BTreeMap<_, _> = (0..MESSAGES).map(|serial| (body(serial), 1)).collect();
    let wrong = |(message, copies): &(&String, &usize)| wanted.get(*message) != Some(*copies);
    let twice: Vec<_> = copies.iter().filter(wrong).collect();
    let lost: Vec<_> = wanted.keys().filter(|message| !copies.contains_key(*message)).collect();
    assert!(twice.is_empty() && lost.is_empty(), "{example}: lost {lost:?}, not once {twice:?}");
}

/// A queue manager, which is killed when this is dropped.
struct Manager(Child);

impl Manager {
    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(example: &str, queue: &Path, maildir: &Path) -> Manager {
    // This program is target/PROFILE/deps/mta-0123.
    let this = env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("examples").join(example);
    let started = Command::new(&program).args([queue, maildir]).spawn();
    Manager(
        started.unwrap_or_else(|e| panic!("{}: {e}; cargo build --examples", program.display())),
    )
}

fn make_queue(queue: &Path) {
    for directory in ["lock", "pid", "intd", "todo"] {
        fs::create_dir_all(queue.join(directory)).unwrap();
    }
    for part in 0..23 {
        fs::create_dir_all(queue.join(format!("mess/{part}"))).unwrap();
    }
    Trigger::create(queue.join("lock/trigger"), 0o622).unwrap();
}

/// Queues a message as qmail-queue does: it is named after its inode number.
fn inject(queue: &Path, serial: usize) {
    let draft = queue.join("pid").join(serial.to_string());
    fs::write(&draft, format!("Subject: test\n\n{}\n", body(serial))).unwrap();
    let id = fs::metadata(&draft).unwrap().ino();
    let message = queue.join(format!("mess/{}/{id}", id % 23));
    fs::hard_link(&draft, message).unwrap();
    fs::remove_file(draft).unwrap();
    let envelope = queue.join(format!("intd/{id}"));
    fs::write(&envelope, "u0\0p1\0Fsender@example.org\0Tone@example.org\0Tother@example.org\0")
        .unwrap();
    fs::hard_link(envelope, queue.join(format!("todo/{id}"))).unwrap();
    pull(queue.join("lock/trigger")).unwrap();
}

fn body(serial: usize) -> String {
    format!("message {serial}")
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

/// xorshift64. The kills are the same in each run, except for the scheduler's influence.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
