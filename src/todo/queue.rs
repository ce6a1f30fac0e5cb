//! What a queue looks like on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pullcord_platform::dir::{Batch, Dir, FileType};
use pullcord_platform::file;

use crate::error::{Error, Result};
use crate::queue::{QUEUE_PATH_HINT, QueueOptions, part_name};
use crate::trigger::OtherReaders;
use crate::watcher::WatchMode;

/// A queue: the directories in which entries appear, the trigger that is pulled for them, and how
/// an entry is known to be complete.
///
/// ```no_run
/// use pullcord::todo::Queue;
///
/// let qmail = Queue::qmail("/var/qmail/queue")?; // flat or split, found by looking
/// let maildrop = Queue::postfix("/var/spool/postfix")?;
/// let other = Queue::directories(["/srv/in", "/srv/urgent"]).trigger("/srv/trigger");
/// # Ok::<(), pullcord::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) trigger: Option<PathBuf>,
    pub(super) directories: Vec<PathBuf>,
    pub(super) arrival: Arrival,
    pub(super) sharing: OtherReaders,
    pub(super) watch: WatchMode,
    pub(super) tick: Duration,
    /// The directory whose numbered directories these are, if they are.
    pub(super) split: Option<PathBuf>,
}

/// What an entry is when its name appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Complete: it was written elsewhere and linked or renamed into the directory.
    Complete,
    /// Not yet: it is written in place, and complete once its owner may execute it.
    Unfinished,
}

impl Queue {
    /// A qmail queue: the trigger `lock/trigger`, and `todo`. If there are numbered directories in
    /// `todo` it is split (big-todo), and they are the queue's directories; else `todo` itself is.
    ///
    /// # Errors
    ///
    /// `todo` cannot be read; or, where there are N numbered directories, one of those from 0 to N-1.
    pub fn qmail(queue: impl AsRef<Path>) -> Result<Queue> {
        let queue = queue.as_ref();
        let todo = queue.join("todo");
        let count = parts_of(&todo)
            .map_err(|e| Error::new(&todo, "look at the queue", e).with_hint(QUEUE_PATH_HINT))?;
        let trigger = queue.join("lock/trigger");
        if count == 0 {
            return Ok(Queue::directories([todo]).trigger(trigger));
        }
        // They are counted from 0: where one has a higher number, another is missing.
        let parts: Vec<_> = (0..count).map(|part| todo.join(part.to_string())).collect();
        if let Some((missing, e)) =
            parts.iter().find_map(|part| Some((part, Dir::open(part).err()?)))
        {
            let missing = Error::new(missing, "use the split queue", e);
            return Err(
                missing.with_hint("make it: a split queue has all its numbered directories")
            );
        }
        Ok(Queue { split: Some(todo), ..Queue::directories(parts).trigger(trigger) })
    }

    /// Postfix's `maildrop`, with `public/pickup` made a FIFO as its trigger. Messages are written
    /// in place there: an entry is handed out once it is a regular file that its owner may execute,
    /// which postdrop(8) makes of it when it is complete.
    ///
    /// # Errors
    ///
    /// None yet: what is missing is said by [`Todo::open`](crate::Todo::open).
    pub fn postfix(queue: impl AsRef<Path>) -> Result<Queue> {
        let queue = queue.as_ref();
        let maildrop = Queue::directories([queue.join("maildrop")]);
        Ok(Queue { arrival: Arrival::Unfinished, ..maildrop.trigger(queue.join("public/pickup")) })
    }

    /// Any directories whose entries arrive complete: written elsewhere, then linked or renamed
    /// into one of them. Without a [`trigger`](Queue::trigger) they are found by the watch, or
    /// else by the tick only.
    pub fn directories<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Queue {
        Queue {
            trigger: None,
            directories: directories.into_iter().map(Into::into).collect(),
            arrival: Arrival::Complete,
            sharing: OtherReaders::Reject,
            watch: WatchMode::Auto,
            tick: QueueOptions::DEFAULT_RESCAN_INTERVAL,
            split: None,
        }
    }

