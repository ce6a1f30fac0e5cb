//! A FIFO, as every Unix has it. The tests of the trigger pin on the real one what is said here.

/// How many pulls it holds: few, so that it is found full.
const CAPACITY: u8 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Fifo {
    bytes: u8,
    readers: u8,
    writers: u8,
    /// There were writers since it was opened for reading, and the last one has left.
    hung_up: bool,
}

/// What became of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Delivered,
    /// EAGAIN.
    Full,
    /// EPIPE.
    NoReader,
}

impl Fifo {
    pub(crate) fn open_to_read(&mut self) {
        self.readers += 1;
        self.hung_up = false;
    }

    pub(crate) fn close_reader(&mut self) {
        self.readers -= 1;
        self.discard();
    }

    /// Without blocking: false is ENXIO.
    pub(crate) fn open_to_write(&mut self) -> bool {
        let heard = self.readers > 0;
        if heard {
            self.writers += 1;
            self.hung_up = false;
        }
        heard
    }

    pub(crate) fn close_writer(&mut self) {
        self.writers -= 1;
        self.hung_up = self.writers == 0 && self.readers > 0;
        self.discard();
    }

    pub(crate) fn write(&mut self) -> Written {
        match self.bytes {
            _ if self.readers == 0 => Written::NoReader,
            CAPACITY => Written::Full,
            _ => {
                self.bytes += 1;
                Written::Delivered
            }
        }
    }

    pub(crate) fn bytes(&self) -> u8 {
        self.bytes
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes == CAPACITY
    }

    pub(crate) fn read(&mut self, leaving: u8) {
        self.bytes = leaving;
    }

    /// Whether a wait for it returns: a hang-up ends it, again and again.
    pub(crate) fn is_readable(&self) -> bool {
        self.bytes > 0 || self.hung_up
    }

    /// What is in it stays there for as long as anybody has it open, be it only to write.
    fn discard(&mut self) {
        if self.readers == 0 && self.writers == 0 {
            *self = Fifo::default();
        }
    }
}
