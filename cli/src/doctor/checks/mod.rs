//! The judgement: each file turns values of `seen` into findings. Nothing here asks the system.

mod entries;
mod file_system;
mod limits;
mod owners;
mod reader;
mod running;
mod trigger;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pullcord::Escaped;

use super::finding::{Finding, Numbers};
use super::layout::Queue;
use super::seen::Observation;
use super::seen::entries::Taken;

pub(super) use running::ENOUGH_SECONDS;

pub(super) fn judge(queue: &Queue, seen: &Observation) -> (Vec<Finding>, Numbers) {
    let users = &seen.owners.users;
    let mut findings = trigger::check(queue, &seen.trigger);
    findings.extend(reader::check(queue, &seen.trigger, &seen.readers, users));
    findings.extend(running::check(queue, &seen.readers, seen.taken, users));
    findings.extend(owners::check(queue, &seen.owners, &seen.readers));
    findings.extend(entries::check(queue, &seen.entries, seen.taken, &seen.readers, &seen.owners));
    findings.extend(file_system::check(&seen.file_systems, &seen.watch, &seen.limits));
    findings.extend(limits::check(queue, &seen.limits));
    let numbers = Numbers {
        entries: seen.entries.waiting,
        oldest_seconds: seen.entries.oldest.as_ref().map_or(0, |(_, age)| age.as_secs()),
        taken: if let Taken::Seen(count) = seen.taken { count } else { 0 },
        reader_cpu_percent: running::busiest_percent(&seen.readers),
        disk_free_percent: seen.file_systems.iter().filter_map(|fs| fs.space.free_percent()).min(),
    };
    (findings, numbers)
}

fn shown(path: &Path) -> String {
    Escaped(path).to_string()
}

/// Returns a path as a word for a shell.
fn quoted(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(byte);
    let bytes = path.as_os_str().as_bytes();
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return shown(path);
    }
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("'{}'", String::from_utf8_lossy(bytes).replace('\'', r"'\''"));
    }
    // The quoting of bash(1), ksh(1) and zsh(1) for bytes of any kind.
    let mut word = String::from("$'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                word.push('\\');
                word.push(char::from(*byte));
            }
            b' '..=b'~' => word.push(char::from(*byte)),
            _ => {
                let _ = write!(word, "\\x{byte:02x}");
            }
        }
    }
    word + "'"
}

/// Returns a time as text.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_command_is_one_word_of_the_shell() {
        assert_eq!(quoted(Path::new("/var/qmail/queue/todo/0")), "/var/qmail/queue/todo/0");
        assert_eq!(quoted(Path::new("/a b")), "'/a b'");
        assert_eq!(quoted(Path::new("/a'; rm x")), r"'/a'\''; rm x'");
        assert_eq!(quoted(Path::new("/a'\n")), r"$'/a\'\x0a'");
        assert_eq!(quoted(Path::new("/$(x)`y`\\")), r"'/$(x)`y`\'");
    }

    #[test]
    fn times_are_rounded_down_to_a_fitting_unit() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (2_400, "40 minutes"),
            (86_400, "24 hours"),
            (400_000, "4 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
