//! Todo against a model, in random sequences of what may happen to a queue: whatever is there in
//! the end was handed out since it appeared, and nothing was handed out twice without a scan.

mod office;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use office::{Office, PATIENCE};
use proptest::prelude::*;
use pullcord::{Backend, WatchMode};

const PARTS: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    /// A message is written elsewhere and linked into a part, or renamed into it.
    Link(usize, u8),
    Rename(usize, u8),
    /// Somebody else takes a message away.
    Unlink(usize, u8),
    /// A part is renamed away, and an empty one put in its place, perhaps later.
    Remove(usize),
    Make(usize),
    /// More links than the watch's queue holds.
    Overflow(usize),
    /// The trigger is pulled, or removed and made again.
    Pull,
    ReplaceTrigger,
    /// The embedder takes a turn, and consumes what it is given or lets it lie.
    Turn {
        consumes: bool,
    },
    /// The embedder asks for a message again.
    Requeue(usize, u8),
}

fn action() -> impl Strategy<Value = Action> {
    let part = 0..PARTS;
    // Few names, so that they are used again.
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
        2 => (part, name).prop_map(|(part, name)| Action::Requeue(part, name)),
    ]
}

#[derive(Default)]
struct Model {
    /// What is in the queue, and whether it was handed out since it appeared.
    entries: BTreeMap<PathBuf, bool>,
    /// How often each name may be handed out for other reasons than a scan: once for each time it
    /// appeared, though it may be gone by then, and once for each time it was asked for again.
    due: BTreeMap<PathBuf, u64>,
    /// How often it was.
    handed_out: BTreeMap<PathBuf, u64>,
    away: usize,
}

impl Model {
    fn act(&mut self, office: &mut Office, action: &Action) {
        let part = |part: &usize| office.path(&format!("todo/{part}"));
        let entry = |number: &usize, name: &u8| part(number).join(name.to_string());
        match action {
            Action::Link(number, name) => {
                let path = entry(number, name);
                if part(number).exists() && !path.exists() {
                    office.link(format!("{number}/{name}"));
                    self.appeared(path);
                }
            }
            Action::Rename(number, name) => {
                let path = entry(number, name);
                if part(number).exists() {
                    fs::write(office.path("mess/draft"), "a message").unwrap();
                    fs::rename(office.path("mess/draft"), &path).unwrap();
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
                let away = office.path(&format!("away-{}", self.away));
                let _ = fs::rename(part(number), away);
                self.entries.retain(|path, _| path.parent() != Some(&part(number)));
            }
            Action::Make(number) => {
                let _ = fs::create_dir(part(number));
            }
            Action::Overflow(number) => {
                if part(number).exists() {
                    let draft = office.path("mess/draft");
                    fs::write(&draft, "a message").unwrap();
                    for flood in 0..17_000 {
                        let path = part(number).join(format!("flood-{}", flood % 2));
                        fs::hard_link(&draft, &path).unwrap();
                        fs::remove_file(&path).unwrap();
                    }
                }
            }
            Action::Pull => office.pull_if_there_is_somebody(),
            Action::ReplaceTrigger => {
                fs::remove_file(office.trigger()).unwrap();
                pullcord::Trigger::create(office.trigger(), 0o622).unwrap();
            }
            Action::Turn { consumes } => self.turn(office, Duration::ZERO, *consumes),
            Action::Requeue(number, name) => {
                let path = entry(number, name);
                if self.entries.contains_key(&path) {
                    office.todo().requeue(&path, Instant::now()).unwrap();
                    *self.due.entry(path).or_default() += 1;
                }
            }
        }
    }

    fn appeared(&mut self, path: PathBuf) {
        *self.due.entry(path.clone()).or_default() += 1;
        self.entries.insert(path, false);
    }

    fn turn(&mut self, office: &mut Office, patience: Duration, consumes: bool) {
        for path in office.turn(patience).0 {
            if self.due.contains_key(&path) {
                *self.handed_out.entry(path.clone()).or_default() += 1;
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

    fn owed(&self) -> Vec<&PathBuf> {
        self.entries.iter().filter(|(_, seen)| !**seen).map(|(path, _)| path).collect()
    }
}

fn check(backend: Backend, watch: WatchMode, actions: &[Action]) {
    let mut office = Office::new(backend, Some(PARTS));
    // Without a watch a replaced trigger is noticed by the tick only.
    let tick = if watch == WatchMode::Off { 100 } else { 1_500_000 };
    office.open_on(office.queue().watch(watch).tick(Duration::from_millis(tick)));
    let mut model = Model::default();
    for action in actions {
        model.act(&mut office, action);
    }
    for part in 0..PARTS {
        model.act(&mut office, &Action::Make(part));
    }
    model.act(&mut office, &Action::Pull);
    let deadline = Instant::now() + PATIENCE;
    while !model.owed().is_empty() {
        assert!(Instant::now() < deadline, "never handed out: {:?}", model.owed());
        model.turn(&mut office, Duration::from_secs(1), false);
    }
    let scans = office.todo().counters().scans;
    for (path, count) in &model.handed_out {
        let due = model.due.get(path).copied().unwrap_or(0);
        assert!(*count <= due + scans, "{path:?}: {count} times, {due} due, {scans} scans");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_a_watch(actions in prop::collection::vec(action(), 1..60)) {
        check(Backend::best(), WatchMode::Auto, &actions);
    }

    #[test]
    fn without(actions in prop::collection::vec(action(), 1..60)) {
        check(Backend::Select, WatchMode::Off, &actions);
    }
}
