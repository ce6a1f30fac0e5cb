//! Parses records of variable length, which getdents64(2) and a read(2) from inotify(7) write into a buffer.
//!
//! The bytes of the kernel are not trusted. No byte outside the buffer is read. Parsing ends at a record that
//! is cut short, or whose name has no end. The module is public for the fuzz targets.

use std::ffi::OsStr;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use crate::dir::FileType;

/// The size of the buffer that one system call fills: some 2,000 records. More gains nothing.
pub(crate) const BUFFER_SIZE: usize = if cfg!(pullcord_sim) { 2 * 1024 } else { 64 * 1024 };

/// The format of a record.
pub trait RecordFormat {
    /// Its fields besides the name.
    type Header;

    /// Returns the record at the beginning of `bytes`, if it is complete.
    fn parse(bytes: &[u8]) -> Option<Record<Self::Header>>;
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<H> {
    /// Its fields besides its name.
    pub header: H,
    /// The place of its name in the record.
    pub name: Range<usize>,
    /// The length of the record: never 0.
    pub length: usize,
}

/// `struct linux_dirent64`: `d_ino` (8 bytes), `d_off` (8), `d_reclen` (2), `d_type` (1), and
/// `d_name`, which ends with a NUL byte and is padded to a multiple of 8.
#[derive(Debug)]
pub enum DirectoryEntry {}

impl RecordFormat for DirectoryEntry {
    type Header = FileType;

    #[inline]
    fn parse(bytes: &[u8]) -> Option<Record<FileType>> {
        const LENGTH: usize = 16;
        const KIND: usize = 18;
        const NAME: usize = 19;
        let header = bytes.first_chunk::<NAME>()?;
        let length = usize::from(u16::from_ne_bytes([header[LENGTH], header[LENGTH + 1]]));
        let name = NAME..end_of_name::<1>(bytes.get(..length)?, NAME)?;
        Some(Record { header: FileType::of(header[KIND]), name, length })
    }
}

/// `struct inotify_event`: `wd` (4 bytes), `mask` (4), `cookie` (4), `len` (4), and so many bytes of
/// a name, which ends with a NUL byte and is padded to a multiple of 16; or none.
#[derive(Debug)]
pub enum InotifyEvent {}

/// The fields of an `inotify_event` besides the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InotifyHeader {
    /// `wd`: the watch.
    pub watch: i32,
    /// `mask`: the kind of the event.
    pub mask: u32,
}

impl RecordFormat for InotifyEvent {
    type Header = InotifyHeader;

    #[inline]
    fn parse(bytes: &[u8]) -> Option<Record<InotifyHeader>> {
        const NAME: usize = 16;
        let header = bytes.first_chunk::<NAME>()?;
        let field =
            |at| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = NAME.checked_add(field(12) as usize)?;
        let end = match length {
            NAME => NAME,
            _ => end_of_name::<2>(bytes.get(..length)?, NAME)?,
        };
        let header = InotifyHeader { watch: field(0) as i32, mask: field(4) };
        Some(Record { header, name: NAME..end, length })
    }
}

