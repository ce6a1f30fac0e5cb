//! The place of a queue, the way in which entries are written into it, and the way to read it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pullcord_platform::OwnedFd;
use pullcord_platform::dir::{Batch, Dir, FileType};
use pullcord_platform::file;

use super::Queue;
use super::trigger_port::TriggerSource;
use crate::error::{Error, Result};
use crate::receiver::Receiver;
use crate::trigger::OtherReaders;
use crate::watcher::WatchMode;

/// Describes a queue, and opens it: the directories in which entries appear, the trigger that is
/// pulled for them, and how an entry is known to be complete.
///
/// ```no_run
/// use pullcord::QueueOptions;
///
/// let qmail = QueueOptions::qmail("/var/qmail/queue")?; // flat or split
/// let maildrop = QueueOptions::postfix("/var/spool/postfix")?;
/// let other = QueueOptions::directories(["/srv/in", "/srv/urgent"]).trigger("/srv/trigger");
/// let queue = other.open()?;
/// # Ok::<(), pullcord::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    pub(super) trigger: Option<TriggerSource>,
    pub(super) directories: Vec<PathBuf>,
    /// The first directory may have numbered directories, which are parts of the queue.
    pub(super) has_parts: bool,
    pub(super) write_method: WriteMethod,
    pub(super) other_readers: OtherReaders,
    pub(super) watch: WatchMode,
    pub(super) assume_local: Option<bool>,
    pub(super) must_exist: bool,
    pub(super) rescan_interval: Option<Duration>,
    pub(super) verify_interval: Option<Duration>,
    pub(super) poll_interval: Option<Duration>,
}

/// How writers create an entry, and so how a complete entry is told from an unfinished one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteMethod {
    /// The entry is complete when its name appears: it was written elsewhere, and then linked or
    /// renamed into the directory.
    #[default]
    Atomic,
    /// The entry is written in the directory, and it is complete once it is a regular file that its
    /// owner may execute. Postfix's postdrop(8) does this. The fchmod(2) that makes it complete may
    /// come before the writer's fsync(2), as for Postfix's own pickup(8).
    OwnerExecutable,
    /// The entry is written in the directory, and nothing marks its end. It is returned once its
    /// mtime and ctime are older than `quiet`, or when it is renamed into the directory.
    ///
    /// With a `quiet` of zero, an entry is also returned when the watch reports that a writer has
    /// closed it; every other entry waits [`DEFAULT_QUIET`](WriteMethod::DEFAULT_QUIET). A close of an entry
    /// that was returned before 4,096 others returns it again. Stores
    /// through mmap(2) are not seen while the file is mapped: a program that writes so needs a
    /// `quiet` that is longer than its work.
    InPlace {
        /// How long an entry must be unchanged.
        quiet: Duration,
    },
}

/// A hundred years. The entry of a longer quiet time is never returned, either.
const LONGEST_QUIET: Duration = Duration::from_secs(100 * 365 * 86_400);

impl WriteMethod {
    /// How long an entry that is written in place must be unchanged, if nothing else is set: 2
    /// seconds.
    pub const DEFAULT_QUIET: Duration = Duration::from_secs(2);

    /// The time for which an entry must be unchanged if no close was seen.
    pub(super) fn quiet(self) -> Duration {
        match self {
            // A time beyond the end of the clock does not exist.
            WriteMethod::InPlace { quiet } if !quiet.is_zero() => quiet.min(LONGEST_QUIET),
            _ => WriteMethod::DEFAULT_QUIET,
        }
    }

    pub(super) fn is_in_place(self) -> bool {
        matches!(self, WriteMethod::InPlace { .. })
    }
}

impl QueueOptions {
    /// The default of [`rescan_interval`](QueueOptions::rescan_interval), which is qmail-send's: 25
    /// minutes.
    pub const DEFAULT_RESCAN_INTERVAL: Duration = Duration::from_secs(1500);
    /// The default of [`verify_interval`](QueueOptions::verify_interval): 10 seconds.
    pub const DEFAULT_VERIFY_INTERVAL: Duration = Duration::from_secs(10);
    /// The default of [`poll_interval`](QueueOptions::poll_interval): 5 seconds.
    pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(5);

