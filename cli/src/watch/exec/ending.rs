//! The end of the commands that run, and of the processes that they have started.

use std::time::{Duration, Instant};

use pullcord::Events;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::Runner;
use super::stop::{Order, Stop};
use crate::failure::Failure;
use crate::mail::Mail;
use crate::watch::known::KnownEntries;
use crate::watch::{CHILDREN, SIGNALS, Waits};

/// How often process groups are looked at whose first process has ended: nothing reports their end.
const GROUP_INTERVAL: Duration = Duration::from_millis(20);

/// How the commands that run come to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::watch) enum Ending {
    /// By themselves, unless a signal comes.
    AtTheirEnd,
    /// They are asked to, and killed after --grace.
    Now,
}

impl Runner<'_> {
    /// Waits until no command runs. A signal makes it faster.
    pub(in crate::watch) fn stop(
        &mut self,
        ending: Ending,
        mail: &mut Mail,
        known: &mut KnownEntries,
        waits: &mut Waits,
    ) -> Result<(), Failure> {
        let mut stop = match ending {
            Ending::AtTheirEnd => Stop::at_their_end(self.grace),
            Ending::Now => Stop::now(self.grace),
        };
        let mut events = Events::with_capacity(3);
        let mut has_terminated = false;
        self.is_stopping = true;
        self.is_child_due = true;
        loop {
            let pids: Vec<_> = self.children.iter().map(|it| Pid::from_child(&it.child)).collect();
            self.reap(mail, known)?;
            let is_running = |pid: &Pid| self.children.iter().any(|it| it.child.id() == id(*pid));
            if has_terminated {
                self.groups.extend(pids.into_iter().filter(|pid| !is_running(pid)));
            }
            self.groups.retain(|group| test_kill_process_group(*group).is_ok());
            if self.children.is_empty() && self.groups.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            match stop.next_order(now) {
                Order::Wait => {}
                Order::Terminate => {
                    has_terminated = true;
                    self.signal_all(Signal::TERM);
                    self.outputs.report(format!(
                        "commands still run: {}; they may take {} s, or another signal kills them",
                        self.children.len(),
                        self.grace.as_secs_f64()
                    ));
                    continue;
                }
                Order::Kill => {
                    self.signal_all(Signal::KILL);
                    let count = self.children.len() + self.groups.len();
                    self.outputs
                        .report(format!("commands that did not end, and were killed: {count}"));
                    continue;
                }
                Order::GiveUp => return Ok(()),
            }
            let groups = (!self.groups.is_empty()).then_some(GROUP_INTERVAL);
            let timeouts = [stop.left(now), self.time_left(), groups];
            let timeout = timeouts.into_iter().flatten().min();
            waits.for_signals.wait(&mut events, timeout).map_err(Failure::waiting)?;
            for event in &events {
                match event.key {
                    SIGNALS => {
                        waits.signals.take();
                        stop.on_signal();
                    }
                    CHILDREN => {
                        waits.take_children();
                        self.is_child_due = true;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends a signal to the process group of each command.
    fn signal_all(&self, signal: Signal) {
        let running = self.children.iter().map(|it| Pid::from_child(&it.child));
        for group in running.chain(self.groups.iter().copied()) {
            // One that has ended meanwhile is not reaped yet: its number is no one else's.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get() as u32
}
