//! The command, run as its users run it: real processes on real queues.

mod backends;
mod bad_input;
mod demo;
mod doctor;
#[cfg(target_os = "linux")]
mod doctor_mounts;
#[cfg(target_os = "linux")]
mod doctor_running;
#[cfg(target_os = "linux")]
mod faults;
mod generate;
mod packages;
mod pull;
mod selftest;
mod storm;
mod support;
#[cfg(target_os = "linux")]
mod syscalls;
mod watch;
mod watch_exec;
#[cfg(target_os = "linux")]
mod watch_exec_children;
mod watch_exec_end;
mod watch_options;
mod watch_output;
mod watch_reports;
mod watch_supervised;
