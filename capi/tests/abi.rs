//! The ABI is the one in `abi.txt`: after a change that older programs do not survive, the number changes
//! in the header, in `build.rs` and in the Makefile. Read with binutils from the ELF library that was
//! just built.
#![cfg(not(target_vendor = "apple"))]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Program, built, has_command, left_out};

/// Runs a tool of binutils on a built library; `None`, with a message, if it is not here.
fn inspect(tool: &str, arguments: &[&str], library: &str) -> Option<String> {
    if !has_command(tool) {
        left_out(&format!("{tool} is not here"));
        return None;
    }
    let done = Command::new(tool).args(arguments).arg(built().join(library)).output().unwrap();
    assert!(done.status.success(), "{tool}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

/// Returns the lines of `abi.txt` that begin with this word, without it.
fn listed(word: &str) -> Vec<&'static str> {
    include_str!("../abi.txt")
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .collect()
}

/// Returns the names that nm prints.
fn names(printed: &str) -> Vec<&str> {
    let mut names: Vec<_> =
        printed.lines().filter_map(|line| line.split_whitespace().last()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_shared_library_exports_the_listed_symbols_only() {
    let Some(printed) = inspect("nm", &["-D", "--defined-only"], "libpullcord_capi.so") else {
        return;
    };
    assert_eq!(names(&printed), listed("symbol"));
}

#[test]
fn the_shared_library_has_the_listed_name_and_is_not_unloaded() {
    let Some(printed) = inspect("readelf", &["-d"], "libpullcord_capi.so") else { return };
    let named: Vec<_> = printed.lines().filter(|line| line.contains("SONAME")).collect();
    let [soname] = listed("soname")[..] else { panic!("one name is listed") };
    assert!(matches!(named[..], [line] if line.contains(&format!("[{soname}]"))), "{named:?}");
    assert!(printed.contains("NODELETE"), "{printed}");
    let header = include_str!("../include/pullcord.h");
    let (_, abi) = soname.rsplit_once('.').unwrap();
    assert!(header.lines().any(|line| line == format!("#define PULLCORD_ABI {abi}")));
    let makefile = include_str!("../Makefile");
    assert!(makefile.lines().any(|line| line == format!("ABI = {abi}")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_has_called_the_library_ends_after_dlclose_which_does_not_unload_it() {
    let program = Program::compile_with("cc", &["unload.c"], &["-pthread"], ["-ldl"]);
    assert_eq!(program.run(&[&built().join("libpullcord_capi.so")]), "ended\n");
}

#[test]
fn the_debian_package_lists_the_same_symbols_and_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../debian/libpullcord1.symbols");
    let Ok(text) = fs::read_to_string(path) else {
        return left_out("debian/ is not here");
    };
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap().split(' ').next(), listed("soname").first().copied());
    let symbols: Vec<_> = lines.filter_map(|line| line.trim().split('@').next()).collect();
    assert_eq!(symbols, listed("symbol"));
}

#[test]
fn the_public_structures_have_the_listed_sizes() {
    let printed = Program::compile("cc", &["sizes.c"], &[]).run(&[]);
    let sizes: Vec<_> = listed("sizeof").iter().map(|size| format!("sizeof {size}")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), sizes);
}

#[test]
fn the_static_library_has_no_name_of_qmails() {
    let Some(printed) = inspect("nm", &["--defined-only"], "libpullcord_capi.a") else { return };
    let names = names(&printed);
    for symbol in listed("symbol") {
        assert!(names.contains(&symbol), "{symbol}");
    }
    for name in ["trigger_set", "trigger_selprep", "trigger_pulled", "triggerpull"] {
        assert!(!names.contains(&name), "{name}");
    }
}
