//! The header is the output of cbindgen for the source, and every C and C++ compiler accepts it.
//!
//! After a change of the source: `PULLCORD_WRITE_HEADER=1 cargo test -p pullcord-capi --test header`

mod support;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Program, has_command, left_out};

#[test]
fn the_header_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = here.join("include/pullcord.h");
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let source = cbindgen::Builder::new().with_config(config).with_src(here.join("src/api.rs"));
    let mut generated = Vec::new();
    source.generate().unwrap().write(&mut generated);
    // C89 has no such comments.
    let generated = String::from_utf8(generated).unwrap();
    let generated = generated.replace("// __cplusplus", "/* __cplusplus */");
    let generated = generated.replace("// extern \"C\"", "/* extern \"C\" */");
    if env::var_os("PULLCORD_WRITE_HEADER").is_some() {
        fs::write(&header, &generated).unwrap();
    }
    assert!(fs::read_to_string(&header).unwrap() == generated, "generate it: see {}", file!());
}

/// Compiles a program that contains the header only.
fn accepts(compiler: &str, language: &str, standard: &str) {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("header.source");
    fs::write(&source, "#include \"pullcord.h\"\nint main(void) { return 0; }\n").unwrap();
    let done = Command::new(compiler)
        .args(["-x", language, standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .args(["-fsyntax-only".as_ref(), source.as_os_str()])
        .output()
        .unwrap_or_else(|e| panic!("{compiler} must be installed: {e}"));
    assert!(done.status.success(), "{standard}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn c89_accepts_the_header() {
    accepts("cc", "c", "-std=c89");
}

#[test]
fn c17_accepts_the_header() {
    accepts("cc", "c", "-std=c17");
}

#[test]
fn cplusplus_accepts_the_header_and_links() {
    if !has_command("c++") {
        left_out("c++ is not here");
        return;
    }
    // The first with long long, which uint64_t is on some systems.
    accepts("c++", "c++", "-std=c++11");
    accepts("c++", "c++", "-std=c++17");
    let program = Program::compile("c++", &["header.cc"], &[]);
    assert_eq!(program.run(&[]).trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_example_in_the_readme_compiles() {
    let readme = include_str!("../README.md");
    let (_, example) = readme.split_once("```c\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("example.c");
    fs::write(&source, example).unwrap();
    Program::compile("cc", &[source.to_str().unwrap()], &[]);
}
