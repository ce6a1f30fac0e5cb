//! Writers that link and pull, the trigger between, and a reader that waits and scans.
//!
//! Writers may stop for ever wherever they are, and be killed. System calls are the steps, and any
//! step may come late; what only one of the two sides can see happens in one step with the call
//! before it.

use stateright::{Model, Property};

use crate::fifo::{Fifo, Written};
use crate::reader::{Reader, Sign, Step};
use crate::set::Set;

const WRITERS: usize = 3;

/// The trigger, and what takes its place.
const FIFOS: usize = 2;

/// More wake-ups than this without a pull, a tick or a start are a spin.
const SPIN: u8 = 8;

/// A reader, and what may happen to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulls {
    pub(crate) reader: Reader,
    pub(crate) directories: usize,
    /// How many of the reader's system calls fail.
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    /// How often the trigger is removed and made again.
    pub(crate) replacements: u8,
}

impl Pulls {
    pub(crate) const fn of(reader: Reader) -> Pulls {
        Pulls { reader, directories: 1, faults: 0, ticks: 1, replacements: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    fifos: [Fifo; FIFOS],
    /// Which of them the path leads to.
    path: usize,
    writers: [Writer; WRITERS],
    /// The entries that were handed out. An entry has its writer's number.
    handed_out: Set,
    at: At,
    /// The FIFO that the reader waits for; and one that was replaced, which it still has open.
    trigger: Option<usize>,
    replaced: Option<usize>,
    /// The directories to be read.
    dirty: Set,
    /// A pull was taken out of the trigger, and no round has begun since: the trigger rests.
    remembered: bool,
    /// What was in the directory when it was opened.
    found: Set,
    /// How many more scans there is a reason for: a start, a pull, a tick, a failure.
    reasons: i8,
    /// Wake-ups since the last start, pull or tick.
    wakes: u8,
    faults: u8,
    ticks: u8,
    replacements: u8,
}

/// How far a writer is; with the FIFO that it has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Writer {
    Composing,
    Linked,
    Opened(usize),
    Pulled(usize, Pull),
    Left(Pull),
    Killed,
}

/// What a writer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pull {
    /// The byte was delivered, or there were others' bytes enough.
    Heard,
    /// ENXIO or EPIPE.
    Refused,
}

/// What the reader does next: a step of [`Reader::woken`], or of [`Reader::scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Waiting,
    Woken { step: usize },
    Scanning { directory: usize, step: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Writer(usize, Move),
    Wake,
    /// Leaving so many bytes: that it is bounded, or that one came right after, is all the same.
    Drain(u8),
    /// With some of what was put into it since it was opened: all, none, anything.
    ReadDirectory(Set),
    Step(Step),
    Fails(Step),
    /// Opens the FIFO that took the trigger's place, or fails to.
    Follow,
    CannotFollow,
    CloseReplaced,
    Tick,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Links,
    Opens,
    Writes,
    Closes,
    IsKilled,
}

impl Writer {
    fn has_linked(self) -> bool {
        self != Writer::Composing
    }

    fn pull(self) -> Option<Pull> {
        match self {
            Writer::Pulled(_, pull) | Writer::Left(pull) => Some(pull),
            _ => None,
        }
    }

    fn moves(self) -> &'static [Move] {
        match self {
            Writer::Composing => &[Move::Links],
            Writer::Linked => &[Move::Opens],
            Writer::Opened(_) => &[Move::Writes, Move::IsKilled],
            Writer::Pulled(..) => &[Move::Closes],
            Writer::Left(_) | Writer::Killed => &[],
        }
    }
}

impl State {
    fn move_writer(&mut self, number: usize, what: Move) {
        let writer = &mut self.writers[number];
        *writer = match (*writer, what) {
            (Writer::Composing, Move::Links) => Writer::Linked,
            (Writer::Linked, Move::Opens) if self.fifos[self.path].open_to_write() => {
                Writer::Opened(self.path)
            }
            (Writer::Linked, Move::Opens) => Writer::Left(Pull::Refused),
            (Writer::Opened(fifo), Move::Writes) => match self.fifos[fifo].write() {
                Written::Delivered => {
                    self.reasons += 1;
                    self.wakes = 0;
                    Writer::Pulled(fifo, Pull::Heard)
                }
                Written::Full => Writer::Pulled(fifo, Pull::Heard),
                Written::NoReader => Writer::Pulled(fifo, Pull::Refused),
            },
            (Writer::Opened(fifo), Move::IsKilled) => {
                self.fifos[fifo].close_writer();
                Writer::Killed
            }
            (Writer::Pulled(fifo, pull), Move::Closes) => {
                self.fifos[fifo].close_writer();
                Writer::Left(pull)
            }
            impossible => unreachable!("{impossible:?}"),
        }
    }

