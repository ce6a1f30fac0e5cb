//! `pullcord backends`: lists the backends. Also has the option --backend, which other commands share.

use std::env::consts::OS;
use std::path::Path;

use pullcord::{Backend, Notifier};
use serde::Serialize;

use crate::failure::Failure;

/// List the backends: which are available on this system, which is best and why
///
/// A backend is a kernel facility that waits for many descriptors at once. "Native edges": the kernel
/// reports each arrival once; otherwise a source is reported for as long as it is ready. "Pollable
/// fd": it has a descriptor, so that it can be used inside another event loop.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one object {"best", "reason", "backends": [{"name", "available", "emulated",
    /// "native_edges", "pollable_fd"}]}
    #[arg(long)]
    json: bool,
}

/// The option that names a backend.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct BackendArg {
    /// epoll, kqueue or select [default: PULLCORD_BACKEND, or else the best one of this system]
    #[arg(long = "backend", value_name = "NAME")]
    name: Option<String>,
}

impl BackendArg {
    /// Returns the backend that the option names, or else the environment, or else the best one.
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

/// Opens a notifier. Errors name `path`, which it will wait for.
pub(crate) fn open(backend: Backend, path: &Path) -> Result<Box<dyn Notifier>, Failure> {
    backend.open().map_err(|e| Failure::at_start(path, format!("wait for it with {backend}"), e))
}

#[derive(Serialize)]
struct Report {
    best: &'static str,
    reason: String,
    backends: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    available: bool,
    /// Whether a library emulates the kernel interface.
    emulated: bool,
    native_edges: bool,
    pollable_fd: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let report = report();
    if arguments.json {
        crate::print_json(&report)?;
        return Ok(());
    }
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    let mut table =
        format!("{:8} {:10} {:13} {}", "BACKEND", "AVAILABLE", "NATIVE EDGES", "POLLABLE FD");
    for row in &report.backends {
        let [available, edges, pollable] =
            [row.available, row.native_edges, row.pollable_fd].map(yes_or_no);
        let emulated = if row.emulated { "  (emulated)" } else { "" };
        table += &format!("\n{:8} {available:10} {edges:13} {pollable}{emulated}", row.name);
    }
    crate::print(format!("{table}\n\n{} is best here: {}.", report.best, report.reason))?;
    Ok(())
}

fn report() -> Report {
    let best = Backend::best();
    let reason = match best {
        Backend::Select => format!("{OS} has no other backend"),
        _ => "the cost of a wait does not depend on the number of descriptors, the kernel reports \
              edges, and it can be used inside another event loop"
            .into(),
    };
    let row = |backend: Backend| Row {
        name: backend.as_str(),
        available: backend.is_available(),
        emulated: backend.is_emulated(),
        native_edges: backend.has_native_edge(),
        pollable_fd: backend.has_pollable_fd(),
    };
    Report { best: best.as_str(), reason, backends: Backend::ALL.map(row).into() }
}
