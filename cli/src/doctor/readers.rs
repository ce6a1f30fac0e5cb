//! The processes that read a FIFO.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pullcord::Escaped;

/// The processes that have a FIFO open for reading.
pub(super) enum Readers {
    Known(Vec<String>),
    /// They cannot be found out, for this reason.
    Unknown(&'static str),
}

/// Reads the descriptors of every process from /proc, which exists on Linux.
pub(super) fn of(fifo: &Metadata) -> Readers {
    if !Path::new("/proc/self/fdinfo").exists() {
        return Readers::Unknown("this system has no /proc/PID/fdinfo");
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return Readers::Unknown("/proc cannot be read");
    };
    let (mut readers, mut hidden) = (Vec::new(), false);
    for process in processes.flatten() {
        let path = process.path();
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        match reads(&path, fifo) {
            Ok(true) => readers.push(name_of(&path)),
            Ok(false) => {}
            Err(e) => hidden |= e.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }
    if readers.is_empty() && hidden {
        return Readers::Unknown("other users' processes are hidden; run as root");
    }
    Readers::Known(readers)
}

fn reads(process: &Path, fifo: &Metadata) -> std::io::Result<bool> {
    for descriptor in fs::read_dir(process.join("fd"))? {
        let Ok(descriptor) = descriptor else { continue };
        let Ok(file) = fs::metadata(descriptor.path()) else { continue };
        if (file.dev(), file.ino()) == (fifo.dev(), fifo.ino())
            && is_for_reading(&process.join("fdinfo").join(descriptor.file_name()))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether a descriptor is open for reading: the last octal digit of `flags:` is 0 for reading,
/// 1 for writing, 2 for both.
fn is_for_reading(info: &Path) -> bool {
    let info = fs::read_to_string(info).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|flags| !matches!(flags.trim().bytes().last(), Some(b'1')))
}

fn name_of(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let id = process.file_name().unwrap_or_default().to_string_lossy();
    format!("{} ({id})", Escaped(Path::new(name.trim())))
}
