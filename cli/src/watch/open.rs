//! Opening the queue: with its trigger only if that is needed.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pullcord::{
    DrainOutcome, Escaped, OtherReaders, Queue, QueueOptions, Trigger, WatchMode, WriteMethod,
};
use pullcord_platform::inherited;
use rustix::fs::{FileType, fstat};

use super::options::QueueArguments;
use crate::failure::Failure;
use crate::layout::Layout;

/// The queue as the options describe it.
pub(super) struct Description {
    /// The path that messages name it by.
    pub(super) name: PathBuf,
    pub(super) options: QueueOptions,
    /// The descriptor of --trigger-fd.
    pub(super) trigger_fd: Option<OwnedFd>,
    /// Why there is no trigger although the layout has one.
    pub(super) notice: Option<String>,
}

impl QueueArguments {
    /// Returns the description of the queue. Fails if it does not exist, unless it is waited for.
    pub(super) fn describe(&self) -> Result<Description, Failure> {
        let mut notice = None;
        let (name, mut options) = match (&self.queue, &self.trigger) {
            (Some(queue), _) => (queue.clone(), self.of_queue(queue)?),
            (None, Some(fifo)) => {
                (fifo.clone(), QueueOptions::directories(&self.directories).trigger(fifo))
            }
            (None, None) => {
                let name = self.directories.first().cloned().unwrap_or_default();
                (name, QueueOptions::directories(&self.directories))
            }
        };
        if self.layout == Layout::Postfix {
            options = options.write_method(WriteMethod::OwnerExecutable);
        }
        let trigger_fd = self.trigger_fd.map(supervised_trigger).transpose()?;
        if let Some(fd) = &trigger_fd {
            let fd = fd.try_clone().map_err(|e| Failure::at_start(&name, "open the trigger", e))?;
            options = options.trigger_fd(fd);
        }
        if let Some(trigger) = options.trigger_path().filter(|path| is_socket(path)) {
            notice = Some(format!(
                "{}: a socket, not a FIFO: the directories are watched without a trigger",
                Escaped(trigger)
            ));
            options = options.without_trigger();
        }
        if let Some(quiet) = self.in_place {
            options = options.write_method(WriteMethod::InPlace { quiet });
        }
        options = options
            .watch(self.watch.mode())
            .assume_local(self.assume_local)
            .poll_interval(self.poll)
            .must_exist(!self.wait);
        Ok(Description { name, options, trigger_fd, notice })
    }

    /// Returns the queue of this layout. With a layout of Postfix, --dir adds directories.
    fn of_queue(&self, queue: &Path) -> Result<QueueOptions, Failure> {
        if !self.directories.is_empty() && self.layout == Layout::Qmail {
            return Err(Failure::bad_input(format!(
                "{}: cannot use QUEUE together with --dir in a layout of qmail; use one of them",
                Escaped(queue)
            )));
        }
        let options = self.layout.options(queue)?;
        if !self.wait && self.layout == Layout::Qmail {
            check_directories(&options)?;
        }
        if self.directories.is_empty() {
            return Ok(options);
        }
        let added = self.directories.iter().map(|directory| queue.join(directory));
        let all = options.directory_paths().iter().cloned().chain(added);
        let with_added = QueueOptions::directories(all);
        Ok(match options.trigger_path() {
            Some(trigger) => with_added.trigger(trigger),
            None => with_added,
        })
    }

    /// Opens the queue: without its trigger if the watch reports every entry by name, so that the
    /// pulls of a mail system are not taken.
    pub(super) fn open(&self, options: &QueueOptions) -> Result<Queue, Failure> {
        self.open_queue(options).map_err(open_error)
    }

    fn open_queue(&self, options: &QueueOptions) -> pullcord::Result<Queue> {
        let Some(trigger) = options.trigger_path() else { return options.open() };
        let is_incomplete = self.wait
            && (is_missing(trigger)
                || options.directory_paths().iter().any(|path| is_missing(path)));
        if self.watch.mode() != WatchMode::Off {
            if !is_incomplete {
                check_trigger(trigger)?;
            }
            let queue = options.clone().without_trigger().open()?;
            if is_incomplete || queue.is_fully_watched() {
                return Ok(queue);
            }
        }
        if self.allow_other_readers {
            return options.clone().other_readers(OtherReaders::Allow).open();
        }
        if !is_incomplete {
            check_other_readers(trigger)?;
        }
        options.open()
    }
}

/// Returns the FIFO that another program has opened under this number.
fn supervised_trigger(number: i32) -> Result<OwnedFd, Failure> {
    let refused = |why: &dyn std::fmt::Display| {
        Failure::bad_input(format!(
            "descriptor {number}: cannot use it as the trigger: {why}; open a FIFO for it, with \
             ListenFIFO= in a unit of systemd, or with {number}<>FIFO in a shell"
        ))
    };
    let fd = inherited::duplicate_number(number).map_err(|e| refused(&e))?;
    match fstat(&fd) {
        Ok(status) if FileType::from_raw_mode(status.st_mode).is_fifo() => Ok(fd),
        Ok(_) => Err(refused(&"it is not a FIFO")),
        Err(e) => Err(refused(&e)),
    }
}

/// Reads all bytes of the trigger, for an end after which a supervisor must not start the command again.
pub(super) fn empty(trigger: &OwnedFd) -> pullcord::Result<()> {
    let mut trigger = Trigger::from_fd(trigger)?;
    while trigger.drain()? != DrainOutcome::Empty {}
    Ok(())
}

/// Fails if a directory of the queue does not exist. A queue that appears later is supported by the
/// library; without --wait, it is a mistake in the path.
fn check_directories(options: &QueueOptions) -> Result<(), Failure> {
    for path in options.directory_paths() {
        let found = fs::metadata(path);
        if let Some(e) = found.err().filter(|e| e.kind() == io::ErrorKind::NotFound) {
            return Err(Failure::bad_input(format!(
                "{}: cannot read the queue: {e}; name a queue directory, the one that has \
                 lock/trigger and todo, or wait for it with --wait",
                Escaped(path)
            )));
        }
    }
    Ok(())
}

/// Returns whether the trigger is a socket, as `public/pickup` of a stock Postfix is.
fn is_socket(trigger: &Path) -> bool {
    trigger.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// Fails if the path is not a FIFO, also where the trigger will not be opened.
fn check_trigger(fifo: &Path) -> pullcord::Result<()> {
    match fifo.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(()),
        // Opening it fails, with the reason.
        _ => Trigger::open(fifo, OtherReaders::Allow).map(drop),
    }
}

/// Fails if another process reads the trigger. One attempt is not enough: a qmail-send with the patch
/// of 2001 closes its trigger during each scan. No attempt takes a pull: while a FIFO has no reader,
/// pulls fail, and the first scan finds their mail.
fn check_other_readers(fifo: &Path) -> pullcord::Result<()> {
    const ATTEMPTS: u32 = 5;
    const RETRY_DELAY: Duration = Duration::from_millis(100);
    for _ in 1..ATTEMPTS {
        drop(Trigger::open(fifo, OtherReaders::Reject)?);
        thread::sleep(RETRY_DELAY);
    }
    Ok(())
}

/// Returns why the queue cannot be observed, with the option that helps.
fn open_error(error: pullcord::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ResourceBusy => Failure::bad_input(format!(
            "{}: cannot read the trigger: another process is reading it, such as qmail-send, and \
             its mail would be delayed; use --allow-other-readers to read it anyway",
            Escaped(error.path())
        )),
        _ => Failure::bad_input(error),
    }
}
