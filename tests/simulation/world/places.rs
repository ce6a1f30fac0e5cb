//! The files of a queue: their paths, and how they are made.

use pullcord_platform::sim::{Kernel, Pipes, QUEUE, Settings};

use super::OTHERS;
use crate::history::{Config, Layout, PathKind, Trigger};

/// Returns the kernel at the start of a history.
pub(crate) fn boot(config: &Config) -> Kernel {
    let settings = Settings {
        batch: config.batch,
        pipes: match config.old_edges {
            _ if !cfg!(pullcord_sim = "bsd") => Pipes::Linux,
            false => Pipes::FreeBsd,
            true => Pipes::NetBsd,
        },
        failed_rmdir_posts_delete: config.old_edges,
        queued_events: config.events,
        watches: config.watches,
        edge_at_each_write: !config.old_edges,
        privileged: config.privileged,
        ..Settings::default()
    };
    let mut kernel = Kernel::new(settings, config.fs);
    assert_eq!(kernel.add_process(), OTHERS);
    kernel.act(OTHERS, |kernel| {
        kernel.mkdir(b"/v", 0o755).expect("an empty root");
        build(kernel, config, b"/v/q", parts(config));
        kernel.symlink(b"/v/q", b"/s").expect("an empty root");
    });
    if config.path == PathKind::Relative {
        kernel.chdir(QUEUE, b"/v").expect("made above");
    }
    kernel
}

pub(super) fn parts(config: &Config) -> usize {
    match config.layout {
        Layout::Flat | Layout::Maildrop => 1,
        Layout::Split(parts) | Layout::Directories(parts) => parts,
    }
}

/// Creates the missing parts of a queue.
pub(super) fn build(kernel: &mut Kernel, config: &Config, home: &[u8], parts: usize) {
    let at = |rest: &str| [home, rest.as_bytes()].concat();
    let _ = kernel.mkdir(home, 0o755);
    let _ = kernel.mkdir(&at("/lock"), 0o755);
    if matches!(config.layout, Layout::Flat | Layout::Split(_)) {
        let _ = kernel.mkdir(&at("/todo"), 0o755);
    }
    for part in 0..parts {
        let _ = kernel.mkdir(&directory(config, home, part), 0o755);
    }
    if let Some(trigger) = trigger(config, home) {
        let _ = kernel.mkfifo(&trigger, 0o622);
    }
}

/// Returns the path of a directory of the queue.
pub(crate) fn directory(config: &Config, home: &[u8], number: usize) -> Vec<u8> {
    let rest = match config.layout {
        Layout::Flat => "/todo".into(),
        Layout::Split(_) => format!("/todo/{number}"),
        Layout::Maildrop => "/maildrop".into(),
        Layout::Directories(_) => format!("/d{number}"),
    };
    [home, rest.as_bytes()].concat()
}

/// Returns the path of the trigger without links.
pub(crate) fn trigger(config: &Config, home: &[u8]) -> Option<Vec<u8>> {
    match config.trigger {
        Trigger::None => None,
        Trigger::Apart | Trigger::Inherited => Some([home, b"/lock/trigger"].concat()),
        Trigger::Inside => Some([&directory(config, home, 0)[..], b"/trigger"].concat()),
        Trigger::Alias => Some([home, b"/trigger"].concat()),
    }
}

/// Returns the path of the trigger in the queue's options.
pub(crate) fn described_trigger(config: &Config, home: &[u8]) -> Option<Vec<u8>> {
    match config.trigger {
        Trigger::Alias => Some(b"/s/trigger".to_vec()),
        Trigger::Inherited => None,
        _ => trigger(config, home),
    }
}

/// Returns the path in the queue's options.
pub(crate) fn home(config: &Config) -> &'static [u8] {
    match config.path {
        PathKind::Absolute => b"/v/q",
        PathKind::Link => b"/s",
        PathKind::Relative => b"q",
    }
}

/// Returns the path by which the world finds the queue that its options name.
pub(super) fn seen_home(config: &Config) -> &'static [u8] {
    if config.path == PathKind::Link { b"/s" } else { b"/v/q" }
}
