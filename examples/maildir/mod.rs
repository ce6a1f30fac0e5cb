//! Shared by the queue managers of the examples: delivers a message of a qmail queue into a Maildir. If
//! the program is killed at any point, the message is neither lost nor delivered twice.

// Each example uses a part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pullcord::OwnedEntry;

/// How long to wait before a message is tried again.
pub(crate) const LATER: Duration = Duration::from_secs(5);

/// A queue, and the Maildir that its messages are delivered to.
pub(crate) struct Post {
    pub(crate) queue: PathBuf,
    maildir: PathBuf,
}

impl Post {
    /// Reads the command line: QUEUE MAILDIR.
    pub(crate) fn from_args() -> Result<Post, Box<dyn std::error::Error>> {
        let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
        let [queue, maildir] = <[PathBuf; 2]>::try_from(arguments)
            .map_err(|_| "usage: mta QUEUE MAILDIR, the queue one of qmail's")?;
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(part))?;
        }
        Ok(Post { queue, maildir })
    }

    /// Delivers the message of an entry, `todo/ID`, and removes it from the queue. After a kill, all of
    /// this may be done again.
    pub(crate) fn deliver(&self, entry: &Path) -> io::Result<()> {
        let Some(envelope) = there(fs::read(entry))? else { return Ok(()) }; // it was processed before
        let (Some(id), Some(name)) = (number(entry), entry.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the name is not a number"));
        };
        let message = self.queue.join("mess").join((id % SPLIT).to_string()).join(name);
        // An entry without its message was processed, and a crash of the system has undone the removal
        // of its name: the message is removed last.
        if let Some(mut body) = there(File::open(&message))? {
            self.file(id, &envelope, &mut body)?;
        }
        // The message is removed last: while it exists, its inode number names no other message.
        for part in [entry, &self.queue.join("intd").join(name), &message] {
            there(fs::remove_file(part))?;
        }
        Ok(())
    }

    /// Writes the message into the Maildir: completely or not at all, and to disk.
    fn file(&self, id: u64, envelope: &[u8], body: &mut File) -> io::Result<()> {
        let status = body.metadata()?;
        // Inode numbers are used again, but not with the same change time. So a message that is
        // delivered again has the same name. (A program that moves messages to `cur` would see a
        // second copy; a delivery agent for such Maildirs checks `cur` too.)
        let name = format!("{}.I{id}N{}.pullcord", status.ctime(), status.ctime_nsec());
        let draft = self.maildir.join("tmp").join(&name);
        let mut file = File::create(&draft)?;
        for field in envelope.split(|byte| *byte == 0) {
            match field.split_first() {
                Some((b'F', sender)) => header(&mut file, "Return-Path: <", sender, ">")?,
                Some((b'T', recipient)) => header(&mut file, "Delivered-To: ", recipient, "")?,
                _ => {} // the user and the process that queued it
            }
        }
        io::copy(body, &mut file)?;
        file.sync_all()?;
        let new = self.maildir.join("new");
        fs::rename(draft, new.join(name))?;
        File::open(new)?.sync_all()
    }
}

/// qmail's conf-split: the directories of `mess`.
const SPLIT: u64 = 23;

fn number(entry: &Path) -> Option<u64> {
    entry.file_name()?.to_str()?.parse().ok()
}

/// Returns `None` if the file is gone. That is not an error, because an entry may be returned twice.
fn there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Writes exactly one line, even if a hostile sender has put newlines into an address.
fn header(file: &mut File, before: &str, address: &[u8], after: &str) -> io::Result<()> {
    let address: Vec<u8> = address.iter().map(|b| if *b == b'\n' { b'_' } else { *b }).collect();
    file.write_all(&[before.as_bytes(), &address, after.as_bytes(), b"\n"].concat())
}

/// The entries that are being delivered, for a loop that continues meanwhile.
#[derive(Default)]
pub(crate) struct InFlight(HashMap<PathBuf, Again>);

/// Whether the entry was returned again during its delivery. It may be the next message of the same name,
/// which arrived after the first one was removed. Without this flag that message could be lost.
type Again = bool;

impl InFlight {
    /// Returns whether to start the delivery. Returns false while it is in progress.
    pub(crate) fn start(&mut self, entry: &OwnedEntry) -> bool {
        let path = entry.path();
        match self.0.get_mut(&path) {
            Some(again) => *again = true,
            None => return self.0.insert(path, false).is_none(),
        }
        false
    }

    /// Ends a delivery. Returns whether to start it once more.
    pub(crate) fn done(&mut self, entry: &OwnedEntry) -> bool {
        self.0.remove(&entry.path()) == Some(true) && self.start(entry)
    }
}

/// The result of a delivery.
pub(crate) type Done = (OwnedEntry, io::Result<()>);

/// Starts threads that deliver the entries that are sent to them. They call `wake` after each one.
pub(crate) fn couriers(
    post: Post,
    wake: impl Fn() + Send + Sync + 'static,
) -> (Sender<OwnedEntry>, Receiver<Done>) {
    let (entries, orders) = mpsc::channel::<OwnedEntry>();
    let (reports, done) = mpsc::channel();
    let (post, wake, orders) = (Arc::new(post), Arc::new(wake), Arc::new(Mutex::new(orders)));
    for _ in 0..4 {
        let (post, wake, orders, reports) =
            (post.clone(), wake.clone(), orders.clone(), reports.clone());
        thread::spawn(move || {
            let next = || orders.lock().ok()?.recv().ok();
            while let Some(entry) = next() {
                let delivered = post.deliver(&entry.path());
                if reports.send((entry, delivered)).is_err() {
                    return; // the loop has ended
                }
                wake();
            }
        });
    }
    (entries, done)
}