    /// Describes a qmail queue: the trigger `lock/trigger`, and `todo`.
    ///
    /// Directories in `todo` with a number as their name, and symbolic links with such a name that lead to a
    /// directory, are parts of the queue (big-todo). They are read as `todo` itself is, and parts that are
    /// added later are found. So the mail of a queue that was changed from flat to split, or back, is found
    /// in either place. Other directories in `todo` are not entries. In a queue without parts, a numbered
    /// link that is added while the queue is open is found by the next scan.
    ///
    /// A relative path is made absolute here, since `todo` is read here.
    ///
    /// # Errors
    ///
    /// Fails if `todo` exists and cannot be read. Fails if the path is relative, and the current directory
    /// is not known.
    pub fn qmail(queue: impl AsRef<Path>) -> Result<QueueOptions> {
        let queue = absolute(queue.as_ref())?;
        let todo = queue.join("todo");
        let parts = find_parts(&todo).map_err(|e| {
            let is_misnamed = e.kind() == io::ErrorKind::NotADirectory;
            let error = Error::new(&todo, "look at the queue", e);
            if is_misnamed { error.with_hint(QUEUE_PATH_HINT) } else { error }
        })?;
        let parts = parts.into_iter().map(|part| todo.join(part)).collect::<Vec<_>>();
        let directories = std::iter::once(todo).chain(parts);
        let options = QueueOptions::directories(directories).trigger(queue.join("lock/trigger"));
        Ok(QueueOptions { has_parts: true, ..options })
    }

    /// Describes Postfix's `maildrop`, with `public/pickup` as the trigger. Its entries are
    /// [`OwnerExecutable`](WriteMethod::OwnerExecutable). `public/pickup` must be a FIFO; where it is
    /// a socket, use [`without_trigger`](QueueOptions::without_trigger). A relative path is made absolute
    /// here.
    ///
    /// # Errors
    ///
    /// Fails if the path is relative, and the current directory is not known. [`open`](QueueOptions::open)
    /// reports a missing file.
    pub fn postfix(queue: impl AsRef<Path>) -> Result<QueueOptions> {
        let queue = absolute(queue.as_ref())?;
        let maildrop = QueueOptions::directories([queue.join("maildrop")]);
        let maildrop = maildrop.write_method(WriteMethod::OwnerExecutable);
        Ok(maildrop.trigger(queue.join("public/pickup")))
    }

    /// Describes a queue of any directories. Each name in them is an entry, except names that begin
    /// with a dot. Its entries are [`Atomic`](WriteMethod::Atomic), and it has no trigger, if nothing
    /// else is set. [`open`](QueueOptions::open) makes relative paths absolute.
    pub fn directories<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> QueueOptions {
        QueueOptions {
            trigger: None,
            directories: directories.into_iter().map(Into::into).collect(),
            has_parts: false,
            write_method: WriteMethod::Atomic,
            other_readers: OtherReaders::Reject,
            watch: WatchMode::Auto,
            assume_local: None,
            must_exist: true,
            rescan_interval: Some(QueueOptions::DEFAULT_RESCAN_INTERVAL),
            verify_interval: Some(QueueOptions::DEFAULT_VERIFY_INTERVAL),
            poll_interval: Some(QueueOptions::DEFAULT_POLL_INTERVAL),
        }
    }

    /// Sets the FIFO that is pulled for every entry. It may lie in one of the directories: then its name is
    /// not an entry.
    pub fn trigger(self, fifo: impl Into<PathBuf>) -> QueueOptions {
        QueueOptions { trigger: Some(TriggerSource::Path(fifo.into())), ..self }
    }

    /// Sets the FIFO that is pulled for every entry, as a descriptor that another process has opened: a
    /// supervisor (systemd's `ListenFIFO=`), or a shell (`3<>trigger`). It must not lie in one of the
    /// directories. Use [`Receiver::close`] where the supervisor starts the program again on a pull.
    ///
    /// The descriptor is duplicated by [`open`](QueueOptions::open), and stays open until these options
    /// and the queue are dropped. See [`Trigger::from_fd`](crate::Trigger::from_fd) for its conditions.
    pub fn trigger_fd(self, fifo: OwnedFd) -> QueueOptions {
        QueueOptions { trigger: Some(TriggerSource::Descriptor(Arc::new(fifo))), ..self }
    }

