//! JSON that a terminal can show: one line of ASCII.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Returns an object as one line, its members in the order of their declaration.
///
/// Every character that is not printable ASCII is escaped as JSON does it, and nothing else is: a
/// parser returns exactly the string that was given, and no name can write to a terminal.
pub(crate) fn to_line(object: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::new();
    object.serialize(&mut Serializer::with_formatter(&mut line, Ascii))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Writes no byte above 126.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if c.is_ascii() && !c.is_ascii_control() {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_escaped_once_and_parsed_back_unchanged() {
        for string in
            ["4711", "\u{1b}[2J", "a\\b\"c", "\u{e9}\u{9b}2J", "\u{202e}gpj", "\u{1f4e7}\n\u{7f}"]
        {
            let line = to_line(&string).unwrap();
            assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line}");
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), string);
        }
        assert_eq!(to_line(&"a\\b").unwrap(), r#""a\\b""#);
    }
}
