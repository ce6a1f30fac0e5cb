//! The header is what cbindgen makes of the source, and C++ takes it too.
//!
//! After a change of the source: `PULLCORD_WRITE_HEADER=1 cargo test -p pullcord-qmail --test header`

mod support;

use std::env;
use std::fs;
use std::path::Path;

#[test]
fn the_header_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = here.join("include/pullcord.h");
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let source = cbindgen::Builder::new().with_config(config).with_src(here.join("src/api.rs"));
    let mut made = Vec::new();
    source.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    if env::var_os("PULLCORD_WRITE_HEADER").is_some() {
        fs::write(&header, &made).unwrap();
    }
    assert!(fs::read_to_string(&header).unwrap() == made, "make it anew: see {}", file!());
}

#[test]
fn the_pkg_config_file_has_this_version() {
    let file = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pullcord.pc"));
    assert!(
        file.unwrap().lines().any(|line| line == concat!("Version: ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_example_in_the_readme_compiles() {
    let readme = include_str!("../README.md");
    let (_, example) = readme.split_once("```c\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("example.c");
    fs::write(&source, example).unwrap();
    support::Program::compile("cc", &[source.to_str().unwrap()], &[]);
}

#[test]
fn cplusplus_takes_the_header_and_links() {
    let program = support::Program::compile("c++", &["header.cc"], &[]);
    assert_eq!(program.run(&[]).trim(), env!("CARGO_PKG_VERSION"));
}
