//! Whether to watch directories: the option that commands share.

use pullcord::WatchMode;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct WatchArg {
    /// Whether to watch the directories
    #[arg(long = "watch", value_enum, value_name = "WHEN", default_value_t = WatchWhen::Auto)]
    when: WatchWhen,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum WatchWhen {
    /// Those that can be watched; the others are scanned when the trigger is pulled
    Auto,
    /// None: every pull of the trigger causes a scan
    Off,
    /// All; the command fails if one cannot be watched
    Required,
}

impl WatchArg {
    pub(crate) fn mode(&self) -> WatchMode {
        self.when.into()
    }
}

impl From<WatchWhen> for WatchMode {
    fn from(when: WatchWhen) -> WatchMode {
        match when {
            WatchWhen::Auto => WatchMode::Auto,
            WatchWhen::Off => WatchMode::Off,
            WatchWhen::Required => WatchMode::Required,
        }
    }
}
