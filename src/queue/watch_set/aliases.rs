//! Several paths of a queue that lead, or may lead, to one directory.

use std::io;

use pullcord_platform::file::FileId;

use super::questions::leads_to;
use super::{Armed, Place, WatchSet};
use crate::error::Error;

impl WatchSet {
    /// Takes a directory for one that cannot be watched, because another path has its watch.
    pub(super) fn share_watch(&mut self, directory: usize, other: usize) -> Armed {
        let other = self.targets[other].path.display();
        let why = format!("the numbers of its files change, and {other} has the same watch");
        let target = &mut self.targets[directory];
        (target.is_unwatchable, target.is_shared) = (true, true);
        target.reason = Some(why.clone());
        let why = io::Error::new(io::ErrorKind::Unsupported, why);
        Armed::Unwatchable(Some(Error::new(&target.path, "watch the directory", why)))
    }

    /// Takes a directory for the same one as another directory of the queue, unless it is not known whether it
    /// is: then it may be watched later. It must not be read for both paths.
    pub(super) fn merge(
        &mut self,
        directory: usize,
        other: usize,
        doubt: Option<io::Error>,
    ) -> Armed {
        let Some(error) = doubt else {
            self.set_alias(directory, other);
            return Armed::Alias;
        };
        let other = self.targets[other].path.display();
        let why = io::Error::new(error.kind(), format!("{other}: {error}"));
        Armed::Failed(Error::new(&self.targets[directory].path, "watch the directory", why))
    }

    /// Returns the directory of the queue, another than this one, whose path leads to the same file.
    pub(super) fn twin(&self, directory: usize, file: FileId) -> io::Result<Option<usize>> {
        let twin = self.index.by_file.get(&file).copied();
        match twin.filter(|twin| *twin != directory && self.is_own(*twin)) {
            Some(twin) => Ok(leads_to(&self.targets[twin].path, file)?.then_some(twin)),
            None => Ok(None),
        }
    }

    /// Records that a directory is the same one as another directory of the queue.
    pub(super) fn set_alias(&mut self, directory: usize, other: usize) {
        self.set_place(directory, Place::AliasOf(other));
        let reason = format!("it is the same directory as {}", self.targets[other].path.display());
        let target = &mut self.targets[directory];
        (target.file, target.reason) = (None, Some(reason));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::Fixture;
    use super::super::{Armed, Opened};
    use crate::WatchMode;
    use crate::queue::WatchGrade;
    use crate::watcher::REPORTS_NAMES;

    fn reason_of(fixture: &Fixture, other: &str) -> String {
        format!("it is the same directory as {}", fixture.path(other).display())
    }

    #[test]
    fn a_second_path_of_a_directory_is_an_alias_until_it_leads_elsewhere() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.rename("1", "old");
        fixture.link("0", "1");
        assert!(matches!(fixture.arm(1), Armed::Alias));
        let set = &fixture.set;
        assert!(!set.is_own(1) && !set.is_gone(1) && !set.is_watched(1) && set.is_own(0));
        assert_eq!(set.grade(1), WatchGrade::Names);
        assert_eq!(set.reason(1), Some(&*reason_of(&fixture, "0")));
        assert_eq!(set.all_reliable(), REPORTS_NAMES);
        assert!(set.is_unchanged(1).unwrap());
        assert_eq!(fixture.reported("0"), [0]);
        assert_eq!(fixture.reported("old"), []);
        let watches = fixture.set.watcher().unwrap().available().unwrap();
        assert!(REPORTS_NAMES || watches == 1, "on kqueue, each watch is a descriptor");

        fs::remove_file(fixture.path("1")).unwrap();
        assert!(fixture.set.is_unchanged(1).is_err());
        fixture.rename("old", "1");
        assert!(!fixture.set.is_unchanged(1).unwrap());
        fixture.set.set_own(1);
        fixture.check();
        assert_eq!(fixture.set.reason(1), Some("it cannot be watched at present"));
        // Its entries were forgotten, although it was there before.
        let armed = fixture.arm(1);
        assert!(matches!(armed, Armed::Anew { elsewhere: true, moved: None }), "{armed:?}");
        assert_eq!(fixture.reported("1"), [1]);

        // An alias of a path that leads nowhere is not the same directory as that.
        fixture.set.set_alias(1, 0);
        fixture.rename("0", "old");
        assert!(!fixture.set.is_unchanged(1).unwrap());
    }

