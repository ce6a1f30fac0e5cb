//! Fuzzes the parser of inotify(7) events.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pullcord_fuzz::{check, end_of_name};
use pullcord_platform::records::{InotifyEvent, InotifyHeader, Record};

fuzz_target!(|input: &[u8]| check::<InotifyEvent>(input, slow, write));

const NAME: usize = 16;

fn slow(bytes: &[u8]) -> Option<Record<InotifyHeader>> {
    let field = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let header = InotifyHeader { watch: field(0)? as i32, mask: field(4)? };
    let length = NAME + field(12)? as usize;
    let record = bytes.get(..length)?;
    let end = if length == NAME { NAME } else { end_of_name(record, NAME, 16)? };
    Some(Record { header, name: NAME..end, length })
}

fn write(name: &[u8], buffer: &mut Vec<u8>) {
    let padded = (name.len() + 1).next_multiple_of(16);
    let end = buffer.len() + NAME + padded;
    buffer.extend(1_i32.to_ne_bytes());
    buffer.extend(0x100_u32.to_ne_bytes());
    buffer.extend([0xff; 4]);
    buffer.extend((padded as u32).to_ne_bytes());
    buffer.extend(name);
    buffer.resize(end, 0);
}
