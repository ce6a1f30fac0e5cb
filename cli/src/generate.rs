//! `pullcord generate`: the manual pages and the completions of the shells, for packagers.

pub(crate) mod page;

use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::{Shell, generate};
use pullcord::Escaped;

use crate::failure::Failure;
use crate::manual::{self, PAGES};

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
    match &arguments.what {
        What::Man { directory } => write_pages(directory),
        What::Completions { shell } => {
            let mut text = Vec::new();
            generate(*shell, &mut visible(&manual::command()), "pullcord", &mut text);
            crate::print(String::from_utf8_lossy(&text).trim_end()).map(drop)
        }
    }
}

fn write_pages(directory: &Path) -> Result<(), Failure> {
    let date = date()?;
    let mut command = manual::command().disable_help_subcommand(true);
    command.build();
    for page in PAGES {
        let command = command.find_subcommand(page.command).unwrap_or(&command);
        let name = command.get_display_name().unwrap_or(page.command);
        let path = directory.join(format!("{name}.1"));
        page::render(command, page, &date)
            .and_then(|text| fs::write(&path, text))
            .map_err(|e| Failure::bad_input(format!("{}: {e}", Escaped(&path))))?;
    }
    Ok(())
}

/// Returns the date of the pages: that of SOURCE_DATE_EPOCH, with which a package can be built again
/// byte for byte, or else today.
fn date() -> Result<String, Failure> {
    let now = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds
            .parse()
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .ok_or_else(|| Failure::bad_input("SOURCE_DATE_EPOCH: not a number of seconds"))?,
        Err(_) => jiff::Timestamp::now(),
    };
    Ok(now.strftime("%Y-%m-%d").to_string())
}

/// Returns the command without those that only other programs call.
fn visible(command: &clap::Command) -> clap::Command {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new("pullcord")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.cloned().collect::<Vec<_>>())
}
