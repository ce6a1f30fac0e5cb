//! Tests the behaviour of FIFOs.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pullcord::{DrainOutcome, OtherReaders, PullOutcome, Trigger, pull};
use rustix::fs::OFlags;

use super::{Observation, Recorder};

pub(super) fn observe(directory: &Path, observations: &mut Vec<Observation>) {
    let mut recorder = Recorder { subject: "fifo".into(), observations };
    let path = directory.join("fifo");
    recorder.expect("one can be made", Trigger::create(&path, 0o622).map(|()| true).map_err(other));

    recorder.expect("a pull without a reader returns no reader", is(&path, PullOutcome::NoReader));
    if let Ok(mut reader) = end(&path, true) {
        recorder.observe("a read without a writer", outcome(reader.read(&mut [0])));
        if let Ok(mut writer) = end(&path, false) {
            recorder.observe("a read of an empty one", outcome(reader.read(&mut [0])));
            recorder.observe("bytes until it is full", filled(&mut writer));
            drop(reader);
            recorder.observe("a write without a reader", outcome(writer.write(&[0])));
        }
    }
    recorder
        .expect("closing and re-opening keeps a byte while a writer is there", keeps_byte(&path));
    match Trigger::open(&path, OtherReaders::Reject) {
        Err(e) => recorder.expect("a trigger can be opened", Err(other(e))),
        Ok(mut trigger) => {
            recorder.expect("a pull is delivered", is(&path, PullOutcome::Delivered));
            let drained = trigger.drain().map_err(other);
            recorder.expect("one read removes it", drained.map(|d| d == DrainOutcome::Drained));
            let drained = trigger.drain().map_err(other);
            recorder.expect("and then it is empty", drained.map(|d| d == DrainOutcome::Empty));
            let second = Trigger::open(&path, OtherReaders::Reject).err().map(|e| e.kind());
            recorder
                .expect("a second reader is rejected", Ok(second == Some(ErrorKind::ResourceBusy)));
        }
    }
}

fn other(error: pullcord::Error) -> io::Error {
    io::Error::other(error.to_string())
}

fn is(path: &Path, expected: PullOutcome) -> io::Result<bool> {
    pull(path).map(|pulled| pulled == expected).map_err(other)
}

/// One end of a FIFO, opened without waiting for the other.
fn end(path: &Path, reads: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(reads).write(!reads).custom_flags(flags).open(path)
}

fn outcome(result: io::Result<usize>) -> String {
    match result {
        Ok(count) => format!("returns {count}"),
        Err(e) => format!("fails: {e}"),
    }
}

fn filled(writer: &mut File) -> String {
    let mut bytes = 0;
    loop {
        match writer.write(&[0; 512]) {
            Ok(count) => bytes += count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return bytes.to_string(),
            Err(e) => return format!("{bytes}, then: {e}"),
        }
    }
}

/// Tests the bug of 1998: closing and reopening a FIFO does not remove its bytes while a writer has it
/// open.
fn keeps_byte(path: &Path) -> io::Result<bool> {
    let reader = end(path, true)?;
    let mut writer = end(path, false)?;
    writer.write_all(&[0])?;
    drop(reader);
    let mut reader = end(path, true)?;
    Ok(reader.read(&mut [0; 2]).is_ok_and(|count| count == 1))
}
