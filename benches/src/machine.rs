//! Describes the machine of a run. Figures without their machine have no meaning.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::system::uname;
use serde::Serialize;

use crate::dynamic;

/// The machine, its kernel, the file system of the temporary directory, and the compared libraries.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor, as its manufacturer names it.
    pub processor: String,
    /// The number of processors that this program may use.
    pub processors: usize,
    /// The operating system, its release and its architecture.
    pub system: String,
    /// The file system of the queues and directories of `arrive` and `scan`.
    pub file_system: String,
    /// The target of the build, and whether the program was optimised.
    pub build: String,
    /// The libraries compared, with their versions.
    pub versions: Vec<String>,
}

impl Machine {
    /// Describes this machine. `directory` must be on the file system of the measurement.
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

/// The compared packages that are part of this build.
const BUILT_IN: [&str; 5] = ["pullcord", "mio", "notify", "polling", "tokio"];

/// Returns the name of the processor on Linux and NetBSD.
fn processor() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().into())
}

/// Returns the type of the file system that contains the directory: the last one that was mounted on the
/// longest part of the path.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|mount| mount.len() > 2 && directory.starts_with(mount[1]));
    above.max_by_key(|mount| mount[1].len()).map(|mount| mount[2].to_owned())
}

/// Returns the package's version in the lock file of this build.
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
    fn every_version_is_found() {
        let all = Machine::here(Path::new("/")).versions;
        let (built_in, installed) = all.split_at(BUILT_IN.len());
        for version in built_in {
            assert!(version.ends_with(|c: char| c.is_ascii_digit()), "{version}");
        }
        // These libraries have free-form versions, such as "2.1.12-stable".
        for version in installed {
            assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
        }
    }
}
