//! `pullcord watch --trigger-fd`: the test is the supervisor, which has opened the trigger and passes it on.

use std::fs::{self, File};
use std::process::Command;

use rustix::io::ioctl_fionread;
use rustix::process::Signal;

use crate::support::{Queue, Running, eventually, output, pullcord, text};

/// A queue whose trigger the test keeps open, so that bytes stay in it.
struct Supervised {
    queue: Queue,
    fifo: File,
}

impl Supervised {
    fn new() -> Supervised {
        let queue = Queue::flat();
        let fifo = File::options().read(true).write(true).open(queue.trigger()).unwrap();
        Supervised { queue, fifo }
    }

    /// Returns the command, with the trigger as descriptor 3. A shell opens it: blocking, and without
    /// the flag that closes it at exec(2).
    fn watch(&self, options: &[&str]) -> Command {
        let inner = pullcord(["watch"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec 3<>"$FIFO"; exec "$0" watch --trigger-fd 3 "$@""#]);
        shell.arg(inner.get_program()).args(options).env("FIFO", self.queue.trigger());
        for (variable, _) in inner.get_envs() {
            shell.env_remove(variable);
        }
        shell
    }

    fn of_queue(&self, options: &[&str]) -> Command {
        let root = self.queue.root().to_str().unwrap();
        self.watch(&[&[root], options].concat())
    }

    fn pull(&self, times: usize) {
        for _ in 0..times {
            pullcord::pull(self.queue.trigger()).unwrap();
        }
    }

    /// How many bytes would start the service again.
    fn bytes(&self) -> u64 {
        ioctl_fionread(&self.fifo).unwrap()
    }
}

#[test]
fn entries_are_printed_when_the_trigger_is_pulled() {
    for watch in ["auto", "off"] {
        let supervised = Supervised::new();
        let todo = supervised.queue.path("todo");
        let by_directory = ["--watch", watch, "--dir", todo.to_str().unwrap()];
        for mut command in
            [supervised.of_queue(&["--watch", watch]), supervised.watch(&by_directory)]
        {
            let before = supervised.queue.link("todo/before");
            let running = Running::start(&mut command);
            assert_eq!(running.line(), before.to_str().unwrap());
            fs::remove_file(before).unwrap();
            for name in ["todo/1", "todo/2"] {
                let linked = supervised.queue.link(name);
                supervised.pull(1);
                assert_eq!(running.line(), linked.to_str().unwrap(), "--watch {watch}");
                fs::remove_file(linked).unwrap();
            }
        }
    }
}

#[test]
fn a_service_that_is_stopped_stays_stopped() {
    for watch in ["auto", "off"] {
        let supervised = Supervised::new();
        let running = Running::start(&mut supervised.of_queue(&["--watch", watch]));
        supervised.queue.link("todo/a");
        supervised.pull(1);
        running.line();
        running.signal(Signal::STOP);
        supervised.pull(3);
        supervised.queue.link("todo/b");
        assert!(supervised.bytes() >= 3);
        running.signal(Signal::TERM);
        running.signal(Signal::CONT);
        let done = running.output();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert_eq!(supervised.bytes(), 0, "--watch {watch}: it would be started again");
    }
}

#[test]
fn a_service_that_ends_when_it_is_idle_is_started_again_for_entries_that_are_left_only() {
    for watch in ["auto", "off"] {
        let supervised = Supervised::new();
        supervised.queue.link("todo/a");
        supervised.pull(3);
        let options = ["--watch", watch, "--idle-exit", "0.1"];
        let done = output(&mut supervised.of_queue(&options));
        assert_eq!((done.status.code(), supervised.bytes()), (Some(0), 0), "{done:?}");
        assert!(text(&done.stdout).contains("/todo/a"), "{done:?}");

        supervised.queue.link("todo/b");
        supervised.pull(3);
        let options = ["--watch", watch, "--count", "1"];
        let done = output(&mut supervised.of_queue(&options));
        assert_eq!((done.status.code(), supervised.bytes()), (Some(0), 1), "{done:?}");
    }
}

/// A service that a pull starts, that processes everything, and that ends.
#[test]
fn commands_empty_the_queue_and_inherit_no_trigger() {
    let supervised = Supervised::new();
    for number in 0..20 {
        supervised.queue.link(format!("todo/{number}"));
    }
    supervised.pull(3);
    let script = r#"[ -e /proc/$$/fd ] && [ -e /proc/$$/fd/3 ] && exit 1; rm -- "$1""#;
    let options = ["--jobs", "4", "--idle-exit", "0.1", "--exec", "sh", "-c", script, "sh"];
    let done = output(&mut supervised.of_queue(&options));
    assert!(text(&done.stderr).contains("succeeded 20, failed 0"), "{done:?}");
    assert_eq!(supervised.bytes(), 0);
    assert_eq!(fs::read_dir(supervised.queue.path("todo")).unwrap().count(), 0);
}

/// Any user may pull: the service does not end by that, and its pulls are counted.
#[test]
fn pulls_are_counted_and_do_not_end_the_service() {
    let supervised = Supervised::new();
    let options = ["--watch", "off", "--stats", "0.05", "--json"];
    let running = Running::start(&mut supervised.of_queue(&options));
    running.line();
    let mut pulls = 0;
    for _ in 0..3 {
        supervised.pull(1);
        let before = pulls;
        while pulls == before {
            let row: serde_json::Value = serde_json::from_str(&running.line()).unwrap();
            pulls += row["pulls"].as_u64().unwrap();
        }
    }
    assert_eq!(pulls, 3);
    eventually("all bytes are taken", || (supervised.bytes() == 0).then_some(()));
}

#[test]
fn a_descriptor_that_is_not_open_or_not_a_fifo_is_exit_code_2() {
    let supervised = Supervised::new();
    let root = supervised.queue.root();
    for (number, why) in [("99", "Bad file descriptor"), ("0", "not a FIFO")] {
        let done = output(pullcord(["watch", "--trigger-fd", number]).arg(root));
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        let said = text(&done.stderr);
        assert!(said.contains(&format!("descriptor {number}: ")) && said.contains(why), "{said}");
        assert!(said.contains("ListenFIFO="), "{said}");
    }
    let both = ["watch", "--trigger-fd", "3", "--trigger", "/f", "--dir", "/d"];
    assert_eq!(output(&mut pullcord(both)).status.code(), Some(2));
}
