//! Tests the events of the directory watch.

use std::fs;
use std::io;
use std::path::Path;

use pullcord::watcher::{Locality, WatchEvent, locality};
use pullcord::{DirWatcher, QueueOptions};

use super::{Observation, Recorder};

pub(super) fn observe(directory: &Path, observations: &mut Vec<Observation>) {
    let mut recorder = Recorder { subject: "watch".into(), observations };
    match locality(directory) {
        Ok(Locality::Local) => {
            recorder.observe("the temporary directory", "on a local file system")
        }
        Ok(Locality::Remote(name) | Locality::Unknown(name)) => {
            recorder
                .observe("the temporary directory", format!("on {name}: not known to be local"));
        }
        Ok(other) => recorder.observe("the temporary directory", format!("{other:?}")),
        Err(e) => recorder.expect("the file system is known", Err(e)),
    }
    let watched = directory.join("watched");
    let mut watch =
        match DirWatcher::new().and_then(|watch| fs::create_dir(&watched).map(|()| watch)) {
            Ok(watch) => watch,
            Err(e) => return recorder.observe("a watch", format!("none: {e}")),
        };
    if let Err(e) = watch.watch(&watched) {
        return recorder.observe("a watch", format!("none: {e}"));
    }
    let (draft, entry) = (directory.join("draft"), watched.join("entry"));
    let other = directory.join("other");
    type Act<'a> = (&'static str, &'a dyn Fn() -> io::Result<()>);
    let acts: [Act<'_>; 7] = [
        ("reports a file made there", &|| fs::write(&entry, "")),
        ("reports a write into it", &|| fs::write(&entry, "more")),
        ("reports its removal", &|| fs::remove_file(&entry)),
        ("reports a link", &|| fs::write(&draft, "").and_then(|()| fs::hard_link(&draft, &entry))),
        // The rename is of another file. To rename one link over another of the same file does nothing.
        ("reports a rename over it", &|| {
            fs::write(&other, "").and_then(|()| fs::rename(&other, &entry))
        }),
        ("reports a rename to the outside", &|| fs::rename(&entry, &other)),
        ("reports the directory's removal", &|| fs::remove_dir(&watched)),
    ];
    for (what, act) in acts {
        match act().and_then(|()| events(&mut watch)) {
            Ok(events) => recorder.observe(what, events),
            Err(e) => recorder.expect(what, Err(e)),
        }
    }
    recorder.expect("a queue returns queued entries and new ones", finds(&directory.join("queue")));
}

/// Returns a text with the pending events of the watch.
fn events(watch: &mut DirWatcher) -> io::Result<String> {
    let mut events = Vec::new();
    while watch.read_events()? > 0 {
        while let Some(event) = watch.next_event() {
            events.push(match event {
                WatchEvent::EntryAdded { name, .. } => {
                    format!("entry added: {}", Path::new(name).display())
                }
                WatchEvent::DirectoryChanged(_) => "directory changed".into(),
                WatchEvent::WatchLost(_) => "watch lost".into(),
                WatchEvent::Overflow => "overflow".into(),
                other => format!("{other:?}"),
            });
        }
    }
    Ok(if events.is_empty() { "nothing".into() } else { events.join(", ") })
}

/// Returns whether a receiver returns an entry that exists at the start, and one that is added later.
/// Without a watch, the second one is found at the poll interval.
fn finds(directory: &Path) -> io::Result<bool> {
    fs::create_dir(directory)?;
    fs::write(directory.join("1"), "")?;
    let mut mail = QueueOptions::directories([directory]).open().map_err(io::Error::other)?;
    let mut names = Vec::new();
    for turn in 0..3 {
        let now = std::time::Instant::now() + turn * 2 * QueueOptions::DEFAULT_POLL_INTERVAL;
        let _ = mail.prepare_fds(now);
        mail.set_watch_readable();
        while let Some(entry) = mail.next_entry(now) {
            names.push(entry.name.to_owned());
        }
        fs::write(directory.join("2"), "")?;
    }
    Ok(["1", "2"].iter().all(|name| names.iter().any(|found| found == name)))
}
