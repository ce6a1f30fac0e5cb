//! A pipe or FIFO: its bytes, and how many descriptions have each end open.

use std::collections::VecDeque;

use super::settings::Pipes;

/// The size of a Linux pipe buffer.
const PAGE: usize = 4096;
/// How many of them a Linux pipe has.
const SLOTS: usize = 16;

/// Some bytes that were written together.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    /// Where the bytes begin in their page. Bytes that were read free no room before the page is empty.
    start: usize,
    end: usize,
    /// Written with `O_DIRECT`: nothing is added to it, and a read returns at most one.
    packet: bool,
}

/// The result of a write that wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    /// `EPIPE`.
    NoReader,
    /// `EAGAIN`.
    Full,
}

/// The state that all descriptions of one FIFO share.
#[derive(Clone, Debug, Default)]
pub(super) struct Fifo {
    buffers: VecDeque<Buffer>,
    pub(super) readers: u32,
    pub(super) writers: u32,
    /// How often it was opened for writing: a reader compares this with the count at its own open.
    pub(super) writer_opens: u64,
    /// NetBSD: a read has returned 0 since the last writer left, and the hang-up is gone.
    pub(super) end_was_read: bool,
}

impl Fifo {
    pub(super) fn bytes(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.end - buffer.start).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Whether a write of one byte would fail with `EAGAIN`, as poll(2) sees it.
    pub(super) fn is_full(&self, pipes: Pipes) -> bool {
        match pipes {
            Pipes::Linux => self.buffers.len() >= SLOTS,
            Pipes::FreeBsd => self.bytes() >= 32_768,
            Pipes::NetBsd => self.bytes() >= 4096,
        }
    }

    /// Writes up to `count` bytes without blocking, and returns how many fitted.
    pub(super) fn write(
        &mut self,
        mut count: usize,
        packet: bool,
        pipes: Pipes,
    ) -> Result<usize, WriteError> {
        if count == 0 {
            return Ok(0);
        }
        if self.readers == 0 {
            return Err(WriteError::NoReader);
        }
        let wanted = count;
        if pipes != Pipes::Linux {
            let limit = if pipes == Pipes::NetBsd { 4096 } else { 32_768 };
            count = count.min(limit - self.bytes().min(limit));
            if count > 0 {
                self.buffers.push_back(Buffer { start: 0, end: count, packet: false });
            }
            return if count == 0 && wanted > 0 { Err(WriteError::Full) } else { Ok(count) };
        }
        let head = count % PAGE;
        let last = self.buffers.back_mut();
        // A packet is added to bytes too, and is a packet no more.
        let last = last.filter(|last| !last.packet && last.end + head <= PAGE);
        if let (Some(last), 1..) = (last, head) {
            last.end += head;
            count -= head;
        }
        while count > 0 && self.buffers.len() < SLOTS {
            let chunk = count.min(PAGE);
            self.buffers.push_back(Buffer { start: 0, end: chunk, packet });
            count -= chunk;
        }
        if count == wanted && wanted > 0 { Err(WriteError::Full) } else { Ok(wanted - count) }
    }

    /// Reads up to `room` bytes, and returns how many there were. A packet that does not fit is cut.
    pub(super) fn read(&mut self, room: usize) -> usize {
        let mut count = 0;
        while count < room {
            let Some(first) = self.buffers.front_mut() else { break };
            let chunk = (first.end - first.start).min(room - count);
            first.start += chunk;
            count += chunk;
            let packet = first.packet;
            if packet || first.start == first.end {
                self.buffers.pop_front();
            }
            if packet {
                break;
            }
        }
        count
    }

    /// Removes the bytes, once no description has either end open.
    pub(super) fn discard_if_closed(&mut self) {
        if self.readers == 0 && self.writers == 0 {
            self.buffers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Fifo {
        Fifo { readers: 1, writers: 1, ..Fifo::default() }
    }

    #[test]
    fn linux_fifo_holds_64_kib_of_bytes_and_16_packets() {
        let mut fifo = open();
        let mut written = 0;
        while fifo.write(1, false, Pipes::Linux).is_ok() {
            written += 1;
        }
        assert_eq!(written, 65_536);
        assert!(fifo.is_full(Pipes::Linux));
        assert_eq!(fifo.read(usize::MAX), 65_536);
        for _ in 0..16 {
            assert_eq!(fifo.write(1, true, Pipes::Linux), Ok(1));
        }
        assert_eq!(fifo.write(1, true, Pipes::Linux), Err(WriteError::Full));
        assert_eq!(fifo.read(usize::MAX), 1, "one packet at a time");
    }

    #[test]
    fn bytes_stay_until_both_ends_are_closed() {
        let mut fifo = open();
        fifo.write(1, false, Pipes::Linux).unwrap();
        fifo.readers = 0;
        fifo.discard_if_closed();
        assert_eq!(fifo.bytes(), 1);
        fifo.writers = 0;
        fifo.discard_if_closed();
        assert!(fifo.is_empty());
    }
}
