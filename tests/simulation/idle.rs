//! An idle queue, call by call: for five minutes, and for an hour, of simulated time.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pullcord::{Backend, Events, Key, Notifier, Queue, QueueOptions};
use pullcord_platform::clock;
use pullcord_platform::sim::{self, Call, FsKind};

use crate::history::{Config, Layout, PLAIN};
use crate::world;

const PARTS: usize = 5;

/// The tests. Where the watch reports no names, the queue must wait for the trigger.
pub(crate) fn trials() -> Vec<Trial> {
    if !pullcord_platform::watch::REPORTS_NAMES {
        return Vec::new();
    }
    vec![
        Trial::test("idle::a_watched_queue_is_verified_and_drained_every_ten_seconds", || {
            for (minutes, verifications) in [(5, 30), (60, 360)] {
                let calls = calls_of(FsKind::Ext4, minutes, |it| it.rescan_interval(None));
                let directories = PARTS as u64 + 1;
                assert_eq!(
                    calls,
                    [
                        (Call::Read, verifications),
                        (Call::Fstatat, (directories + 1) * verifications),
                        (Call::EpollPwait2, verifications),
                    ],
                    "in {minutes} minutes"
                );
            }
            Ok(())
        }),
        Trial::test("idle::without_verification_a_watched_queue_makes_no_call", || {
            assert_eq!(calls_of(FsKind::Ext4, 20, |it| it.verify_interval(None)), []);
            Ok(())
        }),
        // stat(2) on a dead mount blocks, and numbers prove nothing there.
        Trial::test("idle::on_a_network_file_system_only_the_trigger_is_looked_at", || {
            for fs in [FsKind::Remote, FsKind::Renumbering] {
                let calls = calls_of(fs, 5, |options| options);
                // Elsewhere a difference of numbers makes the queue open the trigger, too.
                let looks = calls.iter().filter(|(call, _)| *call == Call::Fstatat);
                assert_eq!(looks.map(|(_, count)| *count).sum::<u64>(), 30, "{fs:?}: {calls:?}");
                let known =
                    [Call::Fstatat, Call::EpollPwait2, Call::Open, Call::Fstat, Call::Close];
                let others = calls.iter().filter(|(call, _)| !known.contains(call));
                assert_eq!(others.count(), 0, "{fs:?}: {calls:?}");
            }
            Ok(())
        }),
    ]
}

/// A queue on a notifier.
struct Turns {
    queue: Queue,
    notifier: Box<dyn Notifier>,
    events: Events,
}

impl Turns {
    /// Makes turns until this time. A queue that waits for longer makes none.
    fn run_until(&mut self, end: Instant) {
        while clock::now() < end {
            let timeout = self.queue.prepare(&mut *self.notifier, clock::now());
            if timeout.is_none_or(|timeout| clock::now() + timeout > end) {
                return;
            }
            self.notifier.wait(&mut self.events, timeout).expect("nothing fails");
            for event in &self.events {
                let _ = self.queue.handle_event(event);
            }
            assert!(self.queue.next_entry(clock::now()).is_none(), "the queue is empty");
        }
    }
}

/// Returns the calls that an idle queue on such a file system makes in so many minutes.
fn calls_of(fs: FsKind, minutes: u64, set: fn(QueueOptions) -> QueueOptions) -> Vec<(Call, u64)> {
    let config = Config { layout: Layout::Split(PARTS), fs, ..PLAIN };
    sim::boot(world::boot(&config));
    // Between two verifications.
    let begin = clock::now() + Duration::from_secs(65);
    let options = set(QueueOptions::qmail("/v/q").expect("it can be read"));
    let mut queue = options.open().expect("nothing fails");
    let mut notifier = Backend::best().open().expect("nothing fails");
    queue.register(&mut *notifier, [Key(0), Key(1)]);
    let mut turns = Turns { queue, notifier, events: Events::with_capacity(4) };
    // The first scan and the calls after it.
    turns.run_until(begin);
    let made =
        || sim::with(|kernel| Call::ALL.iter().map(|it| kernel.census().made(*it)).collect());
    let before: Vec<u64> = made();
    turns.run_until(begin + Duration::from_secs(60 * minutes));
    let after: Vec<u64> = made();
    drop(turns);
    drop(sim::halt());
    let calls = Call::ALL.iter().zip(after.iter().zip(before)).map(|(it, (b, a))| (*it, b - a));
    calls.filter(|(_, count)| *count > 0).collect()
}
