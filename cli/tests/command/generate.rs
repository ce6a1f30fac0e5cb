//! `pullcord generate`.

use crate::support::{output, pullcord, text};

#[test]
fn man_writes_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let done = output(pullcord(["generate", "man"]).arg(directory.path()));
    assert!(done.status.success(), "{}", text(&done.stderr));
    for page in ["pullcord.1", "pullcord-watch.1", "pullcord-doctor.1"] {
        let page = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("Exit codes"), "{page}");
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let done = output(&mut pullcord(["generate", "completions", shell]));
        assert!(text(&done.stdout).contains("doctor"), "{shell}");
    }
}

#[test]
fn man_into_a_missing_directory_exits_with_2_and_prints_the_path() {
    let done = output(&mut pullcord(["generate", "man", "/nowhere/at/all"]));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("/nowhere/at/all"));
}
