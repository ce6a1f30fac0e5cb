//! The FIFO trigger: how a program that adds mail wakes the one that delivers it.
//!
//! The protocol is that of qmail's `lock/trigger` and of Postfix's FIFOs. The writer puts a message
//! into the queue, and then *pulls*: it opens the FIFO without blocking, writes one byte, and closes
//! it. The reader sleeps until the FIFO is readable, reads the bytes, and only then scans for
//! messages. So a pull that comes during the scan makes the FIFO readable again.
//!
//! # The special problem of flushing a FIFO
//!
//! The bytes of a FIFO stay in it while any process has it open. A reader that closes and re-opens
//! its end loses a byte only if no writer has the FIFO open at that moment. On a busy host some
//! writer always has it open. select(2) then reports it as readable for ever, and the reader scans
//! without end. [`Trigger::drain`] reads the bytes instead.
//!
//! # The special problem of the last writer
//!
//! A reader without writers is at end-of-file, which every readiness call reports: as a hang-up that
//! never ends, or as readable. So a [`Trigger`] keeps a writing end of its own. There is always a
//! writer, and on every system the FIFO is readable only while it contains bytes. qmail has a
//! work-around, `HASNAMEDPIPEBUG1`, for systems on which a FIFO without writers selects as readable.
//! It is not needed here.
//!
//! # The special problem of two readers
//!
//! A byte goes to one of several readers. A second reader takes pulls from the first one, whose mail
//! then waits for the next rescan: 25 minutes in qmail. [`Trigger::open`] therefore first checks
//! whether another process reads the FIFO.
//!
//! # The special problem of a supervisor
//!
//! A supervisor can open the FIFO, wait for the first pull, start the service, and pass the FIFO on as a
//! descriptor: systemd's `ListenFIFO=`, or a shell's `3<>trigger`. [`Trigger::from_fd`] takes such a
//! descriptor. The supervisor keeps its own descriptor, so that a pull is never refused while no service
//! runs. Bytes that the service leaves in the FIFO start it again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use pullcord_platform::filesystem::{Locality, locality};
use pullcord_platform::{OwnedFd, absolute, fifo, file};

pub use pullcord_platform::fifo::{DRAIN_LIMIT, DrainOutcome};

use crate::error::{Error, Result};

/// Whether to open a FIFO that another process has open for reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OtherReaders {
    /// Fails with `ResourceBusy`.
    #[default]
    Reject,
    /// Opens the FIFO. Each pull then reaches only one of the readers.
    Allow,
}

/// The reading end of a trigger. It is open from [`Trigger::open`] until it is dropped. During that
/// time no writer finds the FIFO without a reader.
///
/// Register it for [`Interest::Read`](crate::Interest::Read), in any mode. Level-triggered mode costs
/// no more here, and reports bytes again that a drain has left.
///
/// ```
/// use pullcord::{DrainOutcome, OtherReaders, PullOutcome, Trigger, pull};
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("trigger");
/// Trigger::create(&path, 0o622)?;
/// let mut trigger = Trigger::open(&path, OtherReaders::Reject)?;
/// assert_eq!(pull(&path)?, PullOutcome::Delivered);
/// assert_eq!(trigger.drain()?, DrainOutcome::Drained);
/// assert_eq!(trigger.drain()?, DrainOutcome::Empty);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trigger {
    path: PathBuf,
    reader: OwnedFd,
    /// See "the special problem of the last writer". `None` if the reader is open for writing too.
    writer: Option<OwnedFd>,
    origin: Origin,
    /// It shares its flags with the descriptor of another process, and may be blocking.
    shares_flags: bool,
    buffer: fifo::DrainBuffer,
}

/// How the FIFO was opened.
#[derive(Debug)]
enum Origin {
    /// By its path.
    Path {
        id: file::FileId,
        /// The FIFO is on a file system known to be local: elsewhere the numbers of files change by
        /// themselves, and prove nothing.
        is_local: bool,
        other_readers: OtherReaders,
    },
    /// By another process, which has passed it on.
    Descriptor,
}

