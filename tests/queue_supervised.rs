//! A queue whose trigger was opened by another process: a supervisor, which waits for a pull, starts the
//! program, and passes the FIFO on.

mod queue_fixture;

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pullcord::{
    Backend, Origin, OwnedEntry, Queue, QueueOptions, Receiver, WatchMode, WriteMethod,
};
use pullcord_platform::fifo;
use queue_fixture::{PATIENCE, QueueFixture, WATCH_MODES, directory};
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

/// The name of a situation, the options of its queue, and the steps that lead to it.
type Situation = (&'static str, fn(QueueOptions) -> QueueOptions, fn(&mut Supervised, &mut Queue));

const HOUR: Duration = Duration::from_secs(3600);

fn as_it_is(options: QueueOptions) -> QueueOptions {
    options
}

fn in_place(options: QueueOptions) -> QueueOptions {
    options.write_method(WriteMethod::InPlace { quiet: HOUR })
}

/// Makes a turn in which both descriptors are readable. Returns the number of entries, at most `most`.
fn turn(queue: &mut Queue, most: usize, now: Instant) -> usize {
    let _ = queue.prepare_fds(now);
    queue.set_trigger_readable();
    queue.set_watch_readable();
    std::iter::from_fn(|| queue.next_entry(now).map(drop)).take(most).count()
}

/// Makes turns until one returns entries. Returns their number.
fn receive(queue: &mut Queue, most: usize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Instant::now();
        assert!(now < deadline, "no entry is returned");
        match turn(queue, most, now) {
            0 => {}
            count => return count,
        }
    }
}

/// Makes turns until there is nothing to do: no scan, and no pull that the queue waits for.
fn settle(supervised: &Supervised, queue: &mut Queue) {
    let deadline = Instant::now() + PATIENCE;
    let is_pulled = |queue: &Queue| supervised.bytes() > 0 && !queue.is_fully_watched();
    while turn(queue, usize::MAX, Instant::now()) > 0 || queue.is_scanning() || is_pulled(queue) {
        assert!(Instant::now() < deadline, "the queue does not become idle");
    }
}

/// Situations in which an entry is left.
const LEFT: [Situation; 7] = [
    ("nothing was read", as_it_is, |supervised, _| drop(supervised.link("1"))),
    ("a scan has not ended", as_it_is, |supervised, queue| {
        (0..200).for_each(|n| drop(supervised.link(&n.to_string())));
        assert_eq!(receive(queue, usize::MAX), 64);
    }),
    ("an entry comes after a turn", as_it_is, |supervised, queue| {
        settle(supervised, queue);
        supervised.link("1");
        supervised.pull();
    }),
    ("more entries come than one turn returns", as_it_is, |supervised, queue| {
        settle(supervised, queue);
        (0..200).for_each(|n| drop(supervised.link(&n.to_string())));
        supervised.pull();
        assert_eq!(receive(queue, usize::MAX), 64);
    }),
    // More names than one turn looks at.
    ("an entry comes after many names that are no entries", as_it_is, |supervised, queue| {
        settle(supervised, queue);
        let mut hidden = [".1", ".2"].map(|name| supervised.queue.path("todo").join(name));
        fs::write(&hidden[0], "").unwrap();
        for _ in 0..5_000 {
            fs::rename(&hidden[0], &hidden[1]).unwrap();
            hidden.reverse();
        }
        supervised.link("1");
        supervised.pull();
    }),
    // The watch is not waited for until its reads without an entry are paid.
    ("an entry comes while the watch rests", as_it_is, |supervised, queue| {
        settle(supervised, queue);
        let now = Instant::now();
        while queue.is_fully_watched() && queue.prepare_fds(now).watch.is_some() {
            let path = supervised.link(".hidden");
            assert_eq!(turn(queue, usize::MAX, now), 0);
            fs::remove_file(path).unwrap();
        }
        supervised.link("1");
        supervised.pull();
    }),
    ("an entry is not quiet yet", in_place, |supervised, queue| {
        supervised.link("1");
        settle(supervised, queue);
    }),
];

/// Situations in which no entry is left. Each entry stays in its directory, where kqueue(2) would report its
/// removal as a change.
const NOT_LEFT: [Situation; 3] = [
    ("each entry was returned", as_it_is, |supervised, queue| {
        supervised.link("1");
        supervised.pull();
        settle(supervised, queue);
    }),
    ("a turn has just returned the last entry that it may", as_it_is, |supervised, queue| {
        settle(supervised, queue);
        (0..64).for_each(|n| drop(supervised.link(&n.to_string())));
        supervised.pull();
        assert_eq!(receive(queue, 64), 64);
        // Without a watch, the scan has not ended.
        if !queue.is_fully_watched() {
            settle(supervised, queue);
        }
    }),
    ("an entry is requeued", as_it_is, |supervised, queue| {
        let path = supervised.link("1");
        supervised.pull();
        settle(supervised, queue);
        let entry = OwnedEntry::from_path(path).unwrap();
        queue.requeue(&entry, Instant::now() + HOUR).unwrap();
    }),
];

#[test]
fn close_leaves_one_byte_if_an_entry_is_left() {
    close_in(&LEFT, true);
}

#[test]
fn close_leaves_no_byte_if_no_entry_is_left() {
    close_in(&NOT_LEFT, false);
}

fn close_in(situations: &[Situation], is_left: bool) {
    for watch in WATCH_MODES {
        for (what, options, act) in situations {
            let mut supervised = Supervised::new();
            let fifo = supervised.fifo.as_fd().try_clone_to_owned().unwrap();
            let options = options(supervised.queue.options()).trigger_fd(fifo).watch(watch);
            let mut queue = options.open().unwrap();
            act(&mut supervised, &mut queue);
            assert_eq!(queue.close().unwrap(), is_left, "watch {watch}: {what}");
            assert_eq!(supervised.bytes(), usize::from(is_left), "watch {watch}: {what}");
        }
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
