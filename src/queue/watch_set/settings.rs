//! The kind of watch for the directories, and whether their file systems can be trusted. This is decided
//! once, when a directory is watched.

use std::io;
use std::path::Path;

use crate::queue::options::{QueueOptions, WriteMethod};
use crate::watcher::{Locality, WatchFor, WatchMode, locality};

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) mode: WatchMode,
    pub(super) watch_for: WatchFor,
    /// Replaces the decision by the type of the file system.
    assume_local: Option<bool>,
    /// An event without a name is as good as a scan, since entries are complete when they appear.
    pub(super) is_atomic: bool,
}

impl Settings {
    pub(super) fn new(options: &QueueOptions) -> Settings {
        let watch_for = match options.write_method {
            WriteMethod::Atomic => WatchFor::Entries,
            WriteMethod::OwnerExecutable => WatchFor::EntriesAndAttributes,
            WriteMethod::InPlace { .. } => WatchFor::EntriesAndCloses,
        };
        Settings {
            mode: options.watch,
            watch_for,
            assume_local: options.assume_local,
            is_atomic: options.write_method == WriteMethod::Atomic,
        }
    }

    /// Returns where the changes of a directory come from. Calls statfs(2), unless the options say it.
    ///
    /// # Errors
    ///
    /// Fails with the error of statfs(2).
    pub(super) fn locality(&self, directory: &Path) -> io::Result<Locality> {
        match self.assume_local {
            None => locality(directory),
            Some(true) => Ok(Locality::Local),
            Some(false) => Ok(Locality::Unknown(String::new())),
        }
    }

    /// Returns why the watch of a directory is not reliable, which it has all the same.
    pub(super) fn doubt(&self, locality: &Locality) -> Option<String> {
        match locality {
            Locality::Local => None,
            _ if self.assume_local.is_some() => {
                Some("the options say that its file system is not local".into())
            }
            Locality::Remote(name) | Locality::Unknown(name) => {
                Some(format!("{name} is not known to be a local file system"))
            }
            _ => Some("its file system is not known".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(assume_local: Option<bool>) -> Settings {
        Settings::new(&QueueOptions::directories(["/"]).assume_local(assume_local))
    }

    #[test]
    fn a_file_system_that_is_not_known_to_be_local_is_doubted_with_its_name() {
        let by_type = settings(None);
        assert_eq!(by_type.doubt(&Locality::Local), None);
        for locality in [Locality::Remote("nfs".into()), Locality::Unknown("nfs".into())] {
            let doubt = by_type.doubt(&locality).unwrap();
            assert_eq!(doubt, "nfs is not known to be a local file system");
        }
    }

    #[test]
    fn the_options_replace_the_type_of_the_file_system() {
        let missing = Path::new("/a/directory/that/does/not/exist");
        assert!(settings(None).locality(missing).is_err() || !crate::watcher::KNOWS_TYPES);
        assert_eq!(settings(Some(true)).locality(missing).unwrap(), Locality::Local);
        let not_local = settings(Some(false));
        let locality = not_local.locality(missing).unwrap();
        assert_ne!(locality, Locality::Local);
        let doubt = not_local.doubt(&locality).unwrap();
        assert_eq!(doubt, "the options say that its file system is not local");
    }
}
