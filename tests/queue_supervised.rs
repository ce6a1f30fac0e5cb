//! A queue whose trigger was opened by another process: a supervisor, which waits for a pull, starts the
//! program, and passes the FIFO on.

mod queue_fixture;

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pullcord::{Backend, Origin, QueueOptions, Receiver, WatchMode};
use pullcord_platform::fifo;
use queue_fixture::{QueueFixture, WATCH_MODES, directory};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// A queue, and the descriptor of a supervisor that has opened its trigger for reading and writing.
struct Supervised {
    queue: QueueFixture,
    fifo: File,
}

impl Supervised {
    fn new() -> Supervised {
        let queue = QueueFixture::new(Backend::best(), None);
        let fifo = File::options().read(true).write(true).open(queue.trigger()).unwrap();
        Supervised { queue, fifo }
    }

    /// Starts the program: gives it a duplicate of the descriptor.
    fn start(&self, watch: WatchMode) -> Receiver {
        let fifo: OwnedFd = self.fifo.as_fd().try_clone_to_owned().unwrap();
        self.queue.options().trigger_fd(fifo).watch(watch).receiver().unwrap()
    }

    fn link(&mut self, name: &str) -> PathBuf {
        self.queue.link(name)
    }

    fn pull(&self) {
        self.queue.pull();
    }

    /// Returns the number of bytes that would start the program again.
    fn bytes(&self) -> usize {
        fifo::available(&self.fifo).unwrap()
    }
}

/// Receives entries until there are none for a moment.
fn receive_all(mail: &mut Receiver) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    while let Some(entry) = mail.recv_timeout(Duration::from_millis(50)).unwrap() {
        paths.push(entry.path());
    }
    paths
}

#[test]
fn entries_are_returned_when_they_are_pulled_for() {
    for watch in WATCH_MODES {
        let mut queue = Supervised::new();
        let before = queue.link("before");
        let mut mail = queue.start(watch);
        assert_eq!(mail.recv().unwrap().unwrap().path(), before);
        fs::remove_file(before).unwrap();
        for name in ["1", "2", "3"] {
            let path = queue.link(name);
            queue.pull();
            assert_eq!(mail.recv().unwrap().unwrap().path(), path, "{watch}");
            fs::remove_file(path).unwrap();
        }
        assert!(mail.next_warning().is_none());
    }
}

#[test]
fn a_program_that_has_returned_everything_leaves_no_byte() {
    for watch in WATCH_MODES {
        let mut queue = Supervised::new();
        (0..3).for_each(|_| queue.pull());
        let path = queue.link("1");
        let mut mail = queue.start(watch);
        assert_eq!(receive_all(&mut mail), [path], "{watch}");
        assert!(!mail.close().unwrap(), "{watch}: nothing is left");
        assert_eq!(queue.bytes(), 0, "{watch}: it would be started again");
    }
}

/// A watched queue does not wait for the trigger, and empties it now and then.
#[test]
fn pulls_for_entries_that_the_watch_has_reported_are_taken_out_at_the_end() {
    let mut queue = Supervised::new();
    let mut mail = queue.start(WatchMode::Auto);
    if !mail.queue().is_fully_watched() {
        return;
    }
    for name in ["1", "2", "3"] {
        let path = queue.link(name);
        assert_eq!(mail.recv().unwrap().unwrap().path(), path);
        queue.pull();
    }
    assert!(!mail.close().unwrap(), "nothing is left");
    assert_eq!(queue.bytes(), 0, "it would be started again");
}

#[test]
fn a_program_that_leaves_an_entry_leaves_one_byte() {
    for watch in WATCH_MODES {
        let mut queue = Supervised::new();
        let mut mail = queue.start(watch);
        assert!(receive_all(&mut mail).is_empty());
        queue.link("1");
        (0..3).for_each(|_| queue.pull());
        assert!(mail.close().unwrap(), "{watch}: an entry is left");
        assert_eq!(queue.bytes(), 1, "{watch}");
        let mut mail = queue.start(watch);
        let entry = mail.recv().unwrap().unwrap().into_owned();
        assert_eq!((entry.name.as_os_str(), entry.origin), ("1".as_ref(), Origin::Scan));
    }
}

#[test]
fn a_pull_while_no_program_runs_stays_in_the_trigger() {
    let queue = Supervised::new();
    queue.start(WatchMode::Off).close().unwrap();
    queue.pull();
    assert_ne!(queue.bytes(), 0);
}

/// Another service that was given the same FIFO may change the flags of the open file at any time.
#[test]
fn flags_that_another_process_changes_do_not_block_the_queue() {
    const ENTRIES: usize = 500;
    let mut queue = Supervised::new();
    let mut mail = queue.start(WatchMode::Off);
    let (fifo, is_over) = (queue.fifo.try_clone().unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for flags in [OFlags::NONBLOCK, OFlags::empty()] {
                    let others = fcntl_getfl(&fifo).unwrap() - OFlags::NONBLOCK;
                    fcntl_setfl(&fifo, others | flags).unwrap();
                }
            }
        });
        for number in 0..ENTRIES {
            let path = queue.link(&number.to_string());
            queue.pull();
            assert_eq!(mail.recv().unwrap().unwrap().path(), path);
            fs::remove_file(path).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_descriptor_that_is_not_a_fifo_is_refused_with_its_number() {
    let directory = directory();
    let file = File::create(directory.path().join("file")).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    let options = QueueOptions::directories([directory.path()]).trigger_fd(file.into());
    let error = options.open().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let message = error.to_string();
    assert!(message.contains(&format!("/dev/fd/{number}")), "{message}");
    assert!(message.contains("pass a FIFO"), "{message}");
}