impl Trigger {
    /// Creates a FIFO at `path` with exactly the permission bits in `mode`. Ignores the umask.
    /// qmail's mode is 0622: every user may pull, only the owner may read.
    ///
    /// # Errors
    ///
    /// Fails with `AlreadyExists` if `path` exists. Otherwise fails with the error of mkfifo(2).
    pub fn create(path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        fifo::create(path, mode).map_err(|e| Error::new(path, "make a FIFO", e))
    }

    /// Opens the FIFO at `path` for reading, and a writing end beside it. Makes the path absolute. Does
    /// not block.
    ///
    /// With [`OtherReaders::Reject`] it first opens the FIFO for writing, which succeeds only if a process
    /// reads it. This check ends one sleep of a qmail-send without the patch of 2001, which then scans once.
    /// The check does not prove it: a patched qmail-send has its trigger closed while it scans. A program
    /// that only observes a queue must not open its trigger.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if it is not a FIFO; the message names the type. A symbolic link is not
    /// followed. Fails with `ResourceBusy` if another process reads it. Fails with `PermissionDenied` if
    /// the FIFO may not be read, or may be read but not written to; the message says which. Otherwise
    /// fails with the error of open(2).
    pub fn open(path: impl Into<PathBuf>, other_readers: OtherReaders) -> Result<Trigger> {
        let path = path.into();
        // A program may change its current directory before it asks for the path again.
        let path = absolute(&path).map_err(|e| with_context(path, "open the trigger", e))?;
        match open_ends(&path, other_readers) {
            Ok(Ends { reader, writer, id, is_local }) => {
                let origin = Origin::Path { id, is_local, other_readers };
                Ok(Trigger::new(path, reader, Some(writer), origin))
            }
            Err(e) => Err(with_context(path, "open the trigger", e)),
        }
    }

    /// Returns a trigger for a FIFO that is open already, such as one that a supervisor has passed on.
    /// The descriptor is not used after this call; the caller may close it. Does not block.
    ///
    /// Linux opens both ends anew, through /proc/self/fd. Elsewhere, and where that is not permitted, the
    /// descriptor is duplicated, and must be open for reading and writing. The duplicate may be blocking:
    /// [`drain`](Trigger::drain) then asks first how many bytes there are, with one more system call, and
    /// no other process may read the FIFO.
    ///
    /// It is not known which path leads to the FIFO: [`path`](Trigger::path) returns `/dev/fd/` and the
    /// number, [`is_replaced`](Trigger::is_replaced) returns false, and [`reopen`](Trigger::reopen) does
    /// nothing.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("trigger");
    /// # pullcord::Trigger::create(&path, 0o622)?;
    /// let passed = std::fs::File::options().read(true).write(true).open(&path)?;
    /// let mut trigger = pullcord::Trigger::from_fd(&passed)?;
    /// pullcord::pull(&path)?;
    /// assert_eq!(trigger.drain()?, pullcord::DrainOutcome::Drained);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if it is not a FIFO, or if one of the ends cannot be had. Fails with
    /// `EMFILE` if the process has no free descriptor.
    pub fn from_fd(fd: impl AsFd) -> Result<Trigger> {
        let path = path_of(fd.as_fd());
        match fifo::inherit(fd.as_fd()) {
            Ok(fifo::Inherited { reader, writer, shares_flags }) => {
                let trigger = Trigger::new(path, reader, writer, Origin::Descriptor);
                Ok(Trigger { shares_flags, ..trigger })
            }
            Err(e) => {
                let hint = "pass a FIFO that is open for reading and writing";
                Err(Error::new(path, "use the descriptor as the trigger", e).with_hint(hint))
            }
        }
    }

    fn new(path: PathBuf, reader: OwnedFd, writer: Option<OwnedFd>, origin: Origin) -> Trigger {
        let buffer = fifo::DrainBuffer::new();
        Trigger { path, reader, writer, origin, shares_flags: false, buffer }
    }

