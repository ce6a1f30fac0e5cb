//! Checks a parser of kernel buffers against a simple parser, with arbitrary contents of the buffer.

use std::fmt::Debug;

use pullcord_platform::records::{Record, RecordFormat};

/// A simple parser that is not optimised.
pub type Slow<H> = fn(&[u8]) -> Option<Record<H>>;

/// Appends a record with this name to the buffer, as the kernel writes it.
pub type Write = fn(name: &[u8], buffer: &mut Vec<u8>);

/// Checks the input twice: as a buffer, and as a list of names in a valid buffer.
pub fn check<F: RecordFormat>(input: &[u8], slow: Slow<F::Header>, write: Write)
where
    F::Header: Debug + PartialEq,
{
    parse_alike::<F>(input, slow);

    // The names that a file can have.
    let names = input.split(|byte| matches!(byte, b'/' | 0));
    let names: Vec<_> = names.filter(|name| (1..=255).contains(&name.len())).collect();
    let mut buffer = Vec::new();
    names.iter().for_each(|name| write(name, &mut buffer));
    assert_eq!(parse_alike::<F>(&buffer, slow), names);

    // A truncated buffer contains only its complete records.
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
        assert!(0 < length && name.end <= length, "a record has a length and contains its name");
        names.push(&rest[name]);
        rest = &rest[length..];
    }
}

/// Returns the end of the name that starts at `name`: the first NUL byte in the last `padding` bytes of
/// the record.
pub fn end_of_name(record: &[u8], name: usize, padding: usize) -> Option<usize> {
    let from = record.len().checked_sub(padding)?.max(name);
    Some(from + record.get(from..)?.iter().position(|byte| *byte == 0)?)
}
