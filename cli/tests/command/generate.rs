//! `pullcord generate`: the manual pages and the completions of the shells.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{has_command, left_out, output, pullcord, text};

/// The names of the commands, as the help lists them.
fn commands() -> Vec<String> {
    let done = output(&mut pullcord(["--help"]));
    let lines = text(&done.stdout).lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next()
    });
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn pages() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let done = output(pullcord(["generate", "man"]).arg(directory.path()));
    assert!(done.status.success(), "{}", text(&done.stderr));
    directory
}

#[test]
fn man_writes_a_page_with_every_section_for_each_command() {
    let directory = pages();
    let commands = commands();
    assert!(commands.len() >= 7, "{commands:?}");
    let mut names: Vec<_> = commands.iter().map(|name| format!("pullcord-{name}.1")).collect();
    names.push("pullcord.1".into());
    for name in &names {
        let page = fs::read_to_string(directory.path().join(name)).unwrap();
        let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(sections.contains(&section), "{name}: {section}: {sections:?}");
        }
        let sections: Vec<_> = sections.into_iter().filter(|name| *name != "NOTES").collect();
        let last = ["\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES", "\"SEE ALSO\""];
        assert!(sections.ends_with(&last), "{name}: {sections:?}");
        assert!(page.contains("\n0  "), "{name}: no exit status 0");
        assert!(page.contains("\n\\fBpullcord "), "{name}: no example");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), names.len());
}

#[test]
fn the_manual_tells_how_to_alert_and_where_a_pull_is_always_delivered() {
    let directory = pages();
    for (page, word) in [("watch", "pullcord_written_time_seconds"), ("pull", "ListenFIFO=")] {
        let path = directory.path().join(format!("pullcord-{page}.1"));
        assert!(fs::read_to_string(path).unwrap().contains(word), "{page}");
    }
}

#[test]
fn each_example_is_accepted_by_the_command() {
    for name in commands() {
        let done = output(&mut pullcord([&name, "--help"]));
        let help = text(&done.stdout);
        let (_, examples) = help.split_once("\nExamples:\n").expect("there are examples");
        let lines = examples.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut count = 0;
        for line in lines {
            let Some(at) = line.find("pullcord ") else { panic!("{line}") };
            let words = line[at..].split(['|', '>']).next().unwrap().split_whitespace().skip(1);
            // With --help at its end, a command line is parsed and not run.
            let done = output(pullcord(words).arg("--help"));
            assert!(done.status.success(), "{line}: {}", text(&done.stderr));
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}

#[test]
fn the_date_of_a_page_is_that_of_the_package() {
    let directory = tempfile::tempdir().unwrap();
    let mut generate = pullcord(["generate", "man"]);
    generate.arg(directory.path()).env("SOURCE_DATE_EPOCH", "1000000000");
    assert!(output(&mut generate).status.success());
    let page = fs::read_to_string(directory.path().join("pullcord.1")).unwrap();
    assert!(page.contains(".TH PULLCORD 1 2001-09-09 "), "{page}");
    let done = output(generate.env("SOURCE_DATE_EPOCH", "yesterday"));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("SOURCE_DATE_EPOCH"));
}

/// Runs a formatter on each page. It must have nothing to say.
fn no_warnings(command: &str, options: &[&str]) {
    if !has_command(command) && Command::new(command).output().is_err() {
        return left_out(&format!("{command} is not here"));
    }
    let directory = pages();
    for page in fs::read_dir(directory.path()).unwrap() {
        let path = page.unwrap().path();
        let done = Command::new(command).args(options).arg(&path).env("MANWIDTH", "80").output();
        let done = done.unwrap();
        let said = [text(&done.stdout), text(&done.stderr)];
        let warnings = if command == "mandoc" { said.concat() } else { said[1].to_owned() };
        assert!(done.status.success() && warnings.is_empty(), "{}: {warnings}", path.display());
    }
}

#[test]
fn mandoc_has_no_warning() {
    no_warnings("mandoc", &["-Tlint", "-Wwarning"]);
}

#[test]
fn man_has_no_warning() {
    if cfg!(not(target_os = "linux")) {
        return left_out("man(1) with --warnings is that of Linux");
    }
    no_warnings("man", &["--warnings", "-l"]);
}

/// Writes the completions of a shell into a file.
fn completions(shell: &str, directory: &Path) -> std::path::PathBuf {
    let done = output(&mut pullcord(["generate", "completions", shell]));
    assert!(done.status.success(), "{}", text(&done.stderr));
    let path = directory.join(shell);
    fs::write(&path, done.stdout).unwrap();
    path
}

#[test]
fn completions_have_every_command_and_its_options() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let path = completions(shell, directory.path());
        let completions = fs::read_to_string(&path).unwrap();
        for word in commands().iter().map(String::as_str).chain(["idle-exit", "monitor"]) {
            assert!(completions.contains(word), "{shell}: {word}");
        }
        assert!(!completions.contains("demo-writer"), "{shell}");
        if !has_command(shell) {
            left_out(&format!("{shell} is not here"));
            continue;
        }
        let done = Command::new(shell).arg("-n").arg(&path).output().unwrap();
        assert!(done.status.success(), "{shell}: {}", text(&done.stderr));
    }
}

#[test]
fn bash_completes_a_command_and_its_options() {
    if !has_command("bash") {
        return left_out("bash is not here");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = completions("bash", directory.path());
    let complete = |words: &[&str]| {
        let script = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _pullcord pullcord {:?} {:?}; \
             echo ${{COMPREPLY[@]}}",
            path.display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let done = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).trim().to_owned()
    };
    assert_eq!(complete(&["pullcord", "doc"]), "doctor");
    assert_eq!(complete(&["pullcord", "watch", "--idle"]), "--idle-exit");
}

#[test]
fn man_into_a_missing_directory_exits_with_2_and_names_it() {
    let done = output(&mut pullcord(["generate", "man", "/nowhere/at/all"]));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("/nowhere/at/all"));
}
