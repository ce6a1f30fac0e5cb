//! The command of `--exec`: its arguments, its environment, and why it cannot be started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pullcord::Escaped;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::failure::Failure;

/// The argument that stands for the path. Only a whole argument does: inside of one, such as the script
/// of `sh -c`, a hostile name would be executed.
const PLACE: &str = "{}";

/// The variables that a supervisor has set for this process only. A command would take descriptors of its own
/// for those of the supervisor, or report to it in our name.
const OF_SUPERVISOR: [&str; 7] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

#[derive(Debug)]
pub(super) struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
    /// Standard output is used for reports: that of the command goes to standard error.
    is_output_used: bool,
}

impl CommandLine {
    /// Returns the command. Fails if it cannot be found, or not be executed.
    pub(super) fn new(words: &[OsString], is_output_used: bool) -> Result<CommandLine, Failure> {
        let (program, arguments) = words.split_first().expect("clap wants one or more");
        find(program).map_err(|e| Failure::bad_input(cannot_start(program, &e)))?;
        Ok(CommandLine { program: program.clone(), arguments: arguments.into(), is_output_used })
    }

    /// Starts the command for an entry, in a process group of its own.
    pub(super) fn start(&self, path: &Path, attempt: u32) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(with_path(&self.arguments, path.as_os_str()));
        for variable in OF_SUPERVISOR {
            command.env_remove(variable);
        }
        command
            .env("PULLCORD_PATH", path)
            .env("PULLCORD_NAME", path.file_name().unwrap_or_default())
            .env("PULLCORD_ATTEMPT", attempt.to_string())
            .stdin(Stdio::null())
            .process_group(0);
        if self.is_output_used {
            command.stdout(io::stderr().as_fd().try_clone_to_owned()?);
        }
        command.spawn()
    }

    /// Returns why the command cannot be started, in one line.
    pub(super) fn cannot_start(&self, error: &io::Error) -> String {
        cannot_start(&self.program, error)
    }
}

/// Returns whether starting the command will fail for every entry, until an administrator changes
/// something.
pub(super) fn is_permanent(error: &io::Error) -> bool {
    let permanent = [
        Errno::NOENT,
        Errno::ACCESS,
        Errno::PERM,
        Errno::NOEXEC,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::INVAL,
    ];
    Errno::from_io_error(error).is_none_or(|errno| permanent.contains(&errno))
}

/// Returns the arguments with the path in each place of `{}`, or else as the last one.
fn with_path<'a>(arguments: &'a [OsString], path: &'a OsStr) -> Vec<&'a OsStr> {
    let is_place = |argument: &&OsStr| *argument == PLACE;
    let has_place = arguments.iter().any(|argument| is_place(&argument.as_os_str()));
    let words = arguments.iter().map(OsString::as_os_str);
    words
        .map(|word| if is_place(&word) { path } else { word })
        .chain((!has_place).then_some(path))
        .collect()
}

/// Looks for a program as execvp(3) does.
fn find(program: &OsStr) -> io::Result<()> {
    if program.as_encoded_bytes().contains(&b'/') {
        return check(program.as_ref());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut error = io::Error::from(Errno::NOENT);
    for directory in env::split_paths(&path).filter(|_| !program.is_empty()) {
        match check(&directory.join(program)) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => error = e,
            Err(_) => {}
        }
    }
    Err(error)
}

fn check(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    Ok(access(path, Access::EXEC_OK)?)
}

fn cannot_start(program: &OsStr, error: &io::Error) -> String {
    let is_words = program.as_encoded_bytes().contains(&b' ');
    let hint = match error.kind() {
        io::ErrorKind::NotFound if is_words => {
            "; no shell is used: write each argument as a word of its own, or use sh -c"
        }
        io::ErrorKind::NotFound => "; give the path of a program, or the name of one in PATH",
        io::ErrorKind::PermissionDenied => "; give this user the right to execute it",
        _ => "",
    };
    format!("{}: cannot start the command: {error}{hint}", Escaped(program.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_takes_the_place_of_each_whole_argument_or_comes_last() {
        let with = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let all = with_path(&words, OsStr::new("/q/a"));
            all.into_iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(with(&[]), ["/q/a"]);
        assert_eq!(with(&["-v"]), ["-v", "/q/a"]);
        assert_eq!(with(&["{}", "to", "{}"]), ["/q/a", "to", "/q/a"]);
        assert_eq!(with(&["-c", "rm {}"]), ["-c", "rm {}", "/q/a"], "not inside of a script");
    }

    #[test]
    fn a_program_is_found_as_execvp_does() {
        assert!(find(OsStr::new("sh")).is_ok() && find(OsStr::new("/bin/sh")).is_ok());
        for missing in ["", "no-such-program", "/bin/no-such-program", "sh -c"] {
            let error = find(OsStr::new(missing)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{missing}");
        }
        assert_eq!(find(OsStr::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(cannot_start(OsStr::new("sh -c"), &Errno::NOENT.into()).contains("no shell"));
    }

    #[test]
    fn a_system_out_of_processes_or_memory_is_not_permanent() {
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY] {
            assert!(!is_permanent(&errno.into()), "{errno}");
        }
        assert!(!is_permanent(&Errno::TOOBIG.into()), "the environment is too long");
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC] {
            assert!(is_permanent(&errno.into()), "{errno}");
        }
    }
}
