//! Fuzzes the output of message names. A hostile name must not control the terminal, and its bytes must
//! be recoverable from the output.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pullcord::Escaped;

fuzz_target!(|name: &[u8]| {
    let shown = Escaped(Path::new(OsStr::from_bytes(name))).to_string();
    assert!(shown.chars().all(|c| !c.is_control() && !turns_or_breaks(c)), "{shown:?}");
    assert_eq!(unescaped(&shown), name, "{shown}");
});

/// Returns whether this is a mark or an override of direction, a separator of lines or paragraphs, or a
/// character without width.
fn turns_or_breaks(c: char) -> bool {
    let c = u32::from(c);
    (0x200b..=0x200f).contains(&c)
        || (0x2028..=0x202e).contains(&c)
        || (0x2060..=0x206f).contains(&c)
        || c == 0xfeff
}

fn unescaped(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next().expect("a backslash is followed by a character") {
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                    continue;
                }
                'u' => {
                    assert_eq!(rest.next(), Some('{'));
                    let digits: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).expect("digits");
                    char::from_u32(code).expect("a character")
                }
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                c => c,
            },
            c => c,
        };
        bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}
