//! `pullcord backends`, and the choice of one that the other commands share.

use std::env::consts::OS;
use std::path::Path;

use pullcord::{Backend, Notifier};
use serde::Serialize;

use crate::failure::Failure;

/// List the backends: which exist here, which is best and why
///
/// A backend is the kernel's way to wait for many descriptors at once. "Native edges": the kernel
/// itself tells each arrival once; without, a source is reported for as long as it is ready.
/// "Nests": it can ride in another program's loop as one descriptor.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one object {"best", "why", "backends": [{"name", "exists", "emulated",
    /// "native_edges", "nests"}]}
    #[arg(long)]
    json: bool,
}

/// The option that names one.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Choice {
    /// epoll, kqueue or select [default: what PULLCORD_BACKEND says, else the best one here]
    #[arg(long = "backend", value_name = "NAME")]
    name: Option<String>,
}

impl Choice {
    /// The backend that was asked for: by the option, else by the environment, else the best.
    pub(crate) fn backend(&self) -> Result<Backend, Failure> {
        match &self.name {
            None => Backend::from_env()
                .map_err(|e| Failure::bad_input(format!("{}: {e}", Backend::ENV_VAR))),
            Some(name) => {
                Backend::from_name(name).map_err(|e| Failure::bad_input(format!("--backend: {e}")))
            }
        }
    }
}

/// Opens a notifier to wait for what is at `path`.
pub(crate) fn open(backend: Backend, path: &Path) -> Result<Box<dyn Notifier>, Failure> {
    backend.open().map_err(|e| Failure::at_start(path, format!("wait for it with {backend}"), e))
}

#[derive(Serialize)]
struct Report {
    best: &'static str,
    why: String,
    backends: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    exists: bool,
    /// A library plays the kernel's part.
    emulated: bool,
    native_edges: bool,
    nests: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let report = report();
    if arguments.json {
        crate::print_json(&report)?;
        return Ok(());
    }
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    let mut table = format!("{:8} {:5} {:13} {}", "BACKEND", "HERE", "NATIVE EDGES", "NESTS");
    for row in &report.backends {
        let [here, edges, nests] = [row.exists, row.native_edges, row.nests].map(yes_or_no);
        let emulated = if row.emulated { "  (emulated)" } else { "" };
        table += &format!("\n{:8} {here:5} {edges:13} {nests}{emulated}", row.name);
    }
    crate::print(format!("{table}\n\n{} is best here: {}.", report.best, report.why))?;
    Ok(())
}

fn report() -> Report {
    let best = Backend::best();
    let why = match best {
        Backend::Select => format!("{OS} has no other"),
        _ => "a wait costs the same however many descriptors are waited for, its edges are the \
              kernel's own, and it can ride in another loop"
            .into(),
    };
    let row = |backend: Backend| Row {
        name: backend.as_str(),
        exists: backend.is_available(),
        emulated: backend.is_emulated(),
        native_edges: backend.has_native_edge(),
        nests: backend.has_pollable_fd(),
    };
    Report { best: best.as_str(), why, backends: Backend::ALL.map(row).into() }
}
