//! `pullcord generate`: the manual pages and the completions of the shells, for packagers.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use pullcord::Escaped;

use crate::Command;
use crate::failure::Failure;

/// Write the manual pages, or a shell's completions
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// pullcord(1), and a page for each command, into a directory
    Man { directory: PathBuf },
    /// A shell's completions, to standard output
    Completions { shell: Shell },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut command = Command::command();
    match &arguments.what {
        What::Man { directory } => clap_mangen::generate_to(command, directory)
            .map_err(|e| Failure::bad_input(format!("{}: {e}", Escaped(directory)))),
        What::Completions { shell } => {
            let mut text = Vec::new();
            generate(*shell, &mut command, "pullcord", &mut text);
            crate::print(String::from_utf8_lossy(&text).trim_end()).map(drop)
        }
    }
}
