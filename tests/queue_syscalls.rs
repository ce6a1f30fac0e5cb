//! Counts the system calls of the queue with strace(1), on Linux only. Without strace, the tests print a
//! message and succeed.

mod support;

use std::process::ExitCode;

use support::{Suite, named};

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    Suite::default().run(named![])
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use linux::*;
    Suite::default()
        .patience(std::time::Duration::from_secs(180))
        .once(named![
            opening_costs_five_calls_a_directory_at_most,
            opening_ten_thousand_directories_costs_no_more_for_each,
            a_message_and_its_pull_cost_one_wait_and_one_read_in_a_receiver,
            a_message_and_its_pull_cost_one_wait_and_one_read_on_each_backend,
            an_idle_queue_is_verified_and_drained_once_in_ten_seconds,
            an_idle_queue_without_verification_never_wakes_up,
            a_refused_registration_delays_mail_by_a_second_and_costs_ten_calls_a_second,
        ])
        .run(named![open_role, receive_role, turn_role, idle_role, refused_role,])
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use pullcord::{
        Backend, Events, Key, Notifier, Queue, QueueOptions, Receiver, Trigger, WatchMode, pull,
    };
    use tempfile::TempDir;

    use crate::support::strace::{Call, Traced, mark, trace};
    use crate::support::{self, backends};

    const MESSAGES: usize = 1_000;
    const IDLE: Duration = Duration::from_secs(25);
    /// The shortest time between two verifications.
    const VERIFY: f64 = 10.0;

    /// Creates a queue with these parts.
    fn create(parts: usize) -> TempDir {
        let queue = support::directory();
        for directory in ["lock", "todo", "mess"] {
            fs::create_dir(queue.path().join(directory)).unwrap();
        }
        (0..parts)
            .for_each(|part| fs::create_dir(queue.path().join(format!("todo/{part}"))).unwrap());
        Trigger::create(queue.path().join("lock/trigger"), 0o622).unwrap();
        queue
    }

    fn argument(number: usize) -> OsString {
        env::args_os().nth(number).expect("an argument of the role")
    }

    /// Returns the options of the queue in the first argument of the role.
    fn options() -> QueueOptions {
        QueueOptions::qmail(argument(1)).unwrap()
    }

    fn is_stat(call: &Call) -> bool {
        ["stat", "lstat", "statx", "newfstatat"].contains(&&*call.name)
    }

    fn is_trigger(call: &Call) -> bool {
        call.is_read_of("/lock/trigger")
    }

    /// Returns the time from the first call to the last one.
    fn seconds(traced: &Traced) -> f64 {
        match &traced.calls[..] {
            [first, .., last] => last.time - first.time,
            _ => 0.0,
        }
    }

    pub(crate) fn opening_costs_five_calls_a_directory_at_most() {
        open_counted(100);
        open_counted(1_000);
    }

    pub(crate) fn opening_ten_thousand_directories_costs_no_more_for_each() {
        open_counted(10_000);
    }

    fn open_counted(directories: usize) {
        let queue = create(0);
        let path = |number| queue.path().join(format!("mess/{number}"));
        (0..directories).for_each(|number| fs::create_dir(path(number)).unwrap());
        let number = directories.to_string();
        let arguments = [queue.path().as_os_str(), OsStr::new(&number)];
        let Some(traced) = trace("open_role", "", &arguments) else { return };
        let calls = traced.calls.len();
        println!("{directories} directories: {calls} calls");
        assert!(calls <= 5 * directories + 20, "{directories} directories: {calls} calls");
    }

    pub(crate) fn open_role() {
        let (queue, number) = (PathBuf::from(argument(1)), argument(2));
        let number: usize = number.to_str().unwrap().parse().unwrap();
        let directories = (0..number).map(|number| queue.join(format!("mess/{number}")));
        let options = QueueOptions::directories(directories).trigger(queue.join("lock/trigger"));
        mark();
        let queue = options.open();
        mark();
        assert!(queue.unwrap().is_fully_watched());
    }

    /// Adds a message and pulls, whenever the receiver requests one.
    fn start_writer(queue: &Path) -> mpsc::Sender<()> {
        let (request, requests) = mpsc::channel();
        let queue = queue.to_owned();
        thread::spawn(move || {
            let draft = queue.join("mess/draft");
            for number in 0.. {
                if requests.recv().is_err() {
                    return;
                }
                fs::write(&draft, "a message").unwrap();
                fs::hard_link(&draft, queue.join(format!("todo/{number}"))).unwrap();
                fs::remove_file(&draft).unwrap();
                pull(queue.join("lock/trigger")).unwrap();
            }
        });
        request
    }

    pub(crate) fn a_message_and_its_pull_cost_one_wait_and_one_read_in_a_receiver() {
        let queue = create(0);
        if let Some(traced) = trace("receive_role", "", &[queue.path().as_os_str()]) {
            check_messages("receiver", &traced);
        }
    }

    pub(crate) fn a_message_and_its_pull_cost_one_wait_and_one_read_on_each_backend() {
        for backend in backends() {
            let queue = create(0);
            let arguments = [queue.path().as_os_str(), OsStr::new(backend.as_str())];
            if let Some(traced) = trace("turn_role", "", &arguments) {
                check_messages(backend.as_str(), &traced);
            }
        }
    }

    fn check_messages(way: &str, traced: &Traced) {
        let is_watch = |call: &Call| call.is_read_of("inotify");
        let is_removal = |call: &Call| call.name.starts_with("unlink");
        let seconds = seconds(traced);
        let verifications = (seconds / VERIFY) as usize + 1;
        let waits = traced.count(Call::is_wait);
        let watch_reads = traced.count(is_watch);
        let drains = traced.count(is_trigger);
        println!("{way}: {waits} waits, {watch_reads} reads, {drains} drains, in {seconds} s");
        assert_eq!(traced.count(is_removal), MESSAGES);
        let surplus = 0..=verifications;
        assert!(surplus.contains(&(waits - MESSAGES)), "{way}: {waits} waits");
        assert_eq!(watch_reads, MESSAGES, "{way}");
        assert!(drains <= seconds as usize + 1 + verifications, "{way}: {drains} in {seconds} s");
        // select compares a source at its 8th report, at the 16th after that, and so on.
        let comparisons = if way == "select" { (MESSAGES / 8).ilog2() as usize + 1 } else { 0 };
        assert!(traced.count(is_stat) <= 2 * verifications + comparisons, "{way}");
        let is_known = |call: &Call| {
            call.is_wait()
                || is_watch(call)
                || is_removal(call)
                || is_trigger(call)
                || is_stat(call)
        };
        assert_eq!(traced.others(is_known), [""; 0], "{way}");
    }

    pub(crate) fn receive_role() {
        let mut mail = options().receiver().unwrap();
        let request = start_writer(argument(1).as_ref());
        let receive = |mail: &mut Receiver| {
            request.send(()).unwrap();
            fs::remove_file(mail.recv().unwrap().unwrap().path()).unwrap();
        };
        receive(&mut mail);
        // The first scan reads the watch too: a message that comes before its end needs no wait.
        while mail.queue().stats().scans == 0 || mail.queue().is_scanning() {
            assert!(mail.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
        }
        mark();
        (0..MESSAGES).for_each(|_| receive(&mut mail));
        mark();
    }

    /// A queue on a notifier of this backend.
    struct Turns {
        queue: Queue,
        notifier: Box<dyn Notifier>,
        events: Events,
    }

    impl Turns {
        fn open(options: &QueueOptions, backend: Backend) -> Turns {
            let mut notifier = backend.open().unwrap();
            let mut queue = options.open().unwrap();
            queue.register(&mut *notifier, [Key(0), Key(1)]);
            Turns { queue, notifier, events: Events::with_capacity(4) }
        }

        /// Makes one turn, and returns the paths of the entries.
        fn turn(&mut self, longest: Duration) -> Vec<PathBuf> {
            let timeout = self.queue.prepare(&mut *self.notifier, Instant::now());
            let timeout = timeout.map_or(longest, |timeout| timeout.min(longest));
            self.notifier.wait(&mut self.events, Some(timeout)).unwrap();
            for event in &self.events {
                let _ = self.queue.handle_event(event);
            }
            let now = Instant::now();
            let mut paths = Vec::new();
            while let Some(entry) = self.queue.next_entry(now) {
                paths.push(entry.path());
            }
            paths
        }
    }

    pub(crate) fn turn_role() {
        let backend = Backend::from_name(argument(2).to_str().unwrap()).unwrap();
        let mut turns = Turns::open(&options(), backend);
        let request = start_writer(argument(1).as_ref());
        let receive = |turns: &mut Turns| {
            request.send(()).unwrap();
            loop {
                let paths = turns.turn(Duration::from_secs(3600));
                if let [path] = &paths[..] {
                    break fs::remove_file(path).unwrap();
                }
                assert!(paths.is_empty());
            }
        };
        receive(&mut turns);
        while turns.queue.stats().scans == 0 || turns.queue.is_scanning() {
            assert!(turns.turn(Duration::from_millis(1)).is_empty());
        }
        mark();
        (0..MESSAGES).for_each(|_| receive(&mut turns));
        mark();
    }

    pub(crate) fn an_idle_queue_is_verified_and_drained_once_in_ten_seconds() {
        const PARTS: usize = 23;
        let queue = create(PARTS);
        let arguments = [queue.path().as_os_str(), OsStr::new("10")];
        let Some(traced) = trace("idle_role", "", &arguments) else { return };
        let lines = traced.others(|_| false);
        assert_eq!(traced.count(Call::is_wait), 3, "at 10, 20 and 25 seconds: {lines:#?}");
        assert_eq!(traced.count(is_trigger), 3, "one a wait: {lines:#?}");
        let stats = traced.count(is_stat);
        // todo, its parts, and the trigger.
        assert_eq!(stats, 2 * (1 + PARTS + 1), "{lines:#?}");
        // A comparison must not cause an automount.
        let without_mount = traced.count(|call| call.line.contains("AT_NO_AUTOMOUNT"));
        assert_eq!(without_mount, 2 * (1 + PARTS), "{lines:#?}");
        // The timer is for other loops. The end of a wait with a timeout sets it. It then expires once
        // in the next wait.
        let is_timer = |call: &Call| call.line.contains("[timerfd]");
        assert!(traced.count(|call| is_timer(call) && !call.is_wait()) <= 2, "{lines:#?}");
        let is_known =
            |call: &Call| call.is_wait() || is_trigger(call) || is_stat(call) || is_timer(call);
        assert_eq!(traced.others(is_known), [""; 0]);
    }

    pub(crate) fn an_idle_queue_without_verification_never_wakes_up() {
        let queue = create(23);
        let arguments = [queue.path().as_os_str(), OsStr::new("0")];
        let Some(traced) = trace("idle_role", "", &arguments) else { return };
        let lines = traced.others(|_| false);
        assert_eq!(traced.count(Call::is_wait), 1, "{lines:#?}");
        // The end of the wait may drain the trigger, and set the timer.
        assert!(traced.calls.len() <= 3, "{lines:#?}");
    }

    pub(crate) fn idle_role() {
        let interval = match argument(2).to_str().unwrap().parse().unwrap() {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        };
        let mut mail = options().verify_interval(interval).receiver().unwrap();
        assert!(mail.recv_timeout(Duration::from_millis(500)).unwrap().is_none());
        assert!(mail.queue().is_fully_watched());
        mark();
        assert!(mail.recv_timeout(IDLE).unwrap().is_none());
        mark();
    }

    pub(crate) fn a_refused_registration_delays_mail_by_a_second_and_costs_ten_calls_a_second() {
        for watch in ["auto", "off"] {
            let queue = create(0);
            let arguments = [queue.path().as_os_str(), OsStr::new(watch)];
            let fault = "epoll_ctl:error=ENOMEM";
            let Some(traced) = trace("refused_role", fault, &arguments) else { return };
            let (seconds, calls) = (seconds(&traced), traced.calls.len());
            println!("{watch}: {calls} calls in {seconds} s\n{}", traced.output);
            assert!(traced.count(|call| call.line.contains("(INJECTED)")) > 0);
            assert!(calls as f64 <= 10.0 * seconds, "{watch}: {calls} calls in {seconds} s");
        }
    }

    /// Receives while the notifier cannot register a descriptor, first with mail, then without.
    pub(crate) fn refused_role() {
        let watch = if argument(2) == "off" { WatchMode::Off } else { WatchMode::Auto };
        let mut turns = Turns::open(&options().watch(watch), Backend::best());
        turns.turn(Duration::from_millis(1));
        let request = start_writer(argument(1).as_ref());
        for message in 0..5 {
            let pause = Instant::now() + Duration::from_millis(137 * message);
            while let Some(left) = pause.checked_duration_since(Instant::now()) {
                assert!(turns.turn(left).is_empty());
            }
            let begun = Instant::now();
            request.send(()).unwrap();
            let path = loop {
                if let Some(path) = turns.turn(Duration::from_secs(5)).pop() {
                    break path;
                }
                assert!(begun.elapsed() < Duration::from_secs(10), "mail is missing");
            };
            let delay = begun.elapsed();
            println!("message {message} after {delay:?}");
            assert!(delay < Duration::from_millis(1300), "message {message} after {delay:?}");
            fs::remove_file(path).unwrap();
        }
        mark();
        let end = Instant::now() + Duration::from_secs(5);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            turns.turn(left);
        }
        mark();
        let warnings = std::iter::from_fn(|| turns.queue.next_warning());
        let warnings: Vec<_> = warnings.map(|warning| warning.to_string()).collect();
        let [warning] = &warnings[..] else { panic!("reported once: {warnings:?}") };
        println!("{warning}");
    }
}
