//! A directory, the watch on it, and the scan beside the watch. Names are used again: qmail's are
//! inode numbers.

use stateright::{Model, Property};

use crate::set::Set;

const NAMES: usize = 2;

/// How many events the watch keeps.
const CAPACITY: usize = 2;

/// Where a reader that watches and scans may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher {
    /// The watch says which names appeared, and not just that something changed.
    pub(crate) names_entries: bool,
    /// It is armed before the directory is opened for the first time.
    pub(crate) arms_first: bool,
    /// After each batch of directory entries, it is read as far as it was filled then.
    pub(crate) absorbs: bool,
    /// Who leaves out what the other has named.
    pub(crate) yields: Side,
    /// After an overflow, no name is left out on account of what the watch said before.
    pub(crate) overflow_clears: bool,
    /// Nor is one after something else was found in the directory's place.
    pub(crate) losing_clears: bool,
    /// What was found there is read, even if it cannot be watched.
    pub(crate) losing_dirties: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Scan,
    Watch,
}

/// Ours: the watch is never overruled by a scan, only the scan by the watch.
pub(crate) const PULLCORD: Watcher = Watcher {
    names_entries: true,
    arms_first: true,
    absorbs: true,
    yields: Side::Scan,
    overflow_clears: true,
    losing_clears: true,
    losing_dirties: true,
};

/// A reader, and what may happen to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watching {
    pub(crate) watcher: Watcher,
    pub(crate) arrivals: u8,
    /// How many of the reader's system calls fail.
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    /// How often the directory is mounted over, of which nobody is told.
    pub(crate) mounts: u8,
}

impl Watching {
    pub(crate) const fn by(watcher: Watcher) -> Watching {
        Watching { watcher, arrivals: 5, faults: 1, ticks: 1, mounts: 1 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    entries: [Entry; NAMES],
    events: Vec<Event>,
    watch: Watch,
    at: At,
    dirty: bool,
    scan: Option<Scan>,
    /// What the last read of the directory has returned, not looked at yet.
    batch: Set,
    /// The watch is to be read, this many events at least.
    due: Option<usize>,
    /// What the watch has named and was not handed out yet.
    found: Set,
    /// What is to be left out.
    reported: Set,
    /// What was handed out since the directory was opened.
    handed_out: Set,
    /// Something was handed out again, and there was no need to.
    twice: bool,
    /// The watch has lost track, or a name was used again between a batch and the look at it: then
    /// it may happen.
    excused: bool,
    arrivals: u8,
    ticks: u8,
    faults: u8,
    mounts: u8,
}

/// What is there under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    None,
    Waiting,
    /// Handed out; whoever has it will remove it.
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    Appeared(usize),
    Changed,
    Overflow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Watch {
    NotYet,
    Armed,
    /// It is armed on what the path does not lead to any more, and nobody has noticed.
    Misplaced,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Arming,
    Idle,
    /// A round is on, and this directory is to be opened; others may come first.
    Opening,
    Reading,
}

/// The names that the open directory must still return, and those that it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Scan {
    must: Set,
    may: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Link(usize),
    /// The consumer has dealt with it.
    Unlink(usize),
    /// What is there now, unnoticed.
    MountOver(Set),
    Tick,
    Arm,
    BeginRound,
    Open,
    OpenFails,
    ReadBatch(Set),
    ReadFails,
    EndOfDirectory,
    /// FIONREAD.
    LookAtWatch,
    /// So many events.
    ReadWatch(usize),
    /// At a name of the batch.
    Look(usize),
    HandOut(usize),
    /// An event while nothing is scanned: handed out straight away.
    NextEvent,
    /// Finds that the path leads elsewhere by now.
    Rearm,
    CannotRearm,
}

impl State {
    fn waiting(&self) -> Set {
        (0..NAMES).filter(|name| self.entries[*name] == Entry::Waiting).collect()
    }

    fn present(&self) -> Set {
        (0..NAMES).filter(|name| self.entries[*name] != Entry::None).collect()
    }

    /// An event like the last one that waits is merged with it. Where nothing is watched, the pull
    /// that follows makes the directory dirty.
    fn report(&mut self, event: Event) {
        match self.events.len() {
            _ if self.watch == Watch::Failed => self.dirty = true,
            _ if self.watch != Watch::Armed || self.events.last() == Some(&event) => {}
            0..CAPACITY => self.events.push(event),
            CAPACITY => {
                self.events.push(Event::Overflow);
                self.excused = true;
            }
            _ => {}
        }
    }

