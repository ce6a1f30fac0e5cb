//! The simulated kernel, with a directory at the same path as the real one.

#[path = "arrivals.rs"]
pub(crate) mod arrivals;
#[path = "player.rs"]
pub(crate) mod player;

use std::collections::BTreeMap;
use std::path::{Component, Path};

use pullcord_platform::sim::{self, FsKind, Kernel, Settings, libc as c};

use super::real::{DESCRIPTORS, PAUSE, Quirks};
use super::script::{Limit, Script};

/// The simulated kernel, as the player uses it.
#[derive(Default)]
pub(crate) struct Host {
    /// How often each function was called.
    pub(crate) calls: BTreeMap<&'static str, u64>,
}

impl Host {
    pub(crate) fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }

    /// The exceptions are counted on the real kernel.
    pub(crate) fn exception(&mut self, _: &'static str) {}

    /// The first descriptor that a script gets.
    pub(crate) fn lowest(&self) -> c::c_int {
        3
    }

    /// The directory in which descriptors have names.
    pub(crate) fn descriptors(&self) -> &'static str {
        "/proc/self/fd"
    }

    pub(crate) fn pause(&mut self) {
        sim::with(|kernel| kernel.advance(PAUSE.as_nanos() as u64));
    }

    pub(crate) fn limit(&mut self, limit: Limit) {
        sim::with(|kernel| {
            let usual = settings();
            let settings = kernel.settings_mut();
            settings.queued_events = usual.queued_events;
            settings.watches = usual.watches;
            settings.instances = usual.instances;
            match limit {
                Limit::Usual => {}
                Limit::Events(count) => settings.queued_events = count,
                Limit::NoWatches => settings.watches = 0,
                Limit::NoInstances => settings.instances = 0,
            }
        });
    }

    pub(crate) fn no_limit(&mut self) {
        self.limit(Limit::Usual);
    }
}

fn settings() -> Settings {
    Settings { strict: false, descriptors: DESCRIPTORS, ..Settings::default() }
}

/// Boots a kernel for a script, and makes its directory.
pub(crate) fn boot(script: &Script, root: &str, kind: FsKind, quirks: Quirks) {
    let writes_to_fifos_are_reported = quirks.writes_to_fifos_are_reported;
    let settings = Settings { writes_to_fifos_are_reported, ..settings() };
    let mut kernel = Kernel::new(settings, kind);
    let mut path = String::new();
    for component in Path::new(root).components() {
        if let Component::Normal(name) = component {
            path = format!("{path}/{}", name.to_str().expect("a path in UTF-8"));
            kernel.mkdir(path.as_bytes(), 0o755).expect("a directory for the script");
        }
    }
    kernel.settings_mut().privileged = !script.as_owner;
    sim::boot(kernel);
}

/// Boots a kernel with an empty file system of this kind.
pub(crate) fn boot_plain(kind: FsKind) {
    sim::boot(Kernel::new(settings(), kind));
}

/// The kind of file system that a type of statfs(2) stands for.
pub(crate) fn kind(magic: i64) -> Option<FsKind> {
    match magic as u32 {
        0xef53 => Some(FsKind::Ext4),
        0x5846_5342 => Some(FsKind::Xfs),
        0x9123_683e => Some(FsKind::Btrfs),
        0x0102_1994 => Some(FsKind::Tmpfs),
        _ => None,
    }
}