    /// Whether the reader would be woken by its trigger. One that rests is not waited for.
    fn hears(&self) -> bool {
        !self.remembered && self.trigger.is_some_and(|fifo| self.fifos[fifo].is_readable())
    }

    fn bytes(&self) -> u8 {
        self.trigger.map_or(0, |fifo| self.fifos[fifo].bytes())
    }

    fn is_lost(&self, pull: Pull) -> bool {
        let mut writers = self.writers.iter().enumerate();
        writers
            .any(|(entry, writer)| writer.pull() == Some(pull) && !self.handed_out.contains(entry))
    }
}

impl Pulls {
    fn all_directories(&self) -> Set {
        (0..self.directories).collect()
    }

    /// The entries that are in a directory.
    fn entries(&self, state: &State, directory: usize) -> Set {
        let linked = (0..WRITERS).filter(|entry| state.writers[*entry].has_linked());
        let here = linked.filter(|entry| entry % self.directories == directory);
        here.collect::<Set>().without(state.handed_out)
    }

    fn open(&self, state: &mut State, fifo: usize) {
        state.fifos[fifo].open_to_read();
        if self.reader.own_write_end {
            state.fifos[fifo].open_to_write();
        }
        state.trigger = Some(fifo);
    }

    fn close(&self, state: &mut State, fifo: usize) {
        state.fifos[fifo].close_reader();
        if self.reader.own_write_end {
            state.fifos[fifo].close_writer();
        }
    }

    fn drain(&self, state: &mut State, leaving: u8) {
        let Some(trigger) = state.trigger else { return };
        if state.fifos[trigger].bytes() > leaving && self.reader.sign == Sign::Byte {
            state.dirty = self.all_directories();
            state.remembered = true;
        }
        state.fifos[trigger].read(leaving);
    }

    fn next_step(&self, state: &State) -> Option<Step> {
        match state.at {
            At::Waiting => None,
            At::Woken { step } => Some(self.reader.woken[step]),
            At::Scanning { step, .. } => Some(self.reader.scan[step]),
        }
    }

    fn go_on(&self, state: &mut State) {
        state.at = match state.at {
            At::Waiting => At::Woken { step: 0 },
            At::Woken { step } => At::Woken { step: step + 1 },
            At::Scanning { directory, step } => At::Scanning { directory, step: step + 1 },
        };
        match state.at {
            At::Woken { step } if step == self.reader.woken.len() => {
                state.remembered = false;
                state.reasons = (state.reasons - i8::from(!state.dirty.is_empty())).max(-1);
                self.scan_from(state, 0);
            }
            At::Scanning { directory, step } if step == self.reader.scan.len() => {
                self.scan_from(state, directory + 1);
            }
            _ => {}
        }
    }

    /// Each directory once a round: those before this one have to wait for the next.
    fn scan_from(&self, state: &mut State, first: usize) {
        let next = state.dirty.iter().find(|directory| *directory >= first);
        state.at = next.map_or(At::Waiting, |directory| At::Scanning { directory, step: 0 });
    }

    fn step(&self, state: &mut State, step: Step) {
        match (step, state.at) {
            (Step::Close, _) => {
                if let Some(trigger) = state.trigger.take() {
                    self.close(state, trigger);
                }
            }
            (Step::Open, _) => self.open(state, state.path),
            (Step::Clean, At::Scanning { directory, .. }) => state.dirty.remove(directory),
            (Step::OpenDirectory, At::Scanning { directory, .. }) => {
                state.found = self.entries(state, directory);
            }
            _ => {}
        }
        self.go_on(state);
    }

    fn fail(&self, state: &mut State, step: Step) {
        state.faults -= 1;
        state.reasons += 1;
        match state.at {
            At::Scanning { directory, .. } if step != Step::Open => {
                if self.reader.retries {
                    state.dirty.insert(directory);
                }
                state.found = Set::default();
                self.scan_from(state, directory + 1);
            }
            _ => self.go_on(state),
        }
    }

    /// What the reader may do.
    fn reader_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let drains = || (0..state.bytes().max(1)).map(Action::Drain);
        match (self.next_step(state), state.at) {
            (None, _) if state.replaced.is_some() => actions.push(Action::CloseReplaced),
            (None, _) => {
                if state.hears() || state.remembered || !state.dirty.is_empty() {
                    actions.push(Action::Wake);
                }
            }
            (Some(Step::Drain), _) => actions.extend(drains()),
            (Some(Step::ReadDirectory), At::Scanning { directory, .. }) => {
                let since = self.entries(state, directory).without(state.found);
                actions.extend(since.subsets().map(Action::ReadDirectory));
            }
            (Some(step), _) => actions.push(Action::Step(step)),
        }
        let fallible = [Step::Open, Step::OpenDirectory, Step::ReadDirectory];
        let fails =
            self.next_step(state).filter(|step| state.faults > 0 && fallible.contains(step));
        actions.extend(fails.map(Action::Fails));
        if !self.reader.listens_while_scanning || matches!(state.at, At::Woken { .. }) {
            return;
        }
        if state.at != At::Waiting && state.hears() {
            actions.extend(drains());
        }
        // The watch tells of this too, so that it does not have to wait for the tick.
        if state.trigger != Some(state.path) {
            actions.push(Action::Follow);
            if state.faults > 0 {
                actions.push(Action::CannotFollow);
            }
        }
    }

    /// The reader waits, and nothing that has happened will wake it: only the tick can.
    fn is_at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.reader_actions(state, &mut actions);
        actions.is_empty()
    }
}