/// Returns the end of the name that begins at `name` and, with its padding, fills the record. The end is the
/// first NUL byte in the last words of 8 bytes, as many as the padding can reach.
#[inline]
fn end_of_name<const WORDS: usize>(record: &[u8], name: usize) -> Option<usize> {
    const LOWEST_BITS: u64 = u64::MAX / 0xff;
    let mut at = record.len().checked_sub(8 * WORDS)?;
    while let Some(word) = record.get(at..)?.first_chunk() {
        // The first byte is the lowest, on every machine.
        let mut word = u64::from_le_bytes(*word);
        if at < name {
            // A NUL byte before the name does not end it.
            word |= !u64::MAX.checked_shl(8 * (name - at) as u32).unwrap_or(0);
        }
        // The lowest set bit is the highest bit of the first NUL byte.
        let ends = word.wrapping_sub(LOWEST_BITS) & !word & (LOWEST_BITS << 7);
        if ends != 0 {
            return Some(at + ends.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    None
}

/// A buffer of records, and the position of the next one.
#[derive(Debug)]
pub(crate) struct RecordBuffer<F> {
    buffer: Box<[u8; BUFFER_SIZE]>,
    filled: usize,
    read: usize,
    /// The name of the record that was read last.
    name: Range<usize>,
    format: PhantomData<F>,
}

impl<F: RecordFormat> RecordBuffer<F> {
    pub(crate) fn new() -> RecordBuffer<F> {
        let buffer = Box::new([0; BUFFER_SIZE]);
        RecordBuffer { buffer, filled: 0, read: 0, name: 0..0, format: PhantomData }
    }

    /// Discards the records that were not read.
    pub(crate) fn clear(&mut self) {
        (self.filled, self.read, self.name) = (0, 0, 0..0);
    }

    /// Fills the buffer with a system call, which returns the number of bytes, or -1 with the error in
    /// `errno`. Returns the number of bytes.
    #[inline]
    pub(crate) fn fill(&mut self, call: impl FnOnce(&mut [u8]) -> isize) -> io::Result<usize> {
        (self.filled, self.read, self.name) = (0, 0, 0..0);
        self.filled = match call(&mut self.buffer[..]) {
            -1 => return Err(io::Error::last_os_error()),
            filled => filled as usize,
        };
        Ok(self.filled)
    }

    /// Returns the next record. Bytes that are not a record end the buffer.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<F::Header> {
        let record = F::parse(&self.buffer[self.read..self.filled]);
        let Some(Record { header, name, length }) = record else {
            self.read = self.filled;
            return None;
        };
        self.name = self.read + name.start..self.read + name.end;
        self.read += length;
        Some(header)
    }

    /// Returns the name in the record that was read last.
    #[inline]
    pub(crate) fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.buffer[self.name.clone()])
    }

    /// Returns whether a record was not read yet.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.read < self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libc;

    #[test]
    fn a_cut_or_endless_record_is_not_a_directory_entry() {
        let mut entry = [0u8; 24];
        entry[16..18].copy_from_slice(&24u16.to_ne_bytes());
        entry[18] = libc::DT_DIR;
        entry[19..23].copy_from_slice(b"name");
        let record = DirectoryEntry::parse(&entry).unwrap();
        assert_eq!(record, Record { header: FileType::Directory, name: 19..23, length: 24 });
        for cut in 0..24 {
            assert!(DirectoryEntry::parse(&entry[..cut]).is_none(), "{cut} bytes");
        }
        for length in [0, 16, 18, 19, 23, 25] {
            entry[16..18].copy_from_slice(&u16::to_ne_bytes(length));
            assert!(DirectoryEntry::parse(&entry).is_none(), "an entry of {length} bytes");
        }
    }

    #[test]
    fn a_cut_or_endless_record_is_not_an_inotify_event() {
        let mut event = [0u8; 24];
        event[..4].copy_from_slice(&7i32.to_ne_bytes());
        event[12..16].copy_from_slice(&8u32.to_ne_bytes());
        event[16..20].copy_from_slice(b"name");
        let record = InotifyEvent::parse(&event).unwrap();
        assert_eq!((record.header.watch, record.name, record.length), (7, 16..20, 24));
        for cut in 0..24 {
            assert!(InotifyEvent::parse(&event[..cut]).is_none(), "{cut} bytes");
        }
        event[20..].copy_from_slice(b"long");
        assert!(InotifyEvent::parse(&event).is_none(), "a name without an end");
        event[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(InotifyEvent::parse(&event).is_none(), "a name of 4 GiB");
        event[12..16].copy_from_slice(&0u32.to_ne_bytes());
        assert_eq!(InotifyEvent::parse(&event).unwrap().name, 16..16, "no name");
    }

    #[test]
    fn an_invalid_record_ends_the_buffer() {
        let mut records = RecordBuffer::<DirectoryEntry>::new();
        let filled = records.fill(|buffer| {
            buffer[..24].fill(0);
            buffer[16..18].copy_from_slice(&24u16.to_ne_bytes());
            buffer[24..50].fill(0xff);
            50
        });
        assert_eq!(filled.unwrap(), 50);
        assert_eq!((records.next(), records.name()), (Some(FileType::Unknown), OsStr::new("")));
        assert!(records.has_more());
        assert_eq!(records.next(), None);
        assert!(!records.has_more(), "or it would be asked for ever");
    }

    #[test]
    fn a_name_ends_at_its_first_nul_byte_wherever_that_is() {
        for length in 0..16 {
            let mut record = [b'h'; 32];
            record[16..].fill(b'n');
            record[16 + length..].fill(0);
            assert_eq!(end_of_name::<2>(&record, 16), Some(16 + length));
            // The bytes before the name are not read.
            record[..16].fill(0);
            let cut = &record[..16 + length + 1];
            assert_eq!(end_of_name::<2>(cut, 16), Some(16 + length));
            assert_eq!(end_of_name::<1>(cut, 16), Some(16 + length));
        }
        assert_eq!(end_of_name::<2>(&[b'n'; 32], 16), None);
        assert_eq!(end_of_name::<1>(&[0; 16], 16), None, "there is no room for a name");
    }
}
