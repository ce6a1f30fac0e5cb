//! The command lines of the pages can be parsed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::Command;

/// Returns the pages of the project: those beside Cargo.toml, and those in `docs`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = files(root.clone()).chain(files(root.join("docs"))).map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Returns the arguments of each line that calls the command, from the shell blocks of a page.
fn command_lines(page: &str) -> Vec<Vec<String>> {
    let mut is_shell = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_shell = line == "```sh";
        } else if is_shell {
            let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
            let words: Vec<String> = words.map(str::to_owned).collect();
            let call = ["pullcord", "cargo run --release --"]
                .into_iter()
                .find(|call| words.join(" ").starts_with(&format!("{call} ")));
            if let Some(call) = call {
                found.push(words[call.split(' ').count()..].to_vec());
            }
        }
    }
    found
}

#[test]
fn every_command_line_of_the_pages_is_accepted() {
    let mut lines = 0;
    for path in pages() {
        for arguments in command_lines(&fs::read_to_string(&path).unwrap()) {
            // Without its feature, the command has no benchmark.
            if arguments[0] == "bench" && cfg!(not(feature = "bench")) {
                continue;
            }
            lines += 1;
            let parsed = Command::try_parse_from(["pullcord".to_owned()].iter().chain(&arguments));
            if let Err(error) = parsed {
                panic!("{}: pullcord {}: {error}", path.display(), arguments.join(" "));
            }
        }
    }
    assert!(lines >= 15 || !Path::new("../README.md").exists(), "only {lines} were found");
}
