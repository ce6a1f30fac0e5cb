//! Creates a file system of a given kind in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Creates a file system of this kind in a file in `directory` and mounts it there. Returns the path of
/// the mount.
///
/// Fails with a message if mkfs does not exist for this kind, or without the right to mount.
pub(crate) fn mounted(kind: &str, directory: &Path) -> Result<PathBuf, String> {
    let (image, at) = (directory.join(format!("{kind}.image")), directory.join(kind));
    let prepared = fs::create_dir(&at)
        .and_then(|()| File::create(&image))
        .and_then(|file| file.set_len(512 << 20));
    prepared.map_err(|error| format!("cannot create an image: {error}"))?;
    succeed(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))?;
    succeed(Command::new("mount").args(["-o", "loop"]).args([&image, &at]))?;
    Ok(at)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    Err(format!("{program}: {}: {last}", output.status))
}
