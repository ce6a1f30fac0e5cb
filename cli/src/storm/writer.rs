//! A writer: queues messages like qmail-queue and holds the trigger open, or floods it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pullcord::Escaped;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, write};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::message::{Message, Moment};
use crate::print_json;
use crate::writers::Lifeline;

/// Pull a trigger until a moment has come
#[derive(clap::Args)]
pub(crate) struct Arguments {
    queue: PathBuf,
    until: Moment,
    /// The first entry. Then every `step`th entry follows
    first: u64,
    step: u64,
    hold_us: u64,
    gap_us: u64,
    /// Queue no message, and write as fast as possible
    #[arg(long)]
    flood: bool,
    #[command(flatten)]
    lifeline: Lifeline,
}

/// The work of a writer since its last report. The writer prints it as one line on its standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WriterReport {
    pub(super) at: Moment,
    pub(super) injected: u64,
    pub(super) pulls: u64,
    pub(super) refused: u64,
    pub(super) broken: u64,
    pub(super) full: u64,
}

/// The time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.lifeline.hold()?;
    let mut writer = Writer {
        mess: arguments.queue.join("mess"),
        todo: arguments.queue.join("todo"),
        trigger: arguments.queue.join("lock/trigger"),
        until: arguments.until,
        report: WriterReport::new(),
    };
    if arguments.flood {
        writer.flood()?;
    } else {
        let [hold, gap] = [arguments.hold_us, arguments.gap_us].map(Duration::from_micros);
        let mut number = arguments.first;
        while !writer.is_over() {
            writer.inject(number, hold)?;
            writer.report_sometimes()?;
            writer.sleep(gap);
            number += arguments.step;
        }
    }
    writer.send_report()
}

struct Writer {
    mess: PathBuf,
    todo: PathBuf,
    trigger: PathBuf,
    until: Moment,
    report: WriterReport,
}

impl Writer {
    /// Writes a message under another name, links it into the queue, pulls the trigger and holds it
    /// open.
    fn inject(&mut self, number: u64, hold: Duration) -> Result<(), Failure> {
        let written = self.mess.join(number.to_string());
        fs::write(&written, b"Subject: storm\n\n").map_err(|e| failed(&written, e))?;
        let message = Message { number, linked: Moment::now() };
        let linked = self.todo.join(message.to_string());
        fs::hard_link(&written, &linked).map_err(|e| failed(&linked, e))?;
        self.report.injected += 1;

        if let Some(trigger) = self.open()? {
            self.write(&trigger, b"\0")?;
            self.sleep(hold);
        }
        fs::remove_file(&written).map_err(|e| failed(&written, e))
    }

    /// Repeatedly writes as much as a FIFO accepts.
    fn flood(&mut self) -> Result<(), Failure> {
        static BYTES: [u8; 65_536] = [0; 65_536];
        while !self.is_over() {
            let Some(trigger) = self.open()? else { continue };
            while !self.is_over() && self.write(&trigger, &BYTES)? {
                self.report_sometimes()?;
            }
        }
        Ok(())
    }

    /// Opens the trigger. Returns `None` if no process reads it.
    fn open(&mut self) -> Result<Option<OwnedFd>, Failure> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match open(&self.trigger, flags, Mode::empty()) {
            Ok(trigger) => Ok(Some(trigger)),
            Err(Errno::NXIO) => {
                self.report.pulls += 1;
                self.report.refused += 1;
                Ok(None)
            }
            Err(e) => Err(failed(&self.trigger, e.into())),
        }
    }

    /// Writes into the trigger. Returns false if no process reads it.
    fn write(&mut self, trigger: &OwnedFd, bytes: &[u8]) -> Result<bool, Failure> {
        self.report.pulls += 1;
        match write(trigger, bytes) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => {
                self.report.full += 1;
                Ok(true)
            }
            Err(Errno::PIPE) => {
                self.report.broken += 1;
                Ok(false)
            }
            Err(e) => Err(failed(&self.trigger, e.into())),
        }
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time.min(self.until.since(Moment::now())));
    }

    fn is_over(&self) -> bool {
        self.until.since(Moment::now()).is_zero()
    }

    fn report_sometimes(&mut self) -> Result<(), Failure> {
        if Moment::now().since(self.report.at) < REPORT_INTERVAL {
            return Ok(());
        }
        self.send_report()
    }

    fn send_report(&mut self) -> Result<(), Failure> {
        let report = std::mem::replace(&mut self.report, WriterReport::new());
        if !print_json(&WriterReport { at: Moment::now(), ..report })? {
            self.until = Moment::now(); // the storm has ended
        }
        Ok(())
    }
}

impl WriterReport {
    fn new() -> WriterReport {
        WriterReport { at: Moment::now(), injected: 0, pulls: 0, refused: 0, broken: 0, full: 0 }
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::failed(format!("{}: cannot queue a message: {error}", Escaped(path)))
}
