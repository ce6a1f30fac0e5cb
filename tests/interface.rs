//! The traits of the public types: it is checked by the compiler.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::io;

use pullcord::watcher::{EntryCause, Locality, WatchEvent, WatchFor, WatchId, WatchedDir};
use pullcord::{
    Backend, DirWatcher, DirectoryStatus, DrainOutcome, Entry, Error, Escaped, Event, Events,
    Interest, Key, Mode, Notifier, Origin, OtherReaders, OwnedEntry, PullOutcome, Queue,
    QueueOptions, Receiver, Stats, Trigger, WaitFds, Waker, Warning, WarningKind, WatchGrade,
    WatchMode, WriteMethod,
};

/// A value: it is compared, copied into other threads, and printed.
fn is_value<T: Clone + Eq + Debug + Send + Sync>() {}

/// A value that a set can hold.
fn is_key<T: Clone + Eq + Hash + Debug + Send + Sync>() {}

fn is_error<T: StdError + Display + Debug + Send + Sync + 'static>() {}

/// Something that is open: one thread owns it, and it may move to another.
fn is_handle<T: Debug + Send>() {}

#[test]
fn values_are_compared_and_copied_handles_move_and_everything_is_printed() {
    is_handle::<Queue>();
    is_handle::<Receiver>();
    is_handle::<Trigger>();
    is_handle::<DirWatcher>();
    is_handle::<Events>();
    is_handle::<WaitFds<'_>>();
    #[cfg(feature = "tokio")]
    is_handle::<pullcord::interop::AsyncReceiver>();

    is_value::<QueueOptions>();
    is_value::<DirectoryStatus<'_>>();
    is_key::<Entry<'_>>();
    is_key::<OwnedEntry>();
    is_key::<Stats>();
    is_key::<Origin>();
    is_key::<WarningKind>();
    is_key::<WatchGrade>();
    is_key::<WatchMode>();
    is_key::<WriteMethod>();
    is_key::<OtherReaders>();
    is_key::<DrainOutcome>();
    is_key::<PullOutcome>();
    is_key::<Backend>();
    is_key::<Key>();
    is_key::<Interest>();
    is_key::<Mode>();
    is_key::<Event>();
    is_key::<Escaped<'_>>();
    is_key::<Locality>();
    is_key::<WatchId>();
    is_key::<WatchedDir>();
    is_key::<WatchEvent<'_>>();
    is_key::<WatchFor>();
    is_key::<EntryCause>();

    is_error::<Error>();
    is_error::<Warning>();

    fn is_shared<T: Clone + Send + Sync>() {}
    is_shared::<Waker>();
}

#[test]
fn a_notifier_is_one_behind_every_pointer() {
    fn is_notifier<T: Notifier>() {}
    is_notifier::<Box<dyn Notifier>>();
    is_notifier::<&mut dyn Notifier>();
    is_notifier::<&mut Box<dyn Notifier>>();
}

/// A program that returns `io::Result` uses `?` on everything.
#[test]
fn an_error_becomes_an_io_error_of_the_same_kind() {
    fn opens() -> io::Result<Receiver> {
        Ok(QueueOptions::directories(["/nowhere/todo"]).receiver()?)
    }
    let error = opens().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with("/nowhere/todo: cannot "), "{error}");
    let source = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    assert_eq!(source.map(Error::kind), Some(io::ErrorKind::NotFound));
}

#[test]
fn a_receiver_goes_on_in_another_thread() {
    let todo = tempfile::tempdir().unwrap();
    std::fs::write(todo.path().join("1"), "").unwrap();
    let mut mail = QueueOptions::directories([todo.path()]).receiver().unwrap();
    assert_eq!(mail.recv().unwrap().unwrap().name, "1");
    let path = todo.path().join("2");
    let waits = std::thread::spawn(move || {
        loop {
            let entry = mail.recv().unwrap().unwrap();
            if entry.name == "2" {
                break entry.path();
            }
        }
    });
    std::fs::write(&path, "").unwrap();
    assert_eq!(waits.join().unwrap(), path);
}