    /// Removes the trigger. A program that only observes a queue must not take the pulls of the queue's
    /// reader. The watch or polling then finds the entries.
    pub fn without_trigger(self) -> QueueOptions {
        QueueOptions { trigger: None, ..self }
    }

    /// Sets how writers create an entry. The default is [`WriteMethod::Atomic`].
    pub fn write_method(self, write_method: WriteMethod) -> QueueOptions {
        QueueOptions { write_method, ..self }
    }

    /// Sets whether to watch the directories. The default is [`WatchMode::Auto`].
    pub fn watch(self, watch: WatchMode) -> QueueOptions {
        QueueOptions { watch, ..self }
    }

    /// Sets whether the trigger may be opened while another process reads it. The default is
    /// [`OtherReaders::Reject`].
    pub fn other_readers(self, other_readers: OtherReaders) -> QueueOptions {
        QueueOptions { other_readers, ..self }
    }

    /// Overrules the decision whether the directories are on local file systems, whose changes the
    /// watch reports completely. `Some(true)` trusts the watch on every file system, `Some(false)`
    /// on none; `None`, the default, decides by the type of each file system.
    pub fn assume_local(self, assume_local: impl Into<Option<bool>>) -> QueueOptions {
        QueueOptions { assume_local: assume_local.into(), ..self }
    }

    /// Sets whether [`open`](QueueOptions::open) fails if the trigger or a directory does not exist.
    /// The default is true. With false, any of them and any of their parents may be missing: they
    /// are found within a second of their appearance.
    pub fn must_exist(self, must_exist: bool) -> QueueOptions {
        QueueOptions { must_exist, ..self }
    }

    /// Sets how often all directories are scanned even without a pull or a change. This rescan returns
    /// entries that were left in the queue. The default is 1,500 seconds; `None` means never. With zero,
    /// [`open`](QueueOptions::open) fails.
    pub fn rescan_interval(self, interval: impl Into<Option<Duration>>) -> QueueOptions {
        QueueOptions { rescan_interval: interval.into(), ..self }
    }

    /// Sets how often the paths of the directories and of the trigger are compared with the files
    /// that are watched and open. A replaced directory or trigger, and a mount, are found within this
    /// time. The default is 10 seconds; `None` means never, and then the trigger is always waited
    /// for.
    pub fn verify_interval(self, interval: impl Into<Option<Duration>>) -> QueueOptions {
        QueueOptions { verify_interval: interval.into(), ..self }
    }

    /// Sets how often a directory is scanned that has neither a trigger nor a reliable watch, counted from
    /// the end of a scan. The default is 5 seconds; `None` means never. With zero,
    /// [`open`](QueueOptions::open) fails.
    pub fn poll_interval(self, interval: impl Into<Option<Duration>>) -> QueueOptions {
        QueueOptions { poll_interval: interval.into(), ..self }
    }