    /// Reads the bytes, at most [`DRAIN_LIMIT`], with one read(2). Never blocks.
    ///
    /// The caller must drain *before* it scans, never after. If this returns [`DrainOutcome::Partial`],
    /// the FIFO may contain more bytes: the caller must scan, and must drain again in the next turn
    /// without waiting for an event. An edge-triggered notifier may not report one.
    ///
    /// # Errors
    ///
    /// Fails with the error of read(2), such as `EIO`. The caller should then act as after a pull.
    #[inline]
    pub fn drain(&mut self) -> Result<DrainOutcome> {
        let drained = if self.shares_flags {
            fifo::drain_available(&self.reader, &mut self.buffer)
        } else {
            fifo::drain(&self.reader, &mut self.buffer)
        };
        drained.map_err(|e| self.read_error(e))
    }

    /// Returns how many bytes the last drain has read.
    pub(crate) fn drained(&self) -> usize {
        self.buffer.count()
    }

    #[cold]
    fn read_error(&self, error: io::Error) -> Error {
        Error::new(&self.path, "read the trigger", error)
    }

    /// Writes a byte into the FIFO for the next reader, unless it contains one.
    ///
    /// # Errors
    ///
    /// Fails with the error of write(2).
    pub(crate) fn put_back(&self) -> Result<()> {
        // A descriptor that may be blocking blocks only on a full FIFO.
        let put_back = || match fifo::available(&self.reader)? {
            0 => fifo::write_byte(self.writer.as_ref().unwrap_or(&self.reader)).map(drop),
            _ => Ok(()),
        };
        put_back().map_err(|e| Error::new(&self.path, "write into the trigger", e))
    }

    /// Returns whether the path names another file now, or none. Then no pull arrives here any more:
    /// the caller should [`reopen`](Trigger::reopen) the trigger, and scan.
    ///
    /// Makes one call of lstat(2). Where the file system is not known to be local, the FIFO is also
    /// opened for writing: without a reader it is not the one that is open here. Does not block on a
    /// local file system.
    pub fn is_replaced(&self) -> bool {
        self.check_path().unwrap_or(true)
    }

    /// As [`is_replaced`](Trigger::is_replaced).
    ///
    /// # Errors
    ///
    /// Fails if the path cannot be looked at, so that it is not known.
    pub(crate) fn check_path(&self) -> io::Result<bool> {
        let Origin::Path { id, is_local, .. } = self.origin else {
            return Ok(mutant!(DescriptorCompared));
        };
        match file::lstat(&self.path) {
            Ok(status) if status.id == id => Ok(false),
            Ok(_) if is_local => Ok(true),
            Ok(status) if !status.is_fifo() => Ok(true),
            Ok(_) => Ok(fifo::open_write(&self.path)?.is_none()),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(true)
            }
            Err(e) => Err(e),
        }
    }

    /// Opens the FIFO that the path names now, in place of the one that is open. The descriptor keeps
    /// its number, but epoll and kqueue forget it: register it again. Does nothing for a trigger that
    /// was opened [by its descriptor](Trigger::from_fd).
    ///
    /// # Errors
    ///
    /// As [`Trigger::open`]. The old FIFO stays open then.
    pub fn reopen(&mut self) -> Result<()> {
        let Origin::Path { other_readers, .. } = self.origin else { return Ok(()) };
        let reopened = self.check_path().and_then(|is_replaced| {
            // If it was not replaced, it has a reader, and that is this one.
            let allowed = if is_replaced { other_readers } else { OtherReaders::Allow };
            let Ends { reader, writer, id, is_local } = open_ends(&self.path, allowed)?;
            fifo::replace(&self.reader, &reader)?;
            self.writer = Some(writer);
            self.origin = Origin::Path { id, is_local, other_readers };
            Ok(())
        });
        reopened.map_err(|e| with_context(self.path.clone(), "open the trigger", e))
    }

    /// Returns the absolute path that it was opened by; for a descriptor `/dev/fd/` and its number.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The end that is readable while there are pulls in it.
impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Both ends of an open FIFO.
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
    id: file::FileId,
    is_local: bool,
}

/// Returns a path that names a descriptor in messages.
pub(crate) fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/dev/fd/{}", fd.as_raw_fd()))
}

