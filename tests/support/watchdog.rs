//! Ends a process whose test hangs.

use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// The longest duration of a test.
const LIMIT: Duration = Duration::from_secs(240);

/// Ends the process with a message, unless it is dropped in time.
#[derive(Debug)]
pub(crate) struct Watchdog(
    #[allow(dead_code, reason = "it ends the thread when dropped")] Sender<()>,
);

impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        let (running, ended) = mpsc::channel();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{test} hangs: ended after {LIMIT:?}");
                process::exit(1);
            }
        });
        Watchdog(running)
    }
}
