//! Rewrites source files so that one build contains many changes of them: `ci/mutants` calls it.
//!
//!     mutator FROM TO LEFT_OUT
//!
//! Each Rust file below FROM is read. TO receives it with all changes, of which
//! `pullcord_platform::mutated(N)` selects one while the program runs. LEFT_OUT has the numbers of the
//! changes that do not compile. The list of the changes is printed as JSON.

mod changes;
mod rewrite;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_json::json;

fn main() -> io::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to, left_out] = &arguments[..] else {
        panic!("usage: mutator FROM TO LEFT_OUT");
    };
    let left_out: Vec<usize> = fs::read_to_string(left_out)?
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let mut files = Vec::new();
    find(from, &mut files)?;
    files.sort();
    let (mut first, mut list) = (1, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file)?;
        let name = file.strip_prefix(from).expect("it is below");
        // A module of tests is no program of a user.
        let is_tests = name.parent().is_some_and(|parent| parent.ends_with("tests"));
        let changes = if is_tests { Vec::new() } else { changes::changes(&text) };
        for (at, change) in changes.iter().enumerate() {
            list.push(json!({
                "number": first + at,
                "file": name,
                "line": change.line(&text),
                "text": change.describe(&text),
                "is_off": change.is_off,
            }));
        }
        let rewritten = rewrite::rewrite(&text, &changes, first, &left_out);
        let target = to.join(name);
        // Cargo compiles what is newer.
        if fs::read_to_string(&target).ok().as_ref() != Some(&rewritten) {
            fs::write(target, rewritten)?;
        }
        first += changes.len();
    }
    println!("{}", serde_json::Value::from(list));
    Ok(())
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
