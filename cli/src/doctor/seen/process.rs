//! Parses the files of proc(5) about a process. Does not read them.

use std::path::Path;

use pullcord::Escaped;

/// Identifies a process. Its number alone is not sufficient, because numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::doctor) struct ProcessId {
    pub(in crate::doctor) number: u32,
    /// Clock ticks from the start of the system to that of the process.
    pub(in crate::doctor) start: u64,
}

/// The parts of /proc/PID/stat that are needed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Stat {
    pub(in crate::doctor) name: String,
    pub(in crate::doctor) state: char,
    pub(in crate::doctor) is_kernel: bool,
    /// Clock ticks that it ran, outside and inside the kernel.
    pub(in crate::doctor) user: u64,
    pub(in crate::doctor) system: u64,
    pub(in crate::doctor) start: u64,
}

#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
impl Stat {
    /// Parses /proc/PID/stat. The name is in parentheses, and may contain parentheses, blanks and
    /// line feeds: the fields are counted from the last parenthesis.
    pub(super) fn parse(bytes: &[u8]) -> Option<Stat> {
        const KERNEL_THREAD: u64 = 0x0020_0000;
        let open = bytes.iter().position(|&byte| byte == b'(')?;
        let close = bytes.iter().rposition(|&byte| byte == b')')?;
        let name = bytes.get(open + 1..close)?;
        let fields = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Stat {
            name: escape(name),
            state: fields.first()?.chars().next()?,
            is_kernel: number(6)? & KERNEL_THREAD != 0,
            user: number(11)?,
            system: number(12)?,
            start: number(19)?,
        })
    }
}

/// Returns a name without control characters.
pub(super) fn escape(name: &[u8]) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    Escaped(Path::new(std::ffi::OsStr::from_bytes(name))).to_string()
}

/// How a descriptor was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Access {
    pub(in crate::doctor) reads: bool,
    pub(in crate::doctor) writes: bool,
}

/// The parts of /proc/PID/fdinfo/N that are needed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DescriptorInfo {
    pub(super) access: Access,
    pub(super) mount: Option<u64>,
    /// Since Linux 5.14.
    pub(super) inode: Option<u64>,
    /// How many watches an inotify descriptor has.
    pub(super) watches: u64,
}

#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
impl DescriptorInfo {
    pub(super) fn parse(text: &str) -> Option<DescriptorInfo> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let flags = u32::from_str_radix(field("flags:")?, 8).ok()?;
        // The last two bits are O_RDONLY, O_WRONLY or O_RDWR. O_PATH gives no access at all.
        const PATH_ONLY: u32 = 0o10_000_000;
        let is_open = flags & PATH_ONLY == 0;
        let access = Access {
            reads: is_open && flags & 3 != 1,
            writes: is_open && matches!(flags & 3, 1 | 2),
        };
        Some(DescriptorInfo {
            access,
            mount: field("mnt_id:").and_then(|id| id.parse().ok()),
            inode: field("ino:").and_then(|inode| inode.parse().ok()),
            watches: text.lines().filter(|line| line.starts_with("inotify ")).count() as u64,
        })
    }
}

/// Returns the device of a mount, by its number, from /proc/PID/mountinfo.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(super) fn device_of_mount(mountinfo: &str, mount: u64) -> Option<(u32, u32)> {
    let fields = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let fields = fields.into_iter().find(|fields| fields[0].parse() == Ok(mount))?;
    let (major, minor) = fields.get(2)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the name of the type of a mounted device, from /proc/PID/mountinfo.
pub(super) fn type_of_device(mountinfo: &str, device: (u32, u32)) -> Option<String> {
    let device = format!("{}:{}", device.0, device.1);
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(&device))?;
    let (_, source) = line.split_once(" - ")?;
    source.split(' ').next().map(Into::into)
}

/// Returns the soft limit of /proc/PID/limits for open files: `Some(None)` if there is no limit.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(super) fn open_files_limit(limits: &str) -> Option<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(None),
        limit => limit.parse().ok().map(Some),
    }
}

/// Returns the real and the effective user of /proc/PID/status.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(super) fn users(status: &str) -> Option<(u32, u32)> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut users = line.split_whitespace().map(str::parse);
    Some((users.next()?.ok()?, users.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str) -> Option<Stat> {
        let rest = "S 1 2 3 0 -1 4194560 5 6 7 8 110 12 0 0 20 0 1 0 4711 9 10";
        Stat::parse(format!("42 ({name}) {rest}\n").as_bytes())
    }

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        for (name, shown) in [
            ("qmail-send", "qmail-send"),
            ("a) R 1 (\n", "a) R 1 (\\n"),
            ("", ""),
            (") Z 9 9 (", ") Z 9 9 ("),
        ] {
            let stat = stat(name).unwrap();
            assert_eq!((stat.name.as_str(), stat.state), (shown, 'S'));
            assert_eq!((stat.user, stat.system, stat.start), (110, 12, 4711));
            assert!(!stat.is_kernel);
        }
    }

    #[test]
    fn an_unfinished_stat_is_none() {
        for bytes in [&b""[..], b"42 (sh) S 1", b")(", b"42 sh S 1 2 3"] {
            assert_eq!(Stat::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_access_of_a_descriptor_is_in_its_flags() {
        let access =
            |flags| DescriptorInfo::parse(&format!("pos:\t0\nflags:\t{flags}\n")).unwrap().access;
        assert_eq!(access("0104000"), Access { reads: true, writes: false });
        assert_eq!(access("0100001"), Access { reads: false, writes: true });
        assert_eq!(access("0100002"), Access { reads: true, writes: true });
        assert_eq!(access("012000000"), Access { reads: false, writes: false }, "O_PATH");
        assert_eq!(DescriptorInfo::parse("gone"), None);
    }

    #[test]
    fn inode_mount_and_watches_of_a_descriptor_are_read() {
        let text =
            "pos:\t0\nflags:\t00\nmnt_id:\t15\nino:\t77\ninotify wd:1 ino:9\ninotify wd:2 ino:8\n";
        let info = DescriptorInfo::parse(text).unwrap();
        assert_eq!((info.mount, info.inode, info.watches), (Some(15), Some(77), 2));
        let old = DescriptorInfo::parse("flags:\t00\nmnt_id:\t15\n").unwrap();
        assert_eq!(old.inode, None);
    }

    #[test]
    fn the_device_of_a_mount_is_found_by_its_number() {
        let text = "24 1 254:0 / / rw - ext4 /dev/vda rw\n31 24 0:30 / /tmp rw - tmpfs none rw\n";
        assert_eq!(device_of_mount(text, 31), Some((0, 30)));
        assert_eq!(device_of_mount(text, 3), None);
        assert_eq!(type_of_device(text, (0, 30)).as_deref(), Some("tmpfs"));
        assert_eq!(type_of_device(text, (0, 3)), None);
    }

    #[test]
    fn limits_and_users_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            64                   4096                 files     \n";
        assert_eq!(open_files_limit(text), Some(Some(64)));
        assert_eq!(open_files_limit("Max open files unlimited unlimited files"), Some(None));
        assert_eq!(open_files_limit(""), None);
        assert_eq!(users("Name:\tx\nUid:\t7\t8\t9\t10\n"), Some((7, 8)));
    }
}
