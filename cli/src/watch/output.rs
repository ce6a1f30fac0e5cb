//! Output whose reader may be slow, stopped or gone.
//!
//! A thread writes it, so that a full pipe does not stop the answer to a signal. The
//! descriptor is shared with other processes: its flags are not changed, and a descriptor that another
//! process has made non-blocking is waited for.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use pullcord::Waker;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

/// How much may wait to be written before no more is accepted: ten thousand lines, or so.
const FULL: usize = 1 << 20;

/// The most that is written with one write(2), except for a longer line. A pipe takes as much without
/// mixing it with the lines of other processes (`PIPE_BUF`; POSIX guarantees 512, Linux has 4,096).
const ATOMIC: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 4096 } else { 512 };

/// The output, and the thread that writes it. The thread ends with the process.
pub(super) struct Output(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    has_lines: Condvar,
    /// Wake the loop that fills the output, in each of its waits.
    wakers: Vec<Waker>,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    is_writing: bool,
    /// The loop waits until these lines are written.
    is_awaited: bool,
    error: Option<io::ErrorKind>,
    message: String,
}

impl Output {
    /// Starts to write to this descriptor. The wakers are used when the loop has something to do.
    pub(super) fn start(to: impl AsFd + Send + 'static, wakers: Vec<Waker>) -> io::Result<Output> {
        let shared = Shared { state: Mutex::default(), has_lines: Condvar::new(), wakers };
        let output = Output(Arc::new(shared));
        let shared = Arc::clone(&output.0);
        thread::Builder::new().name("output".into()).spawn(move || shared.write_to(&to))?;
        Ok(output)
    }

    /// Adds a line, with its end. Never blocks.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.error.is_none() {
            state.lines.extend_from_slice(line);
            self.0.has_lines.notify_one();
        }
    }

    /// Returns whether no more should be added. If so, the loop is woken once there is room.
    pub(super) fn is_full(&self) -> bool {
        self.is_above(FULL)
    }

    /// Returns whether everything is written. If not, the loop is woken once it is.
    pub(super) fn is_written(&self) -> bool {
        !self.is_above(0)
    }

    /// Returns whether this output could not keep up with the last line.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.0.lock();
        !state.lines.is_empty()
    }

    /// Returns why nothing can be written any more: a kind, and a message.
    pub(super) fn error(&self) -> Option<(io::ErrorKind, String)> {
        let state = self.0.lock();
        state.error.map(|kind| (kind, state.message.clone()))
    }

    fn is_above(&self, limit: usize) -> bool {
        let mut state = self.0.lock();
        let is_above =
            state.error.is_none() && (state.lines.len() > limit || limit == 0 && state.is_writing);
        state.is_awaited |= is_above;
        is_above
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the lines as they come, until that fails.
    fn write_to(&self, to: &impl AsFd) {
        loop {
            let lines = {
                let mut state = self.lock();
                while state.lines.is_empty() {
                    state = self.has_lines.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                state.is_writing = true;
                std::mem::take(&mut state.lines)
            };
            let written = write_lines(to, &lines);
            let mut state = self.lock();
            state.is_writing = false;
            let is_over = written.is_err();
            if let Err(e) = written {
                let e = io::Error::from(e);
                (state.error, state.message) = (Some(e.kind()), e.to_string());
            }
            if std::mem::take(&mut state.is_awaited) || is_over {
                for waker in &self.wakers {
                    // A pipe with room and a reader: it cannot fail.
                    let _ = waker.wake();
                }
            }
            if is_over {
                return;
            }
        }
    }
}

/// Writes whole lines, as many at once as are written atomically.
fn write_lines(to: &impl AsFd, mut lines: &[u8]) -> Result<(), Errno> {
    while !lines.is_empty() {
        let (mut some, rest) = lines.split_at(length_of_lines(lines));
        while !some.is_empty() {
            match write(to, some) {
                Ok(count) => some = &some[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => match poll(&mut [PollFd::new(to, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(e) => return Err(e),
                },
                Err(e) => return Err(e),
            }
        }
        lines = rest;
    }
    Ok(())
}

/// Returns the length of the first lines that are written atomically, or of the first line.
fn length_of_lines(lines: &[u8]) -> usize {
    if lines.len() <= ATOMIC {
        return lines.len();
    }
    let is_end = |byte: &u8| *byte == b'\n' || *byte == 0;
    let end = lines[..ATOMIC].iter().rposition(is_end);
    let end = end.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_written_and_as_many_as_are_atomic() {
        let short = b"line\n".repeat(ATOMIC);
        assert_eq!(length_of_lines(&short), ATOMIC / 5 * 5);
        let mut long = vec![b'x'; 2 * ATOMIC];
        long.extend(b"\nnext\n");
        assert_eq!(length_of_lines(&long), 2 * ATOMIC + 1);
        assert_eq!(length_of_lines(b"a\0b\0"), 4);
    }
}