    /// Returns the path of the trigger, if there is one. Returns `None` for a trigger that was given
    /// [as a descriptor](QueueOptions::trigger_fd).
    pub fn trigger_path(&self) -> Option<&Path> {
        match &self.trigger {
            Some(TriggerSource::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// Returns the directories, as they were given or found. Parts that an open [`Queue`] has found
    /// since are in [`Queue::status`].
    pub fn directory_paths(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Opens the queue: its trigger first, then the watch, so that an entry that is added from now on
    /// is returned. Entries that are in the queue already are returned by the first turns. Does not
    /// block on a local file system. The paths are made absolute, so that a later chdir(2) changes
    /// nothing.
    ///
    /// A directory that cannot be watched is not an error, unless [`WatchMode::Required`] is set: it is
    /// reported by [`Queue::next_warning`], and scanned.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if an interval is zero or if there is no directory. Fails with the errors of
    /// [`Trigger::open`](crate::Trigger::open), and with those of opening a directory: `NotFound`,
    /// `NotADirectory`, `PermissionDenied`. With [`must_exist`](QueueOptions::must_exist) false, a missing
    /// trigger or directory is not an error. Nothing stays open after an error.
    pub fn open(&self) -> Result<Queue> {
        Queue::open(self.resolved()?)
    }

    /// Opens the queue, and a [`Receiver`] for it.
    ///
    /// # Errors
    ///
    /// Fails with the errors of [`open`](QueueOptions::open) and of [`Receiver::new`].
    pub fn receiver(&self) -> Result<Receiver> {
        let queue = self.open()?;
        Receiver::new(queue).map_err(|e| Error::new(self.first_path(), "wait for the queue", e))
    }

    /// Returns the path of the first directory, which names the queue in messages.
    pub(super) fn first_path(&self) -> &Path {
        self.directories.first().map_or(Path::new(""), |path| path)
    }

    /// Checks the options, and makes the paths absolute.
    fn resolved(&self) -> Result<QueueOptions> {
        let invalid = |operation: &'static str, why: &str| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, why);
            Error::new(self.first_path(), operation, error)
        };
        if self.directories.is_empty() {
            return Err(invalid("open the queue", "it has no directories"));
        }
        for (interval, operation) in [
            (self.rescan_interval, "set the rescan interval"),
            (self.verify_interval, "set the verify interval"),
            (self.poll_interval, "set the poll interval"),
        ] {
            if interval.is_some_and(|interval| interval.is_zero()) {
                let why = "an interval of zero would never let it rest";
                return Err(invalid(operation, why).with_hint("use None for never"));
            }
        }
        let directories =
            self.directories.iter().map(|path| absolute(path)).collect::<Result<Vec<_>>>()?;
        let trigger = match &self.trigger {
            Some(TriggerSource::Path(path)) => Some(TriggerSource::Path(absolute(path)?)),
            other => other.clone(),
        };
        Ok(QueueOptions { directories, trigger, ..self.clone() })
    }
}

const QUEUE_PATH_HINT: &str = "name a queue directory, the one that has lock/trigger and todo, or the FIFO and the directories";

/// Returns the names of the numbered directories in `todo`, in the order of the numbers: none if it
/// is flat, or if there is no `todo`.
///
/// The first batch of entries decides: a split `todo` holds directories only, or little mail beside
/// them, whereas in a flat one a million messages may wait. The first scan finds the rest.
fn find_parts(todo: &Path) -> io::Result<Vec<String>> {
    let mut directory = match Dir::open(todo) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let (mut batch, mut parts) = (Batch::new(), Vec::new());
    while directory.read_batch(&mut batch)? {
        let known = parts.len();
        while let Some(entry) = batch.next_entry() {
            let Some(name) = part_name(entry.name) else { continue };
            // One that cannot be looked at now is looked at again by the first scan.
            let look = || file::is_directory(&todo.join(name));
            if is_directory(entry.file_type, look).unwrap_or(false) {
                parts.push(name.to_owned());
            }
        }
        if parts.len() == known {
            break;
        }
    }
    parts.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    Ok(parts)
}

/// Returns the path with the current directory before it, if it is relative.
fn absolute(path: &Path) -> Result<PathBuf> {
    pullcord_platform::absolute(path).map_err(|e| Error::new(path, "make the path absolute", e))
}

/// Returns whether a directory entry is a directory, or a symbolic link to one. Asks `look` if the
/// directory does not say.
///
/// # Errors
///
/// Fails with the error of `look`.
pub(super) fn is_directory(
    file_type: FileType,
    look: impl FnOnce() -> io::Result<bool>,
) -> io::Result<bool> {
    match file_type {
        FileType::Directory => Ok(true),
        FileType::Other => Ok(false),
        FileType::Symlink | FileType::Unknown => look(),
    }
}

/// Returns the name if it is one that a part of a split queue can have: `0` or `22`, but neither `+5`
/// nor `007`.
pub(super) fn part_name(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let is_number = !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit());
    (is_number && (name == "0" || !name.starts_with('0'))).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_part_has_a_plain_number() {
        for name in ["0", "7", "22", "100"] {
            assert_eq!(part_name(OsStr::new(name)), Some(name));
        }
        for name in ["", "+5", "-1", "007", "00", "1a", "a1", "lost+found", "1.0"] {
            assert_eq!(part_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn the_parts_are_the_numbered_directories_in_the_order_of_their_numbers() {
        let todo = tempfile::tempdir().unwrap();
        for name in ["10", "9", "0", "009", "new"] {
            fs::create_dir(todo.path().join(name)).unwrap();
        }
        fs::write(todo.path().join("4711"), "a message").unwrap();
        symlink(todo.path().join("new"), todo.path().join("3")).unwrap();
        symlink(todo.path().join("missing"), todo.path().join("4")).unwrap();
        symlink("5", todo.path().join("5")).unwrap();
        symlink("n".repeat(256), todo.path().join("6")).unwrap();
        assert_eq!(find_parts(todo.path()).unwrap(), ["0", "3", "9", "10"]);
        assert_eq!(find_parts(&todo.path().join("missing")).unwrap(), [""; 0]);
    }

    #[test]
    fn the_parts_of_a_directory_of_several_batches_are_all_found() {
        let todo = tempfile::tempdir().unwrap();
        for part in 0..3000 {
            fs::create_dir(todo.path().join(part.to_string())).unwrap();
        }
        assert_eq!(find_parts(todo.path()).unwrap().len(), 3000);
    }

    #[test]
    fn the_name_of_a_fifo_in_place_of_a_queue_has_a_hint() {
        let queue = tempfile::tempdir().unwrap();
        let file = queue.path().join("trigger");
        fs::write(&file, "").unwrap();
        let error = QueueOptions::qmail(&file).unwrap_err();
        assert_eq!(
            (error.kind(), error.hint()),
            (io::ErrorKind::NotADirectory, Some(QUEUE_PATH_HINT))
        );
        // A name that is too long.
        let error = QueueOptions::qmail(queue.path().join("q".repeat(4096))).unwrap_err();
        assert_ne!(error.hint(), Some(QUEUE_PATH_HINT));
    }

    #[test]
    fn an_interval_of_zero_is_refused_with_the_first_directory() {
        let options = || QueueOptions::directories(["/a", "/b"]);
        for options in [
            options().rescan_interval(Duration::ZERO),
            options().verify_interval(Duration::ZERO),
            options().poll_interval(Duration::ZERO),
        ] {
            let error = options.resolved().unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (io::ErrorKind::InvalidInput, Path::new("/a"))
            );
        }
        let never = options().rescan_interval(None).verify_interval(None).poll_interval(None);
        assert!(never.resolved().is_ok());
        let none = QueueOptions::directories([""; 0]).resolved().unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn relative_paths_become_absolute() {
        let options = QueueOptions::directories(["todo"]).trigger("trigger").resolved().unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(options.directory_paths(), [here.join("todo")]);
        assert_eq!(options.trigger_path(), Some(&*here.join("trigger")));
    }

    #[test]
    fn options_are_equal_if_their_triggers_are_the_same() {
        let options = |trigger| QueueOptions::directories(["/a"]).trigger(trigger);
        assert_eq!(options("/b"), options("/b"));
        assert_ne!(options("/b"), options("/c"));
        let by_fd = || {
            let fd = fs::File::open("/").unwrap();
            QueueOptions::directories(["/a"]).trigger_fd(fd.into())
        };
        let one = by_fd();
        assert_eq!(one, one.clone());
        assert_ne!(one, by_fd());
        assert_ne!(one, options("/b"));
    }

    #[test]
    fn a_quiet_time_of_zero_is_the_default_for_files_that_no_event_has_closed() {
        let in_place = |seconds| WriteMethod::InPlace { quiet: Duration::from_secs(seconds) };
        assert_eq!(in_place(5).quiet(), Duration::from_secs(5));
        assert_eq!(in_place(0).quiet(), WriteMethod::DEFAULT_QUIET);
        assert!(in_place(0).is_in_place());
        assert!(!WriteMethod::Atomic.is_in_place());
    }
}
