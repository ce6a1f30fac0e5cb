//! The options of C, as those of Rust.

use std::path::Path;
use std::time::Duration;

use pullcord::{OtherReaders, QueueOptions, WatchMode, WriteMethod};

use crate::api::*;
use crate::error::CError;

const LAYOUTS: u32 = 15;
const KNOWN: u32 = LAYOUTS
    | PULLCORD_WATCH_OFF
    | PULLCORD_WATCH_REQUIRED
    | PULLCORD_ALLOW_OTHER_READERS
    | PULLCORD_NO_TRIGGER
    | PULLCORD_IN_PLACE
    | PULLCORD_MAY_BE_MISSING
    | PULLCORD_ASSUME_LOCAL
    | PULLCORD_ASSUME_SHARED;

/// Returns the options for `path`, or `EINVAL` for bits that do not exist or that exclude each other.
pub(crate) fn queue_options(
    path: &Path,
    options: u32,
    rescan_interval: u32,
) -> Result<QueueOptions, CError> {
    let has = |option| options & option != 0;
    let invalid = |why| CError::new(libc::EINVAL, format_args!("the options {options}: {why}"));
    if options & !KNOWN != 0 {
        return Err(invalid("a bit that this version does not know"));
    }
    for (one, other) in [
        (PULLCORD_WATCH_OFF, PULLCORD_WATCH_REQUIRED),
        (PULLCORD_ASSUME_LOCAL, PULLCORD_ASSUME_SHARED),
        (PULLCORD_ALLOW_OTHER_READERS, PULLCORD_NO_TRIGGER),
    ] {
        if has(one) && has(other) {
            return Err(invalid("two of them exclude each other"));
        }
    }
    let mut queue = match options & LAYOUTS {
        PULLCORD_QMAIL => QueueOptions::qmail(path)?,
        PULLCORD_POSTFIX => QueueOptions::postfix(path)?,
        PULLCORD_DIRECTORY => QueueOptions::directories([path]),
        _ => return Err(invalid("there is no such layout")),
    };
    if has(PULLCORD_IN_PLACE) {
        if options & LAYOUTS != PULLCORD_DIRECTORY {
            return Err(invalid("PULLCORD_IN_PLACE is for PULLCORD_DIRECTORY only"));
        }
        queue = queue.write_method(WriteMethod::InPlace { quiet: WriteMethod::DEFAULT_QUIET });
    }
    if has(PULLCORD_WATCH_OFF) {
        queue = queue.watch(WatchMode::Off);
    }
    if has(PULLCORD_WATCH_REQUIRED) {
        queue = queue.watch(WatchMode::Required);
    }
    if has(PULLCORD_ASSUME_LOCAL) || has(PULLCORD_ASSUME_SHARED) {
        queue = queue.assume_local(has(PULLCORD_ASSUME_LOCAL));
    }
    if has(PULLCORD_ALLOW_OTHER_READERS) {
        queue = queue.other_readers(OtherReaders::Allow);
    }
    if has(PULLCORD_NO_TRIGGER) {
        queue = queue.without_trigger();
    }
    if rescan_interval != 0 {
        queue = queue.rescan_interval(Duration::from_secs(rescan_interval.into()));
    }
    Ok(queue.must_exist(!has(PULLCORD_MAY_BE_MISSING)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_that_of_rust() {
        let path = Path::new("/nonexistent");
        let directory = |option| queue_options(path, PULLCORD_DIRECTORY | option, 0).unwrap();
        let plain = QueueOptions::directories([path]);
        let in_place = WriteMethod::InPlace { quiet: WriteMethod::DEFAULT_QUIET };
        for (option, expected) in [
            (0, plain.clone()),
            (PULLCORD_WATCH_OFF, plain.clone().watch(WatchMode::Off)),
            (PULLCORD_WATCH_REQUIRED, plain.clone().watch(WatchMode::Required)),
            (PULLCORD_ALLOW_OTHER_READERS, plain.clone().other_readers(OtherReaders::Allow)),
            (PULLCORD_NO_TRIGGER, plain.clone().without_trigger()),
            (PULLCORD_IN_PLACE, plain.clone().write_method(in_place)),
            (PULLCORD_MAY_BE_MISSING, plain.clone().must_exist(false)),
            (PULLCORD_ASSUME_LOCAL, plain.clone().assume_local(true)),
            (PULLCORD_ASSUME_SHARED, plain.clone().assume_local(false)),
        ] {
            assert_eq!(directory(option), expected, "{option}");
        }
        let hourly = queue_options(path, PULLCORD_DIRECTORY, 3600).unwrap();
        assert_eq!(hourly, plain.rescan_interval(Duration::from_secs(3600)));
        let postfix = queue_options(path, PULLCORD_POSTFIX | PULLCORD_NO_TRIGGER, 0).unwrap();
        assert_eq!(postfix, QueueOptions::postfix(path).unwrap().without_trigger());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for options in [
            PULLCORD_WATCH_OFF | PULLCORD_WATCH_REQUIRED,
            PULLCORD_ASSUME_LOCAL | PULLCORD_ASSUME_SHARED,
            PULLCORD_ALLOW_OTHER_READERS | PULLCORD_NO_TRIGGER,
            PULLCORD_IN_PLACE,
            PULLCORD_IN_PLACE | PULLCORD_POSTFIX,
            3,
            1 << 31,
        ] {
            let error = queue_options(Path::new("/nonexistent"), options, 0).unwrap_err();
            assert_eq!(error.set_last_error(), -libc::EINVAL, "{options}");
        }
    }
}
