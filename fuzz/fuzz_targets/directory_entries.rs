//! Fuzzes the parser of the records of getdents64(2).

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcord_fuzz::{check, end_of_name};
use pullcord_platform::dir::FileType;
use pullcord_platform::records::{DirectoryEntry, Record};

fuzz_target!(|input: &[u8]| check::<DirectoryEntry>(input, slow, write));

const NAME: usize = 19;

fn slow(bytes: &[u8]) -> Option<Record<FileType>> {
    let header = bytes.get(..NAME)?;
    let length = usize::from(u16::from_ne_bytes([header[16], header[17]]));
    let header = match header[18] {
        0 => FileType::Unknown,
        4 => FileType::Directory,
        10 => FileType::Symlink,
        _ => FileType::Other,
    };
    let name = NAME..end_of_name(bytes.get(..length)?, NAME, 8)?;
    Some(Record { header, name, length })
}

fn write(name: &[u8], buffer: &mut Vec<u8>) {
    let length = (NAME + name.len() + 1).next_multiple_of(8);
    let end = buffer.len() + length;
    buffer.extend([0xff; 16]);
    buffer.extend((length as u16).to_ne_bytes());
    buffer.push(8);
    buffer.extend(name);
    buffer.resize(end, 0);
}
