//! Makes scripts from a seed. Usually a name stands for one kind of file, and a descriptor is used as its
//! kind permits. The other uses cause errors.

use libc::{
    AT_NO_AUTOMOUNT, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLONESHOT,
    EPOLLOUT, IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MASK_ADD,
    IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_ONLYDIR, O_APPEND, O_CLOEXEC, O_CREAT,
    O_DIRECT, O_DIRECTORY, O_EXCL, O_LARGEFILE, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR,
    O_TMPFILE, O_TRUNC, O_WRONLY, POLLIN, POLLOUT, TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
};

use super::real::Means;
use super::script::{Expiry, Limit, Op, SLOTS, Script, Slot};
use crate::rng::Rng;

/// The kind of descriptor that a slot should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Directory,
    File,
    Reader,
    Writer,
    Both,
    Watcher,
    Poller,
    Timer,
}

/// The main subject of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Tree,
    Pipes,
    Watches,
    Waits,
    Mounts,
}

struct Generator<'a> {
    rng: &'a mut Rng,
    means: Means,
    theme: Theme,
    as_owner: bool,
    slots: [Kind; SLOTS],
}

/// Makes a script.
pub(crate) fn script(rng: &mut Rng, means: Means) -> Script {
    let themes = [Theme::Tree, Theme::Pipes, Theme::Watches, Theme::Waits, Theme::Mounts];
    let theme = themes[rng.below(if means.mounts { 5 } else { 4 })];
    let as_owner = !means.privileged || rng.one_in(4);
    let slots = [Kind::Nothing; SLOTS];
    let mut generator = Generator { rng, means, theme, as_owner, slots };
    let mut ops = Vec::new();
    generator.begin(&mut ops);
    if theme == Theme::Watches && generator.rng.one_in(2) {
        generator.changes_of_one_directory(&mut ops);
    }
    let most = if generator.rng.one_in(4) { 80 } else { 24 };
    let length = 4 + generator.rng.below(most);
    for _ in 0..length {
        ops.push(generator.op());
    }
    for slot in 0..SLOTS {
        if generator.slots[slot] == Kind::Directory && generator.rng.one_in(2) {
            ops.push(Op::List { slot, room: 4096, batches: None });
        }
    }
    Script { as_owner, ops }
}

