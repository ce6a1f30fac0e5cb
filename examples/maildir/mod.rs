//! What the queue managers of the examples share: delivering one message of a qmail queue into a
//! Maildir, so that neither loss nor a second copy comes of being killed at any point.

// Each example uses its part of this.
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

/// When to try again what could not be delivered.
pub(crate) const LATER: Duration = Duration::from_secs(5);

/// Where mail comes from, and where it goes.
pub(crate) struct Post {
    pub(crate) queue: PathBuf,
    maildir: PathBuf,
}

impl Post {
    /// As the command line says: QUEUE MAILDIR.
    pub(crate) fn from_args() -> Result<Post, Box<dyn std::error::Error>> {
        let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
        let [queue, maildir] = <[PathBuf; 2]>::try_from(arguments)
            .map_err(|_| "usage: mta QUEUE MAILDIR, the queue one of qmail's")?;
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(part))?;
        }
        Ok(Post { queue, maildir })
    }

    /// Delivers the message of an entry, `todo/ID`, and takes it out of the queue. Whatever was done
    /// of this before it was killed may be done again.
    pub(crate) fn deliver(&self, entry: &Path) -> io::Result<()> {
        let Some(envelope) = there(fs::read(entry))? else { return Ok(()) }; // dealt with already
        let (Some(id), Some(name)) = (number(entry), entry.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no number, so no message"));
        };
        let message = self.queue.join("mess").join((id % SPLIT).to_string()).join(name);
        // Without its message, the entry was dealt with, and the removal of its name undone by a
        // crash of the system: nothing takes the message away before.
        if let Some(mut body) = there(File::open(&message))? {
            self.file(id, &envelope, &mut body)?;
        }
        // The message last: as long as it is there, its inode number names no other.
        for part in [entry, &self.queue.join("intd").join(name), &message] {
            there(fs::remove_file(part))?;
        }
        Ok(())
    }

    /// Files it in the Maildir: complete, or not at all, and on disk.
    fn file(&self, id: u64, envelope: &[u8], body: &mut File) -> io::Result<()> {
        let status = body.metadata()?;
        // Inode numbers are used again, one with its change time is not. The same message has the
        // same name however often it is delivered. (Who reads this Maildir meanwhile and moves it to
        // `cur` would see a second copy: look there too.)
        let name = format!("{}.I{id}N{}.pullcord", status.ctime(), status.ctime_nsec());
        let draft = self.maildir.join("tmp").join(&name);
        let mut file = File::create(&draft)?;
        for field in envelope.split(|byte| *byte == 0) {
            match field.split_first() {
                Some((b'F', sender)) => header(&mut file, "Return-Path: <", sender, ">")?,
                Some((b'T', recipient)) => header(&mut file, "Delivered-To: ", recipient, "")?,
                _ => {} // who queued it
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

/// What is gone is no error: an entry may be handed out twice.
fn there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// One line, whatever a hostile sender has put into an address.
fn header(file: &mut File, before: &str, address: &[u8], after: &str) -> io::Result<()> {
    let address: Vec<u8> = address.iter().map(|b| if *b == b'\n' { b'_' } else { *b }).collect();
    file.write_all(&[before.as_bytes(), &address, after.as_bytes(), b"\n"].concat())
}

/// What is being delivered, for a loop that goes on meanwhile.
#[derive(Default)]
pub(crate) struct InFlight(HashMap<PathBuf, Again>);

/// Handed out a second time: the same message, or the next one of the same name, come after the first
/// was removed and before the loop has heard of that. Forgetting it could lose the latter.
type Again = bool;

impl InFlight {
    /// Whether to start its delivery: not while it is under way.
    pub(crate) fn start(&mut self, entry: &Path) -> bool {
        match self.0.get_mut(entry) {
            Some(again) => *again = true,
            None => return self.0.insert(entry.to_owned(), false).is_none(),
        }
        false
    }

    /// It is done. Whether to start it once more.
    pub(crate) fn done(&mut self, entry: &Path) -> bool {
        self.0.remove(entry) == Some(true) && self.start(entry)
    }
}

/// What became of an entry.
pub(crate) type Done = (PathBuf, io::Result<()>);

/// Some threads that deliver what they are sent, and wake the loop for each that is done.
pub(crate) fn couriers(
    post: Post,
    wake: impl Fn() + Send + Sync + 'static,
) -> (Sender<PathBuf>, Receiver<Done>) {
    let (entries, orders) = mpsc::channel::<PathBuf>();
    let (reports, done) = mpsc::channel();
    let (post, wake, orders) = (Arc::new(post), Arc::new(wake), Arc::new(Mutex::new(orders)));
    for _ in 0..4 {
        let (post, wake, orders, reports) =
            (post.clone(), wake.clone(), orders.clone(), reports.clone());
        thread::spawn(move || {
            let next = || orders.lock().ok()?.recv().ok();
            while let Some(entry) = next() {
                let delivered = post.deliver(&entry);
                if reports.send((entry, delivered)).is_err() {
                    return; // the loop has ended
                }
                wake();
            }
        });
    }
    (entries, done)
}
