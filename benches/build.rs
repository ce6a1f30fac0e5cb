//! Finds the lock file of this build, in the package or in the workspace. It contains the versions of
//! the peers.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let home = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let found = [home.join("Cargo.lock"), home.join("../Cargo.lock")]
        .into_iter()
        .find(|lock| lock.exists())
        .unwrap_or_else(|| {
            let none = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("none");
            fs::write(&none, "").expect("OUT_DIR is writable");
            none
        });
    println!("cargo::rerun-if-changed={}", found.display());
    println!("cargo::rustc-env=PULLCORD_BENCH_LOCK={}", found.display());
}
