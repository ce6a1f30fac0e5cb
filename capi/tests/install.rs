//! The Makefile installs a library that programs are compiled with by pkg-config, shared and static.
#![cfg(not(target_vendor = "apple"))]

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Program, Queue, built, has_command, left_out, native_libs};
use tempfile::TempDir;

/// Runs make in the directory of the Makefile.
fn make(target: &str, variables: &[(&str, &Path)]) {
    let assignments = variables.iter().map(|(name, path)| format!("{name}={}", path.display()));
    let done = Command::new("make")
        .arg("-C")
        .arg(env!("CARGO_MANIFEST_DIR"))
        .arg(target)
        .args(assignments)
        .output()
        .unwrap_or_else(|e| panic!("make must be installed: {e}"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The result of `make`, with the libraries of this build.
fn build_directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    for library in ["libpullcord_capi.a", "libpullcord_capi.so"] {
        std::os::unix::fs::symlink(built().join(library), directory.path().join(library)).unwrap();
    }
    fs::write(directory.path().join("pullcord.native-libs"), native_libs()).unwrap();
    directory
}

/// Returns the files below a directory, with paths relative to it.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Compiles a program with the output of pkg-config.
fn compile_installed(prefix: &Path, options: &[&str], link: &[&str]) -> Program {
    let printed = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(link)
        .arg("pullcord")
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let flags = String::from_utf8(printed.stdout).unwrap();
    let flags = flags.split_whitespace().map(OsString::from);
    Program::compile_with("cc", &["installed.c"], options, flags)
}

#[test]
fn pkg_config_links_the_shared_and_the_static_library() {
    for tool in ["make", "pkg-config"] {
        if !has_command(tool) {
            return left_out(&format!("{tool} is not here"));
        }
    }
    let (queue, prefix, from) = (Queue::new(), TempDir::new().unwrap(), build_directory());
    make("install", &[("PREFIX", prefix.path()), ("BUILT", from.path())]);

    let lib = prefix.path().join("lib");
    let shared = compile_installed(prefix.path(), &[], &[]);
    // A program needs the library by its number only.
    fs::remove_file(lib.join("libpullcord.so")).unwrap();
    let run = shared.command().arg(queue.path()).env("LD_LIBRARY_PATH", &lib).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), env!("CARGO_PKG_VERSION"));
    assert!(!shared.command().arg(queue.path()).output().unwrap().status.success(), "not shared");

    // Everything static, if the machine has a static C library; at least libpullcord is.
    fs::remove_file(lib.join("libpullcord.so.1")).unwrap();
    let version = compile_installed(prefix.path(), &[], &["--static"]).run(&[queue.path()]);
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        let version =
            compile_installed(prefix.path(), &["-static"], &["--static"]).run(&[queue.path()]);
        assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn a_package_is_made_below_destdir_and_removed_again() {
    if !has_command("make") {
        return left_out("make is not here");
    }
    let (root, from) = (TempDir::new().unwrap(), build_directory());
    let variables = [
        ("DESTDIR", root.path()),
        ("PREFIX", Path::new("/usr")),
        ("LIBDIR", Path::new("/usr/lib/triplet")),
        ("BUILT", from.path()),
    ];
    make("install", &variables);
    let files = files_below(root.path());
    let expected = [
        "usr/include/pullcord.h",
        "usr/lib/triplet/libpullcord.a",
        "usr/lib/triplet/libpullcord.so",
        "usr/lib/triplet/libpullcord.so.1",
        "usr/lib/triplet/pkgconfig/pullcord.pc",
    ];
    assert_eq!(files, expected.map(PathBuf::from));
    let pc = fs::read_to_string(root.path().join(expected[4])).unwrap();
    let has = |line: &str| pc.lines().any(|one| one == line);
    assert!(has("prefix=/usr") && has("libdir=/usr/lib/triplet"), "{pc}");
    assert!(has(concat!("Version: ", env!("CARGO_PKG_VERSION"))) && !pc.contains('@'), "{pc}");
    make("uninstall", &variables);
    assert_eq!(files_below(root.path()), [] as [PathBuf; 0]);
}
