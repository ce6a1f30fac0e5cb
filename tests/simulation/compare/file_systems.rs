//! Creates a directory on a file system of each kind that is available here.

#[path = "../../support/images.rs"]
mod images;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::real;

/// A place where scripts can run.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether a file system is mounted there.
    is_mounted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(&self.path).status();
        }
    }
}

/// Returns the places: `directory`, /dev/shm, and images of file systems that are created in `directory`.
/// Also returns messages about the kinds that are not available. Only this thread and the threads that it
/// starts see the mounts.
pub(crate) fn all(directory: &Path) -> (Vec<Place>, Vec<String>) {
    let place = |name: &str, path: &Path| {
        let (name, path) = (format!("{name} {}", path.display()), path.to_owned());
        Place { name, path, is_mounted: false }
    };
    let mut places = vec![place("directory", directory)];
    let mut left_out = Vec::new();
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        places.insert(0, place("directory", memory));
    } else {
        left_out.push("tmpfs: there is no /dev/shm".into());
    }
    if let Err(error) = real::have_private_mounts() {
        left_out.push(format!("ext4, xfs, btrfs: cannot mount: {error}"));
        return (places, left_out);
    }
    for kind in ["ext4", "xfs", "btrfs"] {
        match images::mounted(kind, directory) {
            Ok(path) => {
                let name = format!("{kind} image");
                places.push(Place { name, path, is_mounted: true });
            }
            Err(why) => left_out.push(format!("{kind}: {why}")),
        }
    }
    (places, left_out)
}
