//! Adds entries while a directory is read. This file is compiled twice, as `player` is.

use std::ffi::CString;

use super::c;

/// The moment at which the entries arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// After the directory was opened, before its first read.
    AfterOpen,
    /// After half of the old entries were returned.
    DuringScan,
}

/// The number of old entries, and of entries that arrive.
const COUNT: usize = 2000;

/// Creates the directory `path` and reads it. Returns the share of the new entries that the kernel
/// returned, in percent.
///
/// # Panics
///
/// Panics if an old entry is not returned exactly once, or a new one more than once.
pub(crate) fn returned(path: &str, when: When) -> usize {
    let name = |path: &str| CString::new(path).expect("no zero byte");
    let make = |kind: &str| {
        for number in 0..COUNT {
            let file = name(&format!("{path}/{kind}{number}"));
            let flags = c::O_CREAT | c::O_EXCL | c::O_WRONLY | c::O_NONBLOCK;
            // SAFETY: a C string; the descriptor was just opened.
            unsafe {
                let fd = c::open_with_mode(file.as_ptr(), flags, 0o644);
                assert!(fd >= 0, "{path}/{kind}{number} cannot be made");
                c::close(fd);
            }
        }
    };
    let directory = name(path);
    // SAFETY: a C string.
    assert_eq!(unsafe { c::mkdir(directory.as_ptr(), 0o755) }, 0, "{path} cannot be made");
    make("old");
    // SAFETY: a C string.
    let fd = unsafe { c::open(directory.as_ptr(), c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC) };
    assert!(fd >= 0, "{path} cannot be opened");
    if when == When::AfterOpen {
        make("new");
    }
    let mut found = [vec![0_u32; COUNT], vec![0_u32; COUNT]];
    let mut buffer = [0_u64; 256];
    let mut are_made = when == When::AfterOpen;
    loop {
        let (to, room) = (buffer.as_mut_ptr().cast::<u8>(), size_of_val(&buffer));
        // SAFETY: the buffer has room for this number of bytes.
        let count = unsafe { c::syscall(c::SYS_getdents64, fd, to, room) };
        assert!(count >= 0, "{path} cannot be read");
        if count == 0 {
            break;
        }
        // SAFETY: the kernel has filled this number of bytes.
        let mut bytes = unsafe { std::slice::from_raw_parts(to.cast_const(), count as usize) };
        while !bytes.is_empty() {
            let length = usize::from(u16::from_ne_bytes([bytes[16], bytes[17]]));
            let name = &bytes[19..length];
            let name = &name[..name.iter().position(|byte| *byte == 0).expect("it ends")];
            if name.len() > 3 {
                let is_new = usize::from(&name[..3] == b"new");
                let number = std::str::from_utf8(&name[3..]).expect("digits");
                found[is_new][number.parse::<usize>().expect("digits")] += 1;
            }
            bytes = &bytes[length..];
        }
        if !are_made && found[0].iter().sum::<u32>() as usize >= COUNT / 2 {
            make("new");
            are_made = true;
        }
    }
    // SAFETY: the descriptor was opened here.
    unsafe { c::close(fd) };
    assert!(found[0].iter().all(|times| *times == 1), "{path}: an old entry: {found:?}");
    assert!(found[1].iter().all(|times| *times <= 1), "{path}: a new entry: {found:?}");
    found[1].iter().filter(|times| **times == 1).count() * 100 / COUNT
}
