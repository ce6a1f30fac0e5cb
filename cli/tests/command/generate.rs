//! `pullcord generate`.

use crate::support::{output, pullcord, text};

#[test]
fn the_manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let done = output(pullcord(["generate", "man"]).arg(directory.path()));
    assert!(done.status.success(), "{}", text(&done.stderr));
    for page in ["pullcord.1", "pullcord-watch.1", "pullcord-doctor.1"] {
        let page = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("Exit codes"), "{page}");
    }
}

#[test]
fn each_shell_has_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let done = output(&mut pullcord(["generate", "completions", shell]));
        assert!(text(&done.stdout).contains("doctor"), "{shell}");
    }
}

#[test]
fn a_directory_that_is_missing_is_said() {
    let done = output(&mut pullcord(["generate", "man", "/nowhere/at/all"]));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("/nowhere/at/all"));
}