    /// The FIFO that is pulled for every entry.
    pub fn trigger(self, fifo: impl Into<PathBuf>) -> Queue {
        Queue { trigger: Some(fifo.into()), ..self }
    }

    /// No trigger: for who only wants to look on, and must not take anybody's pulls. Entries are
    /// then found by the watch, and by the tick.
    pub fn without_trigger(self) -> Queue {
        Queue { trigger: None, ..self }
    }

    /// Whether to watch the directories; [`WatchMode::Auto`] if not said.
    pub fn watch(self, watch: WatchMode) -> Queue {
        Queue { watch, ..self }
    }

    /// Sets whether to open a trigger that another process reads. The default is
    /// [`OtherReaders::Reject`].
    pub fn sharing(self, sharing: OtherReaders) -> Queue {
        Queue { sharing, ..self }
    }

    /// How often everything is looked at for safety's sake, 1,500 s if not said: what was left
    /// lying is offered again, and a replaced trigger is noticed.
    pub fn tick(self, tick: Duration) -> Queue {
        Queue { tick, ..self }
    }

    /// The FIFO that is pulled for every entry, if there is one.
    pub fn trigger_path(&self) -> Option<&Path> {
        self.trigger.as_deref()
    }

    /// The directories in which entries appear. A split queue that grows while a
    /// [`Todo`](crate::Todo) is open on it has more of them there.
    pub fn paths(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Whether every directory is there and can be read.
    pub(super) fn check(&self) -> Result<()> {
        for directory in &self.directories {
            let open = || {
                let opened = file::open(directory)?;
                if !file::fstat(&opened)?.is_directory() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                Dir::open(directory).map(drop)
            };
            open().map_err(|e| Error::new(directory, "read the directory", e))?;
        }
        Ok(())
    }
}

/// How many numbered directories there are in `todo`: none if it is flat.
///
/// The first batch of entries decides: a split `todo` holds directories only, some hundreds at the
/// most, whereas in a flat one a million messages may wait.
fn parts_of(todo: &Path) -> io::Result<usize> {
    let (mut directory, mut batch) = (Dir::open(todo)?, Batch::new());
    let mut parts = 0;
    while directory.read_batch(&mut batch)? {
        while let Some(entry) = batch.next_entry() {
            let is_directory = match entry.file_type {
                FileType::Directory => true,
                FileType::Other | FileType::Symlink => false,
                FileType::Unknown => file::is_directory(&todo.join(entry.name)),
            };
            parts += usize::from(is_directory && part_name(entry.name).is_some());
        }
        if parts == 0 {
            break;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn todo(parts: &[&str]) -> tempfile::TempDir {
        let queue = tempfile::tempdir().unwrap();
        for part in parts {
            fs::create_dir_all(queue.path().join("todo").join(part)).unwrap();
        }
        queue
    }

    #[test]
    fn a_split_queue_has_its_numbered_directories_and_no_others() {
        let queue = todo(&["0", "1", "2", "007", "+5", "3x", ".3", "intd"]);
        fs::write(queue.path().join("todo/3"), "a message, not a part").unwrap();
        let split = Queue::qmail(queue.path()).unwrap();
        let names = split.directories.iter().map(|part| part.file_name().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!(Queue::qmail(todo(&["intd"]).path()).unwrap().split, None);
    }

    #[test]
    fn a_split_queue_with_a_gap_is_refused_however_wide_the_gap_is() {
        for highest in ["2", "4000000000", "18446744073709551615", "99999999999999999999999"] {
            let error = Queue::qmail(todo(&["0", highest]).path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            assert!(error.path().ends_with("todo/1"), "{error}");
            assert!(error.to_string().contains("all its numbered directories"), "{error}");
        }
    }
}