    fn hand_out(&mut self, name: usize, by: Side) {
        let is_new = self.entries[name] == Entry::Waiting;
        let is_needed = by == Side::Scan && !self.handed_out.contains(name);
        self.twice |= !is_new && !is_needed && !self.excused;
        self.handed_out.insert(name);
        if is_new {
            self.entries[name] = Entry::Taken;
        }
    }

    fn end_scan(&mut self) {
        self.at = At::Idle;
        self.scan = None;
        self.batch = Set::default();
        self.reported = Set::default();
    }
}

impl Watching {
    fn reader_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if let Some(due) = state.due {
            actions.extend((due..=state.events.len()).map(Action::ReadWatch));
            return;
        }
        if state.at != At::Arming {
            actions.extend(state.found.iter().map(Action::HandOut));
        }
        if state.watch == Watch::Misplaced {
            actions.push(Action::Rearm);
            actions.extend((state.faults > 0).then_some(Action::CannotRearm));
        }
        let has_events = !state.events.is_empty();
        match (state.at, state.scan) {
            (At::Arming, _) => actions.push(Action::Arm),
            (At::Idle, _) => {
                if state.found.is_empty() {
                    actions.extend(state.dirty.then_some(Action::BeginRound));
                    actions.extend(has_events.then_some(Action::NextEvent));
                }
            }
            (At::Opening, _) => {
                actions.push(Action::Open);
                actions.extend((state.faults > 0).then_some(Action::OpenFails));
                actions.extend(has_events.then_some(Action::LookAtWatch));
            }
            (At::Reading, Some(scan)) if state.batch.is_empty() => {
                let batches = scan.may.subsets().filter(|names| !names.is_empty());
                actions.extend(batches.map(Action::ReadBatch));
                actions.extend(scan.must.is_empty().then_some(Action::EndOfDirectory));
                actions.extend((state.faults > 0).then_some(Action::ReadFails));
            }
            (At::Reading, _) => {
                actions.extend(state.batch.iter().map(Action::Look));
                actions.extend(has_events.then_some(Action::LookAtWatch));
            }
        }
    }

    /// The reader waits, and nothing that has happened will wake it: only the tick can.
    fn is_at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.reader_actions(state, &mut actions);
        actions.is_empty()
    }

    fn take_in(&self, state: &mut State, event: Event) {
        match event {
            Event::Appeared(name) => {
                if self.watcher.yields == Side::Scan {
                    state.found.insert(name);
                    state.reported.insert(name);
                } else if !state.reported.contains(name) {
                    state.found.insert(name);
                }
            }
            Event::Changed => state.dirty = true,
            Event::Overflow => {
                state.dirty = true;
                if self.watcher.overflow_clears {
                    state.reported = Set::default();
                }
            }
        }
    }

    /// Watches what is there now, in place of what was, or fails to.
    fn rearm(&self, state: &mut State, watch: Watch) {
        state.watch = watch;
        state.events.retain(|event| *event == Event::Overflow);
        state.dirty |= watch == Watch::Armed || self.watcher.losing_dirties;
        if self.watcher.losing_clears {
            state.reported = Set::default();
        }
    }

    fn open(&self, state: &mut State) {
        state.dirty = false;
        state.handed_out = Set::default();
        state.scan = Some(Scan { must: state.present(), may: state.present() });
        state.at = if state.watch == Watch::NotYet { At::Arming } else { At::Reading };
        if state.watch == Watch::Misplaced {
            self.rearm(state, Watch::Armed);
        }
    }

    fn look_at(&self, state: &mut State, name: usize) {
        state.batch.remove(name);
        match self.watcher.yields {
            Side::Scan if state.reported.contains(name) => {}
            Side::Scan => state.hand_out(name, Side::Scan),
            Side::Watch => {
                state.hand_out(name, Side::Scan);
                state.reported.insert(name);
            }
        }
    }
}

