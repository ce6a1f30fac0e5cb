//! Gives the shared library the name that programs are linked with: the SONAME, or Apple's install name.
//! The number is that of `PULLCORD_ABI` in the header, and not the version of this crate.

use std::env;

const ABI: u32 = 1;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let link_arg = |arg: &str| println!("cargo::rustc-cdylib-link-arg={arg}");
    if env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple") {
        link_arg(&format!("-Wl,-install_name,@rpath/libpullcord.{ABI}.dylib"));
        return;
    }
    // The linker of illumos has its own name for it.
    let is_sun = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "illumos" || os == "solaris");
    let option = if is_sun { "-h" } else { "-soname" };
    link_arg(&format!("-Wl,{option},libpullcord.so.{ABI}"));
    // A thread that has called the library runs code of the library when it ends: it must not be
    // unloaded before.
    link_arg("-Wl,-z,nodelete");
}
