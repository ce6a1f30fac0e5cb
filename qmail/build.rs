//! Finds out which system libraries a C program needs beside the static one: says so on a release
//! build, and hands them to the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let libraries = native_static_libs().unwrap_or_default();
    println!("cargo::rustc-env=NATIVE_STATIC_LIBS={libraries}");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && !libraries.is_empty() {
        println!("cargo::warning=link libpullcord_qmail.a with: {libraries}");
    }
}

/// What the compiler says of an empty static library, which is what it says of ours: all that is
/// needed is needed by std.
fn native_static_libs() -> Option<String> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = out.join("empty.rs");
    std::fs::write(&source, "").ok()?;
    let said = Command::new(env::var_os("RUSTC")?)
        .args(["--crate-type", "staticlib", "--print", "native-static-libs"])
        .args(["--target", &env::var("TARGET").ok()?, "-o"])
        .args([out.join("empty.a").as_path(), Path::new(&source)])
        .output()
        .ok()?;
    let said = String::from_utf8(said.stderr).ok()?;
    let (_, libraries) = said.split_once("native-static-libs: ")?;
    libraries.lines().next().map(str::to_owned)
}
