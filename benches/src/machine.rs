//! On what the figures were measured: without this they mean nothing.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::system::uname;
use serde::Serialize;

use crate::dynamic;

/// The machine, its kernel, the file system of the temporary directory, and what was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor, in its maker's words.
    pub processor: String,
    /// How many of them this program may use.
    pub processors: usize,
    /// The operating system, its release and its architecture.
    pub system: String,
    /// Where the queues and directories of `arrive` and `scan` were.
    pub file_system: String,
    /// What the program was compiled for, and whether it was optimised.
    pub build: String,
    /// The libraries compared, with their versions.
    pub versions: Vec<String>,
}

impl Machine {
    /// This one; `directory` is on the file system that counts.
    pub(crate) fn here(directory: &Path) -> Machine {
        let system = uname();
        let words = [system.sysname(), system.release(), system.machine()];
        let profile =
            if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "release" };
        Machine {
            processor: processor().unwrap_or_else(|| "not known".into()),
            processors: thread::available_parallelism().map_or(1, Into::into),
            system: words.map(|word| word.to_string_lossy()).join(" "),
            file_system: file_system(directory).unwrap_or_else(|| "not known".into()),
            build: format!("{}-{}, {profile}", std::env::consts::ARCH, std::env::consts::OS),
            versions: BUILT_IN.map(version).into_iter().chain(dynamic::versions()).collect(),
        }
    }
}

/// What is compared, of the packages that this build is made of.
const BUILT_IN: [&str; 4] = ["pullcord", "mio", "notify", "polling"];

/// As Linux and NetBSD tell it.
fn processor() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().into())
}

/// The type of the file system that was mounted last on the longest part of the path.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|mount| mount.len() > 2 && directory.starts_with(mount[1]));
    above.max_by_key(|mount| mount[1].len()).map(|mount| mount[2].to_owned())
}

/// As the lock file of this very build has it.
fn version(name: &str) -> String {
    let lock = include_str!(env!("PULLCORD_BENCH_LOCK"));
    let package = lock.split("[[package]]").find(|p| p.contains(&format!("name = \"{name}\"\n")));
    let version = package.and_then(|p| p.split("version = \"").nth(1)?.split('"').next());
    format!("{name} {}", version.unwrap_or("of a version not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_known() {
        let all = Machine::here(Path::new("/")).versions;
        let (built_in, installed) = all.split_at(BUILT_IN.len());
        for version in built_in {
            assert!(version.ends_with(|c: char| c.is_ascii_digit()), "{version}");
        }
        // These say of themselves what they like: "2.1.12-stable".
        for version in installed {
            assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
        }
    }
}
