//! qmail's `todo` with parts.

use super::*;

/// The calls that look at files in one more turn, and its entries.
fn looked(host: &Host, queue: &mut Queue) -> (usize, Vec<String>) {
    let names = host.entries(queue).into_iter().map(|entry| entry.name.into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    (queue.work.turn.looks, names)
}

fn parts(queue: &Queue) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut parts: Vec<_> = queue.status().skip(1).map(|status| name(status.path)).collect();
    parts.sort();
    parts
}

#[test]
fn a_scan_tells_parts_from_mail() {
    let host = Host::new();
    let mut queue = host.qmail_options().watch(WatchMode::Off).open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    // Mail: files and links, also links that lead nowhere, and links to a directory without a number.
    host.create("file");
    host.create("10");
    symlink("nowhere", host.todo.join("link")).unwrap();
    symlink("nowhere", host.todo.join("11")).unwrap();
    symlink(host.root.path(), host.todo.join("link-to-directory")).unwrap();
    // No mail.
    fs::create_dir(host.todo.join("directory")).unwrap();
    fs::create_dir(host.todo.join("1")).unwrap();
    fs::create_dir(host.root.path().join("disk")).unwrap();
    symlink("../disk", host.todo.join("2")).unwrap();
    queue.mark_dirty(0);
    let mail = ["10", "11", "file", "link", "link-to-directory"];
    // The two links with a number were looked at, each by two calls at most.
    let (looks, names) = looked(&host, &mut queue);
    assert_eq!(names, mail);
    assert!((2..=4).contains(&looks), "{looks} looks");
    host.create("1/12");
    host.create("2/13");
    assert_eq!(parts(&queue), ["1", "2"]);
    queue.mark_all_dirty();
    let mut paths = host.settle(&mut queue);
    paths.retain(|path| path.contains('/'));
    assert_eq!(paths, ["1/12", "2/13"]);
}

#[test]
fn the_watch_tells_parts_from_mail() {
    let host = Host::new();
    fs::create_dir(host.todo.join("0")).unwrap();
    let mut queue = host.qmail_options().open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    if !REPORTS_NAMES {
        return;
    }
    let expect = |queue: &mut Queue, names: &[&str], looks| {
        queue.set_watch_readable();
        let found = looked(&host, queue);
        assert_eq!(found, (looks, names.iter().map(|name| (*name).to_owned()).collect()));
    };
    host.create("10");
    expect(&mut queue, &["10"], 1);
    host.create("file");
    expect(&mut queue, &["file"], 0);
    symlink("nowhere", host.todo.join("11")).unwrap();
    expect(&mut queue, &["11"], 1);
    fs::create_dir(host.root.path().join("disk")).unwrap();
    symlink("../disk", host.todo.join("2")).unwrap();
    fs::create_dir(host.todo.join("1")).unwrap();
    fs::create_dir(host.todo.join("directory")).unwrap();
    host.create("1/12");
    host.create("2/13");
    assert_eq!(host.watched(&mut queue), ["1/12", "2/13"]);
    assert_eq!(parts(&queue), ["0", "1", "2"]);
}

#[test]
fn a_numbered_link_that_is_gone_before_the_scan_looks_at_it_is_no_mail() {
    let host = Host::new();
    let links: Vec<_> = (0..100).map(|name| host.todo.join(name.to_string())).collect();
    links.iter().for_each(|link| symlink("nowhere", link).unwrap());
    let mut queue = host.qmail_options().watch(WatchMode::Off).open().unwrap();
    assert!(!host.entries(&mut queue).is_empty());
    assert!(queue.is_scanning(), "a turn makes 64 looks");
    links.iter().for_each(|link| fs::remove_file(link).unwrap());
    assert!(host.settle(&mut queue).is_empty());
}

/// The names of its messages are numbers.
#[test]
fn a_flat_queue_looks_at_no_message() {
    let host = Host::new();
    let mut queue = host.qmail_options().open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    if !REPORTS_NAMES {
        return;
    }
    (0..50).for_each(|name| drop(host.create(&name.to_string())));
    queue.set_watch_readable();
    let (looks, names) = looked(&host, &mut queue);
    assert_eq!((looks, names.len()), (0, 50));
}

#[test]
fn a_part_that_was_made_again_while_it_was_read_is_read_again() {
    let mut host = Host::new();
    let part = host.todo.join("1");
    fs::create_dir(&part).unwrap();
    let mut queue = host.qmail_options().watch(WatchMode::Off).open().unwrap();
    (0..100).for_each(|name| drop(host.create(&format!("1/{name}"))));
    let mut count = 0;
    while count == 0 {
        count += host.entries(&mut queue).len();
    }
    assert!(queue.is_scanning());
    fs::remove_dir_all(&part).unwrap();
    fs::create_dir(&part).unwrap();
    host.create("1/new");
    host.settle(&mut queue);
    host.now += 2 * SECOND;
    // Not even a pull is needed.
    assert_eq!(host.settle(&mut queue), ["1/new"]);
}

/// A report of a directory that is a part already: it was removed and made again.
#[test]
fn a_part_that_is_reported_again_is_watched_anew() {
    let mut host = Host::new();
    let part = host.todo.join("1");
    fs::create_dir(&part).unwrap();
    let mut queue = host.qmail_options().open().unwrap();
    assert!(host.settle(&mut queue).is_empty());
    if !queue.is_fully_watched() {
        return;
    }
    for round in 0..5 {
        fs::remove_dir(&part).unwrap();
        fs::create_dir(&part).unwrap();
        let name = format!("1/{round}");
        let entry = host.create(&name);
        host.now += SECOND;
        assert_eq!(host.watched(&mut queue), [name.as_str()]);
        fs::remove_file(entry).unwrap();
    }
    assert!(queue.is_fully_watched());
}
