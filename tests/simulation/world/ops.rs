//! Performs the operations of writers, administrators and other programs.

use libc::{O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY};
use pullcord_platform::sim::{Call, Fault, FsKind, Kernel, QUEUE};

use super::places::{build, directory};
use super::{Request, State, World};
use crate::history::{Layout, Op, Trigger};
use crate::oracle::MS;

impl World {
    pub(super) fn perform(&mut self, kernel: &mut Kernel, op: Op) {
        let now = kernel.now();
        match op {
            Op::Link(directory, name) => {
                let path = World::name(&self.directory(directory), name);
                self.link(kernel, &self.directory(directory), &path);
                self.oracle.change(directory % self.parts);
            }
            Op::LinkAbove(name) => {
                if matches!(self.config.layout, Layout::Split(_)) {
                    let path = World::name(b"/v/q/todo", name);
                    self.link(kernel, b"/v/q/todo", &path);
                }
            }
            Op::RenameIn(directory, name) => {
                let directory_path = self.directory(directory);
                let hidden = [&directory_path[..], b"/.new"].concat();
                let path = World::name(&directory_path, name);
                if kernel.create(&hidden, 0o644).is_ok() && kernel.rename(&hidden, &path).is_ok() {
                    self.oracle.moved_in(kernel, &directory_path, &path);
                }
                self.oracle.change(directory % self.parts);
                self.oracle.change(directory % self.parts);
            }
            Op::Open(writer) => self.open_writer(kernel, writer),
            Op::Write(writer) => self.write(kernel, writer, 1),
            Op::Close(writer) => self.close_writer(kernel, writer),
            Op::Pull => {
                self.close_writer(kernel, 0);
                self.open_writer(kernel, 0);
                self.write(kernel, 0, 1);
                self.close_writer(kernel, 0);
            }
            Op::Packets(writer) => {
                if let Some(fd) = self.writers[writer % 3] {
                    let flags = O_NONBLOCK | O_DIRECT;
                    let _ = kernel.fcntl(fd, libc::F_SETFL, flags);
                    self.oracle.packets();
                    self.reached.count(State::Packets);
                }
            }
            Op::Fill(writer) => {
                self.open_writer(kernel, writer);
                self.write(kernel, writer, 65_536);
                (0..16).for_each(|_| self.pulled(kernel, Some(writer % 3)));
                while self.writers[writer % 3].is_some_and(|fd| kernel.write(fd, 4096).is_ok()) {
                    // Each write may be a packet. Then each is a pull.
                    self.pulled(kernel, Some(writer % 3));
                }
                self.reached.count(State::FullTrigger);
            }
            Op::Flood(time) => self.flood_until = now + time * MS,
            Op::FloodEvents(time) => self.events_until = now + time * MS,
            Op::Unready(directory, name) => {
                let directory_path = self.directory(directory);
                let path = World::name(&directory_path, name);
                if kernel.create(&path, 0o644).is_ok() {
                    self.look(kernel);
                    self.oracle.finished(kernel, &directory_path, &path);
                }
                self.oracle.change(directory % self.parts);
            }
            Op::Ready(directory, name) => {
                let path = World::name(&self.directory(directory), name);
                let _ = kernel.chmod(&path, 0o744);
                self.look(kernel);
                if let Some(id) = kernel.entry(&path) {
                    self.oracle.touched(id);
                }
            }
            Op::ReadySilently(directory, name) => {
                let directory_path = self.directory(directory);
                let path = World::name(&directory_path, name);
                let other = self.aside(b"/v/q/away");
                let is_unready = self.config.layout == Layout::Maildrop
                    && kernel.find(&path).is_ok_and(|ino| kernel.tree().mode(ino) & 0o100 == 0);
                if is_unready && kernel.link(&path, &other).is_ok() {
                    let _ = kernel.chmod(&other, 0o744);
                    let _ = kernel.unlink(&other);
                    self.look(kernel);
                    if let Some(id) = kernel.entry(&path) {
                        self.oracle.silently(id);
                    }
                } else if let Ok(fd) = kernel.open_unnamed(&directory_path, 0o644) {
                    let linked = kernel.link_open(fd, &path);
                    let _ = kernel.fchmod(fd, 0o744);
                    let _ = kernel.close(fd);
                    self.look(kernel);
                    if let (Ok(()), Some(id)) = (linked, kernel.entry(&path)) {
                        self.oracle.silently(id);
                    }
                }
                self.oracle.change(directory % self.parts);
            }
            Op::Create(directory, name) => {
                let key = (directory % self.parts, name % 4);
                self.files.create(kernel, key, &World::name(&self.directory(key.0), key.1));
                self.oracle.change(key.0);
            }
            Op::Append(directory, name) => {
                let key = (directory % self.parts, name % 4);
                self.files.append(kernel, key, &World::name(&self.directory(key.0), key.1));
                self.reached.count(State::WrittenInPlace);
            }
            Op::Finish(directory, name) => {
                let key = (directory % self.parts, name % 4);
                let directory_path = self.directory(key.0);
                if self.files.finish(kernel, key) {
                    self.look(kernel);
                    let path = World::name(&directory_path, key.1);
                    self.oracle.finished(kernel, &directory_path, &path);
                }
            }
            Op::ManyUnready(count) => {
                self.oracle.burst();
                let directory = self.directory(0);
                for number in 0..count {
                    let path = [&directory[..], format!("/u{number}").as_bytes()].concat();
                    if kernel.create(&path, 0o644).is_ok() {
                        self.oracle.finished(kernel, &directory, &path);
                    }
                    self.happened += 1;
                }
                self.oracle.change(0);
            }
            Op::Unlink(directory, name) => {
                let _ = kernel.unlink(&World::name(&self.directory(directory), name));
                self.oracle.change(directory % self.parts);
            }
            Op::Replace(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&path, &aside);
                self.rebuild(kernel, &path);
                self.oracle.disturb_paths(now);
            }
            Op::Remake(directory) => {
                let path = self.directory(directory);
                self.empty(kernel, &path);
                if kernel.rmdir(&path).is_ok() {
                    self.reached.count(State::NumberUsedAgain);
                }
                self.rebuild(kernel, &path);
                self.oracle.disturb_paths(now);
            }
            Op::Remove(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/away");
                if kernel.rename(&path, &aside).is_ok() {
                    self.away.push(aside);
                }
                self.oracle.disturb_paths(now);
            }
            Op::Restore(directory) => {
                let path = self.directory(directory);
                match self.away.pop() {
                    Some(aside) => drop(kernel.rename(&aside, &path)),
                    None => drop(kernel.mkdir(&path, 0o755)),
                }
                self.oracle.disturb_paths(now);
            }
            Op::PutFifo(directory) => {
                let path = self.directory(directory);
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&path, &aside);
                let _ = kernel.mkfifo(&path, 0o600);
                self.oracle.disturb_paths(now);
            }
            Op::Exchange(one, other) => {
                let (one, other) = (self.directory(one), self.directory(other));
                let aside = self.aside(b"/v/q/aside");
                let _ = kernel.rename(&one, &aside);
                let _ = kernel.rename(&other, &one);
                let _ = kernel.rename(&aside, &other);
                self.oracle.disturb_paths(now);
            }
            Op::ReplaceHome => {
                let aside = self.aside(b"/v/old");
                if kernel.rename(b"/v/q", &aside).is_ok() {
                    self.reached.count(State::HomeReplaced);
                }
                build(kernel, &self.config, b"/v/q", self.parts);
                self.oracle.disturb_paths(now);
            }
            Op::MountOver(directory) => {
                let path = self.directory(directory);
                self.mount(kernel, &path);
                self.rebuild_trigger(kernel);
                self.oracle.disturb_paths(now);
            }
            Op::MountOverHome => {
                self.mount(kernel, b"/v/q");
                build(kernel, &self.config, b"/v/q", self.parts);
                self.oracle.disturb_paths(now);
            }
            Op::Unmount(lazy) => {
                if let Some(path) = self.mounts.pop() {
                    if kernel.unmount(&path, lazy).is_err() {
                        self.mounts.push(path);
                    } else if lazy {
                        self.reached.count(State::LazilyUnmounted);
                    }
                    self.oracle.disturb_paths(now);
                }
            }
            Op::SwapLink => {
                let other = kernel.find(b"/v/q2").is_err();
                if other {
                    build(kernel, &self.config, b"/v/q2", self.parts);
                }
                let target: &[u8] = if self.made % 2 == 0 { b"/v/q2" } else { b"/v/q" };
                self.made += 1;
                let _ = kernel.symlink(target, b"/s.new");
                let _ = kernel.rename(b"/s.new", b"/s");
                self.oracle.disturb_paths(now);
            }
            Op::Forbid(directory) => {
                let _ = kernel.chmod(&self.directory(directory), 0);
                self.oracle.disturb_paths(now);
            }
            Op::Allow(directory) => {
                let _ = kernel.chmod(&self.directory(directory), 0o755);
                self.oracle.disturb_paths(now);
            }
            Op::ForbidHome => {
                let _ = kernel.chmod(b"/v/q", 0o311);
            }
            Op::ReplaceTrigger | Op::RemoveTrigger | Op::MakeTrigger => {
                let Some(path) = &self.trigger else { return };
                if op != Op::MakeTrigger {
                    let _ = kernel.unlink(path);
                }
                if op != Op::RemoveTrigger {
                    let _ = kernel.mkfifo(path, 0o622);
                }
                self.reached.count(State::TriggerReplaced);
                if !self.is_inherited() {
                    self.oracle.disturb_trigger(now);
                }
            }
            Op::AddPart => {
                if matches!(self.config.layout, Layout::Split(_)) {
                    let path = directory(&self.config, b"/v/q", self.parts);
                    if kernel.mkdir(&path, 0o755).is_ok() {
                        self.parts += 1;
                        self.reached.count(State::QueueGrown);
                    }
                    self.oracle.disturb_paths(now);
                }
                if self.config.layout == Layout::Flat {
                    let path = format!("/v/q/todo/{}", self.inside);
                    self.inside += usize::from(kernel.mkdir(path.as_bytes(), 0o755).is_ok());
                    self.oracle.disturb_paths(now);
                }
            }
            Op::LinkInside(name) => {
                if self.inside > 0 {
                    self.link(kernel, b"/v/q/todo/0", &World::name(b"/v/q/todo/0", name));
                }
            }
            Op::Bind(from, to) => {
                let (from, to) = (self.directory(from), self.directory(to));
                if from != to && self.mounts.len() < 4 && kernel.bind(&from, &to).is_ok() {
                    self.mounts.push(to);
                    self.oracle.bound();
                    self.oracle.disturb_paths(now);
                }
            }
            Op::FailedRmdir(directory) => {
                let path = self.directory(directory);
                if kernel.find(&path).is_ok_and(|ino| !kernel.tree().entries(ino).is_empty()) {
                    let _ = kernel.rmdir(&path);
                    // If this causes an event, the queue has a reason to check.
                    self.oracle.disturb_paths(now);
                }
            }
            Op::OtherReader => {
                // Without /proc a program must be the only reader of a trigger that it was passed.
                let is_only = self.is_inherited() && cfg!(pullcord_sim = "bsd");
                let path = self.trigger.as_ref().filter(|_| !is_only);
                if let (Some(path), None) = (path, self.reader) {
                    self.reader = kernel.open(path, O_RDONLY | O_NONBLOCK, 0).ok();
                    self.reached.count(State::OtherReader);
                    self.oracle.foreign_reader(now, self.reader.is_some());
                }
            }
            Op::OtherReads => {
                if let Some(fd) = self.reader {
                    let _ = kernel.read(fd, 65_536);
                }
            }
            Op::OtherLeaves => {
                if let Some(fd) = self.reader.take() {
                    let _ = kernel.close(fd);
                    self.oracle.foreign_reader(now, false);
                }
            }
            Op::Noise(count) => {
                for number in 0..count {
                    let path = format!("/v/q/noise{number}");
                    let _ = kernel.create(path.as_bytes(), 0o644);
                    let _ = kernel.unlink(path.as_bytes());
                }
            }
            Op::Hidden(directory, count) => {
                self.oracle.burst();
                let directory_path = self.directory(directory);
                for number in 0..count {
                    let path = [&directory_path[..], format!("/.h{number}").as_bytes()].concat();
                    let _ = kernel.create(&path, 0o644);
                    let _ = kernel.unlink(&path);
                    self.happened += 1;
                }
                self.oracle.change(directory % self.parts);
            }
            Op::FailNext(error, times) => {
                kernel.inject(Fault::Next { error, times });
                self.oracle.fault(now);
            }
            Op::FailFor(call, error, time) => {
                let call = Call::ALL[call % Call::ALL.len()];
                let errors = call.errors();
                if !errors.is_empty() {
                    let (errno, until) = (errors[error % errors.len()], now + time * MS);
                    kernel.inject(Fault::Until { call, errno, until });
                    self.oracle.fault(until);
                }
            }
            Op::Signal => kernel.interrupt(),
            Op::Freeze(time) => {
                kernel.advance(time * MS);
                self.reached.count(State::Frozen);
                self.oracle.frozen(now, kernel.now(), self.is_asleep);
            }
            Op::SetClock(by) => {
                kernel.set_clock(by * MS as i64);
                self.oracle.clock_was_set(now);
            }
            Op::WrongTime(off) => {
                self.requests.push_back(Request::WrongTime(off));
                kernel.interrupt();
            }
            Op::Spurious => {
                self.requests.push_back(Request::Spurious);
                kernel.interrupt();
            }
            Op::RegisterAgain(times) => {
                self.requests.push_back(Request::RegisterAgain(times));
                kernel.interrupt();
            }
            Op::RequeueAgain(time, times) => {
                self.requests.push_back(Request::RequeueAgain(time, times));
                kernel.interrupt();
            }
            Op::Chdir => drop(kernel.chdir(QUEUE, b"/")),
            Op::Restart => {
                self.requests.push_back(Request::Restart);
                kernel.interrupt();
            }
        }
    }

    pub(super) fn aside(&mut self, path: &[u8]) -> Vec<u8> {
        self.made += 1;
        [path, self.made.to_string().as_bytes()].concat()
    }

    pub(super) fn rebuild(&mut self, kernel: &mut Kernel, directory: &[u8]) {
        let _ = kernel.mkdir(directory, 0o755);
        self.rebuild_trigger(kernel);
    }

    /// A new directory has no trigger in it.
    pub(super) fn rebuild_trigger(&mut self, kernel: &mut Kernel) {
        if self.config.trigger == Trigger::Inside {
            build(kernel, &self.config, b"/v/q", self.parts);
        }
    }

    pub(super) fn empty(&mut self, kernel: &mut Kernel, directory: &[u8]) {
        let Ok(ino) = kernel.find(directory) else { return };
        let names: Vec<_> = kernel.tree().entries(ino).iter().map(|it| it.name.clone()).collect();
        for name in names {
            let _ = kernel.unlink(&[directory, b"/", &name].concat());
        }
    }

    pub(super) fn mount(&mut self, kernel: &mut Kernel, path: &[u8]) {
        if kernel.find(path).is_err() || self.mounts.len() > 3 {
            return;
        }
        let kind = if self.config.fs == FsKind::Tmpfs { FsKind::Ext4 } else { self.config.fs };
        let system = kernel.add_system(kind);
        if kernel.mount(system, path).is_ok() {
            self.mounts.push(path.into());
            self.reached.count(State::MountedOver);
        }
    }

    /// A message that is complete before it has a name.
    pub(super) fn link(&mut self, kernel: &mut Kernel, directory: &[u8], path: &[u8]) {
        let mode = if self.config.layout == Layout::Maildrop { 0o744 } else { 0o644 };
        if let Ok(fd) = kernel.open_unnamed(directory, mode) {
            let _ = kernel.link_open(fd, path);
            let _ = kernel.close(fd);
        }
    }

    pub(super) fn open_writer(&mut self, kernel: &mut Kernel, writer: usize) {
        let Some(path) = &self.trigger else { return };
        if self.writers[writer % 3].is_some() {
            return;
        }
        self.fifos[writer % 3] = None;
        match kernel.open(path, O_WRONLY | O_NONBLOCK, 0) {
            Ok(fd) => {
                self.writers[writer % 3] = Some(fd);
                self.fifos[writer % 3] = kernel.find(path).ok();
            }
            Err(libc::ENXIO) => {
                // The writer does not try again. Its mail must still be found.
                self.reached.count(State::PullRefused);
                self.pulls.push((writer, Err(libc::ENXIO)));
                self.look(kernel);
                self.pulled(kernel, None);
            }
            Err(_) => {}
        }
    }

    pub(super) fn write(&mut self, kernel: &mut Kernel, writer: usize, count: usize) {
        let Some(fd) = self.writers[writer % 3] else { return };
        self.look(kernel);
        let written = kernel.write(fd, count);
        self.pulls.push((writer, written));
        if matches!(written, Ok(_) | Err(libc::EAGAIN | libc::EPIPE)) {
            self.pulled(kernel, Some(writer % 3));
        }
    }

    pub(super) fn close_writer(&mut self, kernel: &mut Kernel, writer: usize) {
        if let Some(fd) = self.writers[writer % 3].take() {
            let _ = kernel.close(fd);
        }
    }
}
