//! Paths that are missing, or lead to something else, when the queue is opened.

use std::io;

use super::*;

fn kind_of(opened: crate::Result<Queue>) -> io::ErrorKind {
    opened.expect_err("the open fails").kind()
}

#[test]
fn a_missing_trigger_is_an_error_unless_the_options_permit_it() {
    let mut host = Host::new();
    fs::remove_file(&host.fifo).unwrap();
    assert_eq!(kind_of(host.options().open()), io::ErrorKind::NotFound);
    let options = host.options().must_exist(false).watch(WatchMode::Off);
    let mut queue = options.open().unwrap();
    assert_eq!(queue.next_warning().map(|it| it.kind()), Some(WarningKind::Trigger));
    Trigger::create(&host.fifo, 0o622).unwrap();
    host.now += 2 * SECOND;
    host.settle(&mut queue);
    host.create("1");
    assert_eq!(host.pulled(&mut queue), ["1"]);
    // Something else is always an error.
    fs::remove_file(&host.fifo).unwrap();
    fs::write(&host.fifo, "no FIFO").unwrap();
    assert_ne!(kind_of(options.open()), io::ErrorKind::NotFound);
}

#[test]
fn a_missing_directory_is_an_error_unless_the_options_permit_it() {
    for watch in MODES {
        let host = Host::new();
        let options = host.options().watch(watch);
        fs::remove_dir(&host.todo).unwrap();
        assert_eq!(kind_of(options.open()), io::ErrorKind::NotFound, "watch {watch}");
        let options = options.must_exist(false);
        drop(options.open().unwrap());
        // Something else is always an error.
        fs::write(&host.todo, "no directory").unwrap();
        assert_eq!(kind_of(options.open()), io::ErrorKind::NotADirectory, "watch {watch}");
    }
}

#[test]
fn a_part_that_was_removed_before_the_open_is_left_out() {
    for watch in MODES {
        let host = Host::new();
        let parts = ["0", "1"].map(|part| host.todo.join(part));
        parts.iter().for_each(|part| fs::create_dir(part).unwrap());
        let options = host.qmail_options().watch(watch);
        fs::remove_dir(&parts[1]).unwrap();
        let queue = options.open().unwrap();
        let paths: Vec<_> = queue.status().map(|status| status.path).collect();
        assert_eq!(paths, [&host.todo, &parts[0]], "watch {watch}");
    }
}
