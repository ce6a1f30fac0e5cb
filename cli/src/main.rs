//! The command `pullcord`: watches a mail queue, pulls a trigger, compares backends.

#![forbid(unsafe_code)]

mod backends;
#[cfg(feature = "bench")]
mod bench;
mod demo;
mod doctor;
#[cfg(test)]
mod documented;
mod failure;
mod generate;
mod json;
mod latency;
mod layout;
mod mail;
mod manual;
mod message;
mod processor;
mod pull;
mod selftest;
mod signals;
mod storm;
mod watch;
mod watch_arg;
mod writers;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser};

use failure::Failure;

/// Notify a mail queue manager of new mail, without delay and without polling
#[derive(Parser)]
#[command(name = "pullcord", version, after_help = ENVIRONMENT, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    Watch(Box<watch::Arguments>),
    Doctor(doctor::Arguments),
    Pull(pull::Arguments),
    Backends(backends::Arguments),
    Demo(demo::Arguments),
    #[cfg(feature = "bench")]
    Bench(bench::Arguments),
    Storm(storm::Arguments),
    Selftest(selftest::Arguments),
    #[command(hide = true)]
    Generate(generate::Arguments),
    #[command(hide = true)]
    DemoWriter(demo::writer::Arguments),
    #[command(hide = true)]
    StormWriter(storm::writer::Arguments),
}

const ENVIRONMENT: &str = "\
Environment:
  PULLCORD_BACKEND  epoll, kqueue or select: used if --backend is not given
  NO_COLOR          no colours, also on terminals";

fn main() -> ExitCode {
    let parsed = manual::command().try_get_matches();
    let command = match parsed.and_then(|matches| Command::from_arg_matches(&matches)) {
        Ok(command) => command,
        Err(e) => return usage(&e),
    };
    let done = match command.subcommand {
        Subcommand::Watch(arguments) => watch::run(&arguments),
        Subcommand::Doctor(arguments) => return doctor::run(&arguments),
        Subcommand::Pull(arguments) => pull::run(&arguments),
        Subcommand::Backends(arguments) => backends::run(&arguments),
        Subcommand::Selftest(arguments) => selftest::run(&arguments),
        #[cfg(feature = "bench")]
        Subcommand::Bench(arguments) => bench::run(&arguments),
        Subcommand::Demo(arguments) => demo::run(&arguments),
        Subcommand::Storm(arguments) => storm::run(&arguments),
        Subcommand::StormWriter(arguments) => storm::writer::run(&arguments),
        Subcommand::Generate(arguments) => generate::run(&arguments),
        Subcommand::DemoWriter(arguments) => demo::writer::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::from(failure::Exit::Done as u8),
        Err(failure) => failure.report(),
    }
}

/// Prints the help, or why the arguments cannot be parsed. A monitoring plugin has an exit code of its
/// own for that.
fn usage(error: &clap::Error) -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let is_doctor = arguments.next().is_some_and(|subcommand| subcommand == "doctor");
    if error.use_stderr() && is_doctor && arguments.any(|argument| argument == "--monitor") {
        return doctor::monitor_usage(&error.to_string());
    }
    error.exit()
}

/// Prints a message on standard error, in one line that begins with the command's name.
fn report(message: impl std::fmt::Display) {
    use std::io::Write as _;
    let name = anstyle::Style::new().bold();
    // A message that cannot be printed has no other place to go.
    let _ = writeln!(anstream::stderr(), "{name}pullcord:{name:#} {message}");
}

/// Prints an object as one line, its members in the order of their declaration.
fn print_json(object: &impl serde::Serialize) -> Result<bool, Failure> {
    print(serde_json::to_string(object).map_err(Failure::failed)?)
}

/// Prints a line to standard output, immediately, with its colours if they are wanted. Returns false
/// if no process reads the output any more.
fn print(line: impl std::fmt::Display) -> Result<bool, Failure> {
    use std::io::{ErrorKind, Write as _};
    let mut out = anstream::stdout().lock();
    match out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::failed(format!("cannot write to standard output: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_options_of_every_command_are_consistent() {
        super::manual::command().debug_assert();
    }
}