impl Generator<'_> {
    /// Some names that exist from the beginning, and some descriptors.
    fn begin(&mut self, ops: &mut Vec<Op>) {
        if self.rng.one_in(6) {
            return;
        }
        for path in ["d", "e", "d/d"] {
            if !self.rng.one_in(4) {
                let mode = self.mode(true);
                ops.push(Op::Mkdir { path: path.into(), mode });
            }
        }
        for path in ["f", "g"] {
            if !self.rng.one_in(3) {
                let mode = self.mode(false);
                ops.push(Op::Mkfifo { path: path.into(), mode });
            }
        }
        for path in ["a", "d/a"] {
            if self.rng.one_in(3) {
                let (flags, mode) = (O_CREAT | O_WRONLY | O_NONBLOCK, Some(self.mode(false)));
                ops.push(Op::Open { slot: 0, path: path.into(), flags, mode });
            }
        }
        if self.rng.one_in(3) {
            ops.push(Op::Symlink { target: "d".into(), path: "s".into() });
        }
        match self.theme {
            Theme::Tree if self.rng.one_in(2) => {
                for name in ["a", "b", "c", "x", "y", "z"] {
                    let (flags, mode) = (O_CREAT | O_WRONLY | O_NONBLOCK, Some(0o644));
                    let path = format!("d/{name}");
                    ops.push(Op::Open { slot: 0, path, flags, mode });
                }
                let (path, flags) = ("d".into(), O_RDONLY | O_DIRECTORY);
                ops.push(Op::Open { slot: 4, path, flags, mode: None });
                (self.slots[0], self.slots[4]) = (Kind::File, Kind::Directory);
            }
            Theme::Tree => {}
            Theme::Pipes | Theme::Waits => {
                if self.rng.one_in(2) {
                    let flags = [0, O_DIRECT][self.rng.below(8) / 7];
                    ops.push(Op::Pipe { reader: 1, writer: 2, flags });
                    (self.slots[1], self.slots[2]) = (Kind::Reader, Kind::Writer);
                } else {
                    for (slot, flags, kind) in
                        [(1, O_RDONLY, Kind::Reader), (2, O_WRONLY, Kind::Writer)]
                    {
                        let (path, flags) = ("f".into(), flags | O_NONBLOCK);
                        ops.push(Op::Open { slot, path, flags, mode: None });
                        self.slots[slot] = kind;
                    }
                }
            }
            Theme::Watches | Theme::Mounts => {
                let limit = self.queue_limit();
                ops.push(Op::Watcher { slot: 1, limit });
                self.slots[1] = Kind::Watcher;
                let mask = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
                for path in ["d", ""] {
                    let (path, limit) = (if path.is_empty() { "." } else { path }, Limit::Usual);
                    ops.push(Op::Watch { slot: 1, path: path.into(), mask, limit });
                }
                if self.theme == Theme::Mounts && self.rng.one_in(2) {
                    let (path, limit) = ("e".to_owned(), Limit::Usual);
                    ops.push(Op::Mount(path.clone()));
                    ops.push(Op::Watch { slot: 1, path, mask, limit });
                }
            }
        }
        if self.slots[4] == Kind::Nothing && self.rng.one_in(3) {
            let (path, flags) = ("d".into(), O_RDONLY | O_DIRECTORY);
            ops.push(Op::Open { slot: 4, path, flags, mode: None });
            self.slots[4] = Kind::Directory;
        }
        if self.theme == Theme::Waits || self.rng.one_in(6) {
            ops.push(Op::Poller(3));
            self.slots[3] = Kind::Poller;
        }
    }

    /// Watches the directory of the script, changes its entries, and reads the events.
    fn changes_of_one_directory(&mut self, ops: &mut Vec<Op>) {
        let every = IN_CREATE
            | IN_DELETE
            | IN_MOVED_FROM
            | IN_MOVED_TO
            | IN_ATTRIB
            | IN_MODIFY
            | IN_CLOSE_WRITE;
        let limit = self.queue_limit();
        ops.push(Op::Watcher { slot: 1, limit });
        self.slots[1] = Kind::Watcher;
        let (path, mask, limit) = (".".into(), every, Limit::Usual);
        ops.push(Op::Watch { slot: 1, path, mask, limit });
        let name = |rng: &mut Rng| ["k", "l", "m"][rng.below(3)].to_owned();
        for _ in 0..3 + self.rng.below(9) {
            let (path, other) = (name(self.rng), name(self.rng));
            ops.push(match self.rng.below(11) {
                0..3 => {
                    let (flags, mode) = (O_CREAT | O_WRONLY | O_NONBLOCK, Some(0o644));
                    self.slots[0] = Kind::File;
                    Op::Open { slot: 0, path, flags, mode }
                }
                3 => Op::Chmod { path, mode: self.mode(false) },
                4 => Op::Rename { old: path, new: other },
                5 => Op::Link { old: path, new: other },
                6 => Op::Unlink(path),
                7 => Op::Write { slot: 0, count: self.rng.below(3) },
                8 => Op::Truncate { slot: 0, size: self.rng.below(9) as i64 },
                9 => Op::Close(0),
                _ => Op::Fchmod { slot: 0, mode: self.mode(false) },
            });
        }
        ops.push(Op::Available(1));
        ops.push(Op::Read { slot: 1, room: 4096 });
    }

    fn op(&mut self) -> Op {
        let about = if self.rng.one_in(4) { self.rng.below(5) } else { self.theme as usize };
        match about {
            0 => self.of_tree(),
            1 => self.of_pipes(),
            2 => self.of_watches(),
            3 => self.of_waits(),
            _ if self.means.mounts => self.of_mounts(),
            _ => self.of_tree(),
        }
    }

    fn of_tree(&mut self) -> Op {
        match self.rng.below(42) {
            34 => Op::Pause,
            35..37 => {
                let slot = self.slot_of(&[Kind::File]);
                Op::Write { slot, count: *self.rng.pick(&[0, 1, 5, 5000]) }
            }
            37 => {
                let slot = self.slot_of(&[Kind::File]);
                Op::Read { slot, room: *self.rng.pick(&[0, 1, 3, 9000]) }
            }
            38 => Op::Available(self.slot_of(&[Kind::File])),
            39 => {
                let slot = self.slot_of(&[Kind::File]);
                Op::Truncate { slot, size: *self.rng.pick(&[0, 0, 3, 4, 10_000, -1]) }
            }
            40 => self.reopen(),
            41 => self.replace(),
            0..4 => self.open(),
            4..6 => self.create(),
            6 => {
                let slot = self.slot_of(&[]);
                self.slots[slot] = Kind::Nothing;
                Op::Close(slot)
            }
            7 => self.duplicate(),
            8 => Op::Fstat(self.slot_of(&[Kind::Directory, Kind::File, Kind::Reader])),
            9..12 => {
                let directory = self.rng.one_in(3).then(|| self.slot_of(&[Kind::Directory]));
                let path = match directory {
                    Some(_) => self.short_path(),
                    None => self.path(),
                };
                let flags = *self.rng.pick(&[0, 0, AT_NO_AUTOMOUNT, AT_NO_AUTOMOUNT, 1 << 30]);
                Op::Stat { directory, path, follow: self.rng.one_in(2), flags }
            }
            12..15 => Op::Link { old: self.path(), new: self.path() },
            15..19 => Op::Rename { old: self.path(), new: self.path() },
            19..22 => Op::Unlink(self.path_of("abcfgs")),
            22..24 => Op::Rmdir(self.path_of("dez")),
            24 => {
                let target = self.relative();
                Op::Symlink { target, path: self.path_of("st") }
            }
            25..27 => Op::Mkdir { path: self.path_of("de"), mode: self.mode(true) },
            27 => Op::Mkfifo { path: self.path_of("fg"), mode: self.mode(false) },
            28 => {
                let slot = self.slot_of(&[Kind::File, Kind::Directory]);
                Op::Fchmod { slot, mode: self.mode(self.slots[slot] == Kind::Directory) }
            }
            29 => Op::Chmod { path: self.path(), mode: self.mode(true) },
            30..32 => {
                let slot = self.slot_of(&[Kind::Directory]);
                let room = [280, 300, 512, 4096, 65_536][self.rng.below(5)];
                let batches = (!self.rng.one_in(3)).then(|| 1 + self.rng.below(2));
                Op::List { slot, room, batches }
            }
            32 if self.rng.one_in(2) => {
                Op::LinkOpen { slot: self.slot_of(&[Kind::File]), path: self.path_of("abc") }
            }
            32 => Op::Statfs(self.path()),
            _ if self.rng.one_in(3) => Op::Exhaust(self.slot_of(&[])),
            _ => Op::Recover,
        }
    }

    fn open(&mut self) -> Op {
        let slot = self.rng.below(SLOTS);
        let mut flags = *self.rng.pick(&[O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR]);
        // Only a directory may be opened without it. Other files might block.
        flags |= if self.rng.one_in(4) { O_DIRECTORY } else { O_NONBLOCK };
        for flag in [O_NOFOLLOW, O_CLOEXEC, O_LARGEFILE] {
            flags |= if self.rng.one_in(2) { flag } else { 0 };
        }
        for flag in [O_APPEND, O_TRUNC] {
            flags |= if self.rng.one_in(6) { flag } else { 0 };
        }
        let path = match flags {
            _ if self.rng.one_in(5) => self.path(),
            _ if flags & O_DIRECTORY != 0 => self.path_of("de"),
            _ if self.theme == Theme::Pipes || self.rng.one_in(3) => self.path_of("fg"),
            _ => self.path(),
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        self.slots[slot] = match name {
            "d" | "e" | "." | "" => Kind::Directory,
            "f" | "g" => match flags & O_RDWR {
                0 if flags & O_WRONLY == 0 => Kind::Reader,
                0 => Kind::Writer,
                _ => Kind::Both,
            },
            _ => Kind::File,
        };
        Op::Open { slot, path, flags, mode: None }
    }

    fn create(&mut self) -> Op {
        let slot = self.rng.below(SLOTS);
        let mut flags = *self.rng.pick(&[O_RDONLY, O_WRONLY, O_RDWR]) | O_NONBLOCK | O_CREAT;
        let path = if self.rng.one_in(8) {
            flags = O_TMPFILE | O_RDWR;
            self.path_of("de")
        } else {
            for flag in [O_NOFOLLOW, O_CLOEXEC, O_EXCL] {
                flags |= if self.rng.one_in(2) { flag } else { 0 };
            }
            for flag in [O_APPEND, O_TRUNC] {
                flags |= if self.rng.one_in(4) { flag } else { 0 };
            }
            if self.rng.one_in(4) { self.path() } else { self.path_of("abc") }
        };
        self.slots[slot] = Kind::File;
        Op::Open { slot, path, flags, mode: Some(self.mode(false)) }
    }

    fn duplicate(&mut self) -> Op {
        let (from, to) = (self.slot_of(&[]), self.rng.below(SLOTS));
        self.slots[to] = self.slots[from];
        let lowest = *self.rng.pick(&[0, 0, 3, 4, 9, 255, 256, -1]);
        Op::Duplicate { from, to, lowest }
    }

    fn replace(&mut self) -> Op {
        let (old, new) = (self.slot_of(&[]), self.rng.below(SLOTS));
        self.slots[new] = self.slots[old];
        let flags =
            *self.rng.pick(&[None, Some(0), Some(O_CLOEXEC), Some(O_CLOEXEC), Some(O_NONBLOCK)]);
        Op::Replace { old, new, flags }
    }

    fn reopen(&mut self) -> Op {
        let from = self.slot_of(&[Kind::Reader, Kind::Writer, Kind::Both, Kind::File]);
        let slot = self.rng.below(SLOTS);
        let mut flags = *self.rng.pick(&[O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR]);
        self.slots[slot] = match self.slots[from] {
            Kind::Reader | Kind::Writer | Kind::Both => match flags {
                O_RDONLY => Kind::Reader,
                O_WRONLY => Kind::Writer,
                _ => Kind::Both,
            },
            other => other,
        };
        flags |= O_NONBLOCK;
        for flag in [O_NOFOLLOW, O_DIRECTORY, O_TRUNC, O_APPEND, O_CREAT, O_EXCL] {
            flags |= if self.rng.one_in(12) { flag } else { 0 };
        }
        Op::Reopen { slot, from, flags }
    }

    fn of_timers(&mut self) -> Op {
        match self.rng.below(12) {
            0..2 => {
                let slot = self.rng.below(SLOTS);
                self.slots[slot] = Kind::Timer;
                let flags = if self.rng.one_in(9) { O_APPEND } else { TFD_CLOEXEC };
                Op::Timer { slot, flags: flags | TFD_NONBLOCK }
            }
            2..8 => {
                let slot = self.slot_of(&[Kind::Timer]);
                let flags = *self.rng.pick(&[0, 0, 0, TFD_TIMER_ABSTIME, TFD_TIMER_ABSTIME, 4]);
                let times =
                    [Expiry::Never, Expiry::Soon, Expiry::Soon, Expiry::Soon, Expiry::Later];
                let time = if self.rng.one_in(12) {
                    Expiry::Invalid(self.rng.one_in(2))
                } else {
                    *self.rng.pick(&times)
                };
                let interval = *self.rng.pick(&[0, 0, 0, 1, 2]);
                Op::SetTimer { slot, flags, time, interval }
            }
            8 => self.replace(),
            _ => {
                let slot = self.slot_of(&[Kind::Timer]);
                Op::Read { slot, room: *self.rng.pick(&[8, 8, 8, 16, 7, 0]) }
            }
        }
    }

    fn of_pipes(&mut self) -> Op {
        match self.rng.below(26) {
            24 => self.reopen(),
            25 => self.replace(),
            0..4 => {
                let slot = self.rng.below(SLOTS);
                let (direction, kind) = *self.rng.pick(&[
                    (O_RDONLY, Kind::Reader),
                    (O_RDONLY, Kind::Reader),
                    (O_WRONLY, Kind::Writer),
                    (O_WRONLY, Kind::Writer),
                    (O_RDWR, Kind::Both),
                ]);
                self.slots[slot] = kind;
                let path = (*self.rng.pick(&["f", "f", "f", "g"])).into();
                let direct = if self.rng.one_in(20) { O_DIRECT } else { 0 };
                Op::Open { slot, path, flags: direction | O_NONBLOCK | direct, mode: None }
            }
            4 => {
                let (reader, writer) = (self.rng.below(SLOTS), self.rng.below(SLOTS));
                (self.slots[reader], self.slots[writer]) = (Kind::Reader, Kind::Writer);
                let flags = if self.rng.one_in(4) { O_DIRECT } else { O_CLOEXEC };
                Op::Pipe { reader, writer, flags }
            }
            5..9 => {
                let slot = self.slot_of(&[Kind::Reader, Kind::Both]);
                let room = *self.rng.pick(&[0, 1, 2, 100, 4095, 4096, 5000, 65_536, 131_072]);
                Op::Read { slot, room }
            }
            9..17 => {
                let slot = self.slot_of(&[Kind::Writer, Kind::Both]);
                let counts = [0, 1, 1, 2, 99, 4095, 4096, 4097, 9000, 61_440, 65_536, 70_000];
                Op::Write { slot, count: *self.rng.pick(&counts) }
            }
            17 => {
                let kinds = [Kind::Reader, Kind::Both, Kind::Watcher, Kind::Writer, Kind::Timer];
                Op::Available(self.slot_of(&kinds))
            }
            18 => {
                let slot = self.slot_of(&[Kind::Writer, Kind::Both, Kind::Reader]);
                let flags = if self.rng.one_in(2) { O_DIRECT } else { 0 };
                Op::SetFlags { slot, flags }
            }
            19 => Op::GetFlags(self.slot_of(&[])),
            20 if self.rng.one_in(3) => Op::GetDescriptorFlags(self.slot_of(&[])),
            20 => self.duplicate(),
            21 => self.select(),
            _ => {
                let slot = self.slot_of(&[Kind::Reader, Kind::Writer, Kind::Both]);
                self.slots[slot] = Kind::Nothing;
                Op::Close(slot)
            }
        }
    }

    fn of_watches(&mut self) -> Op {
        match self.rng.below(26) {
            0 => {
                let slot = self.rng.below(SLOTS);
                self.slots[slot] = Kind::Watcher;
                let limit = match self.rng.below(8) {
                    0 if self.means.limits => Limit::NoInstances,
                    _ => self.queue_limit(),
                };
                Op::Watcher { slot, limit }
            }
            1..6 => {
                let slot = self.slot_of(&[Kind::Watcher]);
                let path = if self.rng.one_in(4) { self.path() } else { self.path_of("de") };
                let no_watches = self.means.limits && self.rng.one_in(12);
                let limit = if no_watches { Limit::NoWatches } else { Limit::Usual };
                Op::Watch { slot, path, mask: self.mask(), limit }
            }
            6 => {
                let slot = self.slot_of(&[Kind::Watcher]);
                Op::Unwatch { slot, watch: self.rng.below(8) as i32 - 1 }
            }
            7..11 => {
                let slot = self.slot_of(&[Kind::Watcher]);
                let room = *self.rng.pick(&[4096, 4096, 272, 64, 32, 31, 16, 15, 0]);
                Op::Read { slot, room }
            }
            11 => Op::Available(self.slot_of(&[Kind::Watcher])),
            12 => {
                let slot = self.slot_of(&[Kind::Directory, Kind::File]);
                self.slots[slot] = Kind::Nothing;
                Op::Close(slot)
            }
            13..15 => self.create(),
            15 => self.open(),
            16..18 => Op::Link { old: self.path_of("abc"), new: self.path_of("abc") },
            18..20 => Op::Rename { old: self.path(), new: self.path() },
            20..22 => Op::Unlink(self.path_of("abc")),
            22 => Op::Rmdir(self.path_of("de")),
            23 => Op::Mkdir { path: self.path_of("de"), mode: self.mode(true) },
            24 => self.wait(),
            _ => self.of_tree(),
        }
    }

    fn mask(&mut self) -> u32 {
        const USUAL: u32 = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
        match self.rng.below(8) {
            0..3 => USUAL | IN_MASK_ADD,
            3..5 => USUAL | IN_MASK_ADD | IN_ATTRIB,
            5 => [0, IN_ONLYDIR, IN_MASK_ADD][self.rng.below(3)],
            _ => {
                let events = [
                    IN_CREATE,
                    IN_DELETE,
                    IN_MOVED_FROM,
                    IN_MOVED_TO,
                    IN_ATTRIB,
                    IN_MODIFY,
                    IN_CLOSE_WRITE,
                    IN_DELETE_SELF,
                    IN_MOVE_SELF,
                ];
                let mut mask = if self.rng.one_in(3) { IN_MASK_ADD } else { 0 };
                mask |= if self.rng.one_in(3) { IN_ONLYDIR } else { 0 };
                for event in events {
                    mask |= if self.rng.one_in(2) { event } else { 0 };
                }
                mask
            }
        }
    }

    fn queue_limit(&mut self) -> Limit {
        match self.rng.below(3) {
            0 if self.means.limits => Limit::Events(*self.rng.pick(&[1, 2, 3, 5])),
            _ => Limit::Usual,
        }
    }

    fn of_waits(&mut self) -> Op {
        match self.rng.below(26) {
            20..25 => self.of_timers(),
            25 => self.poll(),
            0 => {
                let slot = self.rng.below(SLOTS);
                self.slots[slot] = Kind::Poller;
                Op::Poller(slot)
            }
            1..8 => {
                let poller = self.slot_of(&[Kind::Poller]);
                let sources = [
                    Kind::Reader,
                    Kind::Writer,
                    Kind::Both,
                    Kind::Watcher,
                    Kind::Poller,
                    Kind::Timer,
                ];
                let source = self.slot_of(&sources);
                let operations = [EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL];
                let operation = *self.rng.pick(&operations);
                let mut events = *self.rng.pick(&[EPOLLIN, EPOLLIN, EPOLLOUT, 0]);
                for flag in [EPOLLIN, EPOLLOUT, EPOLLET, EPOLLONESHOT] {
                    events |= if self.rng.one_in(4) { flag } else { 0 };
                }
                Op::Control { poller, operation, source, events: events as u32 }
            }
            8..14 => self.wait(),
            14 => self.select(),
            15 if self.rng.one_in(2) => self.of_watches(),
            _ => self.of_pipes(),
        }
    }

    fn wait(&mut self) -> Op {
        let poller = self.slot_of(&[Kind::Poller]);
        let room = *self.rng.pick(&[16, 16, 16, 1, 1, 2, 3, 0, -1]);
        if self.means.precise_waits && self.rng.one_in(2) {
            let nanoseconds = *self.rng.pick(&[0, 0, 0, 0, 1_000_000_000, -1]);
            return Op::WaitPrecisely { poller, room, nanoseconds };
        }
        Op::Wait { poller, room }
    }

    fn poll(&mut self) -> Op {
        let mut wanted = Vec::new();
        for slot in 0..SLOTS {
            let is_open = self.slots[slot] != Kind::Nothing;
            if is_open && self.rng.one_in(2) || self.rng.one_in(30) {
                wanted
                    .push((slot, *self.rng.pick(&[0, POLLIN, POLLIN, POLLOUT, POLLIN | POLLOUT])));
            }
        }
        Op::Poll(wanted)
    }

    fn select(&mut self) -> Op {
        let mut sets = [Vec::new(), Vec::new()];
        for set in &mut sets {
            for slot in 0..SLOTS {
                let is_open = self.slots[slot] != Kind::Nothing;
                if is_open && self.rng.one_in(2) || self.rng.one_in(60) {
                    set.push(slot);
                }
            }
        }
        let [read, write] = sets;
        Op::Select { read, write }
    }

    fn of_mounts(&mut self) -> Op {
        match self.rng.below(20) {
            0..3 => Op::Mount(self.path_of("de")),
            3 => Op::Mount(self.path()),
            4..6 => Op::Bind { old: self.path_of("de"), new: self.path_of("de") },
            6 => Op::Bind { old: self.path(), new: self.path() },
            7..11 => Op::Unmount { path: self.path_of("de"), lazy: self.rng.one_in(2) },
            11..13 => self.open(),
            13 => {
                let slot = self.slot_of(&[Kind::Directory, Kind::File]);
                self.slots[slot] = Kind::Nothing;
                Op::Close(slot)
            }
            14..17 => self.of_watches(),
            _ => self.of_tree(),
        }
    }

    /// Returns a slot that usually holds one of these kinds. If there is none, returns any used slot.
    fn slot_of(&mut self, kinds: &[Kind]) -> Slot {
        let fitting: Vec<Slot> = (0..SLOTS)
            .filter(|slot| {
                let kind = self.slots[*slot];
                kind != Kind::Nothing && (kinds.is_empty() || kinds.contains(&kind))
            })
            .collect();
        if fitting.is_empty() || self.rng.one_in(24) {
            return self.rng.below(SLOTS);
        }
        *self.rng.pick(&fitting)
    }

    fn mode(&mut self, is_directory: bool) -> u32 {
        let usual = if is_directory { 0o755 } else { 0o622 };
        match self.rng.below(8) {
            0 if self.as_owner => *self.rng.pick(&[0, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600]),
            1 => *self.rng.pick(&[0o600, 0o644, 0o700, 0o777, 0o1777, 0o2755, 0o4711]),
            2 if !self.as_owner => self.rng.below(0o10000) as u32,
            _ => usual,
        }
    }

    /// Returns a path whose last name is usually one of these letters.
    fn path_of(&mut self, letters: &str) -> String {
        if self.rng.one_in(12) {
            return self.path();
        }
        let letters: Vec<char> = letters.chars().collect();
        let name = *self.rng.pick(&letters);
        let parent = *self.rng.pick(&["", "", "", "d/", "d/", "e/", "d/d/", "s/"]);
        let end = if self.rng.one_in(16) { "/" } else { "" };
        format!("{parent}{name}{end}")
    }

    fn path(&mut self) -> String {
        match self.rng.below(40) {
            0 => String::new(),
            1 => ".".into(),
            2 => (*self.rng.pick(&["..", "d/..", "d/.", "./a", "a/..", "s/.."])).into(),
            3 => (*self.rng.pick(&["a/", "d//a", "d///", "f/", "s/", "a/b", "t/"])).into(),
            4 => "n".repeat(*self.rng.pick(&[254, 255, 256])),
            5 if self.rng.one_in(3) => "d/".repeat(*self.rng.pick(&[100, 2000, 3000])) + "a",
            _ => {
                let name = *self.rng.pick(&["a", "b", "c", "d", "d", "e", "e", "f", "g", "s", "t"]);
                let parent = *self.rng.pick(&["", "", "", "d/", "d/", "e/", "e/d/", "s/"]);
                format!("{parent}{name}")
            }
        }
    }

    /// Returns a path from an open directory. It does not start with a slash.
    fn short_path(&mut self) -> String {
        (*self.rng.pick(&["a", "b", "c", "d", "e", "f", "s", "", ".", "..", "d/a", "x"])).into()
    }

    /// Returns the target of a symbolic link. No target is outside the directory.
    fn relative(&mut self) -> String {
        (*self.rng.pick(&["a", "d", "e", "f", "s", "t", "d/a", "d/d", ".", "x", "d/", "", "e/s"]))
            .into()
    }
}
