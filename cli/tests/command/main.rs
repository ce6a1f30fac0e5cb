//! The command, run as its users run it: real processes on real queues.

mod backends;
mod bad_input;
mod demo;
mod doctor;
mod pull;
mod selftest;
mod support;
#[cfg(target_os = "linux")]
mod syscalls;
mod watch;