impl Model for Pulls {
    type State = State;
    type Action = Action;

    /// The trigger is open, and everything has to be read.
    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            fifos: [Fifo::default(); FIFOS],
            path: 0,
            writers: [Writer::Composing; WRITERS],
            handed_out: Set::default(),
            at: At::Waiting,
            trigger: None,
            replaced: None,
            dirty: self.all_directories(),
            remembered: false,
            found: Set::default(),
            reasons: 1,
            wakes: 0,
            faults: self.faults,
            ticks: self.ticks,
            replacements: self.replacements,
        };
        self.open(&mut state, 0);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.reader_actions(state, actions);
        for (number, writer) in state.writers.iter().enumerate() {
            // Those of one directory are alike, so it is enough that they link in turn.
            let before = number.checked_sub(self.directories);
            if before.is_none_or(|before| state.writers[before].has_linked()) {
                actions.extend(writer.moves().iter().map(|what| Action::Writer(number, *what)));
            }
        }
        if state.ticks > 0 {
            actions.push(Action::Tick);
        }
        if state.replacements > 0 {
            actions.push(Action::Replace);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        let state = &mut next;
        match action {
            Action::Writer(number, what) => state.move_writer(number, what),
            Action::Wake => {
                state.wakes = (state.wakes + 1).min(SPIN + 1);
                if self.reader.sign == Sign::Wake && state.hears() {
                    state.dirty = self.all_directories();
                }
                self.go_on(state);
            }
            Action::Drain(leaving) => {
                self.drain(state, leaving);
                if self.next_step(state) == Some(Step::Drain) {
                    self.go_on(state);
                }
            }
            Action::ReadDirectory(besides) => {
                state.handed_out = state.handed_out.union(state.found).union(besides);
                state.found = Set::default();
                self.go_on(state);
            }
            Action::Step(step) => self.step(state, step),
            Action::Fails(step) => self.fail(state, step),
            Action::Follow => {
                state.reasons += 1;
                state.dirty = self.all_directories();
                state.replaced = state.trigger;
                self.open(state, state.path);
            }
            Action::CannotFollow => {
                state.faults -= 1;
                state.reasons += 1;
                state.dirty = self.all_directories();
            }
            Action::CloseReplaced => {
                if let Some(replaced) = state.replaced.take() {
                    self.close(state, replaced);
                }
            }
            Action::Tick => {
                state.ticks -= 1;
                state.reasons += 1;
                state.wakes = 0;
                state.dirty = self.all_directories();
            }
            Action::Replace => {
                state.replacements -= 1;
                state.path += 1;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(HEARD_IS_SERVED, |model: &Self, state: &State| {
                !(state.is_lost(Pull::Heard) && model.is_at_rest(state))
            }),
            Property::always(REFUSED_IS_SERVED, |model: &Self, state: &State| {
                !(state.is_lost(Pull::Refused) && model.is_at_rest(state))
            }),
            Property::always(NONE_REFUSED, |_, state: &State| {
                state.writers.iter().all(|writer| writer.pull() != Some(Pull::Refused))
            }),
            Property::always(NO_SPIN, |_, state: &State| state.wakes <= SPIN),
            Property::always(REASON, |_, state: &State| state.reasons >= 0),
            Property::sometimes("the trigger is full", |_, state: &State| {
                state.fifos.iter().any(Fifo::is_full)
            }),
            Property::sometimes("all is served, and it rests", |model: &Self, state: &State| {
                state.handed_out == (0..WRITERS).collect() && model.is_at_rest(state)
            }),
        ]
    }
}

/// Whoever was told that its pull was delivered, or that the trigger was full, has its entry handed
/// out though nobody else pulls.
pub(crate) const HEARD_IS_SERVED: &str = "who was heard is served";
/// Who was refused has linked before: that saves it where a scan follows.
pub(crate) const REFUSED_IS_SERVED: &str = "who was refused is served";
pub(crate) const NONE_REFUSED: &str = "no pull is refused";
pub(crate) const NO_SPIN: &str = "no spin";
/// At most one scan for each pull, start, tick or failure.
pub(crate) const REASON: &str = "no scan without a reason";