    /// One that a scan has read, and that could not be watched yet.
    #[test]
    fn an_alias_of_a_directory_without_a_watch_gets_none_either() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fixture.set.unwatch(0);
        assert_eq!(fixture.set.note_opened(0, fixture.id("0")), Opened::Expected);
        fixture.rename("1", "old");
        fixture.link("0", "1");
        assert!(matches!(fixture.arm(1), Armed::Alias));
        fixture.read();
        fs::write(fixture.path("0").join("entry"), "").unwrap();
        fs::write(fixture.path("old").join("entry"), "").unwrap();
        assert_eq!(fixture.set.read_events().unwrap(), 0, "nothing is watched");
    }

    #[test]
    fn without_a_watch_an_alias_that_leads_elsewhere_has_no_reason_of_an_alias() {
        let set = |options: crate::QueueOptions| options.watch(WatchMode::Off);
        let Some(mut fixture) = Fixture::new(&["0", "1"], set) else { return };
        assert_eq!(fixture.set.note_opened(0, fixture.id("0")), Opened::Expected);
        assert_eq!(fixture.set.note_opened(1, fixture.id("0")), Opened::Alias);
        assert_eq!(fixture.set.reason(1), Some(&*reason_of(&fixture, "0")));
        fixture.set.set_own(1);
        fixture.check();
        assert_eq!(fixture.set.reason(1), Some("the options say not to watch it"));
    }

    #[test]
    fn a_path_is_no_alias_while_the_other_path_cannot_be_looked_at() {
        let Some(mut fixture) = Fixture::watched(&["0", "1"]) else { return };
        fs::remove_dir(fixture.path("1")).unwrap();
        fixture.rename("0", "1");
        fixture.link("0", "0");
        let Armed::Failed(error) = fixture.arm(1) else { panic!("it may be either") };
        let text = error.to_string();
        assert!(text.contains(&fixture.path("0").display().to_string()), "{text}");
        assert!(fixture.set.is_own(1) && !fixture.set.is_watched(1));
        assert_eq!(fixture.set.note_opened(1, fixture.id("1")), Opened::Expected);
        assert!(fixture.set.is_own(1), "the next scan looks again");
        fs::remove_file(fixture.path("0")).unwrap();
        fixture.link("1", "0");
        assert_eq!(fixture.set.note_opened(1, fixture.id("1")), Opened::Alias);
        fixture.check();
    }

    /// The numbers of files may have changed, so it is not known which path the watch belongs to.
    #[test]
    fn where_numbers_prove_nothing_a_watch_stays_with_its_first_path() {
        let set = |options: crate::QueueOptions| options.assume_local(false);
        let Some(mut fixture) = Fixture::new(&["0", "1"], set) else { return };
        for directory in [0, 1] {
            assert!(matches!(fixture.arm(directory), Armed::Anew { moved: None, .. }));
        }
        fixture.rename("1", "old");
        fixture.rename("0", "1");
        let armed = fixture.arm(1);
        if !REPORTS_NAMES {
            assert!(matches!(armed, Armed::Anew { moved: None, .. }), "{armed:?}");
            return;
        }
        let Armed::Unwatchable(Some(error)) = armed else { panic!("{armed:?}") };
        let set = &fixture.set;
        let reason = set.reason(1).unwrap();
        assert!(reason.contains(&fixture.path("0").display().to_string()), "{reason}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(set.is_watched(0) && !set.is_watched(1) && !set.is_watchable(1) && set.is_own(1));
        assert!(set.is_shared(1) && !set.trusts_numbers(1));
        assert_eq!(fixture.reported("1"), [0]);
        assert_eq!(fixture.reported("old"), []);
    }
}
