//! Compares the queue with a model in random sequences of events. Each entry that exists at the end was
//! returned after it appeared. No entry was returned twice without a scan or a request.

mod queue_fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use pullcord::{Backend, OwnedEntry, WatchMode};
use queue_fixture::{PATIENCE, QueueFixture};

const PARTS: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    /// A message is written elsewhere and linked into a part, or renamed into it.
    Link(usize, u8),
    Rename(usize, u8),
    /// Another process removes a message.
    Unlink(usize, u8),
    /// A part is renamed away, and `Make` may create an empty one in its place.
    Remove(usize),
    Make(usize),
    /// More links are made than fit into the watch's queue.
    Overflow(usize),
    /// The trigger is pulled, or removed and created again.
    Pull,
    ReplaceTrigger,
    /// The program makes a turn. It removes the returned entries if `consumes` is true.
    Turn {
        consumes: bool,
    },
    /// The program requeues a message, for now or for a later time.
    Requeue(usize, u8, u64),
}

fn action() -> impl Strategy<Value = Action> {
    let part = 0..PARTS;
    // A small number of names makes the test use names again.
    let name = 0..6u8;
    prop_oneof![
        12 => (part.clone(), name.clone()).prop_map(|(part, name)| Action::Link(part, name)),
        4 => (part.clone(), name.clone()).prop_map(|(part, name)| Action::Rename(part, name)),
        4 => (part.clone(), name.clone()).prop_map(|(part, name)| Action::Unlink(part, name)),
        2 => part.clone().prop_map(Action::Remove),
        3 => part.clone().prop_map(Action::Make),
        1 => part.clone().prop_map(Action::Overflow),
        8 => Just(Action::Pull),
        1 => Just(Action::ReplaceTrigger),
        16 => any::<bool>().prop_map(|consumes| Action::Turn { consumes }),
        2 => (part, name, 0..30u64)
            .prop_map(|(part, name, delay)| Action::Requeue(part, name, delay)),
    ]
}

#[derive(Default)]
struct Model {
    /// The entries in the queue, and whether each was returned since it appeared.
    entries: BTreeMap<PathBuf, bool>,
    /// How often each name may be returned for reasons other than a scan: once for each time it
    /// appeared, even if it is gone by then, and once for each request.
    due: BTreeMap<PathBuf, u64>,
    /// How often each name was returned.
    returned: BTreeMap<PathBuf, u64>,
    away: usize,
}

impl Model {
    fn act(&mut self, fixture: &mut QueueFixture, action: &Action) {
        let part = |part: &usize| fixture.path(&format!("todo/{part}"));
        let entry = |number: &usize, name: &u8| part(number).join(name.to_string());
        match action {
            Action::Link(number, name) => {
                let path = entry(number, name);
                if part(number).exists() && !path.exists() {
                    fixture.link(format!("{number}/{name}"));
                    self.appeared(path);
                }
            }
            Action::Rename(number, name) => {
                let path = entry(number, name);
                if part(number).exists() {
                    fs::write(fixture.path("mess/draft"), "a message").unwrap();
                    fs::rename(fixture.path("mess/draft"), &path).unwrap();
                    self.appeared(path);
                }
            }
            Action::Unlink(number, name) => {
                let path = entry(number, name);
                let _ = fs::remove_file(&path);
                self.entries.remove(&path);
            }
            Action::Remove(number) => {
                self.away += 1;
                let away = fixture.path(&format!("away-{}", self.away));
                let _ = fs::rename(part(number), away);
                self.entries.retain(|path, _| path.parent() != Some(&part(number)));
            }
            Action::Make(number) => {
                let _ = fs::create_dir(part(number));
            }
            Action::Overflow(number) => {
                if part(number).exists() {
                    let draft = fixture.path("mess/draft");
                    fs::write(&draft, "a message").unwrap();
                    for flood in 0..17_000 {
                        let path = part(number).join(format!("flood-{}", flood % 2));
                        fs::hard_link(&draft, &path).unwrap();
                        fs::remove_file(&path).unwrap();
                    }
                }
            }
            Action::Pull => fixture.pull_if_there_is_a_reader(),
            Action::ReplaceTrigger => {
                fs::remove_file(fixture.trigger()).unwrap();
                pullcord::Trigger::create(fixture.trigger(), 0o622).unwrap();
            }
            Action::Turn { consumes } => self.turn(fixture, Duration::ZERO, *consumes),
            Action::Requeue(number, name, delay) => {
                let path = entry(number, name);
                if self.entries.contains_key(&path) {
                    let when = Instant::now() + Duration::from_millis(*delay);
                    let requeued = OwnedEntry::from_path(&path).unwrap();
                    fixture.queue().requeue(&requeued, when).unwrap();
                    *self.due.entry(path).or_default() += 1;
                }
            }
        }
    }

    fn appeared(&mut self, path: PathBuf) {
        *self.due.entry(path.clone()).or_default() += 1;
        self.entries.insert(path, false);
    }

    fn turn(&mut self, fixture: &mut QueueFixture, patience: Duration, consumes: bool) {
        for path in fixture.turn(patience).0 {
            if self.due.contains_key(&path) {
                *self.returned.entry(path.clone()).or_default() += 1;
            }
            if let Some(seen) = self.entries.get_mut(&path) {
                *seen = true;
                if consumes {
                    fs::remove_file(&path).unwrap();
                    self.entries.remove(&path);
                }
            }
        }
    }

    fn missing(&self) -> Vec<&PathBuf> {
        self.entries.iter().filter(|(_, seen)| !**seen).map(|(path, _)| path).collect()
    }
}

fn check(backend: Backend, watch: WatchMode, actions: &[Action]) {
    let mut fixture = QueueFixture::new(backend, Some(PARTS));
    // Only the verification finds a replaced trigger.
    let verify = Duration::from_millis(100);
    fixture.open(&fixture.options().watch(watch).verify_interval(verify));
    let mut model = Model::default();
    for action in actions {
        model.act(&mut fixture, action);
    }
    for part in 0..PARTS {
        model.act(&mut fixture, &Action::Make(part));
    }
    model.act(&mut fixture, &Action::Pull);
    let deadline = Instant::now() + PATIENCE;
    while !model.missing().is_empty() {
        assert!(Instant::now() < deadline, "never returned: {:?}", model.missing());
        model.turn(&mut fixture, Duration::from_secs(1), false);
    }
    let scans = fixture.stats().scans;
    for (path, count) in &model.returned {
        let due = model.due.get(path).copied().unwrap_or(0);
        assert!(*count <= due + scans, "{path:?}: {count} times, {due} due, {scans} scans");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_a_watch_every_entry_is_returned(actions in prop::collection::vec(action(), 1..60)) {
        check(Backend::best(), WatchMode::Auto, &actions);
    }

    #[test]
    fn without_a_watch_every_entry_is_returned(actions in prop::collection::vec(action(), 1..60)) {
        check(Backend::Select, WatchMode::Off, &actions);
    }
}
