//! What the directory watch tells here.

use std::fs;
use std::io;
use std::path::Path;

use pullcord::watcher::{Locality, WatchEvent, locality};
use pullcord::{DirWatcher, Todo, todo::Queue};

use super::{Notes, Observation};

pub(super) fn observe(directory: &Path, observations: &mut Vec<Observation>) {
    let mut notes = Notes { about: "watch".into(), observations };
    match locality(directory) {
        Ok(Locality::Local) => notes.observe("the temporary directory", "on a local file system"),
        Ok(Locality::Remote(name) | Locality::Unknown(name)) => {
            notes.observe("the temporary directory", format!("on {name}: not known to be local"));
        }
        Ok(other) => notes.observe("the temporary directory", format!("{other:?}")),
        Err(e) => notes.expect("the file system is known", Err(e)),
    }
    let watched = directory.join("watched");
    let mut watch =
        match DirWatcher::new().and_then(|watch| fs::create_dir(&watched).map(|()| watch)) {
            Ok(watch) => watch,
            Err(e) => return notes.observe("a watch", format!("none: {e}")),
        };
    if let Err(e) = watch.watch(&watched) {
        return notes.observe("a watch", format!("none: {e}"));
    }
    let (draft, entry) = (directory.join("draft"), watched.join("entry"));
    let other = directory.join("other");
    type Act<'a> = (&'static str, &'a dyn Fn() -> io::Result<()>);
    let acts: [Act<'_>; 7] = [
        ("told of a file made there", &|| fs::write(&entry, "")),
        ("told of a write into it", &|| fs::write(&entry, "more")),
        ("told of its removal", &|| fs::remove_file(&entry)),
        ("told of a link", &|| fs::write(&draft, "").and_then(|()| fs::hard_link(&draft, &entry))),
        // Of another file: to rename one link over another of the same file does nothing.
        ("told of a rename over it", &|| {
            fs::write(&other, "").and_then(|()| fs::rename(&other, &entry))
        }),
        ("told of a rename to the outside", &|| fs::rename(&entry, &other)),
        ("told of the directory's removal", &|| fs::remove_dir(&watched)),
    ];
    for (what, act) in acts {
        match act().and_then(|()| told(&mut watch)) {
            Ok(told) => notes.observe(what, told),
            Err(e) => notes.expect(what, Err(e)),
        }
    }
    notes.expect("a queue finds what waits and what comes", finds(&directory.join("queue")));
}

/// All that the watch tells by now, in words.
fn told(watch: &mut DirWatcher) -> io::Result<String> {
    let mut told = Vec::new();
    while watch.read_events()? > 0 {
        while let Some(change) = watch.next_event() {
            told.push(match change {
                WatchEvent::EntryAdded { name, .. } => format!("appeared: {}", name.display()),
                WatchEvent::DirectoryChanged(_) => "changed".into(),
                WatchEvent::WatchLost(_) => "lost".into(),
                WatchEvent::Overflow => "overflow".into(),
                other => format!("{other:?}"),
            });
        }
    }
    Ok(if told.is_empty() { "nothing".into() } else { told.join(", ") })
}

/// With no loop at all: what is there at the start, and what comes after it.
fn finds(queue: &Path) -> io::Result<bool> {
    fs::create_dir(queue)?;
    fs::write(queue.join("1"), "")?;
    let mut todo = Todo::open(Queue::directories([queue])).map_err(io::Error::other)?;
    let mut names = Vec::new();
    for turn in 0..3 {
        let now = std::time::Instant::now() + std::time::Duration::from_secs(turn);
        todo.sources(now);
        todo.watch_ready();
        while let Some(entry) = todo.next(now) {
            names.push(entry.map_err(io::Error::other)?.name.to_owned());
        }
        fs::write(queue.join("2"), "")?;
    }
    // Without a watch and without a trigger, what comes is found at the tick.
    let expected: &[&str] = if DirWatcher::new().is_ok() { &["1", "2"] } else { &["1"] };
    Ok(expected.iter().all(|name| names.iter().any(|seen| seen == name)))
}