impl Model for Watching {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            entries: [Entry::None; NAMES],
            events: Vec::new(),
            watch: Watch::NotYet,
            at: if self.watcher.arms_first { At::Arming } else { At::Opening },
            dirty: true,
            scan: None,
            batch: Set::default(),
            due: None,
            found: Set::default(),
            reported: Set::default(),
            handed_out: Set::default(),
            twice: false,
            excused: false,
            arrivals: self.arrivals,
            ticks: self.ticks,
            faults: self.faults,
            mounts: self.mounts,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.reader_actions(state, actions);
        for (name, entry) in state.entries.iter().enumerate() {
            match entry {
                Entry::None if state.arrivals > 0 => actions.push(Action::Link(name)),
                Entry::Taken => actions.push(Action::Unlink(name)),
                _ => {}
            }
        }
        actions.extend((state.ticks > 0).then_some(Action::Tick));
        // One that is mounted over while it is read is another story: it is compared when opened.
        if state.mounts > 0 && state.watch == Watch::Armed && state.scan.is_none() {
            let all = (0..NAMES).collect::<Set>();
            actions.extend(all.subsets().map(Action::MountOver));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let state = &mut next;
        match action {
            Action::Link(name) => {
                state.arrivals -= 1;
                state.entries[name] = Entry::Waiting;
                state.handed_out.remove(name);
                state.excused |= state.batch.contains(name);
                if let Some(scan) = &mut state.scan {
                    scan.may.insert(name);
                }
                let names = self.watcher.names_entries;
                state.report(if names { Event::Appeared(name) } else { Event::Changed });
            }
            Action::Unlink(name) => {
                state.entries[name] = Entry::None;
                if let Some(scan) = &mut state.scan {
                    scan.must.remove(name);
                    scan.may.remove(name);
                }
                if !self.watcher.names_entries {
                    state.report(Event::Changed);
                }
            }
            Action::MountOver(entries) => {
                state.mounts -= 1;
                (state.watch, state.excused) = (Watch::Misplaced, true);
                for (name, entry) in state.entries.iter_mut().enumerate() {
                    *entry = if entries.contains(name) { Entry::Waiting } else { Entry::None };
                }
            }
            Action::Tick => {
                state.ticks -= 1;
                state.dirty = true;
            }
            Action::Arm => {
                state.watch = Watch::Armed;
                state.at = if state.scan.is_some() { At::Reading } else { At::Idle };
            }
            Action::BeginRound => {
                state.at = At::Opening;
                state.due = Some(state.events.len());
            }
            Action::Open => self.open(state),
            Action::OpenFails | Action::ReadFails => {
                state.faults -= 1;
                state.dirty = true;
                state.end_scan();
            }
            Action::ReadBatch(names) => {
                state.batch = names;
                if let Some(scan) = &mut state.scan {
                    *scan = Scan { must: scan.must.without(names), may: scan.may.without(names) };
                }
                state.due = self.watcher.absorbs.then_some(state.events.len());
            }
            Action::EndOfDirectory => state.end_scan(),
            Action::LookAtWatch => state.due = Some(state.events.len()),
            Action::ReadWatch(events) => {
                state.due = None;
                for event in state.events.drain(..events).collect::<Vec<_>>() {
                    self.take_in(state, event);
                }
            }
            Action::Look(name) => self.look_at(state, name),
            Action::HandOut(name) => {
                state.found.remove(name);
                state.hand_out(name, Side::Watch);
            }
            Action::NextEvent => match state.events.remove(0) {
                Event::Appeared(name) => state.hand_out(name, Side::Watch),
                event => self.take_in(state, event),
            },
            Action::Rearm => self.rearm(state, Watch::Armed),
            Action::CannotRearm => {
                state.faults -= 1;
                self.rearm(state, Watch::Failed);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NONE_LOST, |model: &Self, state: &State| {
                state.waiting().is_empty() || !model.is_at_rest(state)
            }),
            Property::always(NONE_TWICE, |_, state: &State| !state.twice),
            Property::sometimes("the watch overflows", |model: &Self, state: &State| {
                state.events.contains(&Event::Overflow) || !model.watcher.names_entries
            }),
            Property::sometimes(
                "all is handed out, and it rests",
                |model: &Self, state: &State| {
                    state.arrivals == 0 && state.waiting().is_empty() && model.is_at_rest(state)
                },
            ),
        ]
    }
}

pub(crate) const NONE_LOST: &str = "none is lost";
/// A second time only after a scan that was needed.
pub(crate) const NONE_TWICE: &str = "none is handed out twice";
