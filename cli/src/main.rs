//! The command `pullcord`: watch a mail queue, pull a trigger, see what a backend does.

#![forbid(unsafe_code)]

mod backends;
#[cfg(feature = "bench")]
mod bench;
mod demo;
mod doctor;
mod failure;
mod generate;
mod latency;
mod message;
mod pull;
mod selftest;
mod shown;
mod signals;
mod storm;
mod watch;
mod watching;
mod writers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Learn of new mail at once, at no cost while none comes.
#[derive(Parser)]
#[command(name = "pullcord", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Watch(watch::Arguments),
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

const EXIT_CODES: &str = "\
Exit codes:
  0  done: pulled (or a pull was pending), nothing lost, or ended as asked
  1  failed, or messages were lost
  2  bad input or usage; nothing was changed
  3  nobody listens

Environment:
  PULLCORD_BACKEND  epoll, kqueue or select: used where --backend is not given
  NO_COLOR          no colours, on terminals either";

fn main() -> ExitCode {
    let done = match Command::parse().task {
        Task::Watch(arguments) => watch::run(&arguments),
        Task::Doctor(arguments) => doctor::run(&arguments),
        Task::Pull(arguments) => pull::run(&arguments),
        Task::Backends(arguments) => backends::run(&arguments),
        Task::Selftest(arguments) => selftest::run(&arguments),
        #[cfg(feature = "bench")]
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Storm(arguments) => storm::run(&arguments),
        Task::StormWriter(arguments) => storm::writer::run(&arguments),
        Task::Generate(arguments) => generate::run(&arguments),
        Task::DemoWriter(arguments) => demo::writer::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Says something on standard error, in one line that begins with the command's name.
fn say(message: impl std::fmt::Display) {
    use std::io::Write as _;
    let name = anstyle::Style::new().bold();
    // If even this cannot be written, there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{name}pullcord:{name:#} {message}");
}

/// Writes an object as one line, its members in the order they are declared in.
fn print_json(object: &impl serde::Serialize) -> Result<bool, Failure> {
    print(serde_json::to_string(object).map_err(Failure::failed)?)
}

/// Writes a line to standard output, at once, with its colours if they are wanted. `Ok(false)` if nobody reads it any more.
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
    fn the_options_of_every_command_fit_together() {
        use clap::CommandFactory as _;
        super::Command::command().debug_assert();
    }
}
