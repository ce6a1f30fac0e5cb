//! The cost of a `Receiver` in foreign loops, beside a pipe in the same loop: system calls, counted by
//! strace(1). On Linux only; without strace, the tests print that and succeed.
//!
//! A message is added before each wait, in the thread of the loop, and its own calls are not counted.

// The tests need Rust 1.88.
#![allow(clippy::incompatible_msrv)]

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
        .patience(std::time::Duration::from_secs(300))
        .once(named![a_receiver_costs_one_call_more_than_a_pipe_in_each_loop])
        .run(named![loop_role])
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::io::{PipeReader, PipeWriter, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::path::PathBuf;

    use pullcord::{QueueOptions, Receiver};
    use rustix::fs::{OFlags, fcntl_setfl};

    use crate::support;
    use crate::support::strace::{Call, mark, trace};

    const WAKES: usize = 1_000;
    const LOOPS: &[&str] = &[
        "polling, level",
        "polling, edge",
        "calloop, level",
        "calloop, edge",
        "async-io",
        #[cfg(feature = "mio")]
        "mio",
        #[cfg(feature = "tokio")]
        "tokio",
    ];

    /// The calls of async-io that a receiver does not make at an arrival. In the other loops it would show
    /// if it did.
    const ITS_OWN: [&str; 3] = ["epoll_ctl", "epoll_pwait", "timerfd_settime"];

    pub(crate) fn a_receiver_costs_one_call_more_than_a_pipe_in_each_loop() {
        println!("| loop, 1,000 wakes | with a pipe | with a `Receiver` | more |");
        println!("|---|---:|---:|---:|");
        for name in LOOPS {
            let count = |source: &str| {
                let directory = support::directory();
                let arguments =
                    [OsStr::new(name), OsStr::new(source), directory.path().as_os_str()];
                let traced = trace("loop_role", "", &arguments)?;
                let is_writer = |call: &Call| {
                    call.name.starts_with("link")
                        || call.name.starts_with("unlink")
                        || call.name == "write" && call.line.contains("<pipe:")
                };
                // async-io asks its descriptors once or twice a wake, as it happens.
                let is_of_loop = |call: &Call| {
                    name == &"async-io"
                        && (ITS_OWN.contains(&&*call.name) || call.is_read_of("[eventfd]"))
                };
                let is_counted = |call: &Call| !is_writer(call) && !is_of_loop(call);
                Some(traced.count(is_counted) as f64 / WAKES as f64)
            };
            let (Some(pipe), Some(receiver)) = (count("pipe"), count("receiver")) else { return };
            println!("| {name} | {pipe:.2} | {receiver:.2} | {:.2} |", receiver - pipe);
            // The verification, and the timer that it sets, come once in ten seconds.
            assert!(receiver <= pipe + 1.05, "{name}: {receiver} calls, {pipe} with a pipe");
        }
    }

    /// A source that a loop waits for.
    trait Source {
        fn fd(&self) -> BorrowedFd<'_>;

        /// Adds a message.
        fn add(&mut self);

        /// Takes all messages. Returns whether there was one.
        fn take(&mut self) -> bool;
    }

    struct Pipe(PipeReader, PipeWriter);

    impl Source for Pipe {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        fn add(&mut self) {
            self.1.write_all(&[1]).unwrap();
        }

        /// With one read(2): a short count proves that the pipe is empty.
        fn take(&mut self) -> bool {
            self.0.read(&mut [0; 64]).is_ok_and(|count| count > 0)
        }
    }

    struct Mail {
        receiver: Receiver,
        entry: Entry,
    }

    /// A message that is added again and again.
    struct Entry {
        draft: PathBuf,
        path: PathBuf,
    }

    impl Entry {
        fn in_directory(directory: &std::path::Path) -> (Entry, QueueOptions) {
            let todo = directory.join("todo");
            fs::create_dir(&todo).unwrap();
            let entry = Entry { draft: directory.join("draft"), path: todo.join("message") };
            File::create(&entry.draft).unwrap();
            (entry, QueueOptions::directories([todo]))
        }

        fn add(&self) {
            fs::hard_link(&self.draft, &self.path).unwrap();
        }
    }

    impl Source for Mail {
        fn fd(&self) -> BorrowedFd<'_> {
            self.receiver.as_fd()
        }

        fn add(&mut self) {
            self.entry.add();
        }

        fn take(&mut self) -> bool {
            let mut is_there = false;
            while let Some(entry) = self.receiver.try_recv() {
                fs::remove_file(entry.path()).unwrap();
                is_there = true;
            }
            is_there
        }
    }

    pub(crate) fn loop_role() {
        let [name, source, directory] = [1, 2, 3].map(|number| env::args_os().nth(number).unwrap());
        let (name, directory) = (name.into_string().unwrap(), PathBuf::from(directory));
        if source == "pipe" {
            let (reader, writer) = std::io::pipe().unwrap();
            fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
            return run(&name, &mut Pipe(reader, writer));
        }
        let (entry, options) = Entry::in_directory(&directory);
        #[cfg(feature = "tokio")]
        if name == "tokio" {
            return in_tokio::receive(&options, &entry);
        }
        run(&name, &mut Mail { receiver: options.receiver().unwrap(), entry });
    }

    fn run(name: &str, source: &mut dyn Source) {
        match name {
            "polling, level" => in_polling(polling::PollMode::Level, source),
            "polling, edge" => in_polling(polling::PollMode::Edge, source),
            "calloop, level" => in_calloop(calloop::Mode::Level, source),
            "calloop, edge" => in_calloop(calloop::Mode::Edge, source),
            "async-io" => in_async_io(source),
            #[cfg(feature = "mio")]
            "mio" => in_mio(source),
            #[cfg(feature = "tokio")]
            "tokio" => in_tokio::read(source),
            other => panic!("there is no loop {other}"),
        }
    }

    /// Adds messages one by one, and waits for each.
    fn wakes(source: &mut dyn Source, mut wait: impl FnMut(&mut dyn Source)) {
        let mut turns = |times| {
            for _ in 0..times {
                source.add();
                loop {
                    wait(source);
                    if source.take() {
                        break;
                    }
                }
            }
        };
        // The first turns scan the directory.
        turns(10);
        mark();
        turns(WAKES);
        mark();
    }

    fn in_polling(mode: polling::PollMode, source: &mut dyn Source) {
        let poller = polling::Poller::new().unwrap();
        let mut events = polling::Events::new();
        let readable = polling::Event::readable(7);
        // SAFETY: the source outlives the poller, which is dropped without having to remove it.
        unsafe { poller.add_with_mode(&source.fd(), readable, mode).unwrap() };
        wakes(source, |_| {
            events.clear();
            poller.wait(&mut events, None).unwrap();
        });
    }

    /// A duplicate, which the loop owns.
    fn duplicate(source: &dyn Source) -> OwnedFd {
        source.fd().try_clone_to_owned().unwrap()
    }

    fn in_calloop(mode: calloop::Mode, source: &mut dyn Source) {
        use calloop::{EventLoop, Interest, PostAction, generic::Generic};
        let mut event_loop = EventLoop::<()>::try_new().unwrap();
        let generic = Generic::new(duplicate(source), Interest::READ, mode);
        let nothing = |_, _: &mut _, (): &mut ()| Ok(PostAction::Continue);
        event_loop.handle().insert_source(generic, nothing).unwrap();
        wakes(source, |_| event_loop.dispatch(None, &mut ()).unwrap());
    }

    fn in_async_io(source: &mut dyn Source) {
        let readable = async_io::Async::new_nonblocking(duplicate(source)).unwrap();
        wakes(source, |_| async_io::block_on(readable.readable()).unwrap());
    }

    #[cfg(feature = "mio")]
    fn in_mio(source: &mut dyn Source) {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let number = std::os::fd::AsRawFd::as_raw_fd(&source.fd());
        let registry = poll.registry();
        let mut fd = mio::unix::SourceFd(&number);
        registry.register(&mut fd, mio::Token(0), mio::Interest::READABLE).unwrap();
        wakes(source, |_| poll.poll(&mut events, None).unwrap());
    }

    #[cfg(feature = "tokio")]
    mod in_tokio {
        use pullcord::interop::AsyncReceiver;
        use tokio::io::unix::AsyncFd;
        use tokio::runtime::{Builder, Runtime};

        use super::*;

        fn runtime() -> Runtime {
            Builder::new_current_thread().enable_all().build().unwrap()
        }

        /// With one read(2), after which readiness is cleared.
        pub(super) fn read(source: &mut dyn Source) {
            let runtime = runtime();
            let _inside = runtime.enter();
            // The contract of the function in its place is unsafe. This descriptor is owned and stays open.
            #[allow(deprecated)]
            let readable = AsyncFd::new(duplicate(source)).unwrap();
            wakes(source, |_| {
                runtime.block_on(async { readable.readable().await.unwrap().clear_ready() });
            });
        }

        pub(super) fn receive(options: &QueueOptions, entry: &Entry) {
            runtime().block_on(async {
                let mut mail = AsyncReceiver::new(options.open().unwrap()).unwrap();
                for turn in 0..10 + WAKES {
                    if turn == 10 {
                        mark();
                    }
                    entry.add();
                    let received = mail.recv().await.unwrap();
                    fs::remove_file(received.path()).unwrap();
                }
                mark();
            });
        }
    }
}
