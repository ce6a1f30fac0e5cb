//! What must hold of every parser of a kernel's buffer, whatever is in the buffer.

use std::fmt::Debug;

use pullcord_platform::records::{Record, RecordFormat};

/// A parser that nobody has made fast.
pub type Slow<H> = fn(&[u8]) -> Option<Record<H>>;

/// A record with this name, as the kernel writes it.
pub type Write = fn(name: &[u8], buffer: &mut Vec<u8>);

/// Tries the input both as a buffer, and as names of which a buffer is made.
pub fn check<F: RecordFormat>(input: &[u8], slow: Slow<F::Header>, write: Write)
where
    F::Header: Debug + PartialEq,
{
    parse_alike::<F>(input, slow);

    // What the kernel can have been told to call a file.
    let names = input.split(|byte| matches!(byte, b'/' | 0));
    let names: Vec<_> = names.filter(|name| (1..=255).contains(&name.len())).collect();
    let mut buffer = Vec::new();
    names.iter().for_each(|name| write(name, &mut buffer));
    assert_eq!(parse_alike::<F>(&buffer, slow), names);

    // Cut short, it is as much of it as is whole.
    let cut = input.iter().fold(0, |sum, byte| 31 * sum % 65_521 + usize::from(*byte));
    let cut = &buffer[..cut % (buffer.len() + 1)];
    assert!(names.starts_with(&parse_alike::<F>(cut, slow)));
}

/// Reads a buffer to its end with both parsers. Returns the names.
fn parse_alike<F: RecordFormat>(buffer: &[u8], slow: Slow<F::Header>) -> Vec<&[u8]>
where
    F::Header: Debug + PartialEq,
{
    let mut names = Vec::new();
    let mut rest = buffer;
    loop {
        let record = F::parse(rest);
        assert_eq!(record, slow(rest));
        let Some(Record { name, length, .. }) = record else { return names };
        assert!(0 < length && name.end <= length, "it is somewhere, and its name is in it");
        names.push(&rest[name]);
        rest = &rest[length..];
    }
}

/// Where the name ends that begins at `name`: at the first NUL byte of the record's padding, which
/// are its last bytes.
pub fn end_of_name(record: &[u8], name: usize, padding: usize) -> Option<usize> {
    let from = record.len().checked_sub(padding)?.max(name);
    Some(from + record.get(from..)?.iter().position(|byte| *byte == 0)?)
}