/// Read end first: without a reader, a writing end cannot be had.
fn open_ends(path: &Path, other_readers: OtherReaders) -> io::Result<Ends> {
    if other_readers == OtherReaders::Reject && open_write(path)?.is_some() {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "a process already has this FIFO open for reading",
        ));
    }
    // The path may lead to another FIFO between the two calls. A user who replaces it again and again is not
    // waited for: a few tries are enough for one replacement.
    let is_local = matches!(locality(path), Ok(Locality::Local));
    for _ in 0..5 {
        let reader = fifo::open_read(path)?;
        let id = file::fstat(&reader)?.id;
        let Some(writer) = open_write(path)? else { continue };
        if !is_local || file::fstat(&writer)?.id == id {
            let writer = if mutant!(WithoutWriteEnd) { fifo::open_read(path)? } else { writer };
            return Ok(Ends { reader, writer, id, is_local });
        }
    }
    Err(io::Error::other("it is replaced faster than it can be opened"))
}

/// Opens the writing end. If that is not permitted, the error tells whether reading is.
fn open_write(path: &Path) -> io::Result<Option<OwnedFd>> {
    fifo::open_write(path).map_err(|e| {
        if e.kind() == io::ErrorKind::PermissionDenied && fifo::open_read(path).is_ok() {
            let why = "it may be read but not written to, and a reader of a trigger needs the right \
                       to write to it, too";
            return io::Error::new(e.kind(), why);
        }
        e
    })
}

fn with_context(path: PathBuf, operation: &'static str, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::NotFound => "make it with mkfifo(1), or check the path",
        io::ErrorKind::InvalidInput => {
            "name the FIFO itself, or put one in its place with mkfifo(1)"
        }
        io::ErrorKind::ResourceBusy => {
            "a second reader would take pulls from the first and delay its mail; stop the other, \
             or allow other readers"
        }
        _ => return Error::new(path, operation, source),
    };
    Error::new(path, operation, source).with_hint(hint)
}

/// The result of a [`pull`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullOutcome {
    /// The byte is in the FIFO.
    Delivered,
    /// The FIFO is full, so a wake-up is already pending. The reader's next scan also finds this
    /// message.
    Pending,
    /// No process has the FIFO open for reading. The reader finds the entry when it starts.
    NoReader,
}

/// Pulls the trigger at `path`: opens it, writes one byte, and closes it. The caller must put the
/// message into the queue first.
///
/// Never blocks. Never raises SIGPIPE in the program that calls it, with any disposition of that
/// signal. Writes into FIFOs only.
///
/// # Errors
///
/// Fails with `InvalidInput` if it is not a FIFO; the message names the type. A symbolic link is not
/// followed. Otherwise fails with the errors of open(2) and write(2). A FIFO without a reader is not an
/// error.
pub fn pull(path: impl AsRef<Path>) -> Result<PullOutcome> {
    let path = path.as_ref();
    let pull = || {
        let Some(fifo) = fifo::open_write(path)? else { return Ok(PullOutcome::NoReader) };
        Ok(match fifo::write_byte(&fifo)? {
            fifo::WriteOutcome::Delivered => PullOutcome::Delivered,
            fifo::WriteOutcome::Full => PullOutcome::Pending,
            fifo::WriteOutcome::NoReader => PullOutcome::NoReader,
        })
    };
    pull().map_err(|e| with_context(path.into(), "pull the trigger", e))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn where_numbers_prove_nothing_a_file_is_a_replacement_unless_it_is_a_fifo_with_a_reader() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trigger");
        Trigger::create(&path, 0o622).unwrap();
        let mut trigger = Trigger::open(&path, OtherReaders::Reject).unwrap();
        let Origin::Path { is_local, .. } = &mut trigger.origin else { unreachable!() };
        *is_local = false;
        assert!(!trigger.check_path().unwrap());

        fs::remove_file(&path).unwrap();
        assert!(trigger.check_path().unwrap(), "no file");
        Trigger::create(&path, 0o622).unwrap();
        assert!(trigger.check_path().unwrap(), "a FIFO without a reader");
        let other = Trigger::open(&path, OtherReaders::Reject).unwrap();
        assert!(!trigger.check_path().unwrap(), "it may be the same one by another number");
        drop(other);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(trigger.check_path().unwrap(), "a regular file");
    }
}
