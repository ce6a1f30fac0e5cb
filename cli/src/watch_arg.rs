//! Whether to watch directories: the option that commands share.

use pullcord::WatchMode;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Choice {
    /// Whether to watch the directories
    #[arg(long = "watch", value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    when: When,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum When {
    /// Those that can be watched; the others are scanned when the trigger is pulled
    Auto,
    /// None: every pull of the trigger scans
    Off,
    /// All, or else stop
    Required,
}

impl Choice {
    pub(crate) fn when(&self) -> WatchMode {
        self.when.into()
    }
}

impl From<When> for WatchMode {
    fn from(when: When) -> WatchMode {
        match when {
            When::Auto => WatchMode::Auto,
            When::Off => WatchMode::Off,
            When::Required => WatchMode::Required,
        }
    }
}
